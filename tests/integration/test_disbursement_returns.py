"""Money that comes back from a rail when nobody expects it: after a revocation, and after the year was closed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from libs.events import codec
from libs.events.topics import TOPIC_OF
from services.disbursement import commands
from services.disbursement.domain.settlement import Told, Verdict
from services.disbursement.releasing import release_revoked
from services.disbursement.settling import record
from services.finance.domain.books import HOLDING, Account
from services.finance.domain.posting import post
from tests.conftest import MakeDatabase
from tests.integration.disbursement import RULES, TOTAL, World, jakarta, open_world
from tests.integration.disbursement_people import Person, person
from tests.integration.disbursement_reading import PROGRAMME

AMI, BUDI = person("Ami"), person("Budi")
FEE, INCENTIVE, GRANT = 400_000, 600_000, 100_000_000


@pytest.fixture
async def world(database: MakeDatabase, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database("disbursement"), tmp_path, at=jakarta("2020-05-01 09:00")) as made:
        await made.grant(GRANT)
        yield made


async def settle_on(world: World, moment: str) -> None:
    world.clock.at = jakarta(moment)
    await world.settle()


async def told(world: World, kind: str) -> list[dict[str, Any]]:
    return [event["data"] for event in await world.told() if event["type"] == kind]


async def numbered(world: World, kind: str) -> list[tuple[int, int]]:
    """Number and rupiah of each event of a kind."""
    return [(data["number"], int(data["amount_rupiah"])) for data in await told(world, kind)]


async def returned(world: World, one: Person, milestone: str) -> Told:
    """What a rail says when it sends back what it has paid for this milestone."""
    (attempt,) = await world.fetch(
        "SELECT a.key FROM attempt a JOIN payout p USING (payout_id)"
        " WHERE p.citizen_id = $1 AND p.milestone LIKE $2 AND a.outcome = 'paid'",
        one.citizen_id,
        milestone,
    )
    return Told(attempt["key"], Verdict.RETURNED, reason="account-closed")


async def send_back(world: World, one: Person, milestone: str) -> None:
    told_now = await returned(world, one, milestone)
    async with world.database.transaction() as tx:
        assert await record(tx, world.store, RULES, [told_now], world.now) == 1


async def close_year(world: World, moment: str) -> None:
    world.clock.at = jakarta(moment)
    async with world.database.transaction() as tx:
        await commands.propose_year_end(tx, world.store, RULES, PROGRAMME, "maker", world.now)
        await commands.approve_year_end(tx, world.store, PROGRAMME, "checker", world.now)
    await world.close()


async def booked_by_finance(world: World) -> dict[str, int]:
    """What finance's rules make of everything that was announced, in the order in which it was."""
    rows = await world.fetch("SELECT value FROM outbox ORDER BY position")
    envelopes = [codec.read_envelope(row["value"]) for row in rows]
    events = [codec.read_event(one, TOPIC_OF[one.type].name) for one in envelopes]
    assert len({event.event_id() for event in events}) == len(events)
    moved = post(events, {}, {}).moved
    assert moved[PROGRAMME, Account.APPROPRIATION] == sum(moved[PROGRAMME, account] for account in HOLDING)
    return {account.value: moved[PROGRAMME, account] for account in HOLDING}


async def test_what_comes_back_for_a_revoked_member_is_cancelled_and_released_at_once(world: World) -> None:
    await world.ready([AMI], "bank", "returns")
    await world.pay()
    await settle_on(world, "2020-05-02 06:00")
    await world.revoke([AMI])
    assert await numbered(world, "reservation-released") == [(1, TOTAL - FEE - INCENTIVE)]
    await settle_on(world, "2020-05-04 06:00")
    figures = await world.figures()
    assert (figures["available"], figures["reserved"], figures["paid"]) == (GRANT - FEE, 0, FEE)
    assert await numbered(world, "reservation-released") == [(1, TOTAL - FEE - INCENTIVE), (2, INCENTIVE)]
    assert (await world.payouts(AMI))["incentive-1"] == "cancelled"
    world.clock.at = jakarta("2020-06-30 09:00")
    assert await world.retry() == 0
    assert await world.propose() is None
    assert await booked_by_finance(world) == {name: figures[name] for name in HOLDING}


async def test_a_payment_refused_after_the_revocation_is_not_tried_again(world: World) -> None:
    await world.ready([AMI], "bank", "closed-until-repaired")
    await world.pay()
    await world.revoke([AMI])
    assert await told(world, "reservation-released") == [], "it is still on its way"
    await settle_on(world, "2020-05-01 12:00")
    assert (await world.payouts(AMI))["incentive-1"] == "cancelled"
    assert await numbered(world, "reservation-released") == [(1, TOTAL - FEE)]
    assert (await world.figures())["reserved"] == 0


async def test_a_partners_fee_that_comes_back_is_owed_still_and_paid_out_of_the_same_money(world: World) -> None:
    await world.ready([AMI])
    await world.pay()
    await settle_on(world, "2020-05-02 06:00")
    await world.revoke([AMI])
    await send_back(world, AMI, "course-%")
    await send_back(world, AMI, "incentive-1")
    assert (await world.figures())["reserved"] == FEE + INCENTIVE, "the fee first"
    world.clock.at = jakarta("2020-05-06 09:00")
    assert await world.retry() == 1
    batch = await world.pay()
    assert (batch.payouts, batch.total_rupiah) == (1, FEE)
    await settle_on(world, "2020-05-06 12:00")
    figures = await world.figures()
    assert (figures["reserved"], figures["in_flight"], figures["paid"]) == (0, 0, FEE)
    assert await numbered(world, "reservation-released") == [(1, TOTAL - FEE - INCENTIVE), (2, INCENTIVE)]
    assert await booked_by_finance(world) == {name: figures[name] for name in HOLDING}


async def test_money_for_a_member_who_was_not_revoked_stays_reserved(world: World) -> None:
    await world.ready([AMI, BUDI])
    await world.pay()
    await settle_on(world, "2020-05-02 06:00")
    await world.revoke([BUDI])
    before = (await world.figures())["reserved"]
    await send_back(world, AMI, "incentive-1")
    assert (await world.figures())["reserved"] == before + INCENTIVE
    assert (await world.payouts(AMI))["incentive-1"] == "failed"


async def test_what_comes_back_after_the_year_was_closed_follows_to_the_treasury(world: World) -> None:
    await world.ready([AMI], "bank", "returns")
    await world.ready([BUDI])
    world.clock.at = jakarta("2021-03-05 23:00")
    await world.pay()
    await settle_on(world, "2021-03-06 12:00")
    await close_year(world, "2021-03-07 00:30")
    paid = 2 * FEE + 8 * INCENTIVE
    assert await numbered(world, "appropriation-returned") == [(1, GRANT - paid)]
    (first,) = await world.fetch("SELECT done_at FROM year_end")
    assert await world.close() == 0, "a closed year needs nothing"

    await settle_on(world, "2021-03-12 06:00")
    assert (await world.figures())["reserved"] == 4 * INCENTIVE
    world.clock.at = jakarta("2021-03-12 06:01")
    await world.close()
    assert await numbered(world, "appropriation-returned") == [(1, GRANT - paid), (2, 4 * INCENTIVE)]
    numbers = [
        data["number"] for data in await told(world, "reservation-released") if data["citizen_id"] == AMI.citizen_id
    ]
    assert numbers == [1, 2]
    figures = await world.figures()
    assert (figures["available"], figures["reserved"], figures["in_flight"]) == (0, 0, 0)
    assert (figures["paid"], figures["returned"]) == (2 * FEE + 4 * INCENTIVE, GRANT - 2 * FEE - 4 * INCENTIVE)
    assert sum(figures.values()) == 0
    assert await booked_by_finance(world) == {name: figures[name] for name in HOLDING}
    assert await world.fetch("SELECT done_at FROM year_end") == [first], "the year was closed when it was"
    assert set((await world.payouts(AMI)).values()) == {"cancelled"}
    assert await world.close() == 0


async def test_a_revoked_members_money_that_comes_back_after_the_year_goes_to_the_treasury_too(world: World) -> None:
    await world.ready([AMI])
    await world.pay()
    await settle_on(world, "2020-05-02 06:00")
    await world.revoke([AMI])
    await close_year(world, "2021-03-06 00:10")
    await send_back(world, AMI, "incentive-1")
    await world.close()
    figures = await world.figures()
    assert (figures["available"], figures["reserved"], figures["in_flight"]) == (0, 0, 0)
    assert (figures["paid"], figures["returned"]) == (FEE, GRANT - FEE)
    assert [data["reason"] for data in await told(world, "reservation-released")] == ["revoked", "revoked"]
    assert [number for number, _ in await numbered(world, "appropriation-returned")] == [1, 2]
    assert await booked_by_finance(world) == {name: figures[name] for name in HOLDING}


async def test_the_release_of_one_who_is_being_settled_is_left_to_the_settling(world: World) -> None:
    """A job that looks while a rail's answer is being taken in neither waits for it nor releases past it."""
    await world.ready([AMI])
    await world.pay()
    await settle_on(world, "2020-05-02 06:00")
    await world.revoke([AMI])
    told_now = await returned(world, AMI, "incentive-1")
    async with world.database.transaction() as tx:
        await record(tx, world.store, RULES, [told_now], world.now)
        async with world.database.transaction() as other:
            assert await release_revoked(tx=other, store=world.store, now=world.now, limit=10) == 0
    assert [number for number, _ in await numbered(world, "reservation-released")] == [1, 2]
    assert (await world.figures())["reserved"] == 0


@pytest.mark.parametrize("sql", ["UPDATE reservation SET releases = 0", "UPDATE reservation SET releases = -1"])
async def test_the_database_counts_what_was_released(world: World, sql: str) -> None:
    await world.select([AMI])
    await world.revoke([AMI])
    with pytest.raises(asyncpg.CheckViolationError):
        async with world.database.transaction() as tx:
            await tx.execute(sql)
