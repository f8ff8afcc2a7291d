"""How the relay numbers what it sends, and how it judges its own topics: pure decisions, without I/O.

Within one lane (topic and partition) the numbers are contiguous from 1 in outbox order. They are a function of the
outbox alone: a relay that starts again, or a second one, gives the same events the same numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Lane: TypeAlias = tuple[str, int]
"""A topic and one of its partitions."""

Numbers: TypeAlias = dict[Lane, int]
"""The last number given in each lane; a lane that is missing has none yet."""

Cursor: TypeAlias = tuple[int, int]
"""The place of an outbox row among all: transaction and position."""

Unsent: TypeAlias = tuple[str, int, Sequence[int], Sequence[int], Sequence[str], Sequence[bytes]]
"""What was read of one lane, as columns: topic, lane; xid, position, key and value of its rows."""

Outgoing: TypeAlias = dict[Lane, list[tuple[int, str, bytes]]]
"""What goes to each lane: number, key and value of every record, in order."""


def in_order(unsent: Unsent) -> Unsent:
    """The rows in outbox order. PostgreSQL fills an array in the order it reads, but does not promise to."""
    topic, lane, xids, positions, keys, values = unsent
    places = list(zip(xids, positions, strict=True))
    if places == sorted(places):
        return unsent
    xids, positions, keys, values = zip(*sorted(zip(xids, positions, keys, values, strict=True)), strict=True)
    return topic, lane, xids, positions, keys, values


def cursor_behind(lanes: Iterable[Unsent]) -> Cursor:
    """The place of the last row of all, if each lane is in order."""
    return max((xids[-1], positions[-1]) for _, _, xids, positions, _, _ in lanes)


def assign(numbers: Mapping[Lane, int], lanes: Iterable[Unsent]) -> tuple[Outgoing, Numbers]:
    """Number the rows of each lane in their order. A lane comes once.

    Returns what to send, by lane, and the last number of every lane that got one.
    """
    outgoing: Outgoing = {}
    after: Numbers = {}
    for topic, lane_number, _, _, keys, values in lanes:
        lane = (topic, lane_number)
        number = numbers.get(lane, 0)
        after[lane] = number + len(keys)
        outgoing[lane] = list(zip(range(number + 1, after[lane] + 1), keys, values, strict=True))
    return outgoing, after


@dataclass(frozen=True, slots=True)
class Tail:
    """The newest record of a lane up to which Kafka lacks none."""

    number: int
    event_id: str
    next_id: str = ""
    """The id of the first record with the number behind the stored one: readers apply that. Empty: there is none."""


Births: TypeAlias = dict[Lane, tuple[int, int]]
"""Offset and moment (milliseconds) of the first record that Kafka has of each lane; a lane that is missing is empty."""


def same_log(known: int | None, birth: tuple[int, int] | None) -> bool:
    """Whether a log whose first record is of the moment `known` has not been lost and begun again since.

    A log that does not begin at offset 0 has lost its beginning to retention, and tells nothing.
    """
    return birth is not None and (birth[0] > 0 or birth[1] == known)


@dataclass(slots=True)
class Proof:
    """How far a lane is complete, as far as it was read. Begin with `prove`.

    A log that was lost while a relay went on holds later numbers before earlier ones, in whole runs: those are `apart`.
    """

    number: int | None
    """Everything up to here is there, or was until retention took it; None while nothing tells where that was."""
    event_id: str = ""
    number_at: int = -1
    """The offset at which the next record must be, and be the next number; -1 when it may be any."""
    apart: list[tuple[int, int, str]] = field(default_factory=list)
    stored: int = 0
    next_id: str = ""

    def add(self, offset: int, number: int | None, event_id: str) -> bool:
        """The next record, in offset order. False when this is not the log that acknowledged the last number."""
        if self.number_at >= 0:
            if offset != self.number_at or self.number is None or number != self.number + 1:
                return False
            self.number_at = -1
        if number is None:
            return True
        if number == self.stored + 1 and not self.next_id:
            self.next_id = event_id
        if self.number is None or number == self.number + 1:
            self.number, self.event_id = number, event_id
            while run := next((run for run in self.apart if run[0] <= self.number + 1 <= run[1]), None):
                _, self.number, self.event_id = run
        elif number > self.number:
            joined = bool(self.apart) and self.apart[-1][1] + 1 == number
            first = self.apart.pop()[0] if joined else number
            self.apart.append((first, number, event_id))
        return True

    def tail(self, stored: int) -> Tail | None:
        """Where the lane stops being complete; None where it never began. `stored` is believed of an empty lane."""
        number = stored if self.number is None else self.number
        return Tail(number, self.event_id, self.next_id) if number else None


def prove(number: int, number_at: int, begin: int, end: int) -> tuple[Proof, int]:
    """Prove a lane that holds the offsets from `begin` up to `end`: where to start reading, and what to expect there.

    If the last number stands where it was acknowledged, nothing before it is missing. If the log has no such offset,
    everything is read; numbers before a beginning that retention has moved were there.
    """
    if begin <= number_at < end:
        return Proof(number - 1, number_at=number_at, stored=number), number_at
    return Proof(None if begin else 0, stored=number), begin


@dataclass(frozen=True, slots=True)
class Ahead:
    """A topic holds events that this database does not: the database is older than its own topics."""

    lane: Lane
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Behind:
    """A topic lacks events that were sent: the broker has lost its log, and the relay must send them again."""

    lane: Lane
    missing: int


def judge(
    lane: Lane, stored: int, tail: Tail | None, unsent_id: str | None, next_unsent_id: str | None = None
) -> Ahead | Behind | None:
    """Hold the tail of a lane against the stored number, and the ids of the unsent rows that would get its number and
    the one behind the stored.

    After a crash the topic may be ahead of the stored number by rows that were sent but not recorded: those rows are
    still in the outbox and the ids of the first and the last prove it. The last alone does not: a relay of an older
    epoch may have sent first. Anything else ahead was never in this database.
    """
    last = tail.number if tail else 0
    if last < stored:
        return Behind(lane, stored - last)
    if tail is None or last == stored:
        return None
    if tail.event_id == unsent_id and tail.next_id in ("", next_unsent_id):
        return None
    return Ahead(lane, stored + 1, last)
