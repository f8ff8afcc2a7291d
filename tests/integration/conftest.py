"""The bus of one test: the programme's own topics, made new, and helpers that run one relay or one worker on them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import KafkaException
from pydantic import SecretStr

from deploy.local import bus as local_bus
from deploy.local.bus import Cluster
from deploy.local.databases import ServiceDatabase
from libs.events import kafka as clients
from libs.events.clock import FixedClock
from libs.events.consumer import Consumer
from libs.events.database import QUERIES, Database, open_database
from libs.events.relay import Relay
from libs.events.settings import ServiceSettings
from libs.events.topics import TOPICS
from tests.support import NOON


def renew_topics(kafka: Cluster) -> None:
    """Delete the programme's topics with everything on them, and make them again."""
    admin = kafka.admin()  # held until the answers are there
    for deleted in admin.delete_topics(list(TOPICS), operation_timeout=30).values():
        with contextlib.suppress(KafkaException):  # it did not exist
            deleted.result(30)
    deadline = time.monotonic() + 30
    while set(TOPICS) & set(admin.list_topics(timeout=10).topics) and time.monotonic() < deadline:
        time.sleep(0.05)
    local_bus.create_topics(kafka, TOPICS.values())


@pytest.fixture
def bus(kafka: Cluster) -> Cluster:
    """The topics of `topics.toml`, empty."""
    renew_topics(kafka)
    return kafka


@dataclass
class Party:
    """One service taking part in a test: its store and the settings of its clients."""

    name: str
    database: Database
    settings: ServiceSettings
    owner_url: str
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOON))
    running: list[asyncio.Task[None]] = field(default_factory=list)

    async def relay(self) -> None:
        """Run a relay until nothing is unsent, then stop it cleanly. Raises what the relay raises."""
        async with self.relaying():
            await self.until(self._sent)

    async def _sent(self) -> bool:
        async with self.database.connection() as connection:
            return bool(await QUERIES.outbox_unsent(connection) == 0)

    @contextlib.asynccontextmanager
    async def relaying(self) -> AsyncIterator[Relay]:
        producer, reader = clients.producer(self.settings, self.name), clients.reader(self.settings, self.name)
        relay = Relay(self.database, producer, self.name)
        await producer.start()
        await reader.start()
        try:
            async with self._task(relay.run(reader)):
                yield relay
                relay.stopping.set()
        finally:
            await producer.stop()
            await reader.stop()

    @contextlib.asynccontextmanager
    async def consuming(self, reactions: Any) -> AsyncIterator[Consumer]:
        client = clients.consumer(self.settings, self.name)
        consumer = Consumer(self.database, client, self.name, reactions, self.clock)
        await client.start()
        try:
            async with self._task(consumer.run()):
                yield consumer
                consumer.stopping.set()
        finally:
            await client.stop()

    @contextlib.asynccontextmanager
    async def _task(self, work: Any) -> AsyncIterator[None]:
        """Run `work` beside the block and wait for its end; if it fails, the test fails with its exception."""
        task = asyncio.create_task(work)
        self.running.append(task)
        try:
            yield
            await asyncio.wait_for(task, 20)
        finally:
            self.running.remove(task)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Callable[[], Any], seconds_max: float = 30) -> None:
        """Wait until an async condition holds; fail at once if a relay or worker of this party has failed."""
        async with asyncio.timeout(seconds_max):
            while not await condition():
                for task in self.running:
                    if task.done():
                        await task
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def joined(name: str, bus: Cluster, database: ServiceDatabase) -> AsyncIterator[Party]:
    """The service on this bus and this database, with connections of its own."""
    settings = ServiceSettings(
        database_url=SecretStr(database.app_url),
        kafka_servers=bus.servers,
        kafka_user=bus.user,
        kafka_password=SecretStr(bus.password) if bus.password else None,
    )
    async with open_database(database.app_url) as opened:
        yield Party(name, opened, settings, database.owner_url)


@pytest.fixture
async def party(bus: Cluster, database: Callable[[str], ServiceDatabase]) -> AsyncIterator[Callable[[str], Any]]:
    """`await party("training")`: a service with a store that holds the event path's own tables and nothing else."""
    async with contextlib.AsyncExitStack() as stack:

        async def join(name: str) -> Party:
            return await stack.enter_async_context(joined(name, bus, database("probe")))

        yield join
