"""One source and one reader on real servers: production's own relay and workers, and a table that shows double effects.

Every event is the next turn of its citizen, counted from 1. A reader writes down citizen and turn, in a table that
knows no uniqueness. So what was lost, doubled or overtaken can be seen from that table alone.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import asyncpg
from aiokafka import TopicPartition
from pydantic import SecretStr

from deploy.local.bus import Cluster
from deploy.local.stack import Stack
from libs.events import codec, outbox
from libs.events import kafka as clients
from libs.events.clock import FixedClock
from libs.events.consumer import Consumer, NearlyAllPoison
from libs.events.contracts import TrainingRated
from libs.events.database import QUERIES, Database, Transaction, open_database
from libs.events.numbering import Lane
from libs.events.relay import Relay
from libs.events.restore import MustNotSend
from libs.events.settings import ServiceSettings
from libs.events.topics import TOPICS
from tests.conftest import Databases, MakeDatabase, Servers, stack_folder
from tests.support import NOON

TOPIC: Final = "training-completed"
SOURCE, READER = "training", "selection"
COURSE: Final = f"{7:032x}"
PAUSE_SECONDS: Final = 0.3
STOP_SECONDS_MAX: Final = 30.0

JUDGE: Final = """
WITH told AS (SELECT n, citizen, turn, lag(turn) OVER (PARTITION BY citizen ORDER BY n) AS before FROM effect),
     said AS (SELECT citizen, turns FROM unnest($1::uuid[], $2::integer[]) AS said (citizen, turns))
SELECT citizen, count(*) AS effects, count(*) FILTER (WHERE turn < before) AS back,
       count(DISTINCT turn) FILTER (WHERE turn BETWEEN 1 AND said.turns) AS turns
  FROM told LEFT JOIN said USING (citizen) GROUP BY citizen
"""
"""Per citizen: all effects, those that came after a later one, and which of the turns that were said had one."""


def citizen_id(number: int) -> str:
    return f"{number:032x}"


@dataclass
class Path:
    """What was committed (`said`: turns by citizen), and the two stores. `over` ends what `keep` keeps alive."""

    source: Database
    reader: Database
    settings: ServiceSettings
    said: Counter[int] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    SERVICE: ClassVar[str] = READER
    DATABASE: ClassVar[str] = "probe"
    EFFECTS: ClassVar[str] = (
        "CREATE TABLE effect (n bigint GENERATED ALWAYS AS IDENTITY, citizen uuid, turn integer);"
        "GRANT SELECT, INSERT ON effect TO probe_app"
    )

    # -- the source --------------------------------------------------------------------------------------------------

    async def say(self, citizens: Sequence[int], spoilt: Sequence[Sequence[Any]] = ()) -> None:
        """The next turn of each of these, in one transaction. One citizen belongs to one caller at a time.

        `spoilt` are rows that stand before them in the outbox, as no outbox of ours writes them."""
        turns = Counter[int]()
        events = []
        for number in citizens:
            turns[number] += 1
            events.append(rated(number, self.said[number] + turns[number]))
        async with self.source.transaction() as tx:
            if spoilt:
                await tx.copy_records_to_table("outbox", records=spoilt, columns=("topic", "lane", "key", "value"))
            await outbox.add(tx, events)
        self.said += turns

    @property
    def total(self) -> int:
        return self.said.total()

    @contextlib.asynccontextmanager
    async def relaying(self) -> AsyncIterator[None]:
        """A relay that starts again after every failure, until the block ends; then it sends what is left."""
        running: list[Relay] = []

        async def once() -> None:
            producer, looking = clients.producer(self.settings, SOURCE), clients.reader(self.settings, SOURCE)
            async with clients.started(producer), clients.started(looking):
                running[:] = [Relay(self.source, producer, SOURCE)]
                await running[0].run(looking)

        async with self.kept(once, lambda: [relay.stopping for relay in running]):
            yield
            await self.sent()

    async def sent(self) -> None:
        """Wait until the outbox has nothing that waits."""
        async with self.source.connection() as connection:
            while await QUERIES.outbox_unsent(connection):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    # -- the reader --------------------------------------------------------------------------------------------------

    async def on_rated(self, *, tx: Transaction, events: Sequence[TrainingRated]) -> None:
        await tx.execute(
            "INSERT INTO effect (citizen, turn) SELECT citizen, turn FROM unnest($1::uuid[], $2::integer[])"
            " AS told (citizen, turn)",
            [event.citizen_id for event in events],
            [event.wave for event in events],
        )

    @contextlib.asynccontextmanager
    async def working(self, reaction: Any = None) -> AsyncIterator[asyncio.Task[None]]:
        """A worker that starts again after every failure, until the block ends. Gives its task, to see it stop."""
        running: list[Consumer] = []

        async def once() -> None:
            client, react = clients.consumer(self.settings, self.SERVICE), reaction or self.on_rated
            running[:] = [Consumer(self.reader, client, self.SERVICE, {TrainingRated: react}, FixedClock(NOON))]
            async with clients.started(client):
                await running[0].run()

        async with self.kept(once, lambda: [worker.stopping for worker in running]) as task:
            yield task

    @contextlib.asynccontextmanager
    async def kept(
        self, once: Callable[[], Awaitable[None]], stoppers: Callable[[], Sequence[asyncio.Event]]
    ) -> AsyncIterator[asyncio.Task[None]]:
        """What the runtime does with a role: again after trouble that may pass, never after any other."""
        leaving = False

        async def keep() -> None:
            while not leaving:
                try:
                    await once()
                except (NearlyAllPoison, MustNotSend):
                    raise
                except Exception as error:
                    self.ends[type(error).__name__] += 1
                    await asyncio.sleep(PAUSE_SECONDS)

        task = asyncio.create_task(keep())
        try:
            yield task
            leaving = True
            for stopper in stoppers():
                stopper.set()
            await asyncio.wait_for(task, STOP_SECONDS_MAX)
        finally:
            leaving = True
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # -- what became of it -------------------------------------------------------------------------------------------

    async def applied(self) -> int:
        """How many events the reader has dealt with, by its own positions."""
        async with self.reader.connection() as connection:
            return int(await connection.fetchval("SELECT coalesce(sum(number), 0) FROM position"))

    async def until_applied(self, count: int, seconds_max: float, look_seconds: float = 0.25) -> None:
        """Wait until so many events are applied. Raises TimeoutError with how far it came."""
        deadline = time.monotonic() + seconds_max
        while (here := await self.applied()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {seconds_max:.0f} s {here} of {count} events are applied")
            await asyncio.sleep(look_seconds)

    async def findings(self) -> dict[str, int]:
        """Events without effect, effects beyond the first of each, and effects behind a later one of their citizen.

        All should be 0. An effect of no event at all counts as doubled, and makes up for no loss.
        """
        citizens = [citizen_id(number) for number in self.said]
        async with self.reader.connection() as connection:
            rows = await connection.fetch(JUDGE, citizens, list(self.said.values()), timeout=120)
        turns = {int(row["citizen"], 16): row["turns"] for row in rows}
        return {
            "lost": sum(said - turns.get(number, 0) for number, said in self.said.items()),
            "doubled": sum(row["effects"] - row["turns"] for row in rows),
            "out_of_order": sum(row["back"] for row in rows),
        }

    async def on_topic(self) -> dict[str, int]:
        """What the topic itself says: distinct numbers, missing ones, and numbers that two events have."""
        told: dict[Lane, dict[int, str]] = {}
        twice = 0
        async for record in everything(self.settings):
            envelope = codec.read_envelope(record.value)
            number = codec.number_of(envelope) or 0
            known = told.setdefault((record.topic, record.partition), {}).setdefault(number, envelope.id)
            twice += known != envelope.id
        missing = sum(max(lane) - len(lane) for lane in told.values())
        return {"numbers": sum(map(len, told.values())), "missing": missing, "two_events_one_number": twice}


def rated(citizen: int, turn: int) -> TrainingRated:
    """The event of a citizen's turn."""
    return TrainingRated(
        at=NOON, enrolment_id=f"{citizen:016x}{turn:016x}", citizen_id=citizen_id(citizen), programme="prakerja-2020",
        wave=turn, course_id=COURSE, stars=5,
    )  # fmt: skip


async def everything(settings: ServiceSettings) -> AsyncIterator[Any]:
    """Every record of the topic, lane by lane in order of its offsets."""
    async with clients.started(client := clients.reader(settings, "looking")):
        partitions = [TopicPartition(TOPIC, lane) for lane in range(TOPICS[TOPIC].partitions)]
        client.assign(partitions)
        ends = await client.end_offsets(partitions)
        for partition, begin in (await client.beginning_offsets(partitions)).items():
            client.seek(partition, begin)
        waiting = {partition for partition in partitions if ends[partition] > await client.position(partition)}
        while waiting:
            for partition, records in (await client.getmany(timeout_ms=500)).items():
                for record in records:
                    yield record
                if records[-1].offset + 1 >= ends[partition]:
                    waiting.discard(partition)


def settings_for(cluster: Cluster, url: str) -> ServiceSettings:
    """How relay and workers reach this Kafka. Sessions are short: a fault should be over soon."""
    return ServiceSettings(
        database_url=SecretStr(url),
        kafka_servers=cluster.servers,
        kafka_user=cluster.user,
        kafka_password=SecretStr(cluster.password) if cluster.password else None,
        kafka_session_seconds=6.0,
    )


@contextlib.asynccontextmanager
async def open_path(make: MakeDatabase, cluster: Cluster, kind: type[Path] = Path) -> AsyncIterator[Path]:
    """Two empty stores; the topics must be empty too."""
    source, reader = make("probe"), make(kind.DATABASE)
    owner = await asyncpg.connect(reader.owner_url)
    await owner.execute(kind.EFFECTS)
    await owner.close()
    async with open_database(source.app_url) as opened, open_database(reader.app_url) as other:
        yield kind(opened, other, settings_for(cluster, source.app_url))


@contextlib.contextmanager
def own_servers(brokers: int = 1) -> Iterator[tuple[Servers, MakeDatabase]]:
    """A PostgreSQL and a Kafka of one's own in a new folder, and empty databases from it."""
    with stack_folder() as folder:
        stack = Stack(folder)
        try:
            stack.up(services=[], simulators=[], brokers=brokers)
            servers = Servers(stack.facts().server(), stack.facts().cluster(), stack)
            with Databases(servers.postgres).fresh() as make:
                yield servers, make
        finally:
            stack.down()
