"""A Kafka in memory with the calls that relay and consumer make: production's own code runs on it, and time is short.

It keeps what a broker promises (order per partition, offsets, groups) and is unreliable where one may be: it
acknowledges late, loses a request before or after storing it, and lets a group member learn late that its partitions
were given away.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError, NoOffsetForPartitionError

from libs.events.topics import TOPICS

ACKNOWLEDGED_SECONDS_MAX = 0.03
IDLE_SECONDS = 0.01


@dataclass
class Broker:
    """The logs, what groups have told, and who is a member of the one group."""

    luck: Random
    lost_share: float = 0.0
    logs: dict[TopicPartition, list[Any]] = field(default_factory=dict)
    remembered: dict[TopicPartition, int] = field(default_factory=dict)
    members: list["Client"] = field(default_factory=list)
    generation: int = 0
    time: int = 0

    def log(self, partition: TopicPartition) -> list[Any]:
        return self.logs.setdefault(partition, [])

    def append(self, partition: TopicPartition, records: Iterable[Mapping[str, Any]]) -> int:
        """Store records; gives the offset of the first."""
        log, first = self.log(partition), len(self.log(partition))
        for offset, record in enumerate(records, first):
            self.time += 1
            told = {**record, "timestamp": self.time, "topic": partition.topic, "partition": partition.partition}
            log.append(SimpleNamespace(**told, offset=offset))
        return first

    def changed(self) -> None:
        """Every member gets other partitions, at its next poll or one of those after it."""
        self.generation += 1

    def share_of(self, client: "Client") -> list[TopicPartition]:
        everything = [
            TopicPartition(topic, lane) for topic in client.topics for lane in range(TOPICS[topic].partitions)
        ]
        place = self.members.index(client) + self.generation
        return [one for index, one in enumerate(everything) if (index + place) % len(self.members) == 0]


class Batch:
    def __init__(self) -> None:
        self.records: list[Mapping[str, Any]] = []

    def append(self, **record: Any) -> object | None:
        """None when the batch is full, as aiokafka says it."""
        if len(self.records) >= 50:
            return None
        self.records.append(record)
        return record

    def record_count(self) -> int:
        return len(self.records)


class Producer:
    """Stands for AIOKafkaProducer."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.broken: set[TopicPartition] = set()
        """Where a batch was lost: the broker takes no later one of an idempotent producer, whose count has a gap."""

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        """Stored at once or never; the answer comes late, and sometimes says nothing."""
        broker, lane = self.broker, TopicPartition(topic, partition)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        lost = lane in self.broken or broker.luck.random() < broker.lost_share
        if lost and (lane in self.broken or broker.luck.random() < 0.5):
            self.broken.add(lane)
        offset = -1 if lane in self.broken else broker.append(lane, batch.records)

        def tell() -> None:
            if not answer.done() and lost:
                answer.set_exception(KafkaTimeoutError())
            elif not answer.done():
                answer.set_result(SimpleNamespace(topic=topic, partition=partition, offset=offset))

        asyncio.get_running_loop().call_later(broker.luck.random() * ACKNOWLEDGED_SECONDS_MAX, tell)
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # a dead relay asks nobody
        return answer


class Client:
    """Stands for AIOKafkaConsumer: a reader that assigns itself, or the member of the group."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.topics: list[str] = []
        self.listener: Any = None
        self.generation = -1
        self.here: dict[TopicPartition, int | None] = {}
        self.quiet: set[TopicPartition] = set()

    def subscribe(self, topics: Sequence[str], listener: Any) -> None:
        self.topics, self.listener = list(topics), listener
        self.broker.members.append(self)
        self.broker.changed()

    def leave(self) -> None:
        if self in self.broker.members:
            self.broker.members.remove(self)
            self.broker.changed()

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        self.here = dict.fromkeys(partitions, 0)
        self.quiet.clear()

    def assignment(self) -> set[TopicPartition]:
        return set(self.here)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.here[partition] = offset

    async def position(self, partition: TopicPartition) -> int:
        return self.here[partition] or 0

    def highwater(self, partition: TopicPartition) -> int:
        return len(self.broker.log(partition))

    def pause(self, *partitions: TopicPartition) -> None:
        self.quiet.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.quiet.difference_update(partitions)

    async def beginning_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: len(self.broker.log(partition)) for partition in partitions}

    async def offsets_for_times(self, timestamps: Mapping[TopicPartition, int]) -> dict[TopicPartition, Any]:
        """Where the first record from a time on stands; asked for the first of all."""
        return {partition: next(iter(self.broker.log(partition)), None) for partition in timestamps}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.broker.remembered.update(offsets)

    async def getmany(
        self, *_partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[Any]]:
        """What stands at our places. Raises NoOffsetForPartitionError where there is no place."""
        if self.listener and self.generation != self.broker.generation and self.broker.luck.random() < 0.6:
            await self._rejoin()
        found = self._fetch(max_records or 500)
        if not found and timeout_ms:
            await asyncio.sleep(IDLE_SECONDS)
        return found

    def _fetch(self, limit: int) -> dict[TopicPartition, list[Any]]:
        found = {}
        for partition, here in self.here.items():
            if here is None:
                raise NoOffsetForPartitionError(partition)
            records = [] if partition in self.quiet else self.broker.log(partition)[here : here + limit]
            if records:
                found[partition] = list(records)
                self.here[partition] = here + len(records)
        return found

    async def _rejoin(self) -> None:
        self.generation = self.broker.generation
        await self.listener.on_partitions_revoked(set(self.here))
        share = self.broker.share_of(self)
        self.here = {partition: self.broker.remembered.get(partition) for partition in share}
        await self.listener.on_partitions_assigned(share)
