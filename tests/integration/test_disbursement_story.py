"""Long stories with every fault at once. Whatever happened, the money adds up and no payout was booked twice."""

import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from libs.events.contracts import Rail
from libs.events.refusal import Refused
from services.disbursement import commands, sending, views
from services.disbursement.rails import Unclear
from tests.conftest import MakeDatabase
from tests.integration.disbursement import TOTAL, World, jakarta, open_world
from tests.integration.disbursement_people import Person, person
from tests.integration.disbursement_reading import PROGRAMME

FAULTS = {
    "bank_late_percent": 30,
    "bank_never_percent": 30,
    "bank_twice_percent": 30,
    "bank_timeout_percent": 20,
    "ewallet_pending_percent": 30,
    "ewallet_timeout_percent": 30,
    "ewallet_twice_percent": 30,
}
BEHAVIOURS: dict[Rail, list[str]] = {
    "bank": ["good", "good", "closed-until-repaired", "returns", "identity-mismatch"],
    "e-wallet": ["good", "good", "wallet-full-until-repaired", "not-verified-until-repaired", "phone-changed"],
}


class Died(Exception):
    """Stands for a process that was killed at this place."""


@asynccontextmanager
async def mortal(world: World, chance: random.Random) -> AsyncIterator[None]:
    """Calls to the rails that sometimes end the process: before anything went out, or before the answer came in."""

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        async def called(*arguments: Any) -> Any:
            fate = chance.random()
            if fate < 0.1:
                raise Died
            answer = await call(*arguments)
            if fate < 0.2:
                raise Died
            if fate < 0.25:
                raise Unclear("cut off")
            return answer

        return called

    for client in world.rails.values():
        for name in ("put", "send", "ask", "statement", "inquire"):
            if hasattr(client, name):
                setattr(client, name, wrap(getattr(client, name)))
    try:
        yield
    finally:
        for client in world.rails.values():
            for name in ("put", "send", "ask", "statement", "inquire"):
                client.__dict__.pop(name, None)


async def act(world: World, chance: random.Random, people: list[Person]) -> None:
    """One thing that people, partners or time do."""
    one = chance.choice(people)
    rail: Rail = chance.choice(["bank", "e-wallet"])
    match chance.randrange(9):
        case 0 if chance.random() < 0.5:
            await world.open_account(one, rail, chance.choice(BEHAVIOURS[rail]))
            await world.link(one, rail)
        case 1:
            await world.repair(one, rail)
        case 2:
            course = f"course {chance.randrange(2)}"
            with suppress(Refused):
                await world.answer(one, chance.randint(1, 3), {"course": course})
        case 3 if chance.random() < 0.2:
            await world.revoke([one])
        case 4 | 5 | 6:
            batch = await world.propose(rail)
            if batch and chance.random() < 0.8:
                await world.approve(batch)
            elif batch:
                rows = await world.fetch("SELECT payout_id FROM attempt WHERE batch_id = $1 LIMIT 1", batch.batch_id)
                async with world.database.transaction() as tx:
                    await commands.withdraw(tx, world.store, batch.batch_id, [rows[0]["payout_id"]], world.now)
        case _:
            world.clock.at = world.now + timedelta(hours=chance.choice([1, 3, 12, 30, 24 * 5]))


async def work(world: World) -> None:
    """What the jobs do, as often as a killed process is started again."""
    for job in (world.check, world.send, world.settle, world.retry):
        with suppress(Died):
            await job()


def bookings(folder: Path) -> Counter[str]:
    """How often each payout was booked and not sent back, by the rails' own books."""
    found: Counter[str] = Counter()
    for rail, sql in (
        (
            "bank",
            "SELECT end_to_end_id FROM entry WHERE status = 'ACSC' AND returned_at IS NULL AND account <> '9000000001'",
        ),
        ("ewallet", "SELECT idempotency_key FROM transfer WHERE reason IS NULL"),
    ):
        book = sqlite3.connect(folder / f"{rail}.sqlite3")
        found.update(row[0][:32] for row in book.execute(sql))
        book.close()
    return found


@pytest.mark.parametrize("seed", range(4))
async def test_no_story_pays_twice_or_loses_a_rupiah(
    database: MakeDatabase, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "payments_per_message", lambda _: 2)  # more messages, so more of them go wrong
    chance = random.Random(seed)
    people = [person(f"{seed} {number}") for number in range(8)]
    async with open_world(database("disbursement"), tmp_path, at=jakarta("2020-05-01 09:00"), **FAULTS) as world:
        await world.grant(8 * TOTAL)
        await world.select(people)
        await world.complete(people)
        await world.rate(people)
        for number, one in enumerate(people):
            rail: Rail = "bank" if number % 2 else "e-wallet"
            await world.open_account(one, rail, chance.choice(BEHAVIOURS[rail]))
            await world.link(one, rail)
        async with mortal(world, chance):
            for _ in range(60):
                await act(world, chance, people)
                await work(world)
                figures = await world.figures()
                assert sum(figures.values()) == 0
                assert await world.holds() == []
        for batch in [
            row["batch_id"] for row in await world.fetch("SELECT batch_id FROM batch WHERE state = 'proposed'")
        ]:
            async with world.database.transaction() as tx:
                left = await world.store.batch(tx, batch)
            assert left is not None
            await world.approve(left)
        for _ in range(8):
            await work(world)
            world.clock.at = world.now + timedelta(days=1)
        assert (await world.figures())["in_flight"] == 0, "everything that went out has an end"
        assert all(count == 1 for count in bookings(tmp_path).values())
        paid = await world.fetch(
            "SELECT payout_id FROM payout WHERE state = 'paid' AND partner_id IS NULL ORDER BY payout_id"
        )
        assert {row["payout_id"] for row in paid} == set(bookings(tmp_path)), "the books and the rails agree"
        async with world.database.connection() as reading:
            shown = await views.ledger(reading, world.store, PROGRAMME, ["partner-a"])
        assert all(shown.checks.model_dump().values())
        assert await world.holds() == []
