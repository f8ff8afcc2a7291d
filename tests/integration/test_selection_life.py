"""A wave from its proposal to its publication, on a real PostgreSQL."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from services.selection import bundle, publishing, result_events, verify_draw
from services.selection.domain import merkle
from services.selection.domain.beacon import LEAD, PUBLIC_BEFORE
from services.selection.draws import commit_one, draw_one
from services.selection.publishing import publish_some
from services.selection.views import citizen_draw
from tests.conftest import MakeDatabase
from tests.integration.selection_world import (
    CLOSES,
    DRAWS,
    INFO,
    OPENS,
    PROGRAMME,
    World,
    applied,
    bundle_file,
    closed,
    crowd,
    open_world,
    withdrawn,
)
from tests.support import jakarta


@pytest_asyncio.fixture
async def world(database: MakeDatabase) -> AsyncIterator[World]:
    async with open_world(database) as opened:
        yield opened


async def bundle_of(world: World, wave: int = 1) -> bytes:
    pages = [page async for page in bundle.write(world.database, world.machine.pools, await world.view(wave))]
    return b"".join(pages)


async def test_a_wave_lives_from_proposal_to_publication(world: World, tmp_path: Path, capsys: Any) -> None:
    people = crowd(400)
    people[0] = applied("warga-0", exclusions=("blacklist", "other-aid"))
    people[1] = applied("warga-1", exclusions=("other-aid",))
    await world.announce(seats=100)
    assert await world.state() == "announced"
    await world.tick(OPENS)
    assert await world.state() == "open"
    await world.tell(*people)
    await world.tick(CLOSES)
    assert await world.state() == "closed"
    await world.tell(closed(people))
    await world.tick()
    view = await world.view()
    assert (view["state"], view["pool_count"], view["draw_due_at"]) == ("committed", 398, DRAWS)
    await world.tick(DRAWS)
    view = await world.view()
    assert (view["state"], view["winners"], view["not_selected"]) == ("published", 100, 300)

    said = await world.said()
    kinds = Counter(event["type"].rsplit(".")[-1] for event in said)
    assert kinds["selected-in-batch"] == 100
    assert kinds["not-selected"] == 300
    order = [event["type"].rsplit(".")[-1] for event in said if event["type"].rsplit(".")[-1].startswith("wave-")]
    assert order == [
        "wave-announced", "wave-opened", "wave-closed", "wave-committed", "wave-drawn", "wave-published",
    ]  # fmt: skip
    reasons = Counter(event["data"]["reason"] for event in await world.said("not-selected"))
    assert reasons["blacklist"] == reasons["other-aid"] == 1
    assert set(reasons) == {"blacklist", "other-aid", "household-cap", "lost-draw"}

    file = bundle_file(tmp_path, await bundle_of(world))
    assert verify_draw.main([str(file), "--key", world.machine.signer.public_key.hex()]) == 0
    assert "the 100 winners are the same" in capsys.readouterr().out


async def test_nothing_is_said_about_results_before_all_of_them_are_drawn(world: World) -> None:
    people = crowd(60)
    await world.until_committed(people)
    await world.tick(DRAWS - (DRAWS - CLOSES) / 2)
    assert await world.state() == "committed"
    assert not await world.said("selected-in-batch", "not-selected", "wave-drawn")


async def test_publication_in_pages_resumes_where_it_was(world: World) -> None:
    people = crowd(50)
    await world.until_committed(people)
    world.clock.at = DRAWS
    assert await draw_one(world.machine, world.database, DRAWS) == 1
    for page in (1, 2):
        assert await publish_some(world.machine, world.database, DRAWS, page_rows=20) == 20
        assert await world.state() == "drawn"
        assert len(await world.said("selected-in-batch", "not-selected")) == 20 * page
    assert await publish_some(world.machine, world.database, DRAWS, page_rows=20) == 11
    assert await world.state() == "published"
    told = [event["data"]["application_id"] for event in await world.said("selected-in-batch", "not-selected")]
    assert sorted(told) == sorted(person.application_id for person in people)


async def test_a_page_that_breaks_off_tells_nothing_and_is_told_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of a page go into one transaction: the second part fails after the first was sent to the database."""
    people = crowd(50)
    await world.until_committed(people)
    world.clock.at = DRAWS
    assert await draw_one(world.machine, world.database, DRAWS) == 1
    monkeypatch.setattr(publishing, "RESULTS_PER_PART", 7)
    assert await publish_some(world.machine, world.database, DRAWS, page_rows=20) == 20
    honest, calls = result_events.outbox_rows, list[int]()

    def breaking(rows: Any, telling: Any) -> Any:
        calls.append(len(rows))
        if len(calls) == 2:
            raise OSError("the process has no memory left")
        return honest(rows, telling)

    monkeypatch.setattr(result_events, "outbox_rows", breaking)
    with pytest.raises(OSError, match="no memory"):
        await publish_some(world.machine, world.database, DRAWS, page_rows=20)
    assert len(await world.said("selected-in-batch", "not-selected")) == 20
    assert await publish_some(world.machine, world.database, DRAWS, page_rows=20) == 20
    assert await publish_some(world.machine, world.database, DRAWS, page_rows=20) == 11
    told = [event["data"]["application_id"] for event in await world.said("selected-in-batch", "not-selected")]
    assert sorted(told) == sorted(person.application_id for person in people)
    assert calls == [7, 7, 7, 7, 6, 7, 3]


async def test_an_empty_wave_is_drawn_and_published_too(world: World) -> None:
    await world.run_wave([], seats=10)
    view = await world.view()
    assert (view["state"], view["pool_count"], view["winners"], view["not_selected"]) == ("published", 0, 0, 0)


async def test_the_draw_waits_until_every_application_has_arrived(world: World) -> None:
    people = crowd(30)
    await world.announce(seats=10)
    await world.tick(OPENS)
    await world.tell(*people[:-3])
    await world.tick(CLOSES)
    assert (await world.view())["waiting"] == "intake-closed-missing"
    await world.tell(closed(people))
    await world.tick(DRAWS)
    view = await world.view()
    assert (view["state"], view["waiting"], view["applications_seen"], view["intake_count"]) == (
        "closed", "applications-missing", 27, 30,
    )  # fmt: skip
    await world.tell(*people[-3:])
    await world.tick()
    view = await world.view()
    assert (view["state"], view["waiting"]) == ("committed", None)
    # The draw's time has passed: the announced round is the first one ten minutes after the commitment.
    assert view["draw_due_at"] > DRAWS
    await world.tick(view["draw_due_at"])
    assert await world.state() == "published"


async def test_the_right_number_of_wrong_applications_is_not_enough(world: World) -> None:
    people = crowd(30)
    await world.until_committed(people, [*people[:-1], applied("somebody else")])
    view = await world.view()
    assert (view["state"], view["waiting"]) == ("closed", "applications-differ")


async def test_a_withdrawn_application_is_in_no_draw(world: World) -> None:
    people = crowd(20)
    gone = withdrawn(people[3])
    await world.announce(seats=10)
    await world.tick(OPENS)
    await world.tell(*people, gone, gone)
    await world.tick(CLOSES)
    await world.tell(closed([*people[:3], *people[4:]]))
    await world.tick()
    await world.tick(DRAWS)
    told = {event["data"]["application_id"] for event in await world.said("selected-in-batch", "not-selected")}
    assert len(told) == 19
    assert people[3].application_id not in told


@pytest.mark.parametrize(
    "lie",
    [
        {"signature": "00" * 48},
        {"randomness": "11" * 32},
        {"round": 7},
        {"signature": "a5" * 48, "randomness": "c5" * 32},
    ],
)
async def test_a_beacon_that_lies_stops_the_draw_until_it_tells_the_truth(world: World, lie: dict[str, Any]) -> None:
    people = crowd(20)
    await world.until_committed(people)
    world.beacon.lie = lie
    await world.tick(DRAWS)
    view = await world.view()
    assert (view["state"], view["waiting"]) == ("committed", "beacon-wrong")
    world.beacon.lie = {}
    await world.tick()
    assert await world.state() == "published"


async def test_a_silent_beacon_makes_a_wave_wait(world: World) -> None:
    people = crowd(20)
    await world.announce(seats=10)
    await world.tick(OPENS)
    await world.tell(*people)
    world.beacon.silent = True
    await world.tick(CLOSES)
    await world.tell(closed(people))
    await world.tick()
    view = await world.view()
    assert (view["state"], view["waiting"]) == ("closed", "beacon-silent")
    world.beacon.silent = False
    await world.tick()
    assert await world.state() == "committed"


async def test_a_round_the_beacon_has_already_shown_is_never_announced(world: World) -> None:
    """A beacon whose clock runs ahead of ours: its rounds are out before we think so."""
    people = crowd(20)
    await world.announce(seats=10)
    await world.tick(OPENS)
    await world.tell(*people)
    await world.tick(CLOSES)
    await world.tell(closed(people))
    world.beacon.ahead = 30 * 24 * 3600 // INFO["period"]
    await world.tick()
    view = await world.view()
    assert (view["state"], view["waiting"]) == ("closed", "beacon-ahead")


async def test_nobody_who_runs_the_service_can_change_a_frozen_pool(world: World) -> None:
    people = crowd(20)
    await world.until_committed(people)
    for statement in ("UPDATE pool_entry SET places = 2", "DELETE FROM pool_entry", "DELETE FROM merkle"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with world.database.transaction() as tx:
                await tx.execute(statement)
    async with world.owner() as owner:
        await owner.execute(
            "UPDATE application SET province = '32' WHERE application_id = $1", people[0].application_id
        )
    await world.tick(DRAWS)
    view = await world.view()
    assert (view["state"], view["waiting"]) == ("committed", "pool-changed")
    assert not await world.said("selected-in-batch")


async def test_results_that_do_not_add_up_are_not_published(world: World) -> None:
    people = crowd(20)
    await world.until_committed(people)
    world.clock.at = DRAWS
    await draw_one(world.machine, world.database, DRAWS)
    async with world.owner() as owner:
        await owner.execute("UPDATE wave SET winners = winners + 1")
    # Not even the first page, after which nothing can be taken back.
    assert await publish_some(world.machine, world.database, DRAWS, page_rows=7) == 0
    assert not await world.said("selected-in-batch", "not-selected")
    view = await world.view()
    assert (view["state"], view["waiting"]) == ("drawn", "results-changed")
    # It can still be given up, so the next wave waits too: who won here must not be left out there for nothing.
    others = crowd(30, wave=2, prefix="lain")
    second = world.machine.programmes[PROGRAMME].wave(2)
    assert second
    await world.announce(2, seats=10)
    await world.tick(second.opens)
    await world.tell(*others)
    await world.tick(second.closes)
    await world.tell(closed(others, wave=2))
    await world.tick()
    view = await world.view(2)
    assert (view["state"], view["waiting"]) == ("closed", "another-draw")
    async with world.owner() as owner:
        await owner.execute("UPDATE wave SET winners = winners - 1 WHERE wave = 1")
    await world.tick()
    view = await world.view()
    assert (view["state"], view["waiting"]) == ("published", None)
    assert await world.state(2) == "committed"


async def test_results_that_were_taken_away_are_missed_before_the_first_one_is_told(world: World) -> None:
    people = crowd(20)
    await world.until_committed(people)
    world.clock.at = DRAWS
    await draw_one(world.machine, world.database, DRAWS)
    async with world.owner() as owner:
        await owner.execute(
            "UPDATE application SET withdrawn_at = now() WHERE application_id = $1", people[9].application_id
        )
    assert await publish_some(world.machine, world.database, DRAWS, page_rows=7) == 0
    assert not await world.said("selected-in-batch", "not-selected")
    assert (await world.view())["waiting"] == "results-changed"


async def test_a_commitment_that_would_be_public_when_its_round_is_out_is_not_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing takes long, or somebody holds the COMMIT to see the randomness first."""
    people = crowd(20)
    await world.announce(seats=10)
    await world.tick(OPENS)
    await world.tell(*people)
    world.clock.at = DRAWS
    await world.tick()
    await world.tell(closed(people))
    before = world.machine.pools.commit

    async def slow(*told: Any, **more: Any) -> None:
        await before(*told, **more)
        world.clock.at += LEAD - PUBLIC_BEFORE + timedelta(seconds=INFO["period"])

    monkeypatch.setattr(world.machine.pools, "commit", slow)
    assert await commit_one(world.machine, world.database, world.clock.now()) == 0
    view = await world.view()
    assert (view["state"], view["waiting"], view["commitment"]) == ("closed", "commitment-slow", None)
    assert not await world.said("wave-committed")
    monkeypatch.undo()
    await world.tick()
    view = await world.view()
    assert (view["state"], view["waiting"]) == ("committed", None)
    assert view["draw_due_at"] >= world.clock.now() + LEAD


async def test_each_citizen_can_prove_that_they_were_in_the_pool(world: World) -> None:
    people = crowd(77)
    await world.run_wave(people, seats=20)
    root = (await world.view())["root"]
    for person in people[::7]:
        async with world.database.connection() as tx:
            (row,) = await world.machine.pools.draws_of(tx, person.citizen_id, 10)
            proof = await world.machine.pools.proof(tx, row["wave_id"], row["leaf"], row["pool_count"])
        told = citizen_draw(row, proof)
        inside = told["inclusion"]
        leaf = merkle.leaf_hash(bytes.fromhex(inside["salt"]) + bytes.fromhex(inside["entry"]))
        assert merkle.is_included(leaf, inside["leaf"], 77, [bytes.fromhex(step) for step in inside["proof"]], root)
        assert inside["entry"].startswith(person.application_id)
        assert told["state"] in ("selected", "not-selected")
        if told["rank"]:
            assert (told["ticket"] <= (told["cutoff"] or "")) == (told["state"] == "selected")


async def test_a_wave_does_not_open_a_second_early(world: World) -> None:
    await world.announce(seats=10)
    await world.tick(jakarta("2020-04-11 16:59:59"))
    assert await world.state() == "announced"
    await world.tick(jakarta("2020-04-11 17:00:00"))
    assert await world.state() == "open"
