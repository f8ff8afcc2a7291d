"""What the database refuses, whatever the code believes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from libs.events import ids
from libs.events.codec import Poison
from libs.events.ordering import CanNotApply
from libs.events.refusal import Refused
from services.disbursement import commands
from tests.conftest import MakeDatabase
from tests.integration.disbursement import RULES, TOTAL, World, jakarta, open_world
from tests.integration.disbursement_people import person
from tests.integration.disbursement_reading import PROGRAMME

AMI, BUDI, CITRA = person("Ami"), person("Budi"), person("Citra")

ENTRY = "INSERT INTO entry (programme, movement, at, concerns) VALUES ($1, 'grant', $2, $3) RETURNING entry_id"
POSTING = "INSERT INTO posting (entry_id, programme, account, amount_rupiah) VALUES ($1, $2, $3, $4)"


@pytest.fixture
async def world(database: MakeDatabase, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database("disbursement"), tmp_path, at=jakarta("2020-05-01 09:00")) as made:
        yield made


async def book(world: World, *postings: tuple[str, int]) -> None:
    """Write an entry past the service's own code."""
    async with world.database.transaction() as tx:
        entry = await tx.fetchval(ENTRY, PROGRAMME, world.now, [ids.derive("anything")])
        for account, amount in postings:
            await tx.execute(POSTING, entry, PROGRAMME, account, amount)


@pytest.mark.parametrize(
    "postings",
    [
        (("appropriation", -5), ("available", 4)),
        (("appropriation", -5),),
        (),
    ],
    ids=["unequal sides", "one side", "no side"],
)
async def test_an_entry_that_does_not_balance_can_not_be_committed(
    world: World, postings: tuple[tuple[str, int], ...]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await book(world, *postings)
    assert refused.value.constraint_name == "entry_balances"
    assert await world.fetch("SELECT entry_id FROM entry") == []
    assert await world.figures() == {}


async def test_an_entry_that_balances_can(world: World) -> None:
    await book(world, ("appropriation", -5), ("available", 5))
    assert (await world.figures())["available"] == 5


async def test_a_posting_can_not_be_added_to_an_old_entry(world: World) -> None:
    await book(world, ("appropriation", -5), ("available", 5))
    (entry,) = await world.fetch("SELECT entry_id FROM entry")
    with pytest.raises(asyncpg.CheckViolationError):
        async with world.database.transaction() as tx:
            await tx.execute(POSTING, entry["entry_id"], PROGRAMME, "reserved", 5)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE entry SET movement = 'pay'",
        "DELETE FROM entry",
        "UPDATE posting SET amount_rupiah = 1",
        "DELETE FROM posting",
        "TRUNCATE posting",
        "UPDATE account SET balance_rupiah = 0",
        "INSERT INTO account (programme, name, balance_rupiah) VALUES ('x', 'paid', 1)",
        "UPDATE attempt SET amount_rupiah = 1",
        "UPDATE attempt SET account_id = NULL",
        "UPDATE payout SET amount_rupiah = 1",
        "UPDATE message SET digest = ''",
        "DELETE FROM statement_line",
    ],
)
async def test_the_service_can_not_rewrite_the_past(world: World, sql: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with world.database.transaction() as tx:
            await tx.execute(sql)


async def test_the_appropriation_can_not_be_overdrawn(world: World) -> None:
    await world.grant(TOTAL + 1)
    await world.select([AMI])
    with pytest.raises(Poison, match="appropriation-overdrawn"):
        await world.select([BUDI])
    assert (await world.figures())["available"] == 1
    assert len(await world.fetch("SELECT citizen_id FROM reservation")) == 1
    await world.grant(TOTAL, "DIPA-2")
    await world.select([BUDI])
    assert (await world.figures())["available"] == 1


async def test_nothing_is_reserved_before_the_state_has_granted_anything(world: World) -> None:
    with pytest.raises(Poison, match="appropriation-overdrawn"):
        await world.select([AMI])
    assert await world.told() == []


async def test_batches_that_race_for_the_last_money_do_not_overdraw_and_do_not_block_each_other(world: World) -> None:
    await world.grant(3 * TOTAL)
    people = [person(f"racer {number}") for number in range(8)]

    async def select(one: int) -> bool:
        try:
            await world.select([people[one]])
        except Poison:
            return False
        return True

    won = await asyncio.gather(*(select(number) for number in range(8)))
    assert sum(won) == 3
    assert (await world.figures())["available"] == 0


async def test_the_sum_of_a_members_parts_is_held_by_the_database(world: World) -> None:
    await world.grant(TOTAL)
    await world.select([AMI])
    for sql in (
        "UPDATE reservation SET paid_rupiah = 1",
        "UPDATE reservation SET reserved_rupiah = -1, paid_rupiah = amount_rupiah + 1",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            async with world.database.transaction() as tx:
                await tx.execute(sql)


async def test_a_grant_needs_two_people_and_books_once(world: World) -> None:
    async with world.database.transaction() as tx:
        grant = await commands.propose_appropriation(
            tx,
            world.store,
            RULES,
            programme=PROGRAMME,
            amount_rupiah=10,
            reference="DIPA-9",
            person="ani",
            now=world.now,
        )
    with pytest.raises(Refused, match="same-person"):
        async with world.database.transaction() as tx:
            await commands.approve_appropriation(tx, world.store, RULES, grant.appropriation_id, "ani", world.now)
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        async with world.database.transaction() as tx:
            await world.store.approve_appropriation(tx, grant.appropriation_id, "ani", world.now)
    assert refused.value.constraint_name == "appropriation_four_eyes"
    for _ in range(2):
        async with world.database.transaction() as tx:
            await commands.approve_appropriation(tx, world.store, RULES, grant.appropriation_id, "budi", world.now)
    assert (await world.figures())["available"] == 10
    assert await world.told_types() == ["appropriation-granted"]


async def test_the_same_budget_document_with_another_amount_is_refused(world: World) -> None:
    await world.grant(10)
    with pytest.raises(Refused, match="reference-taken"):
        await world.grant(11)


async def test_courses_dearer_than_the_learning_credit_are_set_aside(world: World) -> None:
    await world.grant(TOTAL)
    await world.select([AMI])
    await world.complete([AMI], price=600_000)
    with pytest.raises(CanNotApply, match="credit-overspent"):
        await world.complete([AMI], price=400_001, course="d", first=False)
    assert len(await world.fetch("SELECT payout_id FROM payout WHERE partner_id IS NOT NULL")) == 1


async def test_the_auditor_sees_the_same_money_three_times(world: World) -> None:
    from services.disbursement import views

    await world.grant(10 * TOTAL)
    await world.ready([AMI, BUDI])
    async with world.database.connection() as reading:
        # Whose account nobody knows can not be paid, and that must not wait for a complaint.
        (owed,) = (await views.ledger(reading, world.store, PROGRAMME, ["partner-b"])).partners_without_account
        assert (owed.partner_id, owed.payouts) == ("partner-a", 2)
        assert (await views.ledger(reading, world.store, PROGRAMME, ["partner-a"])).partners_without_account == []
    await world.pay()
    async with world.database.connection() as reading:
        shown = await views.ledger(reading, world.store, PROGRAMME, ["partner-a"])
    assert shown.appropriation == 10 * TOTAL
    assert shown.appropriation == shown.available + shown.reserved + shown.in_flight + shown.paid + shown.returned
    assert all(shown.checks.model_dump().values())
    assert shown.members == 2
    await world.as_owner("UPDATE account SET balance_rupiah = balance_rupiah + 1 WHERE name = 'paid'")
    async with world.database.connection() as reading:
        shown = await views.ledger(reading, world.store, PROGRAMME, ["partner-a"])
    assert not shown.checks.balances_are_their_postings
    assert not shown.checks.reservations_agree
