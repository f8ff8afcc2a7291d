"""Takes what others say and applies it exactly once, in order per key.

One poll is one transaction: the positions of its lanes are locked, repeats are told by number, reactions get the news
as lists, the positions advance, and all of it commits together. Kafka's own offsets are told afterwards, for lag
monitors only. After a rebalance or a restore the consumer goes where the database says, not where Kafka remembers.
"""

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping, Sequence, Set
from math import inf
from operator import attrgetter
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError

from libs.events import faults, metrics
from libs.events.ahead import reading
from libs.events.clock import Clock
from libs.events.contracts import Event
from libs.events.database import QUERIES, Database, Transaction, is_transient
from libs.events.logs import get_logger
from libs.events.numbering import Lane
from libs.events.ordering import Reaction, Refusals, TooManyRefused, as_poison, in_order
from libs.events.parking import Parked, divide, news_of, park, parked_keys, tell
from libs.events.position import Gap, Position, Verdict, place
from libs.events.records import Read
from libs.events.runs import Poll, Run, keys_of, one_by_one, read_poll, refused, take
from libs.events.topics import read_by

POLL_RECORDS = 5_000
AHEAD_FROM = POLL_RECORDS // 2  # records; fewer are no large poll, behind which the next one is read at once
FETCH_MS = 200
PROVE_SECONDS = 60.0
"""How often a lane at rest is looked at again: a log that was lost and filled up to our place looks like one."""
POISON_SHARE_MAX = 0.5
POISON_SHARE_FROM = 100  # records; fewer may well be all poison by chance

log = get_logger()


class NearlyAllPoison(Exception):
    """Most of what arrives can not be applied: something is wrong with this service or its producer, not a record."""


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """The worker of one service. `run` works until `stopping` is set; a new call starts from the stored positions."""

    def __init__(
        self,
        database: Database,
        kafka: AIOKafkaConsumer,
        service: str,
        reactions: Mapping[type[Event], Reaction],
        clock: Clock,
    ) -> None:
        self.database, self.kafka, self.service = database, kafka, service
        self.reactions, self.clock = reactions, clock
        self.stopping = asyncio.Event()
        self.gaps: dict[Lane, Gap] = {}
        self.to_search: set[TopicPartition] = set()
        self.failure: Exception | None = None
        self.seen = self.poisoned = 0
        self.wary = False
        self.told = self.proven = time.monotonic()
        self.moved: set[TopicPartition] = set()
        self.to_tell: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Apply what arrives. Raises NearlyAllPoison, and what Kafka raises; database trouble is waited out."""
        async with self.database.transaction() as tx:
            lanes = [
                (topic.producer, topic.name, lane)
                for topic in read_by(self.service)
                for lane in range(topic.partitions)
            ]
            sources, topics, numbers = zip(*lanes, strict=True)
            await QUERIES.position_open(tx, sources=sources, topics=topics, lanes=numbers)
        self.kafka.subscribe([topic.name for topic in read_by(self.service)], listener=self)
        async with reading(self._read) as read:
            while not self.stopping.is_set():
                runs, records = await read()
                if runs or records:
                    faults.point("consumer.read")
                    await self.apply(records, runs)
                    await self._search()
                await self._prove()
                await self.tell_kafka()

    async def _read(self) -> tuple[Poll, bool]:
        """The next poll, decoded, and whether it was large: then the next one is read while the database is at work on
        this one. That may be out of date when its turn comes; numbers and locks decide, as always."""
        fetched = await self._fetch()
        return await read_poll(fetched), sum(map(len, fetched.values())) >= AHEAD_FROM

    async def _fetch(self) -> Mapping[TopicPartition, list[Any]]:
        """The next records. Raises what kept us from going to our own positions after a rebalance."""
        try:
            fetched: Mapping[TopicPartition, list[Any]] = await self.kafka.getmany(
                timeout_ms=FETCH_MS, max_records=POLL_RECORDS
            )
        except (NoOffsetForPartitionError, OffsetOutOfRangeError):
            # Kafka remembers nothing for us, or its log is shorter than it was: only our own positions count.
            await self._go_to_positions(self.kafka.assignment())
            return {}
        if self.failure:
            raise self.failure
        return fetched

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Go to where the database says. The client swallows what a listener raises, so `run` raises it instead."""
        log.info("lanes assigned", lanes=len(assigned))
        try:
            await self._go_to_positions(assigned)
        except Exception as error:
            self.failure = error

    async def _go_to_positions(self, assigned: Collection[TopicPartition]) -> None:
        """Read these lanes from the last number that the database knows; a gap there is one that opens now."""
        if not assigned:
            return
        async with self.database.connection() as connection:
            rows = {(row["topic"], row["lane"]): row["number_at"] for row in await QUERIES.position_all(connection)}
        ends, begins = (
            await self.kafka.end_offsets(assigned),
            await self.kafka.beginning_offsets(assigned),
        )
        for partition in assigned:
            lane = (partition.topic, partition.partition)
            self.kafka.seek(partition, place(rows.get(lane, 0), begins[partition], ends[partition]))
            self.gaps.pop(lane, None)

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Nothing to save: a batch under way meets the next owner at the row lock, and one of the two finds repeats."""

    async def apply(self, records: Sequence[Read], runs: Sequence[Run] = ()) -> None:
        """Apply what a poll brought. Where something fails, it is found in savepoints of one transaction; what fails
        only at the commit is halved until the one that can not be applied stands alone.

        Where nearly all fails, a few are parked, so that the next start begins behind them. Raises NearlyAllPoison."""
        seen = self.seen + len(records) + sum(len(run.keys) for run in runs)
        most = seen * POISON_SHARE_MAX - self.poisoned if seen >= POISON_SHARE_FROM else inf
        try:
            self.poisoned += await self._apply_or_halve(records, runs, most)
        except TooManyRefused:
            await self._apply_or_halve(one_by_one(records, runs)[:POISON_SHARE_FROM])
            raise NearlyAllPoison(f"more than {most:.0f} of {seen} records could not be applied") from None
        self.seen = seen
        if self.seen >= POISON_SHARE_FROM:
            if self.poisoned > self.seen * POISON_SHARE_MAX:
                raise NearlyAllPoison(f"{self.poisoned} of {self.seen} records could not be applied")
            self.seen = self.poisoned = 0

    async def _apply_or_halve(self, records: Sequence[Read], runs: Sequence[Run] = (), most: float = inf) -> int:
        pause, wary = 0.1, self.wary
        while True:
            refusals = Refusals(most) if wary else None
            try:
                parked = await self.apply_once(records, runs, refusals)
                self.wary = bool(refusals and refusals.reasons)
                return parked
            except TooManyRefused:
                raise
            except Exception as error:
                if is_transient(error):
                    if self.stopping.is_set():
                        raise
                    log.warning("the database did not take a batch; trying again", records=len(records), exc_info=error)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 5.0)
                elif not wary:
                    wary = True
                elif runs:
                    records, runs = one_by_one(records, runs), ()
                elif len(records) == 1:
                    records[0].event, records[0].poison = None, as_poison(error)
                    log.warning("a reaction failed on an event", type=records[0].type, exc_info=error)
                else:
                    half = len(records) // 2
                    return await self._apply_or_halve(records[:half]) + await self._apply_or_halve(records[half:])

    async def apply_once(
        self, records: Sequence[Read], runs: Sequence[Run] = (), refusals: Refusals | None = None
    ) -> int:
        """One transaction: lock positions, apply the news, park the poison, advance. Returns how many were parked.

        Without `refusals` it raises what a reaction raises; with them it parks what reactions refuse.
        """
        started = time.perf_counter()
        async with self.database.transaction() as tx:
            positions = await self._lock(tx, {read.lane for read in records} | {run.lane for run in runs})
            held = await parked_keys(tx, keys_of(records, runs))
            verdicts, whole, mixed, others = take(positions, held, runs)
            taken = [run for run in runs if run.lane in verdicts]
            news = await news_of(tx, positions, [*records, *others], verdicts, mixed)
            healthy, poison = divide(news, held)
            if refusals:
                handed = [*whole, *healthy]
                await refusals.apply(tx, self.reactions, handed)
                if refusals.reasons:
                    _, more = divide(refused(handed, news, taken, refusals.reasons), set())
                    poison = sorted([*more, *poison], key=attrgetter("lane", "offset"))
            else:
                await self._give(tx, [*whole, *healthy])
            await park(tx, poison, self.clock.now())
            await self._advance(tx, verdicts)
            faults.point("consumer.applied")
        faults.point("consumer.committed")
        metrics.consumer_batch_seconds.observe(time.perf_counter() - started)
        self._account(verdicts, poison)
        return len(poison)

    async def _give(self, tx: Transaction, events: Sequence[Event]) -> None:
        for kind, group in in_order(events):
            if reaction := self.reactions.get(kind):
                await reaction(tx=tx, events=group)

    @staticmethod
    async def _lock(tx: Transaction, lanes: Set[Lane]) -> dict[Lane, Position]:
        topics, numbers = zip(*lanes, strict=True)
        return {
            (row["topic"], row["lane"]): Position(row["next_offset"], row["number"], row["epoch"], row["number_at"])
            for row in await QUERIES.position_lock(tx, topics=topics, lanes=numbers)
        }

    @staticmethod
    async def _advance(tx: Transaction, verdicts: Mapping[Lane, Verdict]) -> None:
        lanes = sorted(verdicts)
        await QUERIES.position_advance(
            tx,
            topics=[topic for topic, _ in lanes],
            lanes=[lane for _, lane in lanes],
            offsets=[verdicts[lane].after.next_offset for lane in lanes],
            numbers=[verdicts[lane].after.number for lane in lanes],
            epochs=[verdicts[lane].after.epoch for lane in lanes],
            numbers_at=[verdicts[lane].after.number_at for lane in lanes],
        )

    def _account(self, verdicts: Mapping[Lane, Verdict], poison: Sequence[Parked]) -> None:
        """Metrics and gap reports, after the commit."""
        for lane, verdict in verdicts.items():
            topic = lane[0]
            metrics.consumer_applied.labels(topic).inc(len(verdict.news))
            metrics.consumer_repeats.labels(topic).inc(verdict.repeats)
            partition = TopicPartition(*lane)
            self.to_tell[partition] = verdict.after.next_offset
            if verdict.news:
                self.moved.add(partition)
            self._watch_gap(lane, verdict)
        tell(poison)

    def _watch_gap(self, lane: Lane, verdict: Verdict) -> None:
        """Say when a lane begins to wait for a number, and when it has arrived."""
        known, gap = self.gaps.get(lane), verdict.gap
        if known and verdict.after.number >= known.first:
            del self.gaps[lane]
            known = None
            metrics.consumer_gap.labels(*map(str, lane)).set(0)
            log.info("the missing numbers have arrived; the lane goes on", topic=lane[0], lane=lane[1])
        if gap and known is None:
            self.gaps[lane] = gap
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

    async def _search(self) -> None:
        """Read a lane with a gap once more from its beginning: in a log that was lost and filled again, what is missing
        may stand before our place. Where it does not, the lane waits for the relay."""
        searched = self.to_search & self.kafka.assignment()
        self.to_search.clear()
        for partition, begin in (await self.kafka.beginning_offsets(list(searched)) if searched else {}).items():
            self.kafka.seek(partition, begin)

    async def _prove(self) -> None:
        """Now and then, see whether the logs of lanes without news are still those in which we have our places."""
        if time.monotonic() - self.proven > PROVE_SECONDS:
            still = self.kafka.assignment() - self.moved
            read = {lane for lane in still if await self.kafka.position(lane) == self.kafka.highwater(lane)}
            self.moved.clear()
            self.proven = time.monotonic()
            await self._go_to_positions(read)

    async def tell_kafka(self) -> None:
        """Tell Kafka where we are, once a second, for lag monitors. Nothing depends on it."""
        if self.to_tell and time.monotonic() - self.told > 1.0:
            held = self.kafka.assignment()
            offsets = {partition: offset for partition, offset in self.to_tell.items() if partition in held}
            self.to_tell, self.told = {}, time.monotonic()
            if offsets:
                with contextlib.suppress(Exception):
                    await self.kafka.commit(offsets)
