"""From selection to money in the account, over the real rails' simulators and a real database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import MakeDatabase
from tests.integration.disbursement import TOTAL, World, jakarta, open_world
from tests.integration.disbursement_people import person

AMI, BUDI, CITRA = person("Ami"), person("Budi"), person("Citra")


@pytest.fixture
async def world(database: MakeDatabase, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database("disbursement"), tmp_path, at=jakarta("2020-05-01 09:00")) as made:
        await made.grant(100_000_000)
        yield made


def adds_up(figures: dict[str, int]) -> bool:
    return sum(figures.values()) == 0 and all(
        amount >= 0 for name, amount in figures.items() if name != "appropriation"
    )


async def test_members_are_reserved_for_once_in_one_entry_per_wave(world: World) -> None:
    await world.select([AMI, BUDI])
    await world.select([BUDI, AMI])
    figures = await world.figures()
    assert (figures["available"], figures["reserved"]) == (100_000_000 - 2 * TOTAL, 2 * TOTAL)
    assert await world.told_types() == ["appropriation-granted", "money-reserved", "money-reserved"]
    entries = await world.fetch("SELECT movement, cardinality(concerns) AS members FROM entry ORDER BY entry_id")
    assert [(row["movement"], row["members"]) for row in entries] == [("grant", 1), ("reserve", 2)]


async def test_a_course_fee_and_the_first_incentive_are_paid_and_the_second_waits_thirty_days(world: World) -> None:
    await world.ready([AMI])
    batch = await world.pay()
    assert (batch.payouts, batch.total_rupiah) == (2, 1_000_000)
    figures = await world.figures()
    assert (figures["in_flight"], figures["paid"]) == (1_000_000, 0)
    world.clock.at = jakarta("2020-05-01 12:00")
    await world.settle()
    figures = await world.figures()
    assert (figures["in_flight"], figures["paid"]) == (0, 1_000_000)
    assert adds_up(figures)
    assert (await world.payouts(AMI))["incentive-1"] == "paid"
    assert await world.propose() is None
    world.clock.at = jakarta("2020-05-31 09:00")
    second = await world.propose()
    assert second is not None
    assert second.payouts == 1


async def test_nothing_is_paid_before_the_course_is_rated_and_the_account_valid(world: World) -> None:
    await world.select([AMI])
    await world.complete([AMI], price=0)
    assert await world.propose() is None, "not rated"
    await world.rate([AMI])
    assert await world.propose() is None, "no account"
    await world.open_account(AMI)
    await world.link(AMI)
    assert await world.propose() is None, "not checked"
    world.clock.at = jakarta("2020-07-15 09:00")
    await world.check()
    batch = await world.propose()
    assert batch is not None
    assert batch.payouts == 3, "the due dates of the first three were kept while they waited"


async def test_a_rating_of_another_course_starts_nothing(world: World) -> None:
    await world.ready([AMI])
    await world.complete([BUDI], course="first")
    await world.complete([BUDI], course="second", first=False)
    await world.rate([BUDI], course="second")
    due = await world.fetch(
        "SELECT milestone FROM payout WHERE citizen_id = $1 AND due_at IS NOT NULL AND partner_id IS NULL",
        BUDI.citizen_id,
    )
    assert due == []


async def test_a_course_completed_before_the_selection_was_read_is_paid_once_it_is_reserved_for(world: World) -> None:
    await world.complete([AMI])
    assert await world.propose() is None
    await world.select([AMI])
    batch = await world.propose()
    assert batch is not None
    assert batch.payouts == 1


async def test_a_refused_payment_returns_to_the_reservation_and_is_tried_again_after_the_repair(world: World) -> None:
    await world.ready([AMI], "e-wallet", "wallet-full-until-repaired")
    await world.pay("e-wallet")
    assert (await world.payouts(AMI))["incentive-1"] == "failed"
    assert (await world.figures())["in_flight"] == 0
    assert await world.retry() == 0, "the waiting time is not over"
    await world.repair(AMI, "e-wallet")
    world.clock.at = jakarta("2020-05-04 09:00")
    assert await world.retry() == 1
    await world.pay("e-wallet")
    assert (await world.payouts(AMI))["incentive-1"] == "paid"
    attempts = await world.fetch("SELECT key, outcome FROM attempt ORDER BY key")
    assert [row["outcome"] for row in attempts] == ["failed", "paid"]
    assert attempts[0]["key"][:-3] == attempts[1]["key"][:-3], "one payout, another attempt"


async def test_a_closed_account_is_replaced_by_linking_another(world: World) -> None:
    await world.ready([AMI], "bank", "closed-until-repaired")
    await world.pay()
    world.clock.at = jakarta("2020-05-01 12:00")
    await world.settle()
    assert (await world.payouts(AMI))["incentive-1"] == "failed"
    (state,) = await world.fetch("SELECT state FROM payee_account WHERE current")
    assert state["state"] == "closed"
    await world.open_account(AMI, "e-wallet")
    await world.link(AMI, "e-wallet")
    await world.check()
    batch = await world.pay("e-wallet")
    assert batch.payouts == 1
    assert (await world.payouts(AMI))["incentive-1"] == "paid"


async def test_an_account_the_rail_repaired_is_found_valid_again(world: World) -> None:
    await world.ready([AMI], "bank", "closed-until-repaired")
    await world.pay()
    world.clock.at = jakarta("2020-05-01 12:00")
    await world.settle()
    await world.repair(AMI, "bank")
    assert await world.propose() is None
    world.clock.at = jakarta("2020-05-04 13:00")
    await world.check()
    batch = await world.propose()
    assert batch is not None, "checking again scheduled what waited for the account"


async def test_money_that_comes_back_is_reserved_again_and_owed_still(world: World) -> None:
    await world.ready([AMI], "bank", "returns")
    await world.pay()
    world.clock.at = jakarta("2020-05-02 06:00")
    await world.settle()
    assert (await world.figures())["paid"] == 1_000_000
    world.clock.at = jakarta("2020-05-04 06:00")
    await world.settle()
    figures = await world.figures()
    assert figures["paid"] == 400_000
    assert adds_up(figures)
    assert (await world.payouts(AMI))["incentive-1"] == "failed"
    assert "incentive-returned" in await world.told_types()


async def test_surveys_come_in_order_after_the_first_incentive(world: World) -> None:
    from libs.events.refusal import Refused

    async def answer(number: int) -> None:
        await world.answer(AMI, number, {"q1": "Sangat membantu"})

    await world.ready([AMI], "e-wallet")
    with pytest.raises(Refused, match="first-incentive-not-paid"):
        await answer(1)
    await world.pay("e-wallet")
    with pytest.raises(Refused, match="earlier-survey-first"):
        await answer(2)
    await answer(1)
    await answer(1)
    await answer(2)
    batch = await world.propose("e-wallet")
    assert batch is not None
    assert (batch.payouts, batch.total_rupiah) == (2, 100_000)
    (kept,) = await world.fetch("SELECT answers FROM survey WHERE number = 1")
    assert b"membantu" not in kept["answers"]


async def test_a_revoked_member_is_released_whole_and_once(world: World) -> None:
    await world.select([AMI, BUDI])
    await world.revoke([AMI])
    await world.revoke([AMI])
    figures = await world.figures()
    assert figures["reserved"] == TOTAL
    assert (await world.told_types()).count("reservation-released") == 1


async def test_a_revocation_that_arrives_before_the_selection_releases_it_at_once(world: World) -> None:
    await world.revoke([AMI])
    await world.select([AMI])
    assert (await world.figures())["reserved"] == 0


async def test_a_revocation_waits_for_what_is_on_its_way_and_for_the_partner(world: World) -> None:
    await world.ready([AMI])
    await world.pay()
    await world.revoke([AMI])
    states = await world.payouts(AMI)
    assert states["incentive-1"] == "submitted"
    assert states["incentive-2"] == "cancelled"
    assert "reservation-released" not in await world.told_types()
    world.clock.at = jakarta("2020-05-01 12:00")
    await world.settle()
    await world.select([])
    figures = await world.figures()
    assert figures["paid"] == 1_000_000
    (released,) = [event for event in await world.told() if event["type"] == "reservation-released"]
    assert released["data"]["amount_rupiah"] == TOTAL - 1_000_000
    assert figures["reserved"] == 0


async def test_a_revocation_takes_unsent_payouts_out_of_an_approved_batch_and_voids_it(world: World) -> None:
    await world.ready([AMI, BUDI])
    batch = await world.propose()
    assert batch is not None
    await world.approve(batch)
    await world.revoke([AMI])
    async with world.database.transaction() as tx:
        after = await world.store.batch(tx, batch.batch_id)
    assert after is not None
    assert (after.state, after.payouts) == ("proposed", batch.payouts - 1)
    assert await world.send() == 0


async def test_the_close_of_a_year_gives_back_exactly_what_was_not_paid(world: World) -> None:
    from services.disbursement import commands
    from tests.integration.disbursement import RULES
    from tests.integration.disbursement_reading import PROGRAMME

    await world.ready([AMI])
    await world.select([BUDI, CITRA])
    await world.pay()
    world.clock.at = jakarta("2020-05-03 12:00")
    await world.settle()
    world.clock.at = jakarta("2021-03-06 08:00")
    async with world.database.transaction() as tx:
        await commands.propose_year_end(tx, world.store, RULES, PROGRAMME, "maker", world.now)
    async with world.database.transaction() as tx:
        await commands.approve_year_end(tx, world.store, PROGRAMME, "checker", world.now)
    await world.close()
    figures = await world.figures()
    assert figures == {
        "appropriation": -100_000_000,
        "available": 0,
        "reserved": 0,
        "in_flight": 0,
        "paid": 1_000_000,
        "returned": 99_000_000,
    }
    types = await world.told_types()
    assert (types.count("reservation-released"), types[-1]) == (3, "appropriation-returned")
    assert (await world.payouts(AMI))["incentive-2"] == "cancelled"


async def test_the_close_of_a_year_waits_while_something_is_on_its_way(world: World) -> None:
    from services.disbursement import commands
    from tests.integration.disbursement import RULES
    from tests.integration.disbursement_reading import PROGRAMME

    await world.ready([AMI])
    world.clock.at = jakarta("2021-03-05 23:00")
    await world.pay()
    world.clock.at = jakarta("2021-03-06 00:10")
    async with world.database.transaction() as tx:
        await commands.propose_year_end(tx, world.store, RULES, PROGRAMME, "maker", world.now)
        await commands.approve_year_end(tx, world.store, PROGRAMME, "checker", world.now)
    await world.close()
    assert "appropriation-returned" not in await world.told_types()
    world.clock.at = jakarta("2021-03-07 10:00")
    await world.settle()
    await world.close()
    assert (await world.told_types())[-1] == "appropriation-returned"
