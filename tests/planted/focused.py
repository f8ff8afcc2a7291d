"""Scenarios that look at one promise each; the seed varies sizes, order and moments. PostgreSQL is real."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from random import Random
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr

from libs.events import faults, ids, kafka, outbox
from libs.events.batch import Batcher
from libs.events.clock import FixedClock
from libs.events.contracts import TrainingRated
from libs.events.database import Database, Transaction, open_database
from libs.events.relay import Fenced
from libs.events.restore import MustNotSend
from libs.events.settings import ServiceSettings
from services.training.domain.membership import Membership
from services.training.store import Store
from tests.conftest import MakeDatabase
from tests.planted.broker import Batch, Broker, Client, Producer
from tests.planted.found import Found
from tests.planted.storm import Crash, Storm, stores
from tests.support import NOON
from tests.unit.training_examples import winner

COMMITS = 10
REQUESTS = 40
WINNERS = 100


async def clients(seed: int, make: MakeDatabase) -> None:
    """The clients of Kafka have the settings that the guarantees need, whatever the seed."""
    settings = ServiceSettings(database_url=SecretStr("postgresql://unused"), kafka_servers="127.0.0.1:1")
    producer, worker = kafka.producer(settings, "training"), kafka.consumer(settings, "training")
    if producer._sender._acks != -1:
        raise Found(f"the relay is content with acks={producer._sender._acks}: a broker that dies takes events with it")
    if producer._txn_manager is None:
        raise Found("the relay's producer is not idempotent: a retry doubles or reorders a batch")
    _look_at_worker(worker)


def _look_at_worker(worker: AIOKafkaConsumer) -> None:
    if worker._enable_auto_commit:
        raise Found("the worker's client commits by itself what is not applied yet")
    if worker._auto_offset_reset != "none":
        raise Found(f"a worker without a place jumps to the {worker._auto_offset_reset}, silently")


async def durable(seed: int, make: MakeDatabase) -> None:
    """When a transaction is over, what it wrote is on disk: no crash of the server takes it back."""
    luck = Random(f"durable {seed}")
    async with open_database(make("probe").app_url) as store:
        for number in range(COMMITS):
            async with store.transaction() as tx:
                await outbox.add(tx, [_rated(number) for _ in range(luck.randint(1, 5))])
                written = await tx.fetchval("SELECT pg_current_wal_insert_lsn()::text")
            async with store.connection() as connection:
                on_disk = await connection.fetchval("SELECT pg_current_wal_flush_lsn()::text")
            if _place(on_disk) < _place(written):
                raise Found(f"lost: a commit is acknowledged at {written} of the log, the disk has {on_disk}")


def _place(lsn: str) -> int:
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def _rated(number: int) -> TrainingRated:
    return TrainingRated(
        at=NOON, enrolment_id=ids.derive("e", str(number)), citizen_id=f"{number:032x}", programme="prakerja-2020",
        wave=1, course_id=ids.derive("c"), stars=5,
    )  # fmt: skip


async def answers(seed: int, make: MakeDatabase) -> None:
    """Whoever was told yes by a hot command is in the database. Some commits fail at the last moment."""
    luck, made = Random(f"answers {seed}"), make("probe")
    owner = await asyncpg.connect(made.owner_url)
    await owner.execute(
        "CREATE TABLE request (n integer PRIMARY KEY, of integer REFERENCES request DEFERRABLE INITIALLY DEFERRED);"
        "GRANT SELECT, INSERT ON request TO probe_app"
    )
    await owner.close()
    broken = set(luck.sample(range(REQUESTS), 3))

    async def keep(tx: Transaction, items: list[int], now: datetime) -> Sequence[int]:
        of = [-1 if item in broken else item for item in items]
        await tx.execute(
            "INSERT INTO request (n, of) SELECT n, of FROM unnest($1::int[], $2::int[]) AS t (n, of)", items, of
        )
        return items

    async with open_database(made.app_url) as store:
        batcher = Batcher[int, int](keep, size_max=luck.randint(5, REQUESTS))
        batcher.start(store, FixedClock(NOON))
        told = await asyncio.gather(*(batcher.submit(item) for item in range(REQUESTS)), return_exceptions=True)
        await batcher.close()
        async with store.connection() as connection:
            kept = {row["n"] for row in await connection.fetch("SELECT n FROM request")}
    if missing := {answer for answer in told if isinstance(answer, int)} - kept:
        raise Found(f"lost: {len(missing)} of {REQUESTS} requests were acknowledged and are in no table")


MEETING = """
CREATE SEQUENCE met;
CREATE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM nextval('met');
    FOR _ IN 1..10000 LOOP
        EXIT WHEN (SELECT last_value FROM met) = 2
            OR EXISTS (SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid);
        PERFORM pg_sleep(0.001);
    END LOOP;
    RETURN NEW;
END $$;
CREATE TRIGGER meet BEFORE INSERT ON membership FOR EACH ROW WHEN (NEW.citizen_id = '{citizen_id}')
    EXECUTE FUNCTION meet();
"""
"""Who comes to one row goes on when another comes there too, or waits behind it already."""


async def crossing(seed: int, make: MakeDatabase) -> None:
    """Two batches about the same citizens, in opposite order, each half written: neither ends the other."""
    luck, made = Random(f"crossing {seed}"), make("training")
    members = sorted((winner(f"winner {number}") for number in range(WINNERS)), key=lambda one: one.citizen_id)
    batches = [members[luck.randrange(10) :], members[luck.randrange(10) :][::-1]]
    owner = await asyncpg.connect(made.owner_url)
    await owner.execute(MEETING.format(citizen_id=members[WINNERS // 2].citizen_id))
    await owner.close()

    async def enter(batch: Sequence[Membership]) -> None:
        async with store.transaction() as tx:
            await Store().open_memberships(tx, batch)

    async with open_database(made.app_url) as store:
        try:
            await asyncio.gather(*(enter(batch) for batch in batches))
        except asyncpg.DeadlockDetectedError:
            raise Found(f"two batches with the same {WINNERS} citizens waited for each other in a circle") from None


async def zombie(seed: int, make: MakeDatabase) -> None:
    """A relay is declared dead while it waits for Kafka; its successor goes on; then it wakes up, and then it dies."""
    async with stores(make) as (source, sink):
        it = Storm(seed, source, sink)
        it.over, it.broker.lost_share = True, 0.0
        await it.write()
        held, awake, point = Slow(it.broker), False, faults.point

        def die_once_stored(name: str) -> None:
            if awake and name == "relay.stored":
                raise Crash(name)

        faults.point = die_once_stored
        try:
            sleeper = asyncio.create_task(it.relay(held).run(Client(it.broker)))
            await held.asked.wait()
            async with source.transaction() as tx:
                await tx.execute("UPDATE relay SET owner = NULL")
            await it.write()
            await it.send()
            awake = True
            held.answer.set()
            await asyncio.wait([sleeper])
            if not isinstance(sleeper.exception(), Fenced | Crash):
                await sleeper
        finally:
            faults.point = point
        await it.send()
        it.check_topic()


class Slow(Producer):
    """Kafka stores what this producer sends, and does not answer before `answer` is set."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker)
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        stored = await super().send_batch(batch, topic, partition=partition)

        async def wait() -> Any:
            self.asked.set()
            await self.answer.wait()
            return await stored

        return asyncio.ensure_future(wait())


async def older(seed: int, make: MakeDatabase) -> None:
    """A database that is older than its topics sends nothing."""
    async with stores(make) as (source, sink), open_database(make("probe").app_url) as restored:
        it = await _at_rest(seed, source, sink)
        it.source = restored
        await it.write()
        relay = it.relay()
        task = asyncio.create_task(relay.run(Client(it.broker)))
        await asyncio.wait([task], timeout=1.0)
        relay.stopping.set()
        try:
            await task
        except MustNotSend:
            return
        it.numbers()
        raise Found("a relay whose database is older than its topics does not refuse to send")


async def remembered(seed: int, make: MakeDatabase) -> None:
    """A store that went back to its backup gets everything again, though Kafka remembers that it was read."""
    async with stores(make) as (source, sink), stores(make) as (_, backup):
        it = await _at_rest(seed, source, sink)
        it.broker.remembered = {partition: len(log) for partition, log in it.broker.logs.items()}
        it.sink = backup
        await it.calm()
        await it.check_effects()


async def _at_rest(seed: int, source: Database, sink: Database) -> Storm:
    """Some events, sent and applied, and nothing that fails."""
    it = Storm(seed, source, sink)
    it.over = True
    await it.write()
    await it.calm()
    it.broker = _copy(it.broker)
    return it


def _copy(broker: Broker) -> Broker:
    """The same logs for new clients."""
    return Broker(broker.luck, logs=broker.logs)
