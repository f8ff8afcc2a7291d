"""The records of one lane in a poll, taken as one where that is as good as one by one.

Where every record is what a relay writes (regular.py), has its own key, and follows the one before, nothing is decided
for a single record. Poison and strays in between do not spoil the rest: only they, and what else is of their keys, are
looked at record by record. So is a lane whose numbers do not count on.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import accumulate, compress
from operator import attrgetter, eq
from typing import Any, Final, TypeAlias, cast

from libs.events import regular
from libs.events.codec import NUMBER_DIGITS_MAX, VALUE_BYTES_MAX, Poison
from libs.events.contracts import Event
from libs.events.numbering import Lane
from libs.events.position import Position, Verdict, in_step
from libs.events.records import KEY_BYTES_MAX, Held, Read, look_at

TOGETHER: Final = 100
"""Records read at once: enough for the price of a call to vanish, and few, since the poll before waits for them each
time the store has answered it. With 500 its short statements took milliseconds each, all was read before its long ones
began, and then nobody had work: timelines were rebuilt at 64,000 a second instead of 74,000."""

NUL: Final = b"\\u0000"


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

    def apart(self, waiting: Set[str]) -> tuple[list[Event], list[Read]]:
        """The events of keys that nothing holds up; and the records of all others, one by one."""
        here = {read.key or "" for read in self.others}  # few; those that wait may be thousands, and are not copied
        places = sorted({*places_of(self.keys, waiting), *places_of(self.keys, here)})
        free = list(self.events)
        for place in reversed(places):
            del free[place]
        return cast(list[Event], free), self.reads(places)

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


def take(
    positions: Mapping[Lane, Position], held: Held, runs: Sequence[Run]
) -> tuple[dict[Lane, Verdict], list[Event], list[Read], list[Read]]:
    """Take the runs that are news: their verdicts and events; their records that are poison or of keys with poison.
    And the records of all other runs, one by one."""
    verdicts, events, mixed, others = dict[Lane, Verdict](), list[Event](), list[Read](), list[Read]()
    for whole in runs:
        run = whole.behind(positions[whole.lane].number)
        waiting = held.get(run.lane[0], set())
        verdict = in_step(positions[run.lane], run, waiting)
        if verdict and not run.others:
            events += cast(Sequence[Event], run.events)
        elif verdict := verdict or in_step(positions[run.lane], run, frozenset()):
            verdict = replace(verdict, after=_behind(verdict.after, run.others))
            free, rest = run.apart(waiting)
            events += free
            mixed += rest
        else:
            others += whole.reads()
            continue
        verdicts[run.lane] = replace(verdict, repeats=run.first - whole.first)
    return verdicts, events, mixed, others


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
    more = [read for run in runs for read in run.events_at(places_of(run.keys, keys)) if id(read.event) not in known]
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
    for start in range(0, len(records), TOGETHER):
        good, told, rest = _read(lane, records[start : start + TOGETHER])
        begin = len(numbers)
        numbers += [int(one.sequence) for one in told.envelopes]
        epochs |= {one.epoch for one in told.envelopes}
        keys += told.keys
        events += told.events
        kept += good
        for record, read in zip(rest, look_at(rest), strict=True):  # few: each takes its place among the others
            if read.event is None:
                others.append(read)
            if read.number is not None:
                place = bisect_left(kept, read.offset, begin, key=attrgetter("offset"))
                numbers.insert(place, read.number)
                epochs.add(read.epoch)
                keys.insert(place, read.key or "")
                events.insert(place, read.event)
                kept.insert(place, record)
        await asyncio.sleep(0)
    if len(epochs) != 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return None
    return Run(lane, numbers[0], epochs.pop(), kept[-1].offset, keys, events, kept, others)


def _read(lane: Lane, records: Sequence[Any]) -> tuple[list[Any], regular.Told, list[Any]]:
    """The regular ones, what they say, and the others, which alone cost more to read."""
    values = [value if value and len(value) <= VALUE_BYTES_MAX else b"" for value in map(attrgetter("value"), records)]
    for place in _with_nul(values):
        values[place] = b""
    opened = regular.opened(values, lane[0])
    read = [one is not None for one in opened]
    good, told = _told(lane, list(compress(records, read)), list(compress(opened, read)))
    if len(good) == len(records):
        return good, told, []
    others = dict(zip(map(id, records), records, strict=True))
    for place in map(id, good):
        del others[place]
    return good, told, list(others.values())


def _told(lane: Lane, records: Sequence[Any], opened: Sequence[Any]) -> tuple[list[Any], regular.Told]:
    """Those of them that are regular, and what they say, looked at column by column."""
    try:
        told = regular.columns(opened, lane[0])
    except regular.WRONG:  # somewhere: half of them are looked at, and half of those
        half = len(records) // 2
        if not half:
            return [], regular.Told([], [], [])
        (good, first), (more, second) = (
            _told(lane, records[of], opened[of]) for of in (slice(half), slice(half, None))
        )
        return [*good, *more], regular.Told(*([*one, *other] for one, other in zip(first, second, strict=True)))
    keys = [record.key for record in records]
    fits = list(map(eq, keys, map(str.encode, told.keys)))
    if not all(fits):
        keys, records, opened = (list(compress(column, fits)) for column in (keys, records, opened))
        told = regular.Told(*(list(compress(column, fits)) for column in told))
    if all(keys) and max(map(len, keys), default=0) <= KEY_BYTES_MAX and _are_numbers(opened):
        return list(records), told
    good = [at for at, key in enumerate(keys) if 0 < len(key) <= KEY_BYTES_MAX and _are_numbers([opened[at]])]
    return [records[at] for at in good], regular.Told(*([column[at] for at in good] for column in told))


def _are_numbers(opened: Sequence[Any]) -> bool:
    numbers = [one.sequence for one in opened]
    return "".join(numbers).isdecimal() and all(numbers) and max(map(len, numbers)) <= NUMBER_DIGITS_MAX


def _with_nul(values: Sequence[bytes]) -> list[int]:
    """Where a value holds a NUL."""
    places, joined = list[int](), b"".join(values)
    if b"\\" in joined:  # looking for one byte is ten times as fast
        ends = list(accumulate(map(len, values)))
        at = joined.find(NUL)
        while at >= 0:
            places.append(bisect_right(ends, at))
            at = joined.find(NUL, ends[places[-1]])
    return places
