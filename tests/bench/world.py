"""The servers of a measurement, how to fill them, and how to run a contestant in a process of its own."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaProducer
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec
from pydantic import SecretStr

from deploy.local import bus as local_bus
from deploy.local.bus import Cluster
from deploy.local.databases import ServiceDatabase
from libs.events import codec, outbox
from libs.events import kafka as clients
from libs.events.contracts import Event
from libs.events.database import open_database
from libs.events.numbering import Numbers, assign
from libs.events.settings import ServiceSettings
from libs.events.topics import TOPIC_OF, TOPICS
from tests.bench.pairs import ROOT, machine
from tests.support import by_lane

TURN_SECONDS_MAX: Final = 180
CHUNK: Final = 5_000


@dataclass(frozen=True, slots=True)
class Where:
    """Where a contestant finds its servers. `owner_url` may do what the running service may not: make tables."""

    database_url: str
    owner_url: str
    kafka_servers: str
    kafka_user: str | None
    kafka_password: str | None

    def settings(self) -> ServiceSettings:
        return ServiceSettings(
            database_url=SecretStr(self.database_url),
            kafka_servers=self.kafka_servers,
            kafka_user=self.kafka_user,
            kafka_password=SecretStr(self.kafka_password) if self.kafka_password else None,
        )

    @contextlib.asynccontextmanager
    async def owner(self) -> Any:
        """A connection that may do everything with this database."""
        connection = await asyncpg.connect(self.owner_url)
        try:
            yield connection
        finally:
            await connection.close()


def place(kafka: Cluster, database: ServiceDatabase) -> Where:
    return Where(database.app_url, database.owner_url, kafka.servers, kafka.user, kafka.password)


class Failed(Exception):
    """A contestant did not finish its turn; the message holds the end of what it said."""


async def turn(function: str, where: Where, **options: Any) -> dict[str, Any]:
    """Run `module:function` of a contestant in a process of its own and return its answer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench",
        f"tests.bench.{function}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        told = json.dumps({"where": asdict(where), **options}).encode()
        out, err = await asyncio.wait_for(process.communicate(told), TURN_SECONDS_MAX + options.get("seconds", 0))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise Failed(f"{function} ended with {process.returncode}:\n{err.decode()[-3000:]}")
    answer: dict[str, Any] = json.loads(out.decode().splitlines()[-1])
    return answer


def renew_topics(kafka: Cluster, names: Sequence[str]) -> None:
    """Make these topics of the programme anew, empty."""
    admin = kafka.admin()
    for deleted in admin.delete_topics(list(names), operation_timeout=30).values():
        with contextlib.suppress(KafkaException):  # it did not exist
            deleted.result(30)
    deadline = time.monotonic() + 30
    while set(names) & set(admin.list_topics(timeout=10).topics) and time.monotonic() < deadline:
        time.sleep(0.05)
    local_bus.create_topics(kafka, [TOPICS[name] for name in names])
    for name in names:
        _wait_for_leaders(admin, name, TOPICS[name].partitions)


def _wait_for_leaders(admin: AdminClient, name: str, partitions: int) -> None:
    """Until every partition answers: whoever sends earlier is refused, waits, and would be measured waiting."""
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    newest = {TopicPartition(name, lane): latest for lane in range(partitions)}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            for answer in admin.list_offsets(newest).values():
                answer.result(10)
        except KafkaException:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"the partitions of {name} do not answer")


async def fill_outbox(where: Where, events: Sequence[Event]) -> None:
    """Announce events as a service does, in transactions of some thousand, and let statistics and maps be fresh."""
    async with open_database(where.database_url, max_size=2) as database:
        for chunk in _chunks(events, CHUNK):
            async with database.transaction() as tx:
                await outbox.add(tx, chunk)
    async with where.owner() as owner:
        await owner.execute("VACUUM ANALYZE")


async def fill_topic(where: Where, events: Sequence[Event]) -> None:
    """Put events of one topic there as its relay would have: numbered by lane, in whole batches."""
    producer = clients.producer(where.settings(), "bench")
    numbers: Numbers = {}
    async with producer:
        for chunk in _chunks(events, 4 * CHUNK):
            rows = [_row(event) for event in chunk]
            outgoing, after = assign(numbers, by_lane(rows))
            numbers |= after
            await asyncio.gather(*[future for lane in outgoing.items() for future in await send_lane(producer, *lane)])


async def send_lane(
    producer: AIOKafkaProducer, lane: tuple[str, int], records: Sequence[tuple[int, str, bytes]]
) -> list[Any]:
    """Hand numbered records of one lane to the producer in as few batches as they need; their acknowledgements."""
    return await send_packed(
        producer, lane, [(key.encode(), codec.numbered(value, number, 1)) for number, key, value in records]
    )


async def send_packed(
    producer: AIOKafkaProducer, lane: tuple[str, int], records: Sequence[tuple[bytes, bytes]]
) -> list[Any]:
    """Key and value of each record, as bytes, into whole batches."""
    acknowledgements, headers = [], [codec.CONTENT_TYPE]
    batch = producer.create_batch()
    for key, value in records:
        if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
            acknowledgements.append(await producer.send_batch(batch, lane[0], partition=lane[1]))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None, headers=headers)
    acknowledgements.append(await producer.send_batch(batch, lane[0], partition=lane[1]))
    return acknowledgements


def _row(event: Event) -> tuple[int, int, str, int, str, bytes]:
    topic, key = TOPIC_OF[event.TYPE], event.key()
    return 0, 0, topic.name, topic.lane(key), key, codec.encode(event)


def _chunks(events: Sequence[Event], size: int) -> Iterator[Sequence[Event]]:
    return (events[start : start + size] for start in range(0, len(events), size))


async def durability(where: Where, kafka: Cluster, topic: str) -> dict[str, Any]:
    """The settings a figure depends on, as the servers and the clients have them, not as we wrote them down."""
    async with where.owner() as owner:
        names = ("synchronous_commit", "fsync", "full_page_writes")
        found = {name: await owner.fetchval("SELECT current_setting($1)", name) for name in names}
    admin = kafka.admin()  # held until the answers are there
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    answer = next(iter(admin.describe_configs([resource]).values())).result(30)
    partitions = admin.list_topics(topic, timeout=30).topics[topic].partitions
    async with clients.producer(where.settings(), "bench") as producer:
        acks, idempotent = producer._sender._acks, producer._txn_manager is not None
    return {
        **found,
        "acks": "all" if acks == -1 else acks,
        "idempotence": "on" if idempotent else "off",
        "min.insync.replicas": answer["min.insync.replicas"].value,
        "replicas": len(partitions[0].replicas),
        "partitions": len(partitions),
    }


async def this_machine(where: Where) -> dict[str, Any]:
    async with where.owner() as owner:
        version = await owner.fetchval("SELECT current_setting('server_version')")
    jars = (ROOT / "deploy/local/kafka.lock").read_text()
    kafka = next((line.split()[0].rpartition(":")[2] for line in jars.splitlines() if ":kafka-clients:" in line), "?")
    return machine(version, kafka)
