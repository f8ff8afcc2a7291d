"""Takes what others say and applies it exactly once, in order per key.

One poll is one transaction: the positions of its lanes are locked, repeats are told by number, reactions get the news
as lists, the positions advance, and all of it commits together. Where each lane is read from: `places.py`.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence, Set
from math import inf
from operator import attrgetter

from aiokafka import AIOKafkaConsumer

from libs.events import faults, metrics
from libs.events.ahead import reading
from libs.events.clock import Clock
from libs.events.contracts import Event
from libs.events.database import QUERIES, Database, Transaction, is_transient
from libs.events.logs import get_logger
from libs.events.numbering import Lane
from libs.events.ordering import Reaction, Refusals, TooManyRefused, as_poison
from libs.events.parking import BEHIND, Notices, Parked, columns, divide, parked_before, parked_keys
from libs.events.places import Places
from libs.events.polls import Poll, read_poll
from libs.events.position import Position, Verdict
from libs.events.records import Read
from libs.events.runs import Run, keys_of, one_by_one, refused, take
from libs.events.sifting import sift
from libs.events.topics import read_by
from libs.events.waiting import Mark, Waiting, marks_after

POLL_RECORDS = 5_000
AHEAD_FROM = POLL_RECORDS // 2  # records; fewer are no large poll, behind which the next one is read at once
POISON_SHARE_MAX = 0.5
POISON_SHARE_FROM = 100  # records; fewer may well be all poison by chance

log = get_logger()


class NearlyAllPoison(Exception):
    """Most of what arrives can not be applied: something is wrong with this service or its producer, not a record."""


class Consumer:
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
        self.places, self.waiting, self.notices = Places(database, kafka), Waiting(), Notices()
        self.stopping = asyncio.Event()
        self.seen = self.poisoned = 0
        self.wary = False

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
        self.kafka.subscribe([topic.name for topic in read_by(self.service)], listener=self.places)
        try:
            async with reading(self._read) as read:
                while not self.stopping.is_set():
                    runs, records = await read()
                    if runs or records:
                        faults.point("consumer.read")
                        await self.apply(records, runs)
                    self.notices.say()
                    await self.places.tend()
        finally:
            self.notices.say(at_once=True)

    async def _read(self) -> tuple[Poll, bool]:
        """The next poll, decoded, and whether it was large: then the next one is read while the database is at work on
        this one. That may be out of date when its turn comes; numbers and locks decide, as always."""
        fetched = await self.places.fetch(POLL_RECORDS)
        return await read_poll(fetched), sum(map(len, fetched.values())) >= AHEAD_FROM

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
            refusals = Refusals(most, wary=wary)
            try:
                parked = await self.apply_once(records, runs, refusals)
                self.wary = refusals.failed
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
                elif len(records) == 1 and records[0].poison:
                    raise  # nothing but parking it is left to do, and that fails: not for anything in the record
                elif len(records) == 1:
                    log.warning("a reaction failed on an event", type=records[0].type, exc_info=error)
                    records[0].event, records[0].poison = None, as_poison(error)
                else:
                    half = len(records) // 2
                    return await self._apply_or_halve(records[:half]) + await self._apply_or_halve(records[half:])

    async def apply_once(self, records: Sequence[Read], runs: Sequence[Run], refusals: Refusals) -> int:
        """One transaction: lock positions, apply the news, park the poison and what reactions refuse, advance. Returns
        how many were parked, not counting what only stands behind them.
        """
        started = time.perf_counter()
        async with self.database.transaction() as tx:
            positions, marks = await self._lock(tx, {read.lane for read in records} | {run.lane for run in runs})
            held, unknown = self.waiting.take(marks)
            asked, whole = await parked_keys(tx, unknown, lambda: keys_of(records, runs))
            held |= asked
            taken = take(positions, held, runs)
            regular = [run for run in runs if run.lane in taken.verdicts]
            sifted = sift(positions, [*records, *taken.others], taken.mixed)
            news = sifted.news_without(await parked_before(tx, sifted.perhaps_parked(marks)))
            verdicts = taken.verdicts | sifted.verdicts
            healthy, poison = divide(news, held)
            events, keys = [*taken.events, *healthy], [*taken.keys, *(event.key() for event in healthy)]
            await refusals.apply(tx, self.reactions, events, keys)
            if refusals.reasons:
                _, more = divide(refused(healthy, news, regular, refusals.reasons, refusals.keys), {})
                poison = sorted([*more, *poison], key=attrgetter("lane", "offset"))
            marks = marks_after(marks, ((record.lane, record.offset) for record in poison))
            await self._advance(tx, verdicts, marks, poison)
            faults.point("consumer.applied")
        faults.point("consumer.committed")
        if whole:
            for record in poison:
                held.setdefault(record.lane, set()).update([record.key] if record.key else [])
            self.waiting.keep(marks, held)
        metrics.consumer_batch_seconds.observe(time.perf_counter() - started)
        self._account(verdicts, poison)
        return sum(one.reason.reason != BEHIND for one in poison)

    @staticmethod
    async def _lock(tx: Transaction, lanes: Set[Lane]) -> tuple[dict[Lane, Position], dict[Lane, Mark]]:
        """The positions and marks of these lanes."""
        topics, numbers = zip(*lanes, strict=True)
        rows = {
            (row["topic"], row["lane"]): row for row in await QUERIES.position_lock(tx, topics=topics, lanes=numbers)
        }
        positions = {
            lane: Position(row["next_offset"], row["number"], row["epoch"], row["number_at"])
            for lane, row in rows.items()
        }
        return positions, {lane: Mark(row["mark"], row["furthest"]) for lane, row in rows.items()}

    async def _advance(
        self, tx: Transaction, verdicts: Mapping[Lane, Verdict], marks: Mapping[Lane, Mark], poison: Sequence[Parked]
    ) -> None:
        lanes = sorted(verdicts)
        await QUERIES.position_advance(
            tx,
            topics=[topic for topic, _ in lanes],
            lanes=[lane for _, lane in lanes],
            offsets=[verdicts[lane].after.next_offset for lane in lanes],
            numbers=[verdicts[lane].after.number for lane in lanes],
            epochs=[verdicts[lane].after.epoch for lane in lanes],
            numbers_at=[verdicts[lane].after.number_at for lane in lanes],
            marks=[marks[lane].drawn for lane in lanes],
            furthest=[marks[lane].furthest for lane in lanes],
            now=self.clock.now(),
            **columns(poison),
        )

    def _account(self, verdicts: Mapping[Lane, Verdict], poison: Sequence[Parked]) -> None:
        """Metrics and reports, after the commit."""
        for (topic, _), verdict in verdicts.items():
            metrics.consumer_applied.labels(topic).inc(len(verdict.news))
            metrics.consumer_repeats.labels(topic).inc(verdict.repeats)
        self.places.note(verdicts)
        self.notices.note(poison)
