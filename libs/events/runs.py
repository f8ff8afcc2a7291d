"""The records of one lane in a poll, taken as one where that is as good as one by one.

Where every record is what a relay writes (regular.py), has its own key, and follows the one before, nothing is decided
for a single record. Poison and strays in between do not spoil the rest: only they, and what else is of their keys, are
looked at record by record. So is a lane whose numbers do not count on.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import compress
from operator import attrgetter
from typing import Any, TypeVar, cast

from libs.events.codec import Poison
from libs.events.contracts import Event
from libs.events.numbering import Lane
from libs.events.position import Position, Verdict, in_step
from libs.events.records import Held, Read

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run:
    """Records whose numbers count on from `first`, of one epoch. Poison and strays among them stand in `others`."""

    lane: Lane
    first: int
    epoch: int
    offset: int
    """Where the last numbered record stands."""
    keys: Sequence[str]
    """By number, as are `events` and `records`."""
    events: Sequence[Event | None]
    """None where the record is poison."""
    records: Sequence[Any]
    others: Sequence[Read] = ()
    """In offset order."""

    def places_of(self, some: Set[str]) -> list[int]:
        """Where one of these keys stands."""
        return list(compress(range(len(self.keys)), map(some.__contains__, self.keys)))

    def reads(self, places: Iterable[int] | None = None) -> list[Read]:
        """The same, each record by itself, as `look_at` has it: all, or only the others and those at these places."""
        reads = self.events_at(range(len(self.keys)) if places is None else places)
        return sorted([*reads, *self.others], key=attrgetter("offset")) if self.others else reads

    def events_at(self, places: Iterable[int]) -> list[Read]:
        """The records at these places that hold an event, each by itself."""
        return [
            Read(
                self.lane, self.records[at].offset, self.keys[at], self.records[at].value, self.first + at, self.epoch,
                event, None, event.TYPE,
            )
            for at in places
            if (event := self.events[at]) is not None
        ]  # fmt: skip

    def behind(self, number: int) -> "Run":
        """The same without repeats: what follows `number`. As it is where that is nothing.

        Whoever comes back to a lane begins at the last number, not behind it (`position.place`).
        """
        count = number + 1 - self.first
        if not 0 < count < len(self.keys):
            return self
        return replace(
            self, first=number + 1, keys=self.keys[count:], events=self.events[count:], records=self.records[count:],
            others=[read for read in self.others if read.number is None or read.number > number],
        )  # fmt: skip


def counting_on(
    lane: Lane, numbers: Sequence[int], epochs: Set[int], keys: Sequence[str], events: Sequence[Event | None],
    records: Sequence[Any], others: Sequence[Read],
) -> Run | None:  # fmt: skip
    """The numbered records of a lane as a run, with what else stands among them; None where their numbers do not count
    on from the first, or are of several epochs."""
    if len(epochs) != 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return None
    return Run(lane, numbers[0], min(epochs), records[-1].offset, keys, events, records, others)


@dataclass(slots=True)
class Taken:
    """What becomes of the runs of a poll."""

    verdicts: dict[Lane, Verdict] = field(default_factory=dict)
    """Of runs that are news."""
    events: list[Event] = field(default_factory=list)
    """Theirs, as far as nothing holds them up."""
    keys: list[str] = field(default_factory=list)
    """Those of the events."""
    mixed: list[Read] = field(default_factory=list)
    """Their records that are poison or of keys with poison."""
    others: list[Read] = field(default_factory=list)
    """The records of all other runs, one by one."""


def take(positions: Mapping[Lane, Position], held: Held, runs: Sequence[Run]) -> Taken:
    """Take the runs that are news."""
    taken = Taken()
    for whole in runs:
        run = whole.behind(positions[whole.lane].number)
        verdict = in_step(positions[run.lane], run)
        if not verdict:
            taken.others += whole.reads()
            continue
        places = _held_up(run, held.get(run.lane, set()))
        _add_without(taken.events, cast(Sequence[Event], run.events), places)
        _add_without(taken.keys, run.keys, places)
        if places or run.others:
            verdict = replace(verdict, after=_behind(verdict.after, run.others))
            taken.mixed += run.reads(places)
        taken.verdicts[run.lane] = replace(verdict, repeats=run.first - whole.first)
    return taken


def _held_up(run: Run, waiting: set[str]) -> Sequence[int]:
    """Where a key stands that waits, or has something in `others`: all are looked up in one pass, since their keys
    are in no cache any more, and nothing is copied, since very many may wait."""
    own = {read.key or "" for read in run.others} - waiting
    waiting |= own
    places = run.places_of(waiting) if waiting else ()
    waiting -= own
    return places


def _add_without(column: list[T], more: Sequence[T], places: Sequence[int]) -> None:
    """Add more without these few places, which are in order."""
    count = len(column)
    column += more
    for place in reversed(places):
        del column[count + place]


def _behind(after: Position, others: Sequence[Read]) -> Position:
    """Behind the strays at the end, too."""
    for read in others:
        if read.offset == after.next_offset:
            after = replace(after, next_offset=read.offset + 1)
    return after


def keys_of(records: Sequence[Read], runs: Sequence[Run]) -> list[str]:
    """The keys of all that a poll brought."""
    reads = [*records, *(read for run in runs for read in run.others if read.number is None)]
    return [read.key for read in reads if read.key] + [key for run in runs for key in run.keys if key]


def refused(
    healthy: Sequence[Event], news: Sequence[Read], runs: Sequence[Run], reasons: Mapping[int, Poison], keys: Set[str]
) -> list[Read]:
    """The records of the `healthy` news, and of a run those of `keys`, of which each has a refused event.

    `reasons` are by `id` of the event."""
    handed, known = set(map(id, healthy)), {id(read.event) for read in news}
    more = [read for run in runs for read in run.events_at(run.places_of(keys)) if id(read.event) not in known]
    return [
        replace(read, event=None, poison=reasons[id(read.event)]) if id(read.event) in reasons else read
        for read in [*more, *(read for read in news if id(read.event) in handed)]
    ]


def one_by_one(records: Sequence[Read], runs: Sequence[Run]) -> list[Read]:
    """All records, lane by lane."""
    return sorted([*records, *(read for run in runs for read in run.reads())], key=lambda read: read.lane)
