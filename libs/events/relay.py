"""Carries the outbox to Kafka: numbers every record, sends whole batches, and stores cursor and numbers together.

One live relay per service database. The owner column fences: whoever lost it can still send, but only what any relay
would send, under the same numbers; it can not store, and then stops. While a batch is under way the next one is read
and handed over; the one behind it is read meanwhile.
"""

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from asyncpg.pool import PoolConnectionProxy

from libs.events import codec, faults, metrics
from libs.events.ahead import reading
from libs.events.database import QUERIES, Database
from libs.events.logs import get_logger
from libs.events.numbering import Cursor, Lane, Numbers, Outgoing, Unsent, assign, cursor_behind, in_order, same_log
from libs.events.restore import births, check_restore, loaded

BATCH_ROWS = 4_000
"""At most 16 MB: among larger events, `outbox_after_large` ends a batch earlier. Batches of 10,000 and 20,000 cost the
client about as much and PostgreSQL more for each row."""
IDLE_SECONDS_MIN, IDLE_SECONDS_MAX = 0.01, 0.2
"""How long an idle relay waits before it looks again: short after news, longer the longer there were none. A commit of
its own process wakes it at once."""
BEAT_SECONDS = 2.0
LOOK_SECONDS = 30.0
"""How often a relay looks whether its topics still hold what was acknowledged: a lane may not be written for weeks."""

log = get_logger()


class Fenced(Exception):
    """Another relay has taken over; this one must not store any more."""


class TopicTooShort(Exception):
    """Kafka no longer has an offset at which it acknowledged a record: the log was lost, and must be sent again."""


class TopicMoved(Exception):
    """Somebody has written since this relay compared. If it was a relay of an older epoch, its event bears the number
    that was just given to another: nothing may be stored before the comparison was made again."""


@dataclass(slots=True)
class Batch:
    """What is under way: the acknowledgements to wait for (lane, records, future), and what to store after them."""

    started: float
    acknowledgements: list[tuple[Lane, int, asyncio.Future[Any]]]
    cursor: Cursor
    numbers: Numbers
    records: Counter[str]


class Relay:
    """The relay of one service. `run` works until it is cancelled or fenced; a new call starts from what is stored."""

    def __init__(
        self,
        database: Database,
        producer: AIOKafkaProducer,
        service: str,
        working: Callable[[], None] = lambda: None,
        silent_seconds: float = 10.0,
    ) -> None:
        """`working` is called once this relay owns the cursor and may send. An owner silent for so long is dead."""
        self.database, self.producer, self.service, self.working = database, producer, service, working
        self.silent_seconds = silent_seconds
        self.owner = os.urandom(16).hex()
        self.epoch, self.cursor, self.numbers = 1, (0, 0), Numbers()
        self.offsets: dict[Lane, int] = {}
        self.born: dict[Lane, int] = {}
        self.ends: dict[Lane, int] = {}
        """Where the lanes ended when they were compared, for those that got nothing from this relay yet."""
        self.stopping = asyncio.Event()

    async def run(self, reader: Any) -> None:
        """Take over, check the topics against the database, then send for ever.

        `reader` looks at the tails of the topics. Raises Fenced, restore.MustNotSend, and whatever Kafka or
        PostgreSQL raise; nothing is lost by starting again.
        """
        async with self.database.pool.acquire() as connection:
            if not await self.take_over(connection):
                return
            metrics.relay_owner.set(1)
            try:
                async with self._beating():
                    self.born, self.ends = await check_restore(connection, self.owner, self.service, reader)
                await QUERIES.relay_looked(connection, owner=self.owner)
                state, rows = await loaded(connection)
                self.epoch, self.cursor = state["epoch"], (state["xid"], state["position"])
                self.numbers = {(row["topic"], row["lane"]): row["number"] for row in rows}
                self.offsets = {(row["topic"], row["lane"]): row["number_at"] for row in rows}
                self.working()
                await self.send_for_ever(connection, reader)
            finally:
                metrics.relay_owner.set(0)
                with contextlib.suppress(Exception):
                    await asyncio.shield(QUERIES.relay_leave(connection, owner=self.owner))

    @contextlib.asynccontextmanager
    async def _beating(self) -> AsyncIterator[None]:
        """Give signs of life beside work that may take minutes."""

        async def beat() -> None:
            while True:
                async with self.database.connection() as connection:
                    await QUERIES.relay_beat(connection, owner=self.owner)
                await asyncio.sleep(BEAT_SECONDS)

        task = asyncio.create_task(beat())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def take_over(self, connection: "PoolConnectionProxy[Any]") -> bool:
        """Wait until the relay is free, its owner is gone, or its owner has given no sign of life for a while.

        False when this relay was told to stop before.
        """
        seen, since = -1, time.monotonic()
        while not self.stopping.is_set():
            silent = seen if time.monotonic() - since > self.silent_seconds else -1
            if await QUERIES.relay_take(connection, owner=self.owner, silent_since=silent):
                return True
            beat = (await QUERIES.relay_state(connection))["beat"]
            if beat != seen:
                seen, since = beat, time.monotonic()
            await asyncio.sleep(0.5)
        return False

    async def send_for_ever(self, connection: "PoolConnectionProxy[Any]", reader: Any) -> None:
        """Read, send, store; the next batch is read and sent while the last one is being acknowledged."""
        under_way: Batch | None = None
        beaten = looked = time.monotonic()
        idle = IDLE_SECONDS_MIN
        async with self._reading(self.cursor) as read:
            while not self.stopping.is_set() or under_way:
                lanes = [] if self.stopping.is_set() else await read()
                if lanes:
                    faults.point("relay.read")
                sent = await self.send(lanes) if lanes else None
                if under_way:
                    await self.finish(connection, under_way)
                    beaten = time.monotonic()
                under_way = sent
                if time.monotonic() - looked > LOOK_SECONDS and not self.stopping.is_set():
                    await self._look(reader)
                    looked = time.monotonic()
                if lanes:
                    idle = IDLE_SECONDS_MIN
                elif not self.stopping.is_set():
                    if time.monotonic() - beaten > BEAT_SECONDS:
                        beaten = time.monotonic()
                        if await QUERIES.relay_beat(connection, owner=self.owner) == "UPDATE 0":
                            raise Fenced
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self.database.committed.wait(), idle)
                    idle = min(idle * 1.5, IDLE_SECONDS_MAX)

    @contextlib.asynccontextmanager
    async def _reading(self, cursor: Cursor) -> AsyncIterator[Callable[[], Awaitable[list[Unsent]]]]:
        """A function that gives what comes next. Behind a full batch it reads on at once, over a second connection."""
        async with self.database.pool.acquire() as connection:
            statement = await connection.prepare(QUERIES.outbox_after.sql)

            async def fetch() -> tuple[list[Unsent], bool]:
                nonlocal cursor
                self.database.committed.clear()
                rows = await statement.fetch(*cursor, BATCH_ROWS)
                if not all(all(values) for *_, values in rows):
                    xid, position = cursor
                    rows = await QUERIES.outbox_after_large(connection, xid=xid, position=position, limit=BATCH_ROWS)
                lanes = [in_order(lane) for lane in rows]
                cursor = cursor_behind(lanes) if lanes else cursor
                return lanes, sum(len(keys) for _, _, _, _, keys, _ in lanes) == BATCH_ROWS

            async with reading(fetch) as read:
                yield read

    async def _look(self, reader: Any) -> None:
        """Raise TopicTooShort when a topic has lost what it acknowledged."""
        born = await births(reader, self.service)
        ends = await reader.end_offsets([TopicPartition(*lane) for lane in self.offsets])
        for partition, end in ends.items():
            lane = (partition.topic, partition.partition)
            other = lane in self.born and not same_log(self.born[lane], born.get(lane))
            if other or end <= self.offsets[lane]:
                raise TopicTooShort(f"{lane[0]}/{lane[1]}")

    async def send(self, lanes: Sequence[Unsent]) -> Batch:
        """Number what was read and hand it to the producer, lane by lane."""
        started = time.perf_counter()
        outgoing, after = assign(self.numbers, lanes)
        self.numbers.update(after)
        acknowledgements = await self.hand_over(outgoing)
        faults.point("relay.sent")
        records = Counter[str]()
        for (topic, _), waiting in outgoing.items():
            records[topic] += len(waiting)
        return Batch(started, acknowledgements, cursor_behind(lanes), after, records)

    async def hand_over(self, outgoing: Outgoing) -> list[tuple[Lane, int, asyncio.Future[Any]]]:
        """Pack the records of each lane into as few Kafka batches as they need. One future a batch, not a record."""
        epoch, headers = self.epoch, [codec.CONTENT_TYPE]
        acknowledgements: list[tuple[Lane, int, asyncio.Future[Any]]] = []

        async def send(lane: Lane, batch: Any) -> None:
            future = await self.producer.send_batch(batch, lane[0], partition=lane[1])
            future.add_done_callback(_look)
            acknowledgements.append((lane, batch.record_count(), future))

        for lane, records in outgoing.items():
            batch = self.producer.create_batch()
            for number, key, value in records:
                name, record = key.encode(), codec.numbered(value, number, epoch)
                if batch.append(timestamp=None, key=name, value=record, headers=headers) is None:
                    await send(lane, batch)
                    batch = self.producer.create_batch()
                    batch.append(timestamp=None, key=name, value=record, headers=headers)
            await send(lane, batch)
        return acknowledgements

    async def finish(self, connection: "PoolConnectionProxy[Any]", batch: Batch) -> None:
        """Wait for every acknowledgement, then store cursor and numbers, if this relay still owns them."""
        results = await asyncio.gather(*(future for _, _, future in batch.acknowledgements))
        for (lane, records, _), result in zip(batch.acknowledgements, results, strict=True):
            if result.offset <= self.offsets.get(lane, -1):
                raise TopicTooShort(f"{lane[0]}/{lane[1]}")
            if result.offset != self.ends.pop(lane, result.offset):
                raise TopicMoved(f"{lane[0]}/{lane[1]}")
            self.offsets[lane] = result.offset + records - 1
        faults.point("relay.acknowledged")
        lanes = sorted(batch.numbers)
        moved = await QUERIES.relay_store(
            connection,
            xid=batch.cursor[0],
            position=batch.cursor[1],
            owner=self.owner,
            topics=[topic for topic, _ in lanes],
            lanes=[lane for _, lane in lanes],
            numbers=[batch.numbers[lane] for lane in lanes],
            numbers_at=[self.offsets[lane] for lane in lanes],
            births=[self.born.get(lane) for lane in lanes],
        )
        if not moved:
            raise Fenced
        self.cursor = batch.cursor
        faults.point("relay.stored")
        metrics.relay_batch_seconds.observe(time.perf_counter() - batch.started)
        for topic, records in batch.records.items():
            metrics.relay_sent.labels(topic).inc(records)


def _look(future: "asyncio.Future[Any]") -> None:
    """Where a batch fails, those behind it fail too, and nobody waits for them: asyncio need not tell of each."""
    if not future.cancelled():
        future.exception()
