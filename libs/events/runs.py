"""The records of one lane in a poll, taken as one where that is as good as one by one.

Where every record is what a relay writes (regular.py), has its own key, and follows the one before, nothing is decided
for a single record. Poison and strays in between do not spoil the rest: only they, and what else is of their keys, are
looked at record by record. So is a lane whose numbers do not count on.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Final, TypeAlias, cast

from libs.events import regular
from libs.events.codec import NUMBER_DIGITS_MAX, VALUE_BYTES_MAX, Poison
from libs.events.contracts import Event
from libs.events.numbering import Lane
from libs.events.position import Position, Verdict, in_step
from libs.events.records import KEY_BYTES_MAX, Read, look_at

TOGETHER: Final = 500
"""Records read at once: enough for the price of a call to vanish, few enough to stay in the processor's cache."""

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

    def reads(self, only: Set[str] | None = None) -> list[Read]:
        """The same, each record by itself, or those under `only` these keys: what `look_at` says of them."""
        places = range(len(self.keys)) if only is None else [at for at, key in enumerate(self.keys) if key in only]
        reads = [
            Read(
                self.lane, self.records[at].offset, self.keys[at], self.records[at].value, self.first + at, self.epoch,
                event, None, event.TYPE,
            )
            for at in places
            if (event := self.events[at]) is not None
        ]  # fmt: skip
        return sorted([*reads, *self.others], key=attrgetter("offset")) if self.others else reads

    def apart(self, waiting: Set[str]) -> tuple[list[Event], list[Read]]:
        """The events of keys that nothing holds up; and the records of all others, one by one."""
        held = {*waiting, *(read.key for read in self.others if read.key)}
        free = [
            event for key, event in zip(self.keys, self.events, strict=True) if event is not None and key not in held
        ]
        return free, self.reads(held)

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
    positions: Mapping[Lane, Position], held: Set[tuple[str, str]], runs: Sequence[Run]
) -> tuple[dict[Lane, Verdict], list[Event], list[Read], list[Read]]:
    """Take the runs that are news: their verdicts and events; their records that are poison or of keys with poison.
    And the records of all other runs, one by one."""
    verdicts, events, mixed, others = dict[Lane, Verdict](), list[Event](), list[Read](), list[Read]()
    held_by_topic: dict[str, set[str]] = {}
    for topic, key in held:
        held_by_topic.setdefault(topic, set()).add(key)
    for whole in runs:
        run = whole.behind(positions[whole.lane].number)
        waiting = held_by_topic.get(run.lane[0], set())
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
    events: Sequence[Event], news: Sequence[Read], runs: Sequence[Run], reasons: Mapping[int, Poison]
) -> list[Read]:
    """The records of these events: of the news, and of a run those whose keys have a refused one. `reasons` by `id`."""
    handed, known = set(map(id, events)), set(map(id, (read.event for read in news)))
    more = [read for run in runs for read in run.reads(_keys_of_these(run, reasons)) if id(read.event) not in known]
    return [
        replace(read, event=None, poison=reasons[id(read.event)]) if id(read.event) in reasons else read
        for read in [*more, *news]
        if id(read.event) in handed
    ]


def _keys_of_these(run: Run, reasons: Mapping[int, Poison]) -> set[str]:
    return {key for key, event in zip(run.keys, run.events, strict=True) if id(event) in reasons}


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
    values = [record.value or b"" for record in records]
    if _has_nul(values) or max(map(len, values)) > VALUE_BYTES_MAX:
        values = [b"" if len(value) > VALUE_BYTES_MAX or NUL in value else value for value in values]
    opened = zip(records, regular.opened(values, lane[0]), strict=True)
    pairs = [(record, one) for record, one in opened if one is not None]
    told = _told(lane, pairs)
    if told is None:
        pairs = [
            (record, one) for record, one in pairs if record.key and record.key in record.value and _is_number(one)
        ]
        told = _told(lane, pairs)
    if told is None:
        pairs, told = [], regular.Told([], [], [])
    good = [record for record, _ in pairs]
    if len(good) == len(records):
        return good, told, []
    known = set(map(id, good))
    return good, told, [record for record in records if id(record) not in known]


def _told(lane: Lane, pairs: Sequence[tuple[Any, Any]]) -> regular.Told | None:
    """What these say, looked at column by column; None where one of them is not regular after all."""
    keys, opened = [record.key for record, _ in pairs], [one for _, one in pairs]
    try:
        told = regular.columns(opened, lane[0])
    except regular.WRONG:
        return None
    # No key of an event holds a NUL here; so where the two are the same, none of a record does.
    agree = all(keys) and b"\0".join(keys) == "\0".join(told.keys).encode()
    short = agree and max(map(len, keys), default=0) <= KEY_BYTES_MAX
    return told if short and all(map(_is_number, opened)) else None


def _is_number(one: Any) -> bool:
    return one.sequence.isdecimal() and len(one.sequence) <= NUMBER_DIGITS_MAX


def _has_nul(values: Sequence[bytes]) -> bool:
    joined = b"".join(values)
    return b"\\" in joined and NUL in joined  # looking for one byte is ten times as fast
