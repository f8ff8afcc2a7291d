"""Where a worker reads each lane: where its own database says, not where Kafka remembers.

After a rebalance, a restore or a lost log it goes to the stored positions. A lane that lacks a number is read once more
from its beginning, and one at rest is looked at again now and then. Kafka is told where we are, for lag monitors only.
"""

import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, NoOffsetForPartitionError, OffsetOutOfRangeError

from libs.events import metrics
from libs.events.database import QUERIES, Database
from libs.events.logs import get_logger
from libs.events.numbering import Lane
from libs.events.position import Gap, Verdict, place, waits_for

FETCH_MS: Final = 200
PROVE_SECONDS = 60.0
"""How often a lane at rest is looked at again: a log that was lost and filled up to our place looks like one."""
TELL_SECONDS: Final = 1.0

log = get_logger()


class Places(ConsumerRebalanceListener):  # type: ignore[misc]
    """The lanes of one worker, and where it stands in each."""

    def __init__(self, database: Database, kafka: AIOKafkaConsumer) -> None:
        self.database, self.kafka = database, kafka
        self.gaps: dict[Lane, Gap] = {}
        self.to_search: set[TopicPartition] = set()
        self.failure: Exception | None = None
        self.told = self.proven = time.monotonic()
        self.moved: set[TopicPartition] = set()
        self.to_tell: dict[TopicPartition, int] = {}

    async def fetch(self, records_max: int) -> Mapping[TopicPartition, list[Any]]:
        """The next records of all lanes. Raises what kept us from going to our own positions after a rebalance."""
        try:
            fetched: Mapping[TopicPartition, list[Any]] = await self.kafka.getmany(
                timeout_ms=FETCH_MS, max_records=records_max
            )
        except (NoOffsetForPartitionError, OffsetOutOfRangeError):
            # Kafka remembers nothing for us, or its log is shorter than it was: only our own positions count.
            self._forget_gaps(self.kafka.assignment())
            await self._go_to_positions(self.kafka.assignment())
            return {}
        if self.failure:
            raise self.failure
        return fetched

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Go to where the database says. The client swallows what a listener raises, so `fetch` raises it instead."""
        log.info("lanes assigned", lanes=len(assigned))
        try:
            await self._go_to_positions(assigned)
        except Exception as error:
            self.failure = error

    async def _go_to_positions(self, assigned: Collection[TopicPartition]) -> None:
        """Read these lanes from the last number that the database knows."""
        if not assigned:
            return
        async with self.database.connection() as connection:
            rows = {(row["topic"], row["lane"]): row["number_at"] for row in await QUERIES.position_all(connection)}
        ends, begins = (
            await self.kafka.end_offsets(assigned),
            await self.kafka.beginning_offsets(assigned),
        )
        for partition in self.kafka.assignment().intersection(assigned):  # some may have been given away meanwhile
            number_at = rows.get((partition.topic, partition.partition), 0)
            self.kafka.seek(partition, place(number_at, begins[partition], ends[partition]))

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Nothing to save: a batch under way meets the next owner at the row lock, and one of the two finds repeats."""
        self._forget_gaps(revoked)

    def _forget_gaps(self, lanes: Collection[TopicPartition]) -> None:
        """Whoever reads them next finds a gap anew, or does not."""
        for partition in lanes:
            if self.gaps.pop((partition.topic, partition.partition), None):
                metrics.consumer_gap.labels(partition.topic, str(partition.partition)).set(0)

    def note(self, verdicts: Mapping[Lane, Verdict]) -> None:
        """After a commit: how far each lane has come, and which of them wait for a number."""
        for lane, verdict in verdicts.items():
            partition = TopicPartition(*lane)
            self.to_tell[partition] = verdict.after.next_offset
            if verdict.news:
                self.moved.add(partition)
            self._watch_gap(lane, verdict)

    def _watch_gap(self, lane: Lane, verdict: Verdict) -> None:
        """Say when a lane begins to wait for a number, and when it has arrived."""
        known = self.gaps.pop(lane, None)
        gap = waits_for(known, verdict)
        if gap:
            self.gaps[lane] = gap
        if known and gap is not known:
            metrics.consumer_gap.labels(*map(str, lane)).set(0)
            log.info("the missing numbers have arrived; the lane goes on", topic=lane[0], lane=lane[1])
        if gap and gap is not known:
            self.to_search.add(TopicPartition(*lane))
            metrics.consumer_gap.labels(*map(str, lane)).set(gap.first)
            log.error(
                "events are missing; the lane waits until the relay has sent them again",
                topic=lane[0],
                lane=lane[1],
                first_missing=gap.first,
                last_missing=gap.last,
                offset=gap.offset,
            )

    async def tend(self) -> None:
        """Between two polls: look again where something is missing or nothing comes, and tell Kafka where we are."""
        if self.to_search:
            await self._search()
        if time.monotonic() - self.proven > PROVE_SECONDS:
            await self._prove()
        if self.to_tell and time.monotonic() - self.told > TELL_SECONDS:
            await self._tell_kafka()

    async def _search(self) -> None:
        """Read a lane with a gap once more from its beginning, at once and then now and then: in a log that was lost
        and filled again, what is missing may stand before our place. Otherwise the lane waits for the relay."""
        searched = self.to_search & self.kafka.assignment()
        self.to_search.clear()
        begins = await self.kafka.beginning_offsets(list(searched)) if searched else {}
        for partition in self.kafka.assignment().intersection(begins):
            self.kafka.seek(partition, begins[partition])

    async def _prove(self) -> None:
        """See whether the logs of lanes without news are still those in which we have our places."""
        read = set()
        for lane in self.kafka.assignment() - self.moved:
            with contextlib.suppress(IllegalStateError):  # it was given away meanwhile
                if await self.kafka.position(lane) == self.kafka.highwater(lane):
                    read.add(lane)
        self.moved.clear()
        self.proven = time.monotonic()
        self.to_search |= {lane for lane in read if (lane.topic, lane.partition) in self.gaps}
        await self._go_to_positions(read - self.to_search)

    async def _tell_kafka(self) -> None:
        """Nothing depends on it, so nothing comes of a refusal."""
        held = self.kafka.assignment()
        offsets = {partition: offset for partition, offset in self.to_tell.items() if partition in held}
        self.to_tell, self.told = {}, time.monotonic()
        if offsets:
            with contextlib.suppress(Exception):
                await self.kafka.commit(offsets)
