"""How the relay numbers what it sends, and how it judges its own topics: pure decisions, without I/O.

Within one lane (topic and partition) the numbers are contiguous from 1 in outbox order. They are a function of the
outbox alone: a relay that starts again, or a second one, gives the same events the same numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Lane: TypeAlias = tuple[str, int]
"""A topic and one of its partitions."""

Numbers: TypeAlias = dict[Lane, int]
"""The last number given in each lane; a lane that is missing has none yet."""

Outgoing: TypeAlias = dict[Lane, list[tuple[int, str, bytes]]]
"""What goes to each lane: number, key and value of every record, in order."""


def assign(numbers: Mapping[Lane, int], rows: Iterable[Sequence[Any]]) -> tuple[Outgoing, Numbers]:
    """Number outbox rows `(xid, position, topic, lane, key, value)` in their order.

    Returns what to send, by lane, and the last number of every lane that got one.
    """
    outgoing: Outgoing = {}
    after: Numbers = {}
    for _xid, _position, topic, lane_number, key, value in rows:
        lane = (topic, lane_number)
        number = after.get(lane)
        if number is None:
            number = numbers.get(lane, 0)
            outgoing[lane] = []
        number += 1
        after[lane] = number
        outgoing[lane].append((number, key, value))
    return outgoing, after


@dataclass(frozen=True, slots=True)
class Tail:
    """The newest numbered record of a lane, as Kafka holds it."""

    number: int
    event_id: str


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


def judge(lane: Lane, stored: int, tail: Tail | None, unsent_ids: Sequence[str]) -> Ahead | Behind | None:
    """Hold the tail of a lane against the stored number and the ids of the unsent rows that would be numbered next.

    After a crash the topic may be ahead of the stored number by rows that were sent but not recorded: those rows are
    still in the outbox and the tail's event id proves it. Anything else ahead was never in this database.
    """
    last = tail.number if tail else 0
    if last < stored:
        return Behind(lane, stored - last)
    if tail is None or last == stored:
        return None
    surplus = last - stored
    if surplus <= len(unsent_ids) and unsent_ids[surplus - 1] == tail.event_id:
        return None
    return Ahead(lane, stored + 1, last)
