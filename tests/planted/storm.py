"""Production's relay, consumer and SQL on a real PostgreSQL and a broker in memory, while everything dies at random.

Writers commit and roll back, two relays and two workers run beside each other and crash at fault points, lanes change
hands, acknowledgements come late or not at all. Then it is calm, and every committed event must have had its effect
once, in order per key, under one number, and no number may be missing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import asyncpg
from aiokafka.errors import KafkaError

from libs.events import codec, faults, ids, outbox
from libs.events.acknowledged import TopicMoved, TopicTooShort
from libs.events.clock import FixedClock
from libs.events.consumer import Consumer
from libs.events.contracts import TrainingRated
from libs.events.database import QUERIES, Database, Transaction, open_database
from libs.events.numbering import Lane
from libs.events.relay import Fenced, Relay
from libs.events.restore import MustNotSend
from tests.conftest import MakeDatabase
from tests.planted.broker import Broker, Client, Producer
from tests.planted.found import Found
from tests.support import NOON

CITIZENS, WRITERS, TRANSACTIONS = 12, 4, 12
CALM_SECONDS_MAX = 20.0
DIE_SHARE = 0.06


class Crash(BaseException):
    """Stands for SIGKILL at a fault point: nothing that catches Exception survives it."""


class Storm:
    """One source, one sink, the broker between them, and what was really committed."""

    def __init__(self, seed: int, source: Database, sink: Database) -> None:
        self.luck = Random(f"storm {seed}")
        self.source, self.sink = source, sink
        self.broker = Broker(self.luck, lost_share=0.05)
        self.said: dict[str, list[str]] = {}
        self.rows = {f"{number:032x}": asyncio.Lock() for number in range(CITIZENS)}
        self.events = 0
        self.over = False

    # -- who takes part --------------------------------------------------------------------------------------------

    def point(self, name: str) -> None:
        """In place of faults.point."""
        if not self.over and self.luck.random() < DIE_SHARE:
            raise Crash(name)

    async def write(self) -> None:
        """Transactions of one writer. Each holds its citizens until it ends, as row locks would."""
        for _ in range(TRANSACTIONS):
            citizens = sorted(self.luck.sample(sorted(self.rows), self.luck.randint(1, 3)))
            for citizen in citizens:
                await self.rows[citizen].acquire()
            try:
                await self._transaction(citizens)
            finally:
                for citizen in citizens:
                    self.rows[citizen].release()
            await asyncio.sleep(self.luck.random() * 0.01)

    async def _transaction(self, citizens: Sequence[str]) -> None:
        events = [self._event(citizen) for citizen in citizens for _ in range(self.luck.randint(1, 3))]
        try:
            async with self.source.transaction() as tx:
                half = len(events) // 2
                await outbox.add(tx, events[:half])
                await asyncio.sleep(self.luck.random() * 0.04)
                await outbox.add(tx, events[half:])
                if self.luck.random() < 0.1:
                    raise Crash("rolled back")
        except Crash:
            return
        for event in events:
            self.said.setdefault(event.citizen_id, []).append(event.enrolment_id)

    def _event(self, citizen: str) -> TrainingRated:
        self.events += 1
        return TrainingRated(
            at=NOON, enrolment_id=ids.derive("storm", str(self.events)), citizen_id=citizen, programme="prakerja-2020",
            wave=1, course_id=ids.derive("course"), stars=5,
        )  # fmt: skip

    async def on_rated(self, *, tx: Transaction, events: Sequence[TrainingRated]) -> None:
        """One row per event, in a table that knows no uniqueness: a double effect shows."""
        if not self.over:
            await asyncio.sleep(self.luck.random() * 0.02)
        await tx.execute(
            "INSERT INTO effect (citizen, enrolment) SELECT citizen, enrolment"
            " FROM unnest($1::uuid[], $2::uuid[]) AS told (citizen, enrolment)",
            [event.citizen_id for event in events],
            [event.enrolment_id for event in events],
        )

    def relay(self, producer: Producer | None = None) -> Relay:
        return Relay(self.source, producer or Producer(self.broker), "training")

    async def keep_relay(self) -> None:
        """A relay that is started again whenever it dies; now and then it is declared dead while it lives."""
        while not self.over:
            try:
                await self.relay().run(Client(self.broker))
            except (Crash, Fenced, TopicMoved, TopicTooShort, KafkaError):
                await asyncio.sleep(self.luck.random() * 0.05)
            except MustNotSend as error:
                raise _refused(error) from None

    async def declare_dead(self) -> None:
        """What silence leads to: the owner is taken for dead, and wakes up later."""
        while not self.over:
            await asyncio.sleep(0.1 + self.luck.random() * 0.3)
            async with self.source.transaction() as tx:
                await tx.execute("UPDATE relay SET owner = NULL")

    async def keep_worker(self) -> None:
        while not self.over:
            try:
                async with self.worker() as consumer:
                    await consumer.run()
            except (Crash, KafkaError):
                await asyncio.sleep(self.luck.random() * 0.03)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Consumer]:
        client = Client(self.broker)
        reactions: dict[Any, Any] = {TrainingRated: self.on_rated}
        try:
            yield Consumer(self.sink, client, "selection", reactions, FixedClock(NOON))
        finally:
            client.leave()

    async def shuffle(self) -> None:
        while not self.over:
            await asyncio.sleep(self.luck.random() * 0.15)
            self.broker.changed()

    # -- calm --------------------------------------------------------------------------------------------------------

    async def calm(self) -> None:
        """Nothing fails any more: one relay sends the rest, one worker applies it."""
        self.broker.lost_share = 0.0
        await self.send()
        self.check_topic()
        async with self.worker() as consumer:
            await self._run_until(consumer, consumer.run(), self._applied, "the lanes are not applied to their end")

    async def send(self) -> None:
        """One relay sends what is left."""
        relay = self.relay()
        try:
            await self._run_until(relay, relay.run(Client(self.broker)), self._sent, "the outbox is not sent")
        except MustNotSend as error:
            raise _refused(error) from None

    @staticmethod
    async def _run_until(who: Any, work: Any, done: Callable[[], Any], otherwise: str) -> None:
        task = asyncio.create_task(work)
        try:
            async with asyncio.timeout(CALM_SECONDS_MAX):
                while not (await done() or task.done()):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        except TimeoutError:
            task.cancel()
            raise Found(f"stuck: {CALM_SECONDS_MAX:.0f} s after the last fault {otherwise}") from None
        finally:
            who.stopping.set()
        await task

    async def _sent(self) -> bool:
        async with self.source.connection() as connection:
            return bool(await QUERIES.outbox_unsent(connection) == 0)

    async def _applied(self) -> bool:
        async with self.sink.connection() as connection:
            at = {(row["topic"], row["lane"]): row["number"] for row in await QUERIES.position_all(connection)}
        return all(at.get(lane, 0) >= max(numbers) for lane, numbers in self.numbers().items())

    # -- what must hold ------------------------------------------------------------------------------------------------

    def numbers(self) -> dict[Lane, dict[int, str]]:
        """By lane: the event of every number. Raises Found where a number or an event has two of the other."""
        told: dict[Lane, dict[int, str]] = {}
        for partition, log in self.broker.logs.items():
            lane, of = (partition.topic, partition.partition), dict[str, int]()
            for record in log:
                envelope = codec.read_envelope(record.value)
                number = codec.number_of(envelope)
                assert number is not None
                event_id = told.setdefault(lane, {}).setdefault(number, envelope.id)
                if event_id != envelope.id:
                    raise Found(f"two events have number {number} in {lane[0]}/{lane[1]}")
                if of.setdefault(envelope.id, number) != number:
                    raise Found(f"one event has the numbers {of[envelope.id]} and {number} in {lane[0]}/{lane[1]}")
        return told

    def check_topic(self) -> None:
        """Contiguous numbers, and every committed event once, whoever sent it."""
        events = 0
        for lane, told in self.numbers().items():
            events += len(told)
            if missing := set(range(1, max(told) + 1)) - told.keys():
                raise Found(f"number {min(missing)} is missing in {lane[0]}/{lane[1]}")
        said = sum(len(of) for of in self.said.values())
        if events != said:
            raise Found(f"{said} events were committed, {events} are on the topic")

    async def check_effects(self) -> None:
        """Every committed event has had its effect, once, in the order of its key."""
        async with self.sink.connection() as connection:
            rows = await connection.fetch("SELECT citizen, enrolment FROM effect ORDER BY n")
        done: dict[str, list[str]] = {}
        for row in rows:
            done.setdefault(row["citizen"], []).append(row["enrolment"])
        for citizen, said in self.said.items():
            found = done.get(citizen, [])
            who = f"citizen {int(citizen, 16)}"
            if len(found) != len(set(found)):
                twice = next(place for place, one in enumerate(found) if found.index(one) != place)
                raise Found(f"doubled: effect {twice + 1} of {who} is one that was there before")
            if missing := set(said) - set(found):
                raise Found(f"lost: {len(missing)} of {len(said)} events of {who} never had their effect")
            if found != said:
                raise Found(f"out of order: {who} has all {len(said)} effects, in another order than committed")


def _refused(error: MustNotSend) -> Found:
    return Found(f"the relay refuses to run though nothing was restored: {str(error).partition('(')[0].strip()}")


@asynccontextmanager
async def stores(make: MakeDatabase) -> AsyncIterator[tuple[Database, Database]]:
    """A source and a sink; the sink has a table for effects."""
    source, sink = make("probe"), make("probe")
    owner = await asyncpg.connect(sink.owner_url)
    await owner.execute(
        "CREATE TABLE effect (n bigint GENERATED ALWAYS AS IDENTITY, citizen uuid, enrolment uuid);"
        "GRANT SELECT, INSERT, DELETE ON effect TO probe_app"
    )
    await owner.close()
    async with open_database(source.app_url) as opened, open_database(sink.app_url) as other:
        yield opened, other


async def storm(seed: int, make: MakeDatabase) -> None:
    """See the module."""
    async with stores(make) as (source, sink):
        it, point = Storm(seed, source, sink), faults.point
        faults.point = it.point
        try:
            await _blow(it)
        finally:
            faults.point = point


async def _blow(it: Storm) -> None:
    everybody = [it.keep_relay, it.keep_relay, it.keep_worker, it.keep_worker, it.declare_dead, it.shuffle]
    tasks = [asyncio.create_task(part()) for part in everybody]
    try:
        writers = [asyncio.create_task(it.write()) for _ in range(WRITERS)]
        await asyncio.gather(*writers)
        await asyncio.sleep(0.3)
        it.over = True
        for task in tasks:
            if task.done():
                await task
    finally:
        it.over = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await it.calm()
    await it.check_effects()
