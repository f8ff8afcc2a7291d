"""An appeal from the exclusion to the seat in a later wave; the old draw stays as it is."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from libs.events.contracts import Applied
from libs.events.refusal import Refused
from services.selection import appeals, store_appeals
from services.selection.domain.quotas import Stratum
from tests.conftest import MakeDatabase
from tests.integration.selection_world import World, applied, closed, crowd, open_world

SITI = applied("siti", province="31", exclusions=("blacklist",))
BUDI = applied("budi", province="31", household="kk-budi", exclusions=("blacklist",))
JAKARTA = Stratum("31", "public")
OTHER = "prakerja-2023"


@pytest_asyncio.fixture
async def world(database: MakeDatabase) -> AsyncIterator[World]:
    """Wave 1 is published; Siti and Budi were left out of it."""
    async with open_world(database) as opened:
        await opened.run_wave([*crowd(80), SITI, BUDI], seats=400)
        yield opened


async def lodge(world: World, who: Applied = SITI, citizen_id: str | None = None) -> str:
    async with world.database.transaction() as tx:
        event = await appeals.lodge(
            tx, world.machine.programmes, citizen_id or who.citizen_id, who.application_id, "not-me", world.clock.now()
        )
    return event.appeal_id


async def decide(world: World, finding: str = "record-wrong", checker: str = "checker", who: Applied = SITI) -> str:
    appeal_id = await lodge(world, who)
    now = world.clock.now()
    async with world.database.transaction() as tx:
        await appeals.examine(tx, world.machine.programmes, appeal_id, finding, "maker", now)
    async with world.database.transaction() as tx:
        return await appeals.decide(tx, world.machine.programmes, appeal_id, finding, checker, now)


async def shown(world: World, who: Applied = SITI) -> tuple[str, str | None, int | None]:
    """What a citizen sees of their only appeal: its state, the finding, the wave that gives the seat."""
    async with world.database.connection() as tx:
        (mine,) = await store_appeals.of_citizen(tx, who.citizen_id, 10)
    return mine["state"], mine["finding"], mine["seat_wave"]


async def told(world: World, *kinds: str) -> list[dict[str, Any]]:
    return [event["data"] for event in await world.said(*kinds)]


async def test_an_upheld_appeal_gets_a_seat_of_the_next_wave_and_the_old_draw_stays(world: World) -> None:
    before = await world.view(1)
    assert await decide(world) == "upheld"
    (lodged,), (decided,) = await told(world, "appeal-lodged"), await told(world, "appeal-decided")
    losers = await world.said("not-selected")
    (excluded,) = [event for event in losers if event["data"]["citizen_id"] == SITI.citizen_id]
    assert excluded["data"]["reason"] == "blacklist"
    assert lodged["contested"] == decided["contested"] == excluded["id"]
    assert decided["upheld"] is True
    await world.run_wave(crowd(60, wave=2, prefix="baru"), wave=2, seats=400)
    (seat,) = [data for data in await told(world, "selected-in-batch") if data.get("appeal_id")]
    assert (seat["citizen_id"], seat["wave"], seat["province"]) == (SITI.citizen_id, 2, "31")
    assert seat["application_id"] != SITI.application_id
    # Its rank goes on after everybody who was drawn in the stratum.
    stratum = (2, "31", seat["tier"])
    drawn = await told(world, "selected-in-batch")
    others = [data for data in drawn if (data["wave"], data["province"], data["tier"]) == stratum]
    assert seat["rank"] > max((data["rank"] for data in others if data != seat), default=0)
    assert await world.view(1) == before
    async with world.database.connection() as tx:
        (mine,) = await store_appeals.of_citizen(tx, SITI.citizen_id, 10)
        (source,) = await store_appeals.seats_of(tx, (await world.view(2))["wave_id"])
    assert (mine["state"], mine["seat_wave"]) == ("upheld", 2)
    assert dict(source) == {"from_wave": 1, "province": "31", "tier": "public", "seats": 1}


async def test_the_seat_leaves_the_quota_before_the_draw_and_comes_back_with_a_voided_wave(world: World) -> None:
    before = await world.propose(2, seats=400)
    await decide(world)
    after = await world.propose(2, seats=400)
    changed = {stratum: before[stratum] - after[stratum] for stratum in before if before[stratum] != after[stratum]}
    assert changed == {JAKARTA: 1}
    await world.approve(2)
    (announced,) = [data for data in await told(world, "wave-announced") if data["wave"] == 2]
    assert sum(quota["seats"] for quota in announced["quotas"]) == 399
    assert await world.propose(3, seats=400) == before
    await world.void(2)
    assert await world.propose(3, seats=400) == after


@pytest.mark.parametrize(("finding", "state"), [("record-wrong", "upheld"), ("record-right", "dismissed")])
async def test_a_finding_is_told_to_the_citizen_once_a_checker_agrees(world: World, finding: str, state: str) -> None:
    appeal_id, programmes, now = await lodge(world), world.machine.programmes, world.clock.now()
    assert await shown(world) == ("lodged", None, None)
    async with world.database.transaction() as tx:
        await appeals.examine(tx, programmes, appeal_id, finding, "maker", now)
    assert await shown(world) == ("examined", None, None)
    async with world.database.connection() as tx:
        (waiting,) = await store_appeals.waiting(tx, 10)
    assert waiting["finding"] == finding, "officers see it"
    async with world.database.transaction() as tx:
        await appeals.decide(tx, programmes, appeal_id, finding, "checker", now)
    assert await shown(world) == (state, finding, None)


async def test_the_wave_that_gives_the_seat_is_told_once_it_is_approved(world: World) -> None:
    await decide(world)
    await world.propose(2, seats=400)
    assert await shown(world) == ("upheld", "record-wrong", None)
    await world.approve(2)
    assert await shown(world) == ("upheld", "record-wrong", 2)
    await world.void(2)
    assert await shown(world) == ("upheld", "record-wrong", None)


async def test_who_has_a_seat_by_appeal_is_not_drawn_too(world: World) -> None:
    await decide(world)
    again = applied("siti", wave=2, province="31")
    await world.run_wave([*crowd(20, wave=2, prefix="baru"), again], wave=2, seats=400)
    (seat,) = [data for data in await told(world, "selected-in-batch") if data["citizen_id"] == SITI.citizen_id]
    assert seat["appeal_id"]
    (lost,) = [data for data in await told(world, "not-selected") if data["application_id"] == again.application_id]
    assert lost["reason"] == "already-member"


async def test_who_won_meanwhile_needs_no_seat(world: World) -> None:
    await world.announce(2, seats=400)
    await decide(world)
    await world.tick(world.clock.now() + timedelta(days=1))
    again = applied("siti", wave=2, province="31")
    await world.tell(again)
    rules = world.machine.programmes["prakerja-2020"].wave(2)
    assert rules
    await world.tick(rules.closes)
    await world.tell(closed([again], 2))
    await world.tick(rules.draws)
    await world.run_wave([], wave=3, seats=400)
    seats = [data for data in await told(world, "selected-in-batch") if data["citizen_id"] == SITI.citizen_id]
    assert [seat["appeal_id"] for seat in seats] == [None]


async def test_an_appeal_is_lodged_once_by_the_citizen_it_concerns_and_in_time(world: World) -> None:
    with pytest.raises(Refused, match="no-such-result"):
        await lodge(world, citizen_id=applied("another").citizen_id)
    first = await lodge(world)
    assert await lodge(world) == first
    assert len(await told(world, "appeal-lodged")) == 1
    world.clock.at += timedelta(days=15)
    # Whoever repeats it later is told of the one that stands; who comes for the first time is too late.
    assert await lodge(world) == first
    assert len(await told(world, "appeal-lodged")) == 1
    with pytest.raises(Refused, match="appeal-too-late"):
        await lodge(world, BUDI)


async def test_a_dismissed_appeal_gets_no_seat_and_maker_and_checker_are_two(world: World) -> None:
    with pytest.raises(Refused, match="same-person"):
        await decide(world, checker="maker")
    with pytest.raises(asyncpg.CheckViolationError, match="appeal_two_people"):
        async with world.database.transaction() as tx:
            await tx.execute(
                "UPDATE appeal SET checker_person = maker_person, decided_at = lodged_at, state = 'upheld'"
            )
    assert await decide(world, finding="record-right") == "dismissed"
    with pytest.raises(Refused) as refused:
        await decide(world)
    assert "Legal steps: -" in refused.value.refusals[0].en
    await world.run_wave(crowd(5, wave=2, prefix="baru"), wave=2, seats=400)
    assert not [data for data in await told(world, "selected-in-batch") if data.get("appeal_id")]


async def becomes_member(world: World, who: Applied, programme: str = OTHER) -> None:
    """Of another programme, as its draw would make them."""
    async with world.owner() as owner:
        await owner.execute(
            "INSERT INTO member (citizen_id, programme, wave_id, application_id, household_id, seat_province, "
            "seat_tier) VALUES ($1::text::uuid, $2, 1, gen_random_uuid(), $3::text::uuid, '31', 'public')",
            who.citizen_id,
            programme,
            who.household_id,
        )


async def members(world: World, who: Applied) -> list[str]:
    """The programmes whose member somebody is."""
    async with world.owner() as owner:
        found = await owner.fetch("SELECT programme FROM member WHERE citizen_id = $1::text::uuid", who.citizen_id)
    return [row["programme"] for row in found]


async def test_a_seat_by_appeal_counts_against_the_cap_of_its_household(world: World) -> None:
    cap = world.machine.programmes["prakerja-2020"].eligibility.household_cap
    await decide(world, who=BUDI)
    family = [applied(f"keluarga-{number}", wave=2, household="kk-budi") for number in range(cap)]
    await world.run_wave(family, wave=2, seats=400)
    async with world.owner() as owner:
        standing = await owner.fetchval(
            "SELECT count(*) FROM member WHERE household_id = $1::text::uuid AND revoked_at IS NULL", BUDI.household_id
        )
    assert standing == cap
    lost = [data for data in await told(world, "not-selected") if data["wave"] == 2]
    assert [data["reason"] for data in lost] == ["household-cap"]


async def test_whoever_was_selected_in_another_programme_since_gets_no_seat_by_appeal(world: World) -> None:
    before = await world.propose(2, seats=400)
    await decide(world)
    await becomes_member(world, SITI)
    assert await world.propose(2, seats=400) == before
    await world.run_wave([], wave=2, seats=400)
    assert await members(world, SITI) == [OTHER]
    # Nor can an appeal of such a citizen be upheld.
    await becomes_member(world, BUDI)
    with pytest.raises(Refused, match="appellant-is-member"):
        await decide(world, who=BUDI)


async def test_a_seat_whose_appellant_became_a_member_meanwhile_goes_back_to_the_quota(world: World) -> None:
    await decide(world)
    rules = world.machine.programmes["prakerja-2020"].wave(2)
    assert rules
    seats = (await world.propose(2, seats=400))[JAKARTA]
    await world.approve(2)
    await world.tick(rules.opens)
    people = [applied(f"baru-{number}", wave=2, province="31") for number in range(seats + 5)]
    await world.tell(*people)
    await world.tick(rules.closes)
    await becomes_member(world, SITI)
    await world.tell(closed(people, 2))
    await world.tick()
    async with world.database.connection() as tx:
        quotas = await world.machine.store.quotas(tx, (await world.view(2))["wave_id"])
        assert await store_appeals.seats_of(tx, (await world.view(2))["wave_id"]) == []
        (mine,) = await store_appeals.of_citizen(tx, SITI.citizen_id, 10)
    assert quotas[JAKARTA] == (seats + 1, 0)
    assert mine["seat_wave"] is None
    signed = json.loads((await world.view(2))["commitment"])
    assert ["31", "public", seats + 1] in signed["quotas"]
    await world.tick(rules.draws)
    assert await members(world, SITI) == [OTHER]
    assert not [data for data in await told(world, "selected-in-batch") if data.get("appeal_id")]


async def test_who_wins_two_appeals_gets_one_seat(world: World) -> None:
    again = applied("siti", wave=2, province="31", exclusions=("blacklist",))
    await world.run_wave([again], wave=2, seats=400)
    before = await world.propose(3, seats=400)
    await decide(world)
    await decide(world, who=again)
    after = await world.propose(3, seats=400)
    assert {stratum: before[stratum] - after[stratum] for stratum in before if before[stratum] != after[stratum]} == {
        JAKARTA: 1
    }
    await world.run_wave([], wave=3, seats=400)
    assert await members(world, SITI) == ["prakerja-2020"]
