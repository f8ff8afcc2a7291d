"""Four eyes over every batch, held by the database."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from libs.events.refusal import Refused
from services.disbursement import commands
from services.disbursement.domain.batches import Batch
from tests.conftest import MakeDatabase
from tests.integration.disbursement import World, jakarta, open_world
from tests.integration.disbursement_people import person

AMI, BUDI = person("Ami"), person("Budi")


@pytest.fixture
async def world(database: MakeDatabase, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(database("disbursement"), tmp_path, at=jakarta("2020-05-01 09:00")) as made:
        await made.grant(100_000_000)
        yield made


async def proposed(world: World) -> Batch:
    await world.ready([AMI, BUDI])
    batch = await world.propose()
    assert batch is not None
    return batch


async def test_the_maker_can_not_approve_not_even_past_the_code(world: World) -> None:
    batch = await proposed(world)
    with pytest.raises(Refused, match="same-person"):
        await world.approve(batch, "maker")
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        async with world.database.transaction() as tx:
            await world.store.approve_batch(tx, batch.batch_id, "maker", world.now)
    assert refused.value.constraint_name == "batch_four_eyes"


async def test_control_totals_must_agree(world: World) -> None:
    batch = await proposed(world)
    for payouts, total in ((batch.payouts + 1, batch.total_rupiah), (batch.payouts, batch.total_rupiah - 1)):
        with pytest.raises(Refused, match="control-totals-differ"):
            async with world.database.transaction() as tx:
                await commands.approve_batch(
                    tx,
                    world.store,
                    batch.batch_id,
                    payouts=payouts,
                    total_rupiah=total,
                    person="checker",
                    now=world.now,
                )
    assert await world.send() == 0
    approved = await world.approve(batch)
    assert approved.state == "approved"
    again = await world.approve(batch)
    assert again == approved


async def test_an_edit_voids_the_approval_and_the_rest_needs_a_checker_again(world: World) -> None:
    batch = await proposed(world)
    await world.approve(batch)
    (first, *_) = await world.fetch("SELECT payout_id FROM attempt ORDER BY payout_id")
    async with world.database.transaction() as tx:
        edited = await commands.withdraw(tx, world.store, batch.batch_id, [first["payout_id"]], world.now)
    assert (edited.state, edited.approver_person, edited.payouts) == ("proposed", None, batch.payouts - 1)
    assert edited.digest != batch.digest
    states = {row["state"] for row in await world.fetch("SELECT DISTINCT state FROM payout")}
    assert states == {"scheduled"}
    assert await world.send() == 0
    with pytest.raises(Refused, match="control-totals-differ"):
        await world.approve(batch)
    await world.approve(edited)
    assert await world.send() == 1
    later = await world.propose()
    assert later is not None
    assert later.payouts == 1, "what was taken out is free for another batch"


async def test_the_database_voids_the_approval_whatever_the_code_forgets(world: World) -> None:
    batch = await proposed(world)
    await world.approve(batch)
    async with world.database.transaction() as tx:
        await tx.execute("UPDATE attempt SET outcome = 'withdrawn' WHERE key = (SELECT min(key) FROM attempt)")
    (row,) = await world.fetch("SELECT state, approver_person FROM batch")
    assert (row["state"], row["approver_person"]) == ("proposed", None)


async def test_an_approval_of_other_contents_can_not_stand(world: World) -> None:
    batch = await proposed(world)
    await world.approve(batch)
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        async with world.database.transaction() as tx:
            await tx.execute("UPDATE batch SET digest = 'other', total_rupiah = 1")
    assert refused.value.constraint_name == "batch_approved_as_it_is"


async def test_a_batch_that_was_sent_can_not_be_edited(world: World) -> None:
    batch = await proposed(world)
    await world.approve(batch)
    await world.send()
    (first, *_) = await world.fetch("SELECT payout_id FROM attempt ORDER BY payout_id")
    with pytest.raises(Refused, match="batch-sent"):
        async with world.database.transaction() as tx:
            await commands.withdraw(tx, world.store, batch.batch_id, [first["payout_id"]], world.now)
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        async with world.database.transaction() as tx:
            await tx.execute("UPDATE attempt SET outcome = 'withdrawn'")
    assert refused.value.constraint_name == "batch_stays_sent"


async def test_a_batch_with_nothing_left_is_dropped(world: World) -> None:
    batch = await proposed(world)
    await world.approve(batch)
    payouts = [row["payout_id"] for row in await world.fetch("SELECT payout_id FROM attempt")]
    async with world.database.transaction() as tx:
        dropped = await commands.withdraw(tx, world.store, batch.batch_id, payouts, world.now)
    assert (dropped.state, dropped.payouts) == ("dropped", 0)
    with pytest.raises(Refused, match="batch-dropped"):
        await world.approve(dropped)


async def test_taking_out_what_is_not_in_the_batch_changes_nothing(world: World) -> None:
    batch = await proposed(world)
    (first, *_) = await world.fetch("SELECT payout_id FROM attempt ORDER BY payout_id")
    with pytest.raises(Refused, match="not-in-batch"):
        async with world.database.transaction() as tx:
            await commands.withdraw(tx, world.store, batch.batch_id, [first["payout_id"], "0" * 32], world.now)
    await world.approve(batch)


async def test_two_makers_at_once_share_nothing(world: World) -> None:
    await world.ready([person(f"member {number}") for number in range(10)])
    first, second = await asyncio.gather(world.propose(maker="ani"), world.propose(maker="ben"))
    payouts = sum(batch.payouts for batch in (first, second) if batch)
    assert payouts == 20
    assert len(await world.fetch("SELECT DISTINCT payout_id FROM attempt")) == 20


async def test_a_second_live_attempt_is_impossible(world: World) -> None:
    batch = await proposed(world)
    (first, *_) = await world.fetch("SELECT payout_id, amount_rupiah FROM attempt ORDER BY payout_id")
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        async with world.database.transaction() as tx:
            await tx.execute(
                "INSERT INTO attempt (payout_id, number, key, batch_id, amount_rupiah) VALUES ($1, 2, 'k', $2, $3)",
                first["payout_id"],
                batch.batch_id,
                first["amount_rupiah"],
            )
    assert refused.value.constraint_name == "attempt_one_live"


async def test_nothing_is_proposed_after_the_last_payment_day(world: World) -> None:
    await world.ready([AMI])
    world.clock.at = jakarta("2021-03-06 00:00")
    with pytest.raises(Refused, match="last-payment-passed"):
        await world.propose()
