"""What a caller of a hot command may rely on: answered after the commit, refused honestly, never dragged down."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from libs.events.batch import POISON_MAX, Batcher
from libs.events.clock import FixedClock
from libs.events.refusal import Refusal, Refused

NOON = datetime(2020, 4, 11, 5, tzinfo=UTC)
NO = Refusal("no", 409, "Tidak.", "No.")


class Commits:
    """A database that remembers its commits, and can be slow or broken at committing."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.committed: list[Any] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.broken: list[BaseException] = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[list[Any]]:
        tx: list[Any] = []
        yield tx
        await self.hold.wait()
        if self.broken:
            raise self.broken.pop(0)
        self.committed += tx
        self.sizes.append(len(tx))


async def keep(tx: Any, items: list[Any], now: datetime) -> list[Any]:
    tx.extend(items)
    return [(item, now) for item in items]


Handle = Callable[[Any, list[Any], datetime], Awaitable[Sequence[Any]]]


@asynccontextmanager
async def batching(handle: Handle = keep, **limits: Any) -> AsyncIterator[tuple[Batcher[Any, Any], Commits]]:
    database, batcher = Commits(), Batcher[Any, Any](handle, **limits)
    batcher.start(database, FixedClock(NOON))  # type: ignore[arg-type]
    yield batcher, database
    database.hold.set()
    await batcher.close()


async def all_of(batcher: Batcher[Any, Any], items: Sequence[Any]) -> list[Any]:
    return await asyncio.gather(*(batcher.submit(item) for item in items), return_exceptions=True)


async def test_calls_that_arrive_together_share_one_transaction() -> None:
    async with batching() as (batcher, database):
        assert await all_of(batcher, range(100)) == [(n, NOON) for n in range(100)]
        assert database.sizes == [100]


async def test_a_batch_is_never_larger_than_its_limit() -> None:
    async with batching(size_max=30) as (batcher, database):
        await all_of(batcher, range(100))
        assert database.sizes == [30, 30, 30, 10]


async def test_nobody_is_answered_before_the_commit() -> None:
    async with batching() as (batcher, database):
        database.hold.clear()
        call = asyncio.create_task(batcher.submit("a"))
        await asyncio.sleep(0.02)
        assert not call.done()
        database.hold.set()
        assert await call == ("a", NOON)


async def test_a_refusal_reaches_its_caller_alone_and_what_was_written_stays() -> None:
    async def handle(tx: Any, items: list[Any], now: datetime) -> list[Any]:
        tx.extend(items)
        return [NO if item == 3 else item for item in items]

    async with batching(handle) as (batcher, database):
        answers = await all_of(batcher, range(5))
        assert isinstance(answers[3], Refused)
        assert answers[3].refusals == (NO,)
        assert [answers[n] for n in (0, 1, 2, 4)] == [0, 1, 2, 4]
        assert database.committed == [0, 1, 2, 3, 4]


async def test_a_poisoned_item_is_found_and_fails_alone() -> None:
    async def handle(tx: Any, items: list[Any], now: datetime) -> list[Any]:
        if 37 in items:
            raise ValueError("poison")
        return await keep(tx, items, now)

    async with batching(handle) as (batcher, database):
        answers = await all_of(batcher, range(100))
        assert isinstance(answers[37], ValueError)
        assert sorted(database.committed) == [n for n in range(100) if n != 37]
        assert all(answers[n] == (n, NOON) for n in range(100) if n != 37)


async def test_the_search_for_poison_ends_where_everything_is_poison() -> None:
    tries = 0

    async def handle(tx: Any, items: list[Any], now: datetime) -> list[Any]:
        nonlocal tries
        tries += 1
        raise ValueError("a fault of the program")

    async with batching(handle) as (batcher, _):
        answers = await all_of(batcher, range(500))
        assert all(isinstance(answer, ValueError) for answer in answers)
        assert tries < 10 * POISON_MAX


async def test_a_deadlock_is_tried_again() -> None:
    async with batching() as (batcher, database):
        database.broken = [asyncpg.DeadlockDetectedError("circle"), asyncpg.SerializationError("late")]
        assert await batcher.submit("a") == ("a", NOON)


async def test_a_lost_database_is_not_blamed_on_the_items() -> None:
    async with batching() as (batcher, database):
        database.broken = [asyncpg.ConnectionDoesNotExistError("gone")]
        answers = await all_of(batcher, range(4))
        assert {type(answer) for answer in answers} == {Refused}
        assert {answer.refusals[0].code for answer in answers} == {"not-confirmed"}
        assert all(answer.retry_after_seconds >= 1 for answer in answers)
        assert await batcher.submit("later") == ("later", NOON)


async def test_a_full_queue_refuses_at_once() -> None:
    async with batching(size_max=1, queue_max=2) as (batcher, database):
        database.hold.clear()
        calls = []
        for n in range(3):  # the first is being committed, two wait
            calls.append(asyncio.create_task(batcher.submit(n)))
            await asyncio.sleep(0.01)
        with pytest.raises(Refused) as refused:
            await asyncio.wait_for(batcher.submit(3), 1)
        assert refused.value.refusals[0].code == "overloaded"
        assert refused.value.refusals[0].status == 503
        assert refused.value.retry_after_seconds is not None
        assert refused.value.retry_after_seconds >= 1
        database.hold.set()
        assert await asyncio.gather(*calls[:3]) == [(n, NOON) for n in range(3)]


async def test_whoever_waited_too_long_is_refused_and_nothing_was_done_for_them() -> None:
    async with batching(size_max=1, wait_max_seconds=0.05) as (batcher, database):
        database.hold.clear()
        first, second = asyncio.create_task(batcher.submit("first")), asyncio.create_task(batcher.submit("second"))
        await asyncio.sleep(0.1)
        with pytest.raises(Refused):
            await batcher.submit("third")
        database.hold.set()
        assert await first == ("first", NOON)
        with pytest.raises(Refused):
            await second
        assert database.committed == ["first"]
        assert await batcher.submit("fourth") == ("fourth", NOON)


async def test_a_caller_that_hangs_up_does_not_stop_the_batch() -> None:
    async with batching() as (batcher, database):
        database.hold.clear()
        gone, stays = asyncio.create_task(batcher.submit("gone")), asyncio.create_task(batcher.submit("stays"))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.sleep(0.01)
        database.hold.set()
        assert await stays == ("stays", NOON)
        assert database.committed == ["gone", "stays"]


async def test_closing_finishes_what_was_accepted_and_refuses_the_rest() -> None:
    async with batching(size_max=2) as (batcher, database):
        calls = [asyncio.create_task(batcher.submit(n)) for n in range(5)]
        await asyncio.sleep(0)
        await batcher.close()
        assert await asyncio.gather(*calls) == [(n, NOON) for n in range(5)]
        with pytest.raises(Refused):
            await batcher.submit("late")
        assert database.sizes == [2, 2, 1]
