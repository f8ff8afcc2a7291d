"""Officers move a wave: other times, another draw. An intake that is not complete says which partitions are missing."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from libs.events.refusal import Refused
from services.selection import bundle, changes, commands, store_changes, verify_draw
from services.selection.domain.wave import BEACON_DAYS, mark
from services.selection.draws import commit_one, draw_one
from services.selection.publishing import publish_some
from tests.conftest import MakeDatabase
from tests.integration.selection_world import (
    CLOSES,
    DRAWS,
    OPENS,
    PROGRAMME,
    PROPOSED,
    World,
    bundle_file,
    closed,
    crowd,
    lane,
    open_world,
    withdrawn,
)


@pytest_asyncio.fixture
async def world(database: MakeDatabase) -> AsyncIterator[World]:
    async with open_world(database) as opened:
        yield opened


async def data(world: World, *kinds: str) -> list[dict[str, Any]]:
    return [event["data"] for event in await world.said(*kinds)]


async def ids(world: World, *kinds: str) -> list[str]:
    return [event["id"] for event in await world.said(*kinds)]


async def test_officers_open_a_wave_early_and_the_clock_does_it(world: World) -> None:
    await world.announce()
    await world.tick()
    assert await world.state() == "announced"
    await world.change_times(opens_at=PROPOSED)
    await world.tick()
    assert await world.state() == "open"
    (told,) = await data(world, "wave-rescheduled")
    assert (told["opens_at"], told["reason"]) == ("2020-04-10T02:00:00Z", "Kantor tutup karena banjir")
    with pytest.raises(Refused, match="step-already-taken"):
        await world.change_times(opens_at=OPENS)


async def test_officers_close_a_wave_early_or_late(world: World) -> None:
    await world.announce()
    await world.tick(OPENS)
    late = CLOSES + timedelta(hours=4)
    await world.change_times(closes_at=late)
    await world.tick(CLOSES)
    assert await world.state() == "open"
    await world.change_times(closes_at=CLOSES)
    await world.tick()
    assert await world.state() == "closed"
    first, second = await ids(world, "wave-rescheduled")
    assert first != second


async def test_a_change_needs_another_person_who_has_read_it(world: World) -> None:
    await world.announce()
    with pytest.raises(Refused, match="same-person"):
        await world.change_times(person="maker", closes_at=CLOSES - timedelta(hours=1))
    store, times, now = world.machine.store, (None, CLOSES + timedelta(hours=1), None), world.clock.now()
    async with world.database.transaction() as tx:
        first = await changes.ask_times(tx, store, PROGRAMME, 1, times, "Banjir di Jakarta", "maker", now)
        await changes.ask_times(tx, store, PROGRAMME, 1, times, "Sesuatu yang lain", "maker", now)
    with pytest.raises(Refused, match="no-change-asked"):
        async with world.database.transaction() as tx:
            await changes.approve_change(tx, store, PROGRAMME, 1, first, "checker", now)
    with pytest.raises(asyncpg.CheckViolationError, match="wave_change_two_people"):
        async with world.database.transaction() as tx:
            await tx.execute("UPDATE wave_change SET checker_person = maker_person, decided_at = asked_at")


async def test_a_draw_is_set_aside_in_public_and_the_same_people_are_drawn_anew(world: World, tmp_path: Path) -> None:
    people = crowd(60)
    await world.until_committed(people)
    world.clock.at = DRAWS
    await draw_one(world.machine, world.database, DRAWS)
    before = await world.view()
    assert await world.redraw() == {"state": "closed", "step": "redraw"}
    (told,) = await data(world, "wave-draw-set-aside")
    assert (told["attempt"], told["root"], told["seed"]) == (1, before["root"].hex(), before["seed"].hex())
    await world.tick()
    view = await world.view()
    assert (view["state"], view["attempt"], view["intake_count"]) == ("committed", 2, 60)
    # Nobody knows the new randomness: it is out ten minutes after the new commitment.
    assert view["draw_due_at"] > world.clock.now()
    assert view["root"] != before["root"]
    await world.tick(view["draw_due_at"])
    view = await world.view()
    assert (view["state"], view["winners"], view["not_selected"]) == ("published", 10, 50)
    assert view["seed"] != before["seed"]
    assert len(await ids(world, "selected-in-batch")) == 10
    for kind in ("wave-committed", "wave-drawn"):
        assert len(set(await ids(world, kind))) == 2
    async with world.owner() as owner:
        assert await owner.fetchval("SELECT count(*) FROM member") == 10
        assert await owner.fetchval("SELECT count(*) FROM draw_result") == 120
    # Both draws can be run again by anybody.
    for attempt in (1, 2):
        async with world.database.connection() as tx:
            shown = await world.machine.store.view(tx, PROGRAMME, 1, attempt)
        assert shown
        pages = [page async for page in bundle.write(world.database, world.machine.pools, shown)]
        assert verify_draw.main([str(bundle_file(tmp_path, b"".join(pages)))]) == 0


async def test_a_commitment_that_was_prepared_for_other_times_is_not_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Officers move the draw while the pool is being hashed: the announced round must be that of the new time."""
    people = crowd(20)
    await world.announce(seats=10)
    await world.tick(OPENS)
    await world.tell(*people)
    await world.tick(CLOSES)
    await world.tell(closed(people))
    later, before = DRAWS + timedelta(days=1), world.machine.pools.applications

    async def hesitating(*told: Any) -> Any:
        found = await before(*told)
        await world.change_times(draws_at=later)
        return found

    monkeypatch.setattr(world.machine.pools, "applications", hesitating)
    assert await commit_one(world.machine, world.database, world.clock.now()) == 0
    monkeypatch.undo()
    await world.tick()
    view = await world.view()
    assert (view["state"], view["draw_due_at"]) == ("committed", later)


async def test_a_draw_that_was_set_aside_meanwhile_is_not_made(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.until_committed(crowd(20))
    world.clock.at = DRAWS
    before = world.machine.pools.pool

    async def hesitating(*told: Any) -> Any:
        found = await before(*told)
        # The other process's clock is a little behind: its officers do not know yet that the round is out.
        world.clock.at = DRAWS - timedelta(seconds=1)
        await world.redraw()
        world.clock.at = DRAWS
        await commit_one(world.machine, world.database, DRAWS)
        return found

    monkeypatch.setattr(world.machine.pools, "pool", hesitating)
    assert await draw_one(world.machine, world.database, DRAWS) == 0
    view = await world.view()
    assert (view["state"], view["attempt"], view["seed"]) == ("committed", 2, None)


async def test_a_commitment_is_set_aside_too_but_no_result_that_was_sent(world: World) -> None:
    await world.announce(seats=10)
    with pytest.raises(Refused) as refused:
        await world.redraw()
    assert "Legal steps: reschedule, open, void" in refused.value.refusals[0].en
    people = crowd(40)
    await world.tick(OPENS)
    await world.tell(*people)
    await world.tick(CLOSES)
    await world.tell(closed(people))
    await world.tick()
    await world.redraw()
    (told,) = await data(world, "wave-draw-set-aside")
    assert told["seed"] is None
    await world.tick()
    world.clock.at = DRAWS
    await draw_one(world.machine, world.database, DRAWS)
    await publish_some(world.machine, world.database, DRAWS, page_rows=20)
    with pytest.raises(Refused, match="results-sent"):
        await world.redraw()


async def test_what_was_asked_before_the_round_is_not_approved_after_it(world: World) -> None:
    """Whoever could wait for the randomness and then decide would draw until they like what they see."""
    await world.until_committed(crowd(40))
    store, now, reason = world.machine.store, world.clock.now(), "Sumber acak tidak sah"
    async with world.database.transaction() as tx:
        asked = await changes.ask_redraw(tx, store, PROGRAMME, 1, reason, "maker", now)
        await commands.ask_void(tx, store, PROGRAMME, 1, reason, "maker", now)
    world.clock.at = DRAWS + timedelta(hours=3)
    with pytest.raises(Refused, match="draw-first"):
        async with world.database.transaction() as tx:
            await changes.approve_change(tx, store, PROGRAMME, 1, asked, "checker", world.clock.now())
    read = mark(await world.view())
    with pytest.raises(Refused, match="draw-first"):
        async with world.database.transaction() as tx:
            await commands.approve_void(tx, store, PROGRAMME, 1, read, "checker", world.clock.now())
    for ask in (world.redraw, world.void):
        with pytest.raises(Refused, match="draw-first"):
            await ask()
    # The draw comes first. Then it may be set aside, and what it was is known.
    await draw_one(world.machine, world.database, world.clock.now())
    seed = (await world.view())["seed"]
    await world.redraw()
    (told,) = await data(world, "wave-draw-set-aside")
    assert told["seed"] == seed.hex()


async def test_a_draw_that_can_not_run_is_given_up(world: World) -> None:
    await world.until_committed(crowd(40))
    world.beacon.silent = True
    await world.tick(DRAWS)
    assert (await world.view())["waiting"] == "beacon-silent"
    with pytest.raises(Refused, match="draw-first"):
        await world.redraw()
    await world.tick(DRAWS + BEACON_DAYS)
    assert await world.redraw() == {"state": "closed", "step": "redraw"}
    world.beacon.silent = False
    await world.tick()
    async with world.owner() as owner:
        await owner.execute("UPDATE application SET province = '32' WHERE wave_id = 2")
    await world.tick((await world.view())["draw_due_at"])
    assert (await world.view())["waiting"] == "pool-changed"
    assert await world.void() == "voided"


async def test_applications_are_copied_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a million, one statement for all of them would meet the database's time limit."""
    people = crowd(40)
    gone = people[7]
    await world.announce(seats=10)
    await world.tick(OPENS)
    await world.tell(*people, withdrawn(gone))
    await world.tick(CLOSES)
    await world.tell(closed([each for each in people if each is not gone], gone=[gone]))
    await world.tick()
    monkeypatch.setattr(store_changes, "COPY_ROWS", 7)
    await world.redraw()
    columns = "application_id, citizen_id, household_id, province, tier, exclusions, applied_at, withdrawn_at"
    async with world.owner() as owner:
        first, second = [
            await owner.fetch(f"SELECT {columns} FROM application WHERE wave_id = $1 ORDER BY 1", wave_id)
            for wave_id in (1, 2)
        ]
    assert len(first) == 40
    assert first == second


async def test_an_incomplete_intake_names_the_partitions_and_heals(world: World) -> None:
    people = crowd(80)
    late = [each for each in people if lane(each) in (3, 7)]
    assert {lane(each) for each in late} == {3, 7}
    await world.announce(seats=10)
    await world.tick(OPENS)
    await world.tell(*(each for each in people if each not in late))
    await world.tick(CLOSES)
    await world.tell(closed(people))
    await world.tick()
    view = await world.view()
    assert (view["waiting"], view["lanes_missing"]) == ("applications-missing", [3, 7])
    await world.tell(*(each for each in late if lane(each) == 3))
    await world.tick()
    assert (await world.view())["lanes_missing"] == [7]
    await world.tell(*late)
    await world.tick()
    view = await world.view()
    assert (view["state"], view["waiting"]) == ("committed", None)


async def test_one_too_few_and_one_too_many_are_told_apart_by_partition(world: World) -> None:
    """A withdrawal and an application are both missing: the count agrees, the partitions do not."""
    people = crowd(80)
    gone = next(each for each in people if lane(each) == 5)
    absent = next(each for each in people if lane(each) == 9)
    stand = [each for each in people if each is not gone]
    await world.announce(seats=10)
    await world.tick(OPENS)
    await world.tell(*(each for each in people if each is not absent))
    await world.tick(CLOSES)
    await world.tell(closed(stand, gone=[gone]))
    await world.tick()
    view = await world.view()
    assert (view["waiting"], view["lanes_missing"]) == ("applications-differ", [5, 9])
    await world.tell(withdrawn(gone))
    await world.tick()
    assert (await world.view())["lanes_missing"] == [9]
    await world.tell(absent)
    await world.tick()
    assert await world.state() == "committed"
