"""The records of one lane in a poll, taken as one where that is as good as one by one.

Where every record is what a relay writes (regular.py), has its own key, and follows the one before, nothing is decided
for a single record. Poison and strays in between do not spoil the rest: only they, and what else is of their keys, are
looked at record by record. So is a lane whose numbers do not count on.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import compress, pairwise
from operator import attrgetter
from typing import Any, Final, TypeAlias, cast

from libs.events import regular
from libs.events.codec import NUL, NUMBER_DIGITS_MAX, VALUE_BYTES_MAX, Poison
from libs.events.contracts import Event
from libs.events.numbering import Lane
from libs.events.position import Position, Verdict, in_step
from libs.events.records import KEY_BYTES_MAX, Held, Read, look_at, without

TOGETHER: Final = 250
"""Records read at once: enough for the price of a call to vanish, and few, since the poll before waits for them each
time the store has answered it. With 500 at a stretch its short statements took milliseconds each, all was read before
its long ones began, and then nobody had work: timelines were rebuilt at 64,000 a second instead of 74,000. So others
have a turn in the middle, too."""

KEY, VALUE = attrgetter("key"), attrgetter("value")
SEQUENCE, EPOCH = attrgetter("sequence"), attrgetter("epoch")


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


Poll: TypeAlias = tuple[list[Run], list[Read]]


async def read_poll(fetched: Mapping[Any, Sequence[Any]]) -> Poll:
    """What a poll brought, lane by lane: regular runs, and the records of all other lanes. Others have their turn in
    between: a poll is read while the one before it is with the database."""
    runs, others = list[Run](), list[Any]()
    for partition in sorted(fetched):
        if fetched[partition]:
            run = await read_run((partition.topic, partition.partition), fetched[partition])
            if run:
                runs.append(run)
            else:
                others += fetched[partition]
    return runs, look_at(others)


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
        waiting = held.get(run.lane, set()).intersection(run.keys)
        verdict = in_step(positions[run.lane], run, waiting)
        if verdict and not run.others:
            taken.events += cast(Sequence[Event], run.events)
            taken.keys += run.keys
        elif verdict := verdict or in_step(positions[run.lane], run, frozenset()):
            verdict = replace(verdict, after=_behind(verdict.after, run.others))
            places = places_of(run.keys, waiting | {read.key or "" for read in run.others})
            taken.events += cast(Sequence[Event], without(run.events, places))
            taken.keys += without(run.keys, places)
            taken.mixed += run.reads(places)
        else:
            taken.others += whole.reads()
            continue
        taken.verdicts[run.lane] = replace(verdict, repeats=run.first - whole.first)
    return taken


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
    theirs = [run for run in runs if not keys.isdisjoint(run.keys)]
    more = [read for run in theirs for read in run.events_at(places_of(run.keys, keys)) if id(read.event) not in known]
    return [
        replace(read, event=None, poison=reasons[id(read.event)]) if id(read.event) in reasons else read
        for read in [*more, *(read for read in news if id(read.event) in handed)]
    ]


def places_of(keys: Sequence[str], some: Set[str]) -> list[int]:
    """Where one of these keys stands."""
    return list(compress(range(len(keys)), map(some.__contains__, keys)))


def one_by_one(records: Sequence[Read], runs: Sequence[Run]) -> list[Read]:
    """All records, lane by lane."""
    return sorted([*records, *(read for run in runs for read in run.reads())], key=lambda read: read.lane)


async def read_run(lane: Lane, records: Sequence[Any]) -> Run | None:
    """These records of a lane, in offset order, as a run, or None."""
    numbers, epochs = list[int](), set[int]()
    keys, events, kept, others = list[str](), list[Event | None](), list[Any](), list[Read]()
    pieces = -(-len(records) // TOGETHER)
    for start, end in pairwise(len(records) * piece // pieces for piece in range(pieces + 1)):
        told, good, rest = await _read(lane, records[start:end])
        begin = len(numbers)
        numbers += map(int, map(SEQUENCE, told.envelopes))
        epochs.update(map(EPOCH, told.envelopes))
        keys += told.keys
        events += told.events
        kept += good
        for place, read in enumerate(look_at([records[start + at] for at in rest])):  # few: each takes its place
            if read.event is None:
                others.append(read)
            if read.number is None:
                begin -= 1
            else:
                at = begin + rest[place]
                numbers.insert(at, read.number)
                epochs.add(read.epoch)
                keys.insert(at, read.key or "")
                events.insert(at, read.event)
                kept.insert(at, records[start + rest[place]])
        await asyncio.sleep(0)
    if len(epochs) != 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return None
    return Run(lane, numbers[0], epochs.pop(), kept[-1].offset, keys, events, kept, others)


async def _read(lane: Lane, records: Sequence[Any]) -> tuple[regular.Told, Sequence[Any], list[int]]:
    """What the regular ones say, and they themselves; and where the others stand, which alone cost more to read."""
    values = [value if value and len(value) <= VALUE_BYTES_MAX else b"" for value in map(VALUE, records)]
    for place in _with_nul(values):
        values[place] = b""
    opened, closed = regular.opened(values, lane[0])
    await asyncio.sleep(0)
    good = without(records, closed)
    told, wrong = _told(lane, good, opened)
    if not wrong:
        return told, good, closed
    places = without(range(len(records)), closed)
    return told, without(good, wrong), sorted([*closed, *(places[at] for at in wrong)])


def _told(lane: Lane, records: Sequence[Any], opened: Sequence[Any]) -> tuple[regular.Told, list[int]]:
    """What the regular ones of them say, looked at column by column, and where the others stand."""
    try:
        told = regular.columns(opened, lane[0])
    except regular.WRONG:  # somewhere: half of them are looked at, and half of those
        half = len(records) // 2
        if not half:
            return regular.Told([], [], []), [0]
        (one, wrong), (other, more) = (_told(lane, records[of], opened[of]) for of in (slice(half), slice(half, None)))
        together = regular.Told(*([*this, *that] for this, that in zip(one, other, strict=True)))
        return together, [*wrong, *(half + at for at in more)]
    keys, own = list(map(KEY, records)), list(map(str.encode, told.keys))
    wrong = [] if keys == own else [at for at in range(len(keys)) if keys[at] != own[at]]
    if not _are_keys(own) or not _are_numbers(opened):
        fits = [_are_keys([key]) and _are_numbers([one]) for key, one in zip(own, opened, strict=True)]
        wrong = [at for at, fit in enumerate(fits) if not fit or keys[at] != own[at]]
    return (regular.Told(*(without(column, wrong) for column in told)) if wrong else told), wrong


def _are_keys(keys: Sequence[bytes]) -> bool:
    return all(keys) and max(map(len, keys), default=0) <= KEY_BYTES_MAX


def _are_numbers(opened: Sequence[Any]) -> bool:
    numbers = list(map(SEQUENCE, opened))
    return "".join(numbers).isdecimal() and all(numbers) and max(map(len, numbers)) <= NUMBER_DIGITS_MAX


def _with_nul(values: Sequence[bytes]) -> list[int]:
    """Where a value holds a NUL. Mostly none has as much as a backslash, and one byte is soon looked for."""
    if b"\\" not in b"".join(values):
        return []
    return [at for at, value in enumerate(values) if b"\\" in value and NUL in value]
