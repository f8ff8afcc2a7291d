"""One process as in production, with writers, relay, and a reader or a consumer, at a steady rate.

It answers three questions: how long an event takes from commit to topic, what a forgotten read-only transaction costs
the relay, and whether anything grows with time.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from itertools import count as counted
from statistics import median
from typing import Any, Final

import asyncpg
import psutil

from libs.events import kafka as clients
from libs.events import outbox
from libs.events.clock import FixedClock
from libs.events.consumer import Consumer
from libs.events.contracts import Applied, Event
from libs.events.database import Database, Transaction, open_database
from libs.events.relay import Relay
from tests.bench import relays
from tests.bench.consumers import ADD_EFFECTS, reading
from tests.bench.records import AT, applications
from tests.bench.world import Where

WRITERS: Final = 4
TICK_SECONDS: Final = 0.02
WARM_UP_SECONDS: Final = 2.0
SETTLE_SECONDS_MAX: Final = 30
BACKLOGS: Final = 3
"""So many in a turn, one after the other: one alone is over in a second, and tells little."""

BACKLOG: Final = """
INSERT INTO outbox (topic, lane, key, value)
SELECT topic, lane, key, value FROM outbox ORDER BY position LIMIT $1"""
SIZES: Final = """
SELECT (SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0) FROM pg_inherits WHERE inhparent = 'outbox'::regclass)
         AS outbox_bytes,
       pg_total_relation_size('position') AS position_bytes,
       pg_total_relation_size('relay') + pg_total_relation_size('relay_number') AS relay_bytes,
       (SELECT count(*) FROM pg_inherits WHERE inhparent = 'outbox'::regclass) AS outbox_partitions"""
HOT: Final = """
SELECT relname, round(n_tup_hot_upd::numeric / n_tup_upd, 4)::float8 AS share
  FROM pg_stat_user_tables WHERE relname = ANY ($1) AND n_tup_upd > 0"""
"""Which share of a table's updates found room on their row's page and touched no index."""


class Writers:
    """Commit events at a steady rate: each writer one transaction every tick. `committed` holds the moment per key."""

    def __init__(self, database: Database, rate: int) -> None:
        self.database, self.rate = database, rate
        self.committed: dict[str, float] = {}
        self.written = 0
        self._numbers = counted()

    async def write(self, seconds: float, note: bool = False) -> None:
        await asyncio.gather(*[self._write(place, seconds, note) for place in range(WRITERS)])

    async def _write(self, place: int, seconds: float, note: bool) -> None:
        size = max(1, round(self.rate * TICK_SECONDS / WRITERS))
        begun = time.perf_counter() + place * TICK_SECONDS / WRITERS
        ticks = round(seconds / TICK_SECONDS)
        for tick in range(ticks):
            if time.perf_counter() > begun + seconds:
                break  # a machine that can not keep up writes less, not longer
            await asyncio.sleep(max(0, begun + tick * TICK_SECONDS - time.perf_counter()))
            events = applications(size, next(self._numbers) * size)
            async with self.database.transaction() as tx:
                await outbox.add(tx, events)
            now = time.perf_counter()
            self.written += size
            if note:
                self.committed.update(dict.fromkeys([event.key() for event in events], now))


@contextlib.asynccontextmanager
async def relaying(where: Where, database: Database) -> AsyncIterator["asyncio.Task[None]"]:
    """The relay of this process, at work from here to the end of the block."""
    settings, works = where.settings(), asyncio.Event()
    producer, reader = clients.producer(settings, relays.SERVICE), clients.reader(settings, relays.SERVICE)
    async with producer, reader:
        relay = Relay(database, producer, relays.SERVICE, works.set)
        running = asyncio.create_task(relay.run(reader))
        await asyncio.wait([running, asyncio.create_task(works.wait())], return_when=asyncio.FIRST_COMPLETED)
        try:
            yield running
        finally:
            relay.stopping.set()
            await running


async def latency(where: Where, seconds: float, rate: int) -> dict[str, Any]:
    """Milliseconds from the return of COMMIT until a reader of the topic has the record in its hands."""
    seen: dict[str, float] = {}
    client = await reading(where)
    try:
        async with open_database(where.database_url) as database, relaying(where, database):
            writers = Writers(database, rate)
            writing = asyncio.create_task(writers.write(seconds, note=True))
            over = time.perf_counter() + seconds + SETTLE_SECONDS_MAX
            while (not writing.done() or len(seen) < writers.written) and time.perf_counter() < over:
                fetched = await client.getmany(timeout_ms=100)
                now = time.perf_counter()
                seen.update((read.key.decode(), now) for lane in fetched.values() for read in lane)
            await writing
    finally:
        await client.stop()
    since = min(writers.committed.values()) + WARM_UP_SECONDS
    waits = sorted(max(0.0, seen[key] - moment) * 1000 for key, moment in writers.committed.items() if moment >= since)
    return {
        "events": len(waits),
        "rate": round(len(waits) / (max(writers.committed.values()) - since)),
        "p50_ms": round(waits[len(waits) // 2], 1),
        "p99_ms": round(waits[len(waits) * 99 // 100], 1),
        "max_ms": round(waits[-1], 1),
    }


async def backlog(where: Where, seconds: float, rate: int, rows: int, hold: bool) -> dict[str, Any]:
    """Events a second at which backlogs are sent after `seconds` of steady work, perhaps with a transaction held open.

    What would make it costly: the relay's rows get new versions whenever it stores, and none of them can be removed
    while an old snapshot might still see them.
    """
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(where.database_url))
        running = await stack.enter_async_context(relaying(where, database))
        owner = await stack.enter_async_context(where.owner())
        if hold:
            held = await asyncpg.connect(where.owner_url)
            stack.push_async_callback(held.close)
            await held.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            await held.fetch("SELECT owner FROM relay")
        writers = Writers(database, rate)
        await writers.write(seconds)
        await relays.until_sent(writers.written, running)
        rates = []
        for drained in range(1, BACKLOGS + 1):
            await owner.execute(BACKLOG, rows)
            begun = time.perf_counter()
            ended = await relays.until_sent(writers.written + drained * rows, running)
            rates.append(rows / (ended - begun))
        dead = await owner.fetchval("SELECT pg_relation_size('relay') + pg_relation_size('relay_number')")
    return {"rate": median(rates), "relay_bytes": dead}


def outbox_room(rate: int) -> tuple[int, int]:
    """Rows of a partition, and rows to keep: ten and twenty seconds' worth."""
    return rate * 10, rate * 20


async def move_apart(database: Database, snapshots: int) -> None:
    """Hold some snapshots for a second each: the rows of positions move apart as far as they ever will."""
    for _ in range(snapshots):
        async with database.connection() as connection, connection.transaction(isolation="repeatable_read"):
            await connection.fetchval("SELECT 1")
            await asyncio.sleep(1)
        await asyncio.sleep(1)


async def soak(where: Where, consumer_url: str, seconds: float, rate: int) -> dict[str, Any]:
    """Writers, relay and consumer for a long time; a sample every second of what must not grow."""
    applied = 0

    async def effect(*, tx: Transaction, events: Sequence[Applied]) -> None:
        nonlocal applied
        told = [event.application_id for event in events], [event.citizen_id for event in events]
        await tx.execute(ADD_EFFECTS, *told, [event.wave for event in events])
        applied += len(events)

    reactions: dict[type[Event], Any] = {Applied: effect}
    samples: list[dict[str, float]] = []
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(where.database_url))
        other = await stack.enter_async_context(open_database(consumer_url, max_size=3))
        client = await stack.enter_async_context(clients.consumer(where.settings(), "selection"))
        consumer = Consumer(other, client, "selection", reactions, FixedClock(AT))
        consuming = asyncio.create_task(consumer.run())
        await stack.enter_async_context(relaying(where, database))
        # What every process of a service does, with partitions small enough to see them come and go.
        size, keep = outbox_room(rate)
        room = asyncio.create_task(outbox.keep_room(database, size, lambda: keep))
        stack.callback(room.cancel)
        writers = Writers(database, rate)
        begun, writing = time.perf_counter(), asyncio.create_task(writers.write(seconds))
        await move_apart(other, round(seconds / 50))
        while not writing.done():
            await asyncio.sleep(1)
            async with database.connection() as connection:
                sizes = dict((await connection.fetch(SIZES))[0])
            async with other.connection() as connection:
                sizes["position_bytes"] = await connection.fetchval("SELECT pg_total_relation_size('position')")
            memory = psutil.Process().memory_info().rss
            told = {
                "at": time.perf_counter() - begun,
                "memory_bytes": memory,
                "lag": writers.written - applied,
                **sizes,
            }
            samples.append({name: float(value) for name, value in told.items()})
        await writing
        for _ in range(SETTLE_SECONDS_MAX * 10):
            if applied >= writers.written:
                break
            await asyncio.sleep(0.1)
        consumer.stopping.set()
        await consuming
        async with database.connection() as ours, other.connection() as theirs:
            shares = [*await ours.fetch(HOT, ["relay", "relay_number"]), *await theirs.fetch(HOT, ["position"])]
    hot = {row["relname"]: row["share"] for row in shares}
    return {"written": writers.written, "applied": applied, "samples": samples, "hot": hot}
