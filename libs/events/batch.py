"""Concurrent calls of a hot command share one transaction, and each caller is answered after it has committed.

Nothing lingers: while one batch commits, the next one collects, so a lone call goes through at once and a crowd pays
for one commit. The queue is bounded by count and by age. Whoever would wait longer than `wait_max_seconds` is refused
early and honestly (503 with Retry-After), and nothing was done for them; whoever was answered is in the database.
Ages are seconds of the machine, not of the programme: a programme clock that stands still must not stop them.
"""

import asyncio
import logging
import math
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

import asyncpg

from libs.events import faults
from libs.events.clock import Clock
from libs.events.database import Database, Transaction, is_transient
from libs.events.refusal import Refusal, Refused

Item = TypeVar("Item")
Result = TypeVar("Result")

RETRIES_MAX: Final = 3
POISON_MAX: Final = 10  # broken items searched for in one batch; beyond that the fault is not in the items
RETRY_AFTER_SECONDS_MAX: Final = 60

OVERLOADED: Final = Refusal(
    "overloaded",
    503,
    "Terlalu banyak permintaan saat ini. Permintaan Anda belum diproses; ulangi sebentar lagi.",
    "There are too many requests right now. Yours was not processed; repeat it in a moment.",
)
UNCERTAIN: Final = Refusal(
    "not-confirmed",
    503,
    "Kami tidak dapat memastikan permintaan Anda tersimpan. Ulangi permintaan yang sama; tidak akan tercatat dua kali.",
    "We can not tell whether your request was saved. Repeat the same request; it will not be recorded twice.",
)

# Two transactions met in a circle or out of date: both are whole again when one of them starts over.
TRY_AGAIN: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    answer: "asyncio.Future[Result]"
    since: float  # seconds of the event loop


class Batcher(Generic[Item, Result]):
    """Collects calls, hands them to `handle` as a list in one transaction, and answers each after the commit.

    `handle(tx, items, now)` gives one result per item, in order. A result that is a `Refusal` is raised to that caller
    alone, after the commit of what was written for it (a counted attempt, say). An exception of `handle` rolls back;
    the batch is then halved until the item that causes it stands alone, and only that caller gets the exception.
    Batches of one batcher follow each other, so they never wait for each other's locks.
    """

    def __init__(
        self,
        handle: Callable[[Transaction, list[Item], datetime], Awaitable[Sequence[Result | Refusal]]],
        *,
        size_max: int = 500,
        wait_max_seconds: float = 5.0,
        queue_max: int = 10_000,
    ) -> None:
        self._handle, self._size_max = handle, size_max
        self._wait_max_seconds, self._queue_max = wait_max_seconds, queue_max
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._worker: asyncio.Task[None] | None = None
        self._batch_seconds = 0.0

    def start(self, database: Database, clock: Clock) -> None:
        """Begin to work; needs a running event loop."""
        self._database, self._clock = database, clock
        self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Accept nobody any more, finish what was accepted, and stop."""
        self._closing = True
        self._arrived.set()
        if self._worker:
            await self._worker

    async def submit(self, item: Item) -> Result:
        """Wait until `item` is committed, and give its result.

        Raises Refused: what the rules say, or 503 where the queue is too long or too old. A caller that is cancelled
        while waiting leaves the queue; once its batch has begun, the batch is carried through without it.
        """
        loop = asyncio.get_running_loop()
        if self._closing or self._full(loop.time()):
            raise Refused(OVERLOADED, retry_after_seconds=self._retry_after_seconds())
        waiting = _Waiting[Item, Result](item, loop.create_future(), loop.time())
        self._queue.append(waiting)
        self._arrived.set()
        return await waiting.answer

    def _full(self, now: float) -> bool:
        if len(self._queue) >= self._queue_max:
            return True
        # Whoever stands first has waited too long already: everybody behind would wait longer still.
        return bool(self._queue) and now - self._queue[0].since > self._wait_max_seconds

    def _retry_after_seconds(self) -> int:
        """When the present queue should be worked off, by the time the last batches took."""
        batches = 1 + len(self._queue) / self._size_max
        return max(1, min(RETRY_AFTER_SECONDS_MAX, math.ceil(batches * self._batch_seconds)))

    async def _work(self) -> None:
        while self._queue or not self._closing:
            if not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            batch = self._take()
            if batch:
                started = asyncio.get_running_loop().time()
                await self._carry_through(batch)
                took = asyncio.get_running_loop().time() - started
                self._batch_seconds += (took - self._batch_seconds) / 4

    def _take(self) -> list[_Waiting[Item, Result]]:
        """The next batch: whoever has gone is left out, whoever has waited too long is refused."""
        now = asyncio.get_running_loop().time()
        batch: list[_Waiting[Item, Result]] = []
        while self._queue and len(batch) < self._size_max:
            waiting = self._queue.popleft()
            if waiting.answer.done():
                continue
            if now - waiting.since > self._wait_max_seconds:
                _fail(
                    waiting,
                    Refused(OVERLOADED, retry_after_seconds=self._retry_after_seconds()),
                )
            else:
                batch.append(waiting)
        return batch

    async def _carry_through(self, batch: list[_Waiting[Item, Result]]) -> None:
        """Commit the batch, in halves where it fails, until everybody has an answer."""
        parts, poisoned = [batch], 0
        while parts:
            part = parts.pop()
            try:
                results = await self._commit([waiting.item for waiting in part])
            except Exception as error:
                if is_transient(error):
                    # The database, not an item, is the cause. COMMIT may or may not have landed: nobody is told it did.
                    _log.warning(
                        "a batch of %d was not confirmed: %s",
                        len(part),
                        type(error).__name__,
                    )
                    error = Refused(UNCERTAIN, retry_after_seconds=self._retry_after_seconds())
                elif len(part) > 1 and poisoned < POISON_MAX:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                    continue
                elif not isinstance(error, Refused):
                    poisoned += 1
                    # The text of an exception may repeat what a person typed; its kind and place do not.
                    place = "".join(traceback.format_tb(error.__traceback__))
                    _log.error(
                        "%d of a batch failed: %s\n%s",
                        len(part),
                        type(error).__name__,
                        place,
                    )
                for waiting in part:
                    _fail(waiting, error)
            else:
                faults.point("api.committed")
                for waiting, result in zip(part, results, strict=True):
                    _answer(waiting, result)

    async def _commit(self, items: list[Item]) -> Sequence[Result | Refusal]:
        for retry in range(RETRIES_MAX + 1):
            try:
                async with self._database.transaction() as tx:
                    results = await self._handle(tx, items, self._clock.now())
                    if len(results) != len(items):
                        raise RuntimeError("a hot command must give one result per item")
                return results
            except TRY_AGAIN:
                if retry == RETRIES_MAX:
                    raise
        raise AssertionError("unreachable")


def _answer(waiting: _Waiting[Item, Result], result: Result | Refusal) -> None:
    if waiting.answer.done():
        return
    if isinstance(result, Refusal):
        waiting.answer.set_exception(Refused(result))
    else:
        waiting.answer.set_result(result)


def _fail(waiting: _Waiting[Item, Result], error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)
