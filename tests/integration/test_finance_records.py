"""The reactions and the proof against a real PostgreSQL, in the rights of the running service."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from libs.events import ids
from libs.events.contracts import (
    AppropriationGranted,
    AppropriationReturned,
    Event,
    IncentiveFailed,
    IncentivePaid,
    IncentiveReturned,
    IncentiveSubmitted,
    MoneyReserved,
    ReservationReleased,
)
from libs.events.database import Database, Transaction, open_database
from libs.events.ordering import CanNotApply, Refusals, in_order
from services.finance.domain.books import MOVES
from services.finance.jobs import prove
from services.finance.reactions import record
from services.finance.store import Store
from tests.conftest import MakeDatabase

AT = datetime(2020, 5, 1, 3, 4, 5, 678_901, tzinfo=UTC)
PROGRAMME = "prakerja-2020"
STORE = Store()


@pytest_asyncio.fixture
async def books(database: MakeDatabase) -> AsyncIterator[Database]:
    async with open_database(database("finance").app_url) as opened:
        yield opened


def granted(amount: int = 10**12) -> AppropriationGranted:
    return AppropriationGranted(at=AT, appropriation_id=ids.derive("g"), programme=PROGRAMME, amount_rupiah=amount)


def story(name: str, programme: str = PROGRAMME, rail: str = "bank") -> list[Event]:
    """One citizen: reserved, failed once, paid, sent back, paid; the rest released."""
    citizen = ids.derive("citizen", name)
    person: dict[str, Any] = {"at": AT, "citizen_id": citizen, "programme": programme, "wave": 3, "province": "31"}
    fields = {
        **person,
        "payout_id": ids.derive(citizen, programme),
        "milestone": "incentive-1",
        "amount_rupiah": 600_000,
        "rail": rail,
    }
    batch = ids.derive("batch")
    return [
        MoneyReserved(**person, amount_rupiah=3_550_000),
        IncentiveSubmitted(**fields, attempt=1, batch_id=batch),
        IncentiveFailed(**fields, attempt=1, reason="wallet-full"),
        IncentiveSubmitted(**fields, attempt=2, batch_id=batch),
        IncentivePaid(**fields, attempt=2),
        IncentiveReturned(**fields, attempt=2, reason="account-closed"),
        IncentiveSubmitted(**fields, attempt=3, batch_id=batch),
        IncentivePaid(**fields, attempt=3),
        ReservationReleased(**person, amount_rupiah=2_950_000, reason="year-end"),
    ]


async def take(books: Database, events: Sequence[Event]) -> None:
    async with books.transaction() as tx:
        await record(tx=tx, store=STORE, events=events)


async def figures(books: Database, programme: str = PROGRAMME) -> dict[str, Any]:
    async with books.connection() as connection:
        row = await STORE.book(connection, programme)
        assert row is not None
        return {name.removesuffix("_rupiah"): row[name] for name in dict(row) if name.endswith("_rupiah")}


async def proven(books: Database, now: datetime = AT) -> int:
    async with books.transaction() as tx:
        return await prove(tx=tx, store=STORE, now=now, limit=10)


async def standing(books: Database, programme: str = PROGRAMME) -> list[tuple[str, str, int, int]]:
    async with books.connection() as connection:
        rows = await STORE.alarms(connection, programme, 100)
        return [
            (row["what"], row["account"], row["expected_rupiah"], row["found_rupiah"])
            for row in rows
            if row["cleared_at"] is None
        ]


async def test_the_copy_holds_every_field_of_every_type(books: Database) -> None:
    back = [AppropriationReturned(at=AT, programme=PROGRAMME, amount_rupiah=1, number=number) for number in (1, 2)]
    events = [granted(), *story("siti"), *back]
    assert {type(event) for event in events} == set(MOVES)
    await take(books, events)
    async with books.connection() as connection:
        copies = await STORE.copies(connection, [event.event_id() for event in events])
    assert [copies[event.event_id()] for event in events] == events


async def test_the_books_say_where_the_money_is(books: Database) -> None:
    await take(books, [granted(10_000_000), *story("siti")[:-1]])
    assert await figures(books) == {
        "appropriation": 10_000_000,
        "available": 6_450_000,
        "reserved": 2_950_000,
        "in_flight": 0,
        "paid": 600_000,
        "returned": 0,
    }


async def test_an_event_told_again_changes_nothing(books: Database) -> None:
    events = [granted(), *story("siti")]
    await take(books, events)
    before = await figures(books)
    await take(books, events[3:6])
    await take(books, [events[0], events[0]])
    assert await figures(books) == before
    assert await proven(books) == 1
    assert await standing(books) == []


@pytest.mark.parametrize("change", [{"amount_rupiah": 600_001}, {"reason": "not-verified"}, {"at": AT + timedelta(1)}])
async def test_an_event_told_again_differently_is_set_aside(books: Database, change: dict[str, Any]) -> None:
    events = story("siti")
    await take(books, events)
    with pytest.raises(CanNotApply, match="contradiction: this event was told before, and differently"):
        await take(books, [events[2].model_copy(update=change)])


async def test_money_that_comes_back_after_a_release_is_released_and_returned_again(books: Database) -> None:
    events = story("siti")
    paid, release = events[-2], events[-1]
    assert isinstance(paid, IncentivePaid)
    late = [
        IncentiveReturned(**paid.model_dump(), reason="account-closed"),
        release.model_copy(update={"amount_rupiah": 600_000, "number": 2}),
    ]
    first = AppropriationReturned(at=AT, programme=PROGRAMME, amount_rupiah=9_400_000)
    second = AppropriationReturned(at=AT, programme=PROGRAMME, amount_rupiah=600_000, number=2)
    await take(books, [granted(10_000_000), *events, first])
    with pytest.raises(CanNotApply, match=r"contradiction: reservation-released: release 2 .* was not told yet"):
        await take(books, [late[0], late[1].model_copy(update={"number": 3})])
    for _ in range(2):
        await take(books, [*late, second])
    assert await figures(books) == {
        "appropriation": 10_000_000,
        "available": 0,
        "reserved": 0,
        "in_flight": 0,
        "paid": 0,
        "returned": 10_000_000,
    }
    assert await proven(books) == 1
    assert await standing(books) == []


async def test_a_contradiction_leaves_no_trace(books: Database) -> None:
    siti, budi = story("siti"), story("budi")
    await take(books, [granted(), *siti[:2]])
    before = await figures(books)
    with pytest.raises(CanNotApply, match=r"contradiction: incentive-paid: payout [0-9a-f]{32} was never submitted"):
        await take(books, [siti[2], budi[0], budi[4]])
    assert await figures(books) == before
    await take(books, [siti[2], budi[0]])
    assert (await figures(books))["reserved"] == 2 * 3_550_000


async def test_a_milestone_can_not_be_paid_under_two_ids(books: Database) -> None:
    events = story("siti")
    await take(books, events[:5])
    assert isinstance(events[1], IncentiveSubmitted)
    second = events[1].model_copy(update={"payout_id": ids.derive("another")})
    with pytest.raises(asyncpg.UniqueViolationError, match="one_payout_per_milestone"):
        await take(books, [second])


async def test_lanes_that_book_at_once_wait_and_never_deadlock(books: Database) -> None:
    programmes = ["a", "b", "c"]
    batches = [
        [event for place in range(3) for event in story(f"{number}-{place}", programmes[(number + place) % 3])]
        for number in range(24)
    ]
    await asyncio.gather(*(take(books, batch) for batch in batches))
    assert sum([(await figures(books, programme))["paid"] for programme in programmes]) == 24 * 3 * 600_000
    assert await proven(books) == 3


async def test_entries_rise_in_the_order_of_commits(books: Database) -> None:
    """A page once read is never added to, however many write at the same time."""
    seen: list[int] = []

    async def watch() -> None:
        async with books.connection() as connection:
            for _ in range(40):
                page = await STORE.entries(connection, PROGRAMME, seen[-1] if seen else 0, 10**9, 10_000)
                seen.extend(entry["entry"] for entry in page)
                await asyncio.sleep(0.005)

    await asyncio.gather(watch(), *(take(books, story(str(number))) for number in range(40)))
    async with books.connection() as connection:
        every = [entry["entry"] for entry in await STORE.entries(connection, PROGRAMME, 0, 10**9, 10_000)]
    assert seen == every[: len(seen)]
    assert len(every) == 40 * 9


async def test_a_proof_is_made_once_for_each_state_of_the_books(books: Database) -> None:
    assert await proven(books) == 0
    await take(books, [granted()])
    assert (await proven(books), await proven(books)) == (1, 0)
    await take(books, story("siti"))
    assert await proven(books) == 1


async def test_a_manipulated_balance_raises_an_alarm_and_its_repair_clears_it(
    books: Database, database: MakeDatabase
) -> None:
    await take(books, [granted(10_000_000), *story("siti")[:-1]])
    async with books.transaction() as tx:
        await tx.execute("UPDATE book SET paid_rupiah = paid_rupiah + 1, available_rupiah = available_rupiah - 1")
    assert await proven(books) == 1
    assert await standing(books) == [
        ("copy-of-events", "available", 6_450_000, 6_449_999),
        ("copy-of-events", "paid", 600_000, 600_001),
        ("reservations", "paid", 600_000, 600_001),
        ("payouts", "paid", 600_000, 600_001),
    ]
    async with books.transaction() as tx:
        await tx.execute("UPDATE book SET paid_rupiah = paid_rupiah - 1, available_rupiah = available_rupiah + 1")
    await take(books, story("budi")[:1])
    assert await proven(books, AT + timedelta(hours=1)) == 1
    assert await standing(books) == []
    async with books.connection() as connection:
        kept = await STORE.alarms(connection, PROGRAMME, 100)
    assert {row["cleared_at"] for row in kept} == {AT + timedelta(hours=1)}
    assert len(kept) == 4


async def test_a_standing_alarm_is_raised_once(books: Database) -> None:
    await take(books, story("siti"))
    await proven(books)
    await take(books, story("budi"))
    await proven(books, AT + timedelta(hours=1))
    assert await standing(books) == [("overdrawn", "available", 0, -1_200_000)]


@pytest.mark.parametrize(
    "sql", ["UPDATE entry SET amount_rupiah = 0", "DELETE FROM entry", "DELETE FROM alarm", "TRUNCATE entry"]
)
async def test_the_running_service_can_not_rewrite_the_copy(books: Database, sql: str) -> None:
    async with books.connection() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(sql)


async def test_a_movement_with_one_side_can_not_be_stored(books: Database) -> None:
    await take(books, [granted()])
    async with books.connection() as connection:
        with pytest.raises(asyncpg.CheckViolationError, match="the_identity"):
            await connection.execute("UPDATE book SET paid_rupiah = paid_rupiah + 1")


async def test_contradictions_are_named_so_that_all_others_are_booked_at_once(books: Database) -> None:
    stories = [story(f"citizen {number}") for number in range(40)]
    bad = stories[7][1:], stories[31][1:]  # their reservation was never told
    events = [granted(), *bad[0], *bad[1], *(event for told in stories[8:31] for event in told)]
    tries = 0

    async def counted(*, tx: Transaction, events: Sequence[Event]) -> None:
        nonlocal tries
        tries += 1
        await record(tx=tx, store=STORE, events=events)

    refusals = Refusals(10, wary=True)
    async with books.transaction() as tx:
        await refusals.apply(tx, dict.fromkeys(MOVES, counted), events, keys := [event.key() for event in events])
    assert [event for event in events if id(event) in refusals.reasons] == [bad[0][0], bad[1][0]]
    assert all("nothing was reserved" in poison.detail for poison in refusals.reasons.values())
    assert (await figures(books))["paid"] == 23 * 600_000
    assert tries <= len(in_order(events, keys)) + 1
