"""The two stores and the broker of the model, with the semantics of the SQL and of the log they stand for."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from libs.events.acknowledged import Logs
from libs.events.numbering import Lane, Numbers, Tail
from libs.events.parking import Parked
from libs.events.position import Position
from libs.events.records import Held, Read
from libs.events.runs import Run, counting_on
from libs.events.sifting import Standing
from libs.events.waiting import NEVER_PARKED, Mark, draw
from tests.model.decisions import Decisions

TOPIC = "topic"
LANES = 2
KEYS = ("a", "b", "c", "d")
BATCH_ROWS = 3  # small, so that batches end everywhere
Row = tuple[int, int, str, int, str, bytes]
Cursor = tuple[int, int]


def lane_of(key: str) -> int:
    return KEYS.index(key) % LANES


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of the model. Its class has the name of a contract, by which production groups and knows its topic."""

    TYPE: ClassVar[str] = "training-completed"
    id: str
    of: str

    def key(self) -> str:
        return self.of


class Undone(Happened):
    """Another type of the same topic."""

    TYPE = "training-rated"


def event_of(event_id: str, key: str) -> Happened:
    """The event of an id; every third is of the other type."""
    return (Undone if event_id[-1] in "258" else Happened)(event_id, key)


def as_run(reads: Sequence[Read]) -> Run | None:
    """polls.read_poll, of one lane"""
    records = [read for read in reads if read.number is not None]
    return counting_on(
        reads[0].lane,
        [read.number for read in records if read.number is not None],
        {read.epoch for read in records},
        [read.key or "" for read in records],
        [read.event for read in records],
        records,
        [read for read in reads if read.event is None],
    )


def _copy(lists: dict[str, list[str]]) -> dict[str, list[str]]:
    return defaultdict(list, {key: list(ids) for key, ids in lists.items()})


@dataclass(slots=True)
class Source:
    """The store of the producing service: outbox and relay row. `running` are open transactions, by xid."""

    next_xid: int = 1
    next_position: int = 1
    rows: list[Row] = field(default_factory=list)
    running: dict[int, list[Row]] = field(default_factory=dict)
    owner: str | None = None
    cursor: Cursor = (0, 0)
    numbers: Numbers = field(default_factory=dict)
    numbers_at: dict[Lane, int] = field(default_factory=dict)
    born: dict[Lane, int | None] = field(default_factory=dict)
    said: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """What was committed for each key, in the order in which the transactions held the lock of the key."""
    life: int = 1
    """How often this store was restored, for telling the histories apart; no part of production knows it."""

    def begin(self) -> int:
        """A transaction takes its xid with its first write or row lock, whatever it locks later."""
        xid = self.next_xid
        self.next_xid += 1
        self.running[xid] = []
        return xid

    def locked(self, key: str) -> int | None:
        """The running transaction that holds the lock of a key."""
        return next((xid for xid, rows in self.running.items() if any(row[4] == key for row in rows)), None)

    def add(self, xid: int, key: str, decisions: Decisions) -> None:
        """Announce one more event in a running transaction."""
        event_id = f"{self.life}.{self.next_position}"
        stamp = xid
        if decisions.stamped_when_added:
            stamp, self.next_xid = self.next_xid, self.next_xid + 1
        self.running[xid].append((stamp, self.next_position, TOPIC, lane_of(key), key, event_id.encode()))
        self.next_position += 1

    def commit(self, xid: int) -> None:
        rows = self.running.pop(xid)
        self.rows += rows
        for row in rows:
            self.said[row[4]].append(row[5].decode())

    def after(self, cursor: Cursor, decisions: Decisions) -> list[Row]:
        """outbox_after: the next rows to send."""
        xmin = min(self.running, default=self.next_xid)
        if not decisions.by_transaction:
            return sorted((row for row in self.rows if row[1] > cursor[1]), key=lambda row: row[1])[:BATCH_ROWS]
        rows = [row for row in self.rows if row[:2] > cursor and (row[0] < xmin or not decisions.below_xmin)]
        return sorted(rows)[:BATCH_ROWS]

    def lane_after(self, cursor: Cursor, lane: Lane, count: int) -> str | None:
        """outbox_lane_after: the id of an unsent row of a lane."""
        rows = sorted(row for row in self.rows if row[:2] > cursor and row[2:4] == lane)
        return rows[count - 1][5].decode() if 0 < count <= len(rows) else None

    def lane_before(self, cursor: Cursor, lane: Lane, count: int) -> Cursor | None:
        """outbox_lane_before: where the last `count` sent rows of a lane begin."""
        rows = sorted((row for row in self.rows if row[:2] <= cursor and row[2:4] == lane), reverse=True)
        return rows[count - 1][:2] if len(rows) >= count else None

    def store(self, owner: str, cursor: Cursor, numbers: Numbers, logs: Logs, decisions: Decisions) -> bool:
        """relay_store: cursor and numbers move together, and only for the owner."""
        if decisions.store_fenced and self.owner != owner:
            return False
        self.cursor = cursor
        if decisions.numbers_with_cursor:
            self.numbers.update(numbers)
            self.numbers_at.update({lane: logs.offsets[lane] for lane in numbers})
            self.born.update({lane: logs.born.get(lane) for lane in numbers})
        return True

    def rewind(self, owner: str, cursor: Cursor, decisions: Decisions) -> None:
        """relay_rewind: back to an earlier cursor; every number falls by the rows that will be sent again."""
        if decisions.rewind_fenced and self.owner != owner:
            return
        back = Counter((row[2], row[3]) for row in self.rows if cursor < row[:2] <= self.cursor)
        if decisions.rewind_numbers:
            for lane, rows in back.items():
                if lane in self.numbers:
                    self.numbers[lane] -= rows
                    self.numbers_at[lane] = -1
        if self.owner == owner:
            self.cursor = cursor

    def backup(self) -> "Source":
        """What a restored backup holds: what is committed. Its owner's connection is gone, so the relay is free."""
        return replace(
            self, rows=list(self.rows), running={}, owner=None, numbers=dict(self.numbers),
            numbers_at=dict(self.numbers_at), born=dict(self.born), said=_copy(self.said),
        )  # fmt: skip


@dataclass(slots=True)
class Sink:
    """The store of the consuming service: positions, parked records, effects. `locks` are held by open transactions."""

    positions: dict[Lane, Position] = field(default_factory=dict)
    marks: dict[Lane, Mark] = field(default_factory=lambda: defaultdict(lambda: NEVER_PARKED))
    parked: list[tuple[int, Parked]] = field(default_factory=list)
    effects: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    next_id: int = 1
    locks: dict[Lane, str] = field(default_factory=dict)

    def park(self, records: list[Parked]) -> None:
        for record in records:
            self.parked.append((self.next_id, record))
            self.next_id += 1

    def remove(self, ids: Collection[int]) -> None:
        """parked_done, parked_drop"""
        self.mark({record.lane for parked_id, record in self.parked if parked_id in ids})
        self.parked = [row for row in self.parked if row[0] not in ids]

    def mark(self, lanes: Collection[Lane]) -> None:
        """position_mark"""
        for lane in lanes:
            self.marks[lane] = Mark(draw(), self.marks[lane].furthest)

    def parked_keys(self, lanes: Collection[Lane]) -> Held:
        """parked_keys"""
        return {lane: {record.key for _, record in self.parked if record.key and record.lane == lane} for lane in lanes}

    def parked_before(self, strays: Sequence[Read]) -> set[Standing]:
        """parked_at"""
        places = {(read.lane, read.offset) for read in strays}
        return {
            (record.lane, record.offset, record.value)
            for _, record in self.parked
            if (record.lane, record.offset) in places
        }

    def backup(self) -> "Sink":
        return replace(
            self, positions=dict(self.positions), marks=self.marks.copy(), parked=list(self.parked),
            effects=_copy(self.effects), locks={},
        )  # fmt: skip


@dataclass(slots=True)
class Broker:
    """The log of every lane. A lane that loses its log starts again at offset 0."""

    logs: dict[Lane, list[Read]] = field(default_factory=lambda: {(TOPIC, lane): [] for lane in range(LANES)})
    lives: Counter[Lane] = field(default_factory=Counter)
    remembered: dict[Lane, int] = field(default_factory=dict)
    """Kafka's own offsets of the group, told when records are fetched: good for lag monitors alone."""

    def append(self, lane: Lane, key: str | None, event_id: str, number: int | None, epoch: int) -> int:
        log = self.logs[lane]
        event = event_of(event_id, key) if key and number is not None else None
        log.append(Read(lane, len(log), key, event_id.encode(), number, epoch, event))  # type: ignore[arg-type]
        return len(log) - 1

    def birth(self, lane: Lane) -> tuple[int, int] | None:
        """births: the first record of a lane."""
        return (0, self.lives[lane]) if self.logs[lane] else None

    def tail(self, lane: Lane, number: int, number_at: int, decisions: Decisions) -> Tail | None:
        """read_tails: how far a lane is complete."""
        log = self.logs[lane]
        proof, start = decisions.prove(number, number_at, 0, len(log))
        if not all(proof.add(read.offset, read.number, read.value.decode()) for read in log[start:]):
            return self.tail(lane, number, -1, decisions)
        return proof.tail(number)
