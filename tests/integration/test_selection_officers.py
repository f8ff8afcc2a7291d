"""Officers propose, approve and void; revoked seats come back; events that can not be true are refused."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from libs.events import ids
from libs.events.contracts import Applied, MembershipRevoked
from libs.events.ordering import CanNotApply
from libs.events.refusal import Refused
from services.selection import commands
from services.selection.commands import approve_void
from services.selection.domain.quotas import Stratum
from services.selection.domain.wave import mark
from services.selection.draws import draw_one
from services.selection.publishing import publish_some
from services.selection.reactions import on_applied
from services.selection.views import recycled_seat
from tests.conftest import MakeDatabase
from tests.integration.selection_world import DRAWS, OPENS, PROGRAMME, World, applied, closed, crowd, open_world
from tests.support import jakarta


@pytest_asyncio.fixture
async def world(database: MakeDatabase) -> AsyncIterator[World]:
    async with open_world(database) as opened:
        yield opened


def revoked(won: dict[str, Any]) -> MembershipRevoked:
    """What training says of a winner who bought nothing in time."""
    told = {name: won[name] for name in ("citizen_id", "programme", "wave", "province", "tier")}
    return MembershipRevoked(**told, at=DRAWS, reason="no-purchase-in-time", released_rupiah=1_000_000)


async def winners(world: World) -> list[dict[str, Any]]:
    return [event["data"] for event in await world.said("selected-in-batch")]


async def reasons(world: World, people: Sequence[Applied]) -> dict[str, str]:
    """The outcome of each application by its id: `selected`, or why not."""
    found = {event["data"]["application_id"]: event["data"]["reason"] for event in await world.said("not-selected")}
    return {each.application_id: found.get(each.application_id, "selected") for each in people}


async def rows(world: World, query: str) -> list[tuple[Any, ...]]:
    async with world.owner() as owner:
        return [tuple(row) for row in await owner.fetch(query)]


async def test_a_proposal_needs_another_person(world: World) -> None:
    await world.propose()
    with pytest.raises(Refused, match="same-person"):
        await world.approve(person="maker")
    with pytest.raises(asyncpg.CheckViolationError, match="wave_two_people"):
        async with world.database.transaction() as tx:
            await tx.execute("UPDATE wave SET approver_person = maker_person, state = 'announced'")
    with pytest.raises(asyncpg.CheckViolationError, match="wave_approved"):
        async with world.database.transaction() as tx:
            await tx.execute("UPDATE wave SET state = 'announced'")


async def test_a_proposal_may_be_replaced_until_it_is_approved(world: World) -> None:
    assert sum((await world.propose(seats=100)).values()) == 100
    assert sum((await world.propose(seats=50, person="another maker")).values()) == 50
    await world.approve()
    (announced,) = await world.said("wave-announced")
    assert sum(quota["seats"] for quota in announced["data"]["quotas"]) == 50
    with pytest.raises(Refused) as refused:
        await world.propose(seats=70)
    told = refused.value.refusals[0].en
    assert "announced; the step propose is not legal. Legal steps: reschedule, open, void" in told


async def test_a_wave_whose_closing_time_has_passed_is_not_announced(world: World) -> None:
    await world.propose()
    world.clock.at = jakarta("2020-04-16 16:00:00")
    with pytest.raises(Refused, match="wave-too-late"):
        await world.approve()


async def test_voiding_needs_a_reason_and_another_person_and_is_public(world: World) -> None:
    await world.announce()
    read = mark(await world.view())
    with pytest.raises(Refused, match="no-void-asked"):
        async with world.database.transaction() as tx:
            await approve_void(tx, world.machine.store, PROGRAMME, 1, read, "checker", OPENS)
    assert await world.void(reason="Kuota Papua salah hitung") == "voided"
    (event,) = await world.said("wave-voided")
    assert event["data"]["reason"] == "Kuota Papua salah hitung"
    with pytest.raises(Refused) as refused:
        await world.void()
    assert "Legal steps: -" in refused.value.refusals[0].en
    with pytest.raises(Refused, match="illegal-step"):
        await world.propose()


async def test_a_checker_approves_only_what_they_have_read(world: World) -> None:
    store, now = world.machine.store, world.clock.now()
    await world.propose(seats=100)
    read = mark(await world.view())
    await world.propose(seats=90, person="another maker")
    with pytest.raises(Refused, match="read-anew"):
        async with world.database.transaction() as tx:
            await commands.approve(tx, store, PROGRAMME, 1, read, "checker", now)
    assert await world.state() == "proposed"
    await world.approve()
    for reason in ("Kuota Papua salah hitung", "Kuota Maluku salah hitung"):
        read = mark(await world.view())
        async with world.database.transaction() as tx:
            await commands.ask_void(tx, store, PROGRAMME, 1, reason, "maker", now)
    with pytest.raises(Refused, match="read-anew"):
        async with world.database.transaction() as tx:
            await approve_void(tx, store, PROGRAMME, 1, read, "checker", now)
    assert await world.state() == "announced"


async def test_a_draw_can_be_voided_until_the_first_result_is_sent_and_keeps_its_ranks(world: World) -> None:
    people = crowd(40)
    await world.until_committed(people)
    world.clock.at = DRAWS
    await draw_one(world.machine, world.database, DRAWS)
    assert await rows(world, "SELECT count(*) FROM member") == [(10,)]
    await world.void()
    assert await rows(world, "SELECT count(*) FROM member") == [(0,)]
    assert await rows(world, "SELECT count(*) FROM draw_result") == [(40,)]
    await world.tick()
    assert not await world.said("selected-in-batch", "not-selected")
    # The same people may win the wave that replaces it.
    again = crowd(40, wave=2)
    await world.run_wave(again, wave=2, seats=10)
    assert len(await winners(world)) == 10


async def test_a_wave_whose_results_are_being_sent_can_not_be_voided(world: World) -> None:
    await world.until_committed(crowd(40))
    world.clock.at = DRAWS
    await draw_one(world.machine, world.database, DRAWS)
    await publish_some(world.machine, world.database, DRAWS, page_rows=20)
    with pytest.raises(Refused, match="results-sent"):
        await world.void()


async def test_a_freed_seat_returns_to_its_stratum_once_and_can_be_traced(world: World) -> None:
    await world.run_wave(crowd(200), seats=40)
    gone = (await winners(world))[:5]
    await world.tell(*map(revoked, gone))
    await world.tell(*map(revoked, gone))
    seats = {
        (Stratum(province, tier)): count
        for province, tier, count in await rows(
            world, "SELECT province, tier, count(*)::int FROM freed_seat GROUP BY province, tier"
        )
    }
    assert sum(seats.values()) == 5
    assert seats == {
        (Stratum(province, tier)): count
        for province, tier, count in await rows(
            world,
            "SELECT seat_province, seat_tier, count(*)::int FROM member WHERE revoked_at IS NOT NULL GROUP BY 1, 2",
        )
    }
    quotas = await world.propose(2, seats=0, recycle=True)
    await traced_one_by_one(world, gone)
    assert {stratum: count for stratum, count in quotas.items() if count} == seats
    with pytest.raises(Refused, match="no-seats"):
        await world.propose(3, seats=0, recycle=True)
    await world.approve(2)
    (_, second) = await world.said("wave-announced")
    assert second["data"]["recycled_seats"] == 5
    async with world.database.transaction() as tx:
        listed = {row["wave"]: row for row in await world.machine.store.listed(tx, 10, announced=True)}
    assert listed[2]["seats"] == sum(quota["seats"] for quota in second["data"]["quotas"])
    assert listed[2]["recycled_seats"] == 5
    # A voided wave gives them back.
    await world.void(2)
    assert sum((await world.propose(3, seats=0, recycle=True)).values()) == 5
    # So does a proposal that is replaced by one without recycling.
    await world.propose(3, seats=10)
    assert await rows(world, "SELECT count(*) FROM freed_seat WHERE used_by_wave_id IS NULL") == [(5,)]


async def traced_one_by_one(world: World, gone: Sequence[dict[str, Any]]) -> None:
    """Each recycled seat of wave 2 has a number, says where it came from, and not who held it."""
    async with world.database.connection() as tx:
        wave_id = (await world.view(2))["wave_id"]
        seats = [recycled_seat(row) for row in await world.machine.store.recycled_seats(tx, wave_id, 0, 4)]
        more = [recycled_seat(row) for row in await world.machine.store.recycled_seats(tx, wave_id, 4, 4)]
    assert [seat["number"] for seat in (*seats, *more)] == [1, 2, 3, 4, 5]
    assert {(seat["from_wave"], seat["reason"]) for seat in seats} == {(1, "no-purchase-in-time")}
    # A seat's id stays with it, and is not made of anything that the bundle shows.
    freed = {row[0].hex for row in await rows(world, "SELECT seat_id FROM freed_seat")}
    assert {seat["seat_id"] for seat in (*seats, *more)} == freed
    derived = {ids.derive("seat", PROGRAMME, "1", won["application_id"]) for won in gone}
    assert len(freed) == 5
    assert freed.isdisjoint(derived | {won["application_id"] for won in gone})
    assert not {"citizen_id", "application_id"} & set(seats[0])


async def test_nobody_wins_twice_in_a_lifetime_and_a_revoked_member_does_not_come_back(world: World) -> None:
    await world.run_wave(crowd(100), seats=30)
    won = {data["citizen_id"] for data in await winners(world)}
    await world.tell(revoked((await winners(world))[0]))
    again = crowd(100, wave=2)
    await world.run_wave(again, wave=2, seats=30)
    outcome = await reasons(world, again)
    members = {each.application_id for each in again if each.citizen_id in won}
    assert {application for application, reason in outcome.items() if reason == "already-member"} == members
    # Another programme asks the same, because both allow it once per lifetime.
    other = [applied("warga-1", wave=48, programme="prakerja-2023")]
    other[0] = other[0].model_copy(update={"citizen_id": min(won)})
    await world.run_wave(other, wave=48, programme="prakerja-2023", seats=10)
    assert (await reasons(world, other))[other[0].application_id] == "already-member"


async def test_members_of_the_household_count_against_its_cap_until_they_are_revoked(world: World) -> None:
    family = [applied(name, household="kk", province="31") for name in ("ayah", "ibu")]
    await world.run_wave(family, seats=200)
    assert set((await reasons(world, family)).values()) == {"selected"}
    child = [applied("anak", wave=2, household="kk")]
    await world.run_wave(child, wave=2, seats=200)
    assert (await reasons(world, child))[child[0].application_id] == "household-cap"
    await world.tell(revoked((await winners(world))[0]))
    once_more = [applied("anak", wave=3, household="kk")]
    await world.run_wave(once_more, wave=3, seats=200)
    assert (await reasons(world, once_more))[once_more[0].application_id] == "selected"


async def test_while_one_wave_waits_for_its_draw_no_other_pool_is_frozen(world: World) -> None:
    people = [applied("siti", wave=1), applied("siti", wave=2)]
    times = (OPENS, jakarta("2020-04-16 16:00:00"), jakarta("2020-04-18 10:00:00"))
    await world.announce(1, seats=200)
    await world.announce(2, seats=200, times=times)
    await world.tick(OPENS)
    await world.tell(*people)
    await world.tick(times[1])
    await world.tell(closed(people[:1], 1), closed(people[1:], 2))
    await world.tick()
    assert [await world.state(1), await world.state(2)] == ["committed", "closed"]
    assert (await world.view(2))["waiting"] == "another-draw"
    await world.tick(DRAWS)
    assert [await world.state(1), await world.state(2)] == ["published", "committed"]
    await world.tick(times[2])
    assert list((await reasons(world, people)).values()) == ["selected", "already-member"]


async def test_what_arrives_twice_counts_once(world: World) -> None:
    people = crowd(30)
    await world.announce(seats=10)
    await world.tick(OPENS)
    await world.tell(*people)
    await world.tell(*people)
    assert await rows(world, "SELECT count(*) FROM application") == [(30,)]


async def test_a_second_standing_application_of_one_citizen_is_refused(world: World) -> None:
    first = applied("siti")
    second = first.model_copy(update={"application_id": ids.derive("another")})
    await world.announce()
    await world.tell(first)
    with pytest.raises(asyncpg.UniqueViolationError, match="application_one_per_citizen"):
        await world.tell(second)


async def test_a_late_application_is_left_out_of_its_list_with_what_stands_behind_it(world: World) -> None:
    await world.until_committed(crowd(20))
    await world.announce(2)
    in_time, late, behind = applied("siti", wave=2), applied("budi"), applied("budi", wave=2)
    async with world.database.transaction() as tx:
        refused = await on_applied(tx=tx, store=world.machine.store, events=[in_time, late, behind])
    assert [(event, poison.reason) for event, poison in refused] == [(late, "contradiction")]
    known = await rows(world, "SELECT application_id FROM application JOIN wave USING (wave_id) WHERE wave = 2")
    assert [application_id.hex for (application_id,) in known] == [in_time.application_id]


async def test_events_that_can_not_be_true_are_set_aside(world: World) -> None:
    people = crowd(20)
    with pytest.raises(CanNotApply, match="never proposed"):
        await world.tell(people[0])
    await world.propose()
    with pytest.raises(CanNotApply, match="never announced"):
        await world.tell(people[0])
    await world.approve()
    await world.tell(*people)
    await world.tick(OPENS)
    await world.tick(jakarta("2020-04-16 16:00:00"))
    await world.tell(closed(people))
    await world.tick()
    assert await world.state() == "committed"
    with pytest.raises(CanNotApply, match="pool is frozen"):
        await world.tell(applied("too late"))
    with pytest.raises(CanNotApply, match="no draw has given"):
        await world.tell(
            MembershipRevoked(
                at=DRAWS,
                citizen_id=people[0].citizen_id,
                programme=PROGRAMME,
                wave=1,
                province="31",
                tier="public",
                reason="no-purchase-in-time",
                released_rupiah=0,
            )
        )
