"""Ways to carry an outbox to Kafka: ours, rivals that delete what they sent, and the raw parts ours is made of.

Every rival has what ours has: a durable database, acks=all, an idempotent producer, prepared statements, uvloop. Every
rival deletes in a transaction that commits after the acknowledgements; one that commits before them may lose events.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, Final

from libs.events import codec, metrics
from libs.events import kafka as clients
from libs.events.database import QUERIES, Transaction, open_database
from libs.events.numbering import Numbers, Unsent, assign, cursor_behind, in_order
from libs.events.relay import BATCH_ROWS, Relay
from tests.bench.world import Where, send_packed

SERVICE: Final = "registration"
TOPIC: Final = "applied"

RIVAL_TABLE: Final = """
CREATE TABLE IF NOT EXISTS rival_outbox (
    id bigint PRIMARY KEY, topic text NOT NULL, lane smallint NOT NULL, key text NOT NULL, value bytea NOT NULL
)"""
RIVAL_FILL: Final = """
INSERT INTO rival_outbox (id, topic, lane, key, value)
SELECT position, topic, lane, key, value FROM outbox ORDER BY position LIMIT $1"""
RIVAL_TAKE: Final = """
DELETE FROM rival_outbox
 WHERE id = ANY (ARRAY(SELECT id FROM rival_outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED))
RETURNING id, topic, lane, key, value"""


async def refill(where: Where, count: int) -> None:
    """Give a rival the same rows, in a table without a dead row: it never has to pay for its own bloat."""
    async with where.owner() as owner:
        await owner.execute(RIVAL_TABLE)
        await owner.execute("TRUNCATE rival_outbox")
        await owner.execute(RIVAL_FILL, count)
        await owner.execute("VACUUM ANALYZE rival_outbox")


async def rewind(where: Where) -> None:
    """Let our relay begin anew; the topics must be empty."""
    async with where.owner() as owner:
        await owner.execute("UPDATE relay SET owner = NULL, xid = '0', position = 0")
        await owner.execute("TRUNCATE relay_number")


def sent() -> int:
    """How many events the relay of this process has sent and stored."""
    samples = [sample for metric in metrics.relay_sent.collect() for sample in metric.samples]
    return round(sum(sample.value for sample in samples if sample.name.endswith("_total")))


async def until_sent(count: int, running: "asyncio.Task[None]") -> float:
    """Wait until Kafka has acknowledged so many; the moment. Raises what the relay raised."""
    while sent() < count:
        if running.done():
            await running
        await asyncio.sleep(0.005)
    return time.perf_counter()


async def ours(where: Where, count: int) -> dict[str, Any]:
    """The relay as it runs in production, from the moment it may send until cursor and numbers of all are stored."""
    settings, begun = where.settings(), list[float]()
    producer, reader = clients.producer(settings, SERVICE), clients.reader(settings, SERVICE)
    async with open_database(where.database_url) as database, producer, reader:
        relay = Relay(database, producer, SERVICE, lambda: begun.append(time.perf_counter()))
        running = asyncio.create_task(relay.run(reader))
        await until_sent(count, running)
        relay.stopping.set()
        await running
        ended = time.perf_counter()
    return {"rate": count / (ended - begun[0])}


async def skip_locked(where: Where, count: int, rows: int, lanes_given: bool = False) -> dict[str, Any]:
    """SKIP LOCKED + DELETE in one statement, `send()` for every row, commit once all are acknowledged.

    The producer picks the partition from the key, as everywhere. `lanes_given` spares it that: it takes ours, picked
    when the events were written.
    """
    producer = clients.producer(where.settings(), "rival")
    async with where.owner() as connection, producer:
        take = await connection.prepare(RIVAL_TAKE)
        begun, done = time.perf_counter(), 0
        while done < count:
            async with connection.transaction():
                taken = sorted(await take.fetch(rows), key=lambda row: row[0])
                waiting = [
                    await producer.send(
                        topic,
                        value,
                        key.encode(),
                        partition=lane if lanes_given else None,
                        headers=[codec.CONTENT_TYPE],
                    )
                    for _, topic, lane, key, value in taken
                ]
                await asyncio.gather(*waiting)
            done += len(taken)
        return {"rate": count / (time.perf_counter() - begun)}


async def skip_locked_send_batch(where: Where, count: int, rows: int) -> dict[str, Any]:
    """The same with whole batches, lane by lane."""
    producer = clients.producer(where.settings(), "rival")
    async with where.owner() as connection, producer:
        take = await connection.prepare(RIVAL_TAKE)
        begun, done = time.perf_counter(), 0
        while done < count:
            async with connection.transaction():
                taken = sorted(await take.fetch(rows), key=lambda row: row[0])
                lanes: dict[tuple[str, int], list[tuple[bytes, bytes]]] = defaultdict(list)
                for _, topic, lane, key, value in taken:
                    lanes[topic, lane].append((key.encode(), value))
                waiting = [future for lane in lanes.items() for future in await send_packed(producer, *lane)]
                await asyncio.gather(*waiting)
            done += len(taken)
        return {"rate": count / (time.perf_counter() - begun)}


async def _whole_outbox(connection: Transaction) -> AsyncIterator[list[Unsent]]:
    read, cursor = await connection.prepare(QUERIES.outbox_after.sql), (0, 0)
    while lanes := [in_order(lane) for lane in await read.fetch(*cursor, BATCH_ROWS)]:
        cursor = cursor_behind(lanes)
        yield lanes


async def raw_send_batch(where: Where, count: int) -> dict[str, Any]:
    """No outbox at all: the same records, numbered and grouped beforehand, packed and sent; one chunk ahead."""
    chunks = []
    async with open_database(where.database_url) as database, database.connection() as connection:
        numbers: Numbers = {}
        async for lanes in _whole_outbox(connection):
            outgoing, after = assign(numbers, lanes)
            numbers |= after
            chunks.append(
                {
                    lane: [(key.encode(), codec.numbered(value, number, 1)) for number, key, value in records]
                    for lane, records in outgoing.items()
                }
            )
    producer = clients.producer(where.settings(), "rival")
    async with producer:
        begun, before = time.perf_counter(), list[Any]()
        for chunk in chunks:
            waiting = [future for lane in chunk.items() for future in await send_packed(producer, *lane)]
            await asyncio.gather(*before)
            before = waiting
        await asyncio.gather(*before)
        return {"rate": count / (time.perf_counter() - begun)}


async def raw_read(where: Where, count: int) -> dict[str, Any]:
    """The outbox read in our order, in our batches, and nothing done with it."""
    async with open_database(where.database_url) as database, database.connection() as connection:
        begun, done = time.perf_counter(), 0
        async for lanes in _whole_outbox(connection):
            done += sum(len(keys) for _, _, _, _, keys, _ in lanes)
        assert done == count
        return {"rate": count / (time.perf_counter() - begun)}
