"""Carries the outbox to Kafka: numbers every record, sends whole batches, and stores cursor and numbers together.

One live relay per service database. The owner column fences: whoever lost it can still send, but only what any relay
would send, under the same numbers; it can not store, and then stops. While a batch is under way the next one is read.
"""

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from asyncpg.pool import PoolConnectionProxy

from libs.events import codec, faults, metrics
from libs.events.database import QUERIES, Database
from libs.events.logs import get_logger
from libs.events.numbering import Lane, Numbers, Outgoing, assign
from libs.events.restore import check_restore

BATCH_ROWS = 20_000
IDLE_SECONDS_MIN, IDLE_SECONDS_MAX = 0.01, 0.2
"""How long an idle relay waits before it looks again: short after news, longer the longer there were none. A commit of
its own process wakes it at once."""
SILENT_SECONDS = 10.0
BEAT_SECONDS = 2.0

log = get_logger()


class Fenced(Exception):
    """Another relay has taken over; this one must not store any more."""


class TopicTooShort(Exception):
    """Kafka acknowledged a record at a lower offset than before: the log was lost, and must be sent again."""


@dataclass(slots=True)
class Batch:
    """What is under way: the acknowledgements to wait for, and what to store once they are there."""

    started: float
    acknowledgements: list[tuple[Lane, asyncio.Future[Any]]]
    cursor: tuple[int, int]
    numbers: Numbers
    records: Counter[str]


class Relay:
    """The relay of one service. `run` works until it is cancelled or fenced; a new call starts from what is stored."""

    def __init__(
        self, database: Database, producer: AIOKafkaProducer, service: str, working: Callable[[], None] = lambda: None
    ) -> None:
        """`working` is called once this relay owns the cursor and may send."""
        self.database, self.producer, self.service, self.working = database, producer, service, working
        self.owner = os.urandom(16).hex()
        self.epoch, self.cursor, self.numbers = 1, (0, 0), Numbers()
        self.offsets: dict[Lane, int] = {}
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
                await check_restore(connection, self.owner, self.service, reader)
                state = await QUERIES.relay_state(connection)
                self.epoch, self.cursor = (
                    state["epoch"],
                    (state["xid"], state["position"]),
                )
                self.numbers = {
                    (row["topic"], row["lane"]): row["number"] for row in await QUERIES.relay_numbers(connection)
                }
                self.working()
                await self.send_for_ever(connection)
            finally:
                metrics.relay_owner.set(0)
                with contextlib.suppress(Exception):
                    await asyncio.shield(QUERIES.relay_leave(connection, owner=self.owner))

    async def take_over(self, connection: "PoolConnectionProxy[Any]") -> bool:
        """Wait until the relay is free, its owner is gone, or its owner has given no sign of life for a while.

        False when this relay was told to stop before.
        """
        seen, since = -1, time.monotonic()
        while not self.stopping.is_set():
            silent = seen if time.monotonic() - since > SILENT_SECONDS else -1
            if await QUERIES.relay_take(connection, owner=self.owner, silent_since=silent):
                return True
            beat = (await QUERIES.relay_state(connection))["beat"]
            if beat != seen:
                seen, since = beat, time.monotonic()
            await asyncio.sleep(0.5)
        return False

    async def send_for_ever(self, connection: "PoolConnectionProxy[Any]") -> None:
        """Read, send, store; the next batch is read while the last one is being acknowledged."""
        read = await connection.prepare(QUERIES.outbox_after.sql)
        under_way: Batch | None = None
        beaten, idle = time.monotonic(), IDLE_SECONDS_MIN
        ahead = self.cursor
        while not self.stopping.is_set() or under_way:
            self.database.committed.clear()
            rows = [] if self.stopping.is_set() else await read.fetch(*ahead, BATCH_ROWS)
            if rows:
                faults.point("relay.read")
                ahead = (rows[-1][0], rows[-1][1])
            if under_way:
                await self.finish(connection, under_way)
                beaten, under_way = time.monotonic(), None
            if rows:
                under_way, idle = await self.send(rows), IDLE_SECONDS_MIN
            elif not self.stopping.is_set():
                if time.monotonic() - beaten > BEAT_SECONDS:
                    beaten = time.monotonic()
                    if await QUERIES.relay_beat(connection, owner=self.owner) == "UPDATE 0":
                        raise Fenced
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.database.committed.wait(), idle)
                idle = min(idle * 1.5, IDLE_SECONDS_MAX)

    async def send(self, rows: Sequence[Any]) -> Batch:
        """Number a run of outbox rows and hand it to the producer, lane by lane."""
        started = time.perf_counter()
        outgoing, after = assign(self.numbers, rows)
        self.numbers.update(after)
        acknowledgements = await self.hand_over(outgoing)
        faults.point("relay.sent")
        records = Counter[str]()
        for (topic, _), waiting in outgoing.items():
            records[topic] += len(waiting)
        return Batch(started, acknowledgements, (rows[-1][0], rows[-1][1]), after, records)

    async def hand_over(self, outgoing: Outgoing) -> list[tuple[Lane, asyncio.Future[Any]]]:
        """Pack the records of each lane into as few Kafka batches as they need. One future a batch, not a record."""
        epoch, headers = self.epoch, [codec.CONTENT_TYPE]
        acknowledgements: list[tuple[Lane, asyncio.Future[Any]]] = []
        for lane, records in outgoing.items():
            batch = self.producer.create_batch()
            for number, key, value in records:
                packed = {
                    "key": key.encode(),
                    "value": codec.numbered(value, number, epoch),
                    "timestamp": None,
                    "headers": headers,
                }
                if batch.append(**packed) is None:
                    acknowledgements.append(
                        (
                            lane,
                            await self.producer.send_batch(batch, lane[0], partition=lane[1]),
                        )
                    )
                    batch = self.producer.create_batch()
                    batch.append(**packed)
            acknowledgements.append(
                (
                    lane,
                    await self.producer.send_batch(batch, lane[0], partition=lane[1]),
                )
            )
        return acknowledgements

    async def finish(self, connection: "PoolConnectionProxy[Any]", batch: Batch) -> None:
        """Wait for every acknowledgement, then store cursor and numbers, if this relay still owns them."""
        results = await asyncio.gather(*(future for _, future in batch.acknowledgements))
        for (lane, _), result in zip(batch.acknowledgements, results, strict=True):
            if result.offset < self.offsets.get(lane, 0):
                raise TopicTooShort(f"{lane[0]}/{lane[1]}")
            self.offsets[lane] = result.offset
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
        )
        if not moved:
            raise Fenced
        self.cursor = batch.cursor
        faults.point("relay.stored")
        metrics.relay_batch_seconds.observe(time.perf_counter() - batch.started)
        for topic, records in batch.records.items():
            metrics.relay_sent.labels(topic).inc(records)
