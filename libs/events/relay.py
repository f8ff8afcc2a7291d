"""Carries the outbox to Kafka: numbers every record, sends whole batches, and stores cursor and numbers together.

One live relay per service database. The owner column fences: whoever lost it can still send, but only what any relay
would send, under the same numbers; it can not store, and then stops. While a batch is under way the next one is read
and handed over; the one behind it is read meanwhile. Stored is what Kafka has acknowledged, at most 20 times a second.
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

from libs.events import codec, faults, metrics
from libs.events.acknowledged import Logs
from libs.events.ahead import reading
from libs.events.database import QUERIES, Database, Transaction
from libs.events.logs import get_logger
from libs.events.numbering import Cursor, Lane, Numbers, Outgoing, Unsent, assign, cursor_behind, in_order
from libs.events.restore import births, check_restore, loaded

BATCH_ROWS = 4_000
"""At most 16 MB: among larger events, `outbox_after_large` ends a batch earlier. Batches of 10,000 and 20,000 cost the
client about as much and PostgreSQL more for each row."""
STORE_SECONDS = 0.05
"""How long what Kafka has acknowledged may wait to be stored. After a crash so much is sent again, which costs readers
a look at its numbers. Storing each batch of a few events would make hundreds of versions of the same rows a second, and
a snapshot that somebody holds open keeps them all."""
STORE_SHARE, STORE_SECONDS_MAX = 0.05, 2.0
"""Of a relay's time, storing takes no larger part while a store takes less than 0.1 s, and at most one store in two
seconds happens beyond: behind a snapshot that is held it stores less often."""
IDLE_SECONDS_MIN, IDLE_SECONDS_MAX = 0.01, 0.2
"""How long an idle relay waits before it looks again: short after news, longer the longer there were none. A commit of
its own process wakes it at once."""
BEAT_SECONDS = 2.0
LOOK_SECONDS = 30.0
"""How often a relay looks whether its topics still hold what was acknowledged: a lane may not be written for weeks."""

log = get_logger()


class Fenced(Exception):
    """Another relay has taken over; this one must not store any more."""


@dataclass(slots=True)
class Batch:
    """What is under way: the acknowledgements to wait for (lane, records, future), and what is true after them."""

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
        self.unstored, self.stored, self.pause = Numbers(), time.monotonic(), STORE_SECONDS
        """The last numbers that Kafka has acknowledged, up to `cursor`, since the relay stored; when that was; and how
        many seconds later it stores again."""
        self.logs = Logs()
        self.stopping = asyncio.Event()

    async def run(self, reader: Any) -> None:
        """Take over, check the topics against the database, then send for ever.

        `reader` looks at the tails of the topics. Raises Fenced, restore.MustNotSend, and whatever Kafka or
        PostgreSQL raise; nothing is lost by starting again.
        """
        async with self.database.by_index() as connection:
            if not await self.take_over(connection):
                return
            metrics.relay_owner.set(1)
            try:
                async with self._beating():
                    self.logs = Logs(*await check_restore(connection, self.owner, self.service, reader))
                await QUERIES.relay_looked(connection, owner=self.owner)
                state, rows = await loaded(connection)
                self.epoch, self.cursor, self.unstored = state["epoch"], (state["xid"], state["position"]), {}
                self.numbers = {(row["topic"], row["lane"]): row["number"] for row in rows}
                self.logs.stored(((row["topic"], row["lane"]), row["number_at"], row["born"]) for row in rows)
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

    async def take_over(self, connection: Transaction) -> bool:
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

    async def send_for_ever(self, connection: Transaction, reader: Any) -> None:
        """Read, send, store; the next batch is read and sent while the last one is being acknowledged."""
        under_way: Batch | None = None
        beaten = looked = time.monotonic()
        idle = IDLE_SECONDS_MIN
        async with self._reading(self.cursor) as read:
            while not self.stopping.is_set() or under_way or self.unstored:
                lanes = [] if self.stopping.is_set() else await read()
                if lanes:
                    faults.point("relay.read")
                sent = await self.send(lanes) if lanes else None
                if under_way:
                    await self.acknowledge(under_way)
                under_way = sent
                if self.unstored and (self.stopping.is_set() or time.monotonic() - self.stored > self.pause):
                    await self.store(connection)
                    beaten = self.stored
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
                    idle = min(idle, self.pause) if self.unstored else idle
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self.database.committed.wait(), idle)
                    idle = min(idle * 1.5, IDLE_SECONDS_MAX)

    @contextlib.asynccontextmanager
    async def _reading(self, cursor: Cursor) -> AsyncIterator[Callable[[], Awaitable[list[Unsent]]]]:
        """A function that gives what comes next. Behind a full batch it reads on at once, over a second connection."""
        async with self.database.by_index() as connection:
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
        ends = await reader.end_offsets([TopicPartition(*lane) for lane in self.logs.offsets])
        self.logs.look(born, {(partition.topic, partition.partition): end for partition, end in ends.items()})

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

    async def acknowledge(self, batch: Batch) -> None:
        """Wait for every acknowledgement of a batch; then its cursor and numbers may be stored."""
        results = await asyncio.gather(*(future for _, _, future in batch.acknowledgements))
        for (lane, records, _), result in zip(batch.acknowledgements, results, strict=True):
            self.logs.acknowledge(lane, result.offset, records)
        faults.point("relay.acknowledged")
        self.cursor = batch.cursor
        self.unstored |= batch.numbers
        metrics.relay_batch_seconds.observe(time.perf_counter() - batch.started)
        for topic, records in batch.records.items():
            metrics.relay_sent.labels(topic).inc(records)

    async def store(self, connection: Transaction) -> None:
        """Store cursor and numbers, if this relay still owns them."""
        began, lanes = time.monotonic(), sorted(self.unstored)
        moved = await QUERIES.relay_store(
            connection,
            xid=self.cursor[0],
            position=self.cursor[1],
            owner=self.owner,
            topics=[topic for topic, _ in lanes],
            lanes=[lane for _, lane in lanes],
            numbers=[self.unstored[lane] for lane in lanes],
            numbers_at=[self.logs.offsets[lane] for lane in lanes],
            births=[self.logs.born.get(lane) for lane in lanes],
        )
        if not moved:
            raise Fenced
        self.unstored, self.stored = {}, time.monotonic()
        self.pause = min(max((self.stored - began) / STORE_SHARE, STORE_SECONDS), STORE_SECONDS_MAX)
        faults.point("relay.stored")


def _look(future: "asyncio.Future[Any]") -> None:
    """Where a batch fails, those behind it fail too, and nobody waits for them: asyncio need not tell of each."""
    if not future.cancelled():
        future.exception()
