"""The processes of the model: relay and worker as generators that stop at every point where they may die.

Each follows its namesake in `libs.events` step by step. To crash one is to forget it; to pause one is not to move it.
What it says when it stops is the name of the fault point, or of the wait, at which it stands.
"""

from collections.abc import Generator, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, cast

from libs.events import codec
from libs.events.acknowledged import NONE_YET, Logs
from libs.events.numbering import Ahead, Behind, Lane, Numbers
from libs.events.ordering import CanNotApply
from libs.events.position import Gap, Position, Verdict, waits_for
from libs.events.records import Read
from libs.events.runs import Run, refused
from libs.events.sifting import sift
from libs.events.waiting import Waiting, marks_after
from tests.model.reactions import react
from tests.model.stores import Cursor, Happened, Row, Sink, Source, as_run
from tests.support import by_lane

if TYPE_CHECKING:
    from tests.model.world import World

Process = Generator[str, int, None]

UnderWay = tuple[Cursor, Numbers, list[tuple[Lane, int]]]
"""The cursor behind a batch, its last numbers, and the offset of each record."""


class Dead(Exception):
    """The process can not go on: it was fenced, or its store is gone."""


def relay(world: "World", name: str) -> Process:
    """relay.Relay.run"""
    source, decisions = world.source, world.decisions
    yield "relay.waits"
    source.owner = name  # silence may be taken for death at any moment
    logs = decisions.logs()
    if decisions.checked_at_start:
        logs = decisions.logs(*(yield from _check(world, source, name)))
    yield "relay.loads"
    ahead: Cursor = source.cursor
    if not decisions.loaded_at_once:
        yield "relay.loads"
    numbers = dict(source.numbers)
    logs.stored((lane, at, source.born.get(lane)) for lane, at in source.numbers_at.items())
    under_way: UnderWay | None = None
    cursor, unstored, luck = ahead, Numbers(), 0
    while True:
        same(world, source)
        rows, before = source.after(ahead, decisions), under_way
        under_way = None
        if rows:
            ahead = rows[-1][:2]
            yield "relay.read"
            under_way = yield from _send(world, source, name, numbers, logs, rows)
        if before:
            cursor, after, places = before
            for lane, offset in places:
                logs.acknowledge(lane, offset, 1)
            unstored |= after
            luck = yield "relay.acknowledged"
        if unstored and (luck % 2 or not rows):  # time decides when; it never stays unstored for long
            same(world, source)
            if not source.store(name, cursor, unstored, logs, decisions):
                raise Dead("fenced")
            unstored = {}
            yield "relay.stored"
        if not rows:
            luck = yield "relay.idle"
            if luck % 2:
                ends = {lane: len(log) for lane, log in world.broker.logs.items()}
                logs.look({lane: birth for lane in ends if (birth := world.broker.birth(lane))}, ends)


def _send(
    world: "World", source: Source, name: str, numbers: Numbers, logs: Logs, rows: Sequence[Row]
) -> Generator[str, int, UnderWay]:  # fmt: skip
    """relay.Relay.send"""
    decisions, cursor = world.decisions, rows[-1][:2]
    outgoing, after = decisions.assign(numbers, by_lane(rows))
    numbers.update(after)
    if not decisions.acknowledged_first:
        source.store(name, cursor, after, Logs(logs.born, {}, dict.fromkeys(after, NONE_YET)), decisions)
    acknowledged: list[tuple[Lane, int]] = []
    for lane, records in outgoing.items():
        for number, key, value in records:
            acknowledged.append((lane, world.append(lane, key, bytes(value).decode(), number)))
            yield "relay.sent"
    return cursor, after, acknowledged


def same(world: "World", store: Source | Sink) -> None:
    if world.source is not store and world.sink is not store:
        raise Dead("the store has been restored")


def _check(world: "World", source: Source, name: str) -> Generator[str, int, tuple[dict[Lane, int], dict[Lane, int]]]:
    """restore.check_restore"""
    tails, ends = {}, {}
    births = {lane: world.broker.birth(lane) for lane in world.broker.logs}
    cursor, numbers, numbers_at, born = source.cursor, dict(source.numbers), dict(source.numbers_at), dict(source.born)
    for lane in world.broker.logs:
        yield "relay.checks"
        number, number_at = numbers.get(lane, 0), numbers_at.get(lane, -1)
        if not world.decisions.same_log(born.get(lane), births[lane]):
            number_at = -1
        tails[lane] = world.broker.tail(lane, number, number_at, world.decisions)
        ends[lane] = len(world.broker.logs[lane])
    yield "relay.checked"
    same(world, source)
    ahead, behind = [], []
    for lane, tail in tails.items():
        number = numbers.get(lane, 0)
        unsent = source.lane_after(cursor, lane, tail.number - number) if tail else None
        match world.decisions.judge(lane, number, tail, unsent, source.lane_after(cursor, lane, 1)):
            case Ahead() as found:
                ahead.append(found)
            case Behind() as found:
                behind.append(found)
    if ahead:
        world.refuse(ahead)
    starts = [row for lost in behind if (row := source.lane_before(cursor, lost.lane, lost.missing))]
    if starts:
        yield "relay.rewinds"
        same(world, source)
        xid, position = min(starts)
        world.seen["rewound"] += 1
        source.rewind(name, (xid, position - 1), world.decisions)
    return {lane: birth[1] for lane, birth in births.items() if birth}, ends


class Worker:
    """consumer.Consumer"""

    def __init__(self, world: "World", name: str) -> None:
        self.world, self.name, self.sink, self.decisions = world, name, world.sink, world.decisions
        self.here: dict[Lane, int] = {}
        self.generation = -1
        self.gaps: dict[Lane, Gap] = {}
        self.waiting = Waiting()
        self.wary = False

    def run(self) -> Process:
        luck = yield "worker.joins"
        while True:
            # A worker may be late to learn that its lanes were given away, and fetch on until then.
            if self.generation < 0 or (self.generation != self.world.generation and luck % 3):
                self.generation = self.world.generation
                self.go_to_positions(self.world.lanes_of(self.name))
            if any(here > len(self.world.broker.logs[lane]) for lane, here in self.here.items()):
                self.go_to_positions(list(self.here))  # OffsetOutOfRangeError
            records = self.fetch(2 + luck % 4)
            if records:
                yield "consumer.read"
                yield from self.apply(records)
            luck = yield "worker.polls" if records else "worker.idle"
            if not records and luck % 5 == 4:
                self.go_to_positions(list(self.here))  # Places._prove

    def go_to_positions(self, lanes: Sequence[Lane]) -> None:
        _reconnect(self)
        self.here = {}
        for lane in lanes:
            position = self.sink.positions.get(lane, Position())
            end = len(self.world.broker.logs[lane])
            self.here[lane] = self.decisions.place(position.number_at, 0, end)
            if not self.decisions.place_proven and position.next_offset <= end:
                self.here[lane] = position.next_offset
            if not self.decisions.place_of_database:
                self.here[lane] = min(self.world.broker.remembered.get(lane, 0), end)
            self.gaps.pop(lane, None)

    def fetch(self, count: int) -> list[Read]:
        found = []
        for lane in sorted(self.here):
            records = self.world.broker.logs[lane][self.here[lane] : self.here[lane] + count]
            self.here[lane] += len(records)
            self.world.broker.remembered[lane] = self.here[lane]
            found += [self.look_at(read) for read in records]
        return found

    def look_at(self, read: Read) -> Read:
        """records.look_at"""
        if read.value.decode() in self.world.unreadable:
            return replace(read, event=None, poison=codec.Poison("unknown-version", "this service is older"))
        if read.number is None:
            return replace(read, event=None, poison=codec.Poison("no-number", "a stranger's record"))
        return replace(read)

    def apply(self, records: Sequence[Read]) -> Process:
        """Consumer._apply_or_halve"""
        while True:
            try:
                yield from self.apply_once(records)
            except Dead:  # the connection is gone, which is no fault of the records
                continue
            except (CanNotApply, codec.Poison):
                self.wary = True
            else:
                return

    def apply_once(self, records: Sequence[Read]) -> Process:
        """Consumer.apply_once"""
        _reconnect(self)
        sink, decisions = self.sink, self.decisions
        lanes = sorted({read.lane for read in records})
        if decisions.position_locked:
            yield from lock(self.world, sink, lanes, self.name)
        marks = {lane: sink.marks[lane] for lane in lanes}
        held, unknown = self.waiting.take(marks)
        held |= sink.parked_keys(unknown)
        positions = {lane: sink.positions.get(lane, Position()) for lane in lanes}
        runs, loose = list[Run](), list[Read]()
        for lane in lanes:
            reads = [read for read in records if read.lane == lane]
            if regular := as_run(reads):
                runs.append(regular)
            else:
                loose += reads
        taken = decisions.take(positions, held, runs)
        runs = [run for run in runs if run.lane in taken.verdicts]
        self.world.seen["taken as a whole"] += sum(len(run.keys) > 1 for run in runs)
        self.world.seen["taken with poison inside"] += sum(bool(run.others) for run in runs)
        sifted = sift(positions, [*loose, *taken.others], taken.mixed, decisions.sort_out)
        again = sifted.perhaps_parked(marks) if decisions.strays_told else []
        news, verdicts = sifted.news_without(sink.parked_before(again)), taken.verdicts | sifted.verdicts
        healthy, poison = decisions.divide(news, held)
        events, keys = [*taken.events, *healthy], [*taken.keys, *(event.key() for event in healthy)]
        try:
            refusals, done = react(self.world, cast(list[Happened], events), keys, wary=self.wary)
        except Exception:
            unlock(sink, self.name)
            raise
        self.wary = refusals.failed
        if refusals.reasons:
            found = refused(healthy, news, runs, refusals.reasons, refusals.keys)
            poison = sorted([*decisions.divide(found, {})[1], *poison], key=attrgetter("lane", "offset"))
        yield "consumer.applied"
        same(self.world, sink)
        self.world.effect(done)
        sink.park(poison)
        if decisions.parking_marks:
            marks = marks_after(marks, ((record.lane, record.offset) for record in poison))
            sink.marks.update(marks)
        self.world.seen.update(f"parked: {record.reason.reason}" for record in poison)
        if not decisions.one_transaction:
            yield "consumer.committed"
        sink.positions.update({lane: verdict.after for lane, verdict in verdicts.items()})
        unlock(sink, self.name)
        if decisions.one_transaction:
            yield "consumer.committed"
        for record in poison:
            held[record.lane] |= {record.key} if record.key else set()
        self.waiting.keep(marks, held)
        self.account(verdicts)

    def account(self, verdicts: dict[Lane, Verdict]) -> None:
        """Places.note and _search: a gap that opens makes the worker search."""
        for lane, verdict in verdicts.items():
            self.world.seen["repeats"] += verdict.repeats
            known = self.gaps.pop(lane, None)
            gap = waits_for(known, verdict)
            if gap:
                self.gaps[lane] = gap
            if gap and gap is not known and self.decisions.search_on_gap and lane in self.here:
                self.here[lane] = 0


def _reconnect(worker: Worker) -> None:
    """A pool opens a new connection after a restore; a worker that lived through it goes on with the new store."""
    worker.sink = worker.world.sink


def lock(world: "World", sink: Sink, lanes: Sequence[Lane], name: str) -> Process:
    """position_lock"""
    while any(sink.locks.get(lane, name) != name for lane in lanes):
        yield "waits for a lock"
        same(world, sink)
    sink.locks.update(dict.fromkeys(lanes, name))


def unlock(sink: Sink, name: str) -> None:
    for lane in [lane for lane, holder in sink.locks.items() if holder == name]:
        del sink.locks[lane]
