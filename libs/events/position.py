"""What a consumer does with the next records of a lane: pure decisions, the same in tests and production.

The number decides, never the Kafka offset. Number <= last: a repeat, without effect. Number = last + 1: news. A jump:
the lane waits, and says what is missing; it reads on only to find the missing number, which the relay can send again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Position:
    """How far a service has come in one lane of one source.

    `number` is the last one applied, 0 before the first, and stands at the offset `number_at`. Everything before
    `next_offset` is dealt with.
    """

    next_offset: int = 0
    number: int = 0
    epoch: int = 0
    number_at: int = 0


class Seen(Protocol):
    """What decides about a record. `number` is None where no relay has numbered it."""

    @property
    def offset(self) -> int: ...
    @property
    def number(self) -> int | None: ...
    @property
    def epoch(self) -> int: ...


class Regular(Protocol):
    """What decides about a run: numbers that count on from `first`, one epoch, the last record at `offset`."""

    @property
    def first(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def keys(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers `first` to `last` have not arrived, and a later one has, at `offset`."""

    first: int
    last: int
    offset: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a run of records: the indices to apply, the strays to park, where the lane stands afterwards.

    A lane is read more than once, so a stray may be parked already.
    """

    news: Sequence[int]
    strays: Sequence[int]
    repeats: int
    gap: Gap | None
    after: Position


def place(number_at: int, begin: int, end: int) -> int:
    """Where to read on in a log that holds the offsets from `begin` up to `end`: at the last number, not behind it.

    It comes again as a repeat. If a later number stands there instead, the log was lost and filled again; that is a
    gap like any other, and makes the worker look from the beginning. So does a log that has no such offset.
    """
    return number_at if begin <= number_at < end else begin


def in_step(position: Position, run: Regular) -> Verdict | None:
    """What `sort_out` says of a run that counts on from the last number: all of it is news.

    None where the run must be looked at record by record: it begins elsewhere, or is of an older epoch.
    """
    if run.first != position.number + 1 or run.epoch < position.epoch:
        return None
    count = len(run.keys)
    after = Position(run.offset + 1, position.number + count, run.epoch, run.offset)
    return Verdict(range(count), (), 0, None, after)


def waits_for(known: Gap | None, verdict: Verdict) -> Gap | None:
    """The gap for which a lane waits after this verdict: the one it is `known` to wait for until that has arrived."""
    if known and verdict.after.number < known.first:
        return known
    return verdict.gap


def sort_out(position: Position, records: Sequence[Seen]) -> Verdict:
    """Tell news from repeats, strays and gaps, in offset order.

    While a number is missing the offset does not move, so that a restart finds the gap again. A record of an older
    epoch that is no repeat comes from a relay that was declared dead: it is a stray.
    """
    news: list[int] = []
    strays: list[int] = []
    repeats, gap = 0, None
    number, epoch, next_offset, number_at = position.number, position.epoch, position.next_offset, position.number_at
    for index, record in enumerate(records):
        if record.number is None or (record.number > number and record.epoch < epoch):
            strays.append(index)
        elif record.number <= number:
            repeats += 1
        elif record.number == number + 1:
            news.append(index)
            number, epoch, gap = record.number, record.epoch, None
        elif gap is None:
            gap = Gap(number + 1, record.number - 1, record.offset)
        # A record further on moves the offset only if it is news: repeats do not close a gap of an earlier poll.
        if gap is None and (record.offset <= next_offset or (news and news[-1] == index)):
            next_offset = record.offset + 1
            if record.number == number:
                number_at = record.offset
    return Verdict(
        news,
        strays,
        repeats,
        gap,
        Position(next_offset, number, epoch, number_at),
    )
