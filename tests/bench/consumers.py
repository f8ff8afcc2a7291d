"""Ways to consume a topic with the same pydantic model and the same handler, and the raw parts ours is made of."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.events import codec
from libs.events import kafka as clients
from libs.events.clock import FixedClock
from libs.events.consumer import POLL_RECORDS, Consumer
from libs.events.contracts import Applied, Event
from libs.events.database import Transaction, open_database
from libs.events.ordering import Reaction, Refused
from tests.bench.records import AT, Meter, Told
from tests.bench.world import Where

TOPIC: Final = "applied"
ADD_EFFECTS: Final = """
INSERT INTO effect (application_id, citizen_id, wave)
SELECT application_id, citizen_id, wave
  FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS told (application_id, citizen_id, wave)
 ORDER BY application_id"""
ADD_EFFECT: Final = "INSERT INTO effect (application_id, citizen_id, wave) VALUES ($1, $2, $3)"
EFFECT_TABLE: Final = """
CREATE TABLE IF NOT EXISTS effect (application_id uuid PRIMARY KEY, citizen_id uuid NOT NULL, wave integer NOT NULL)"""
ADVANCE: Final = """
INSERT INTO position (source, topic, lane, next_offset) VALUES ('registration', 'applied', $1, $2 + 1)
ON CONFLICT (source, topic, lane) DO UPDATE SET next_offset = excluded.next_offset"""


async def fresh(where: Where) -> None:
    """No position and no effect, as on the first day."""
    async with where.owner() as owner:
        await owner.execute(EFFECT_TABLE)
        await owner.execute("TRUNCATE position, effect")
        await owner.execute("GRANT SELECT, INSERT ON effect TO PUBLIC")
        await owner.execute("VACUUM ANALYZE")


async def consume(
    where: Where, service: str, reactions: Mapping[type[Event], Reaction], meter: Meter
) -> dict[str, Any]:
    """Run our consumer until the meter is full and all of it is committed."""
    async with open_database(where.database_url) as database:
        client = clients.consumer(where.settings(), service)
        consumer = Consumer(database, client, service, {}, FixedClock(AT))

        async def handle(handler: Reaction, tx: Transaction, events: Sequence[Any]) -> Refused | None:
            left_out = await handler(tx=tx, events=events)
            if meter.count(len(events)):
                consumer.stopping.set()
            return left_out

        consumer.reactions = {kind: partial(handle, handler) for kind, handler in reactions.items()}
        async with client:
            await consumer.run()
    return {"rate": meter.rate()}


async def ours(where: Where, count: int) -> dict[str, Any]:
    """Our consumer; positions are kept in PostgreSQL, as ever."""
    meter = Meter(count)

    async def handle(*, tx: Transaction, events: Sequence[Applied]) -> None:
        for event in events:
            meter.waves += event.wave

    return await consume(where, "selection", {Applied: handle}, meter)


async def ours_durable(where: Where, count: int) -> dict[str, Any]:
    """Our consumer, with one effect in PostgreSQL for every event, in the transaction of the position."""
    return await consume(where, "selection", {Applied: add_effects}, Meter(count))


async def add_effects(*, tx: Transaction, events: Sequence[Applied]) -> None:
    await tx.execute(
        ADD_EFFECTS,
        [event.application_id for event in events],
        [event.citizen_id for event in events],
        [event.wave for event in events],
    )


async def reading(where: Where, topic: str = TOPIC) -> AIOKafkaConsumer:
    """A client that stands at the beginning of every lane, without a group; for the raw parts."""
    client = clients.reader(where.settings(), "rival")
    await client.start()
    lanes = await _lanes(client, topic)
    client.assign(lanes)
    await client.seek_to_beginning(*lanes)
    return client


async def _lanes(client: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    await client._client.force_metadata_update()
    found = await client._client._wait_on_metadata(topic)
    assert found is not None
    return [TopicPartition(topic, lane) for lane in sorted(client.partitions_for_topic(topic) or ())]


async def raw_getmany(where: Where, count: int) -> dict[str, Any]:
    """Nothing but fetching: no record is looked at."""
    client, meter = await reading(where), Meter(count)
    try:
        while meter.seen < count:
            fetched = await client.getmany(timeout_ms=200, max_records=POLL_RECORDS)
            if fetched:
                meter.count(sum(map(len, fetched.values())))
    finally:
        await client.stop()
    return {"rate": meter.rate()}


async def raw_model(where: Where, count: int) -> dict[str, Any]:
    """Fetching, and `model_validate_json` of the whole record: no position, no number, no check, no transaction."""
    client, meter = await reading(where), Meter(count)
    validate = Told.model_validate_json
    try:
        while meter.seen < count:
            fetched = await client.getmany(timeout_ms=200, max_records=POLL_RECORDS)
            if fetched:
                meter.see([validate(read.value).data for lane in fetched.values() for read in lane])
    finally:
        await client.stop()
    return {"rate": meter.rate()}


async def transaction_per_message(where: Where, count: int, connections: int) -> dict[str, Any]:
    """One durable transaction per message: effect and position, as most applications write it.

    Lanes are shared out among `connections`, so that commits wait for the disk together.
    """
    client, meter = await reading(where), Meter(count)
    validate = Told.model_validate_json
    async with open_database(where.database_url, min_size=connections, max_size=connections) as database:

        async def work(lanes: Sequence[Sequence[Any]]) -> None:
            async with database.pool.acquire() as connection:
                add, advance = await connection.prepare(ADD_EFFECT), await connection.prepare(ADVANCE)
                for lane in lanes:
                    for read in lane:
                        event = validate(read.value).data
                        async with connection.transaction():
                            await add.fetch(event.application_id, event.citizen_id, event.wave)
                            await advance.fetch(read.partition, read.offset)
                        if meter.count(1):
                            return

        try:
            while meter.seen < count:
                fetched = await client.getmany(timeout_ms=200, max_records=POLL_RECORDS)
                lanes = list(fetched.values())
                await asyncio.gather(*[work(lanes[start::connections]) for start in range(connections)])
        finally:
            await client.stop()
    return {"rate": meter.rate()}


async def raw_parts(where: Where, count: int) -> dict[str, Any]:
    """Fetch, validate, insert, commit: whole batches, with no position, no number and no check."""
    client, meter = await reading(where), Meter(count)
    validate = Told.model_validate_json
    try:
        async with open_database(where.database_url) as database:
            while meter.seen < count:
                fetched = await client.getmany(timeout_ms=200, max_records=POLL_RECORDS)
                batch = [validate(read.value).data for lane in fetched.values() for read in lane]
                if batch:
                    async with database.transaction() as tx:
                        await add_effects(tx=tx, events=batch)
                    meter.count(len(batch))
    finally:
        await client.stop()
    return {"rate": meter.rate()}


async def everything(where: Where, count: int, topic: str = TOPIC) -> list[Any]:
    """All events of a topic, decoded."""
    client, events = await reading(where, topic), list[Event]()
    try:
        while len(events) < count:
            fetched = await client.getmany(timeout_ms=200, max_records=POLL_RECORDS)
            for read in (read for lane in fetched.values() for read in lane):
                event = codec.read_event(codec.read_envelope(read.value), topic)
                assert isinstance(event, Event)
                events.append(event)
    finally:
        await client.stop()
    return events


async def raw_effects(where: Where, count: int) -> dict[str, Any]:
    """Nothing but the effects: whole batches inserted and committed, decoded beforehand."""
    meter, events = Meter(count), await everything(where, count)
    async with open_database(where.database_url) as database:
        for start in range(0, len(events), POLL_RECORDS):
            batch = events[start : start + POLL_RECORDS]
            async with database.transaction() as tx:
                await add_effects(tx=tx, events=batch)
            meter.count(len(batch))
    return {"rate": meter.rate()}
