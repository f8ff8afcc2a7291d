"""The records of one lane in a poll, taken as one where that is as good as one by one.

Where every record is what a relay writes (regular.py), has its own key, and follows the one before, nothing is decided
for a single record. Poison and strays in between do not spoil the rest: only they, and what else is of their keys, are
looked at record by record. So is a lane whose numbers do not count on.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Final, cast

import msgspec

from libs.events import regular
from libs.events.codec import NUMBER_DIGITS_MAX, VALUE_BYTES_MAX, Poison
from libs.events.contracts import Event
from libs.events.numbering import Lane
from libs.events.position import Position, Verdict, in_step
from libs.events.records import Read, look_at

TOGETHER: Final = 500
"""Records read at once: enough for the price of a call to vanish, few enough to stay in the processor's cache."""


IRREGULAR: Final = (msgspec.DecodeError, regular.Irregular, ValueError, RecursionError)


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
        told = enumerate(zip(self.records, self.keys, self.events, strict=True), self.first)
        reads = [
            Read(self.lane, record.offset, key, record.value, number, self.epoch, event, None, event.TYPE)
            for number, (record, key, event) in told
            if event is not None and (only is None or key in only)
        ]
        return sorted([*reads, *self.others], key=attrgetter("offset")) if self.others else reads

    def apart(self, waiting: Set[str]) -> tuple[list[Event], list[Read]]:
        """The events of keys that nothing holds up; and the records of all others, one by one."""
        held = {*waiting, *(read.key for read in self.others if read.key)}
        free = [
            event for key, event in zip(self.keys, self.events, strict=True) if event is not None and key not in held
        ]
        return free, self.reads(held)


def read_poll(fetched: Mapping[Any, Sequence[Any]]) -> tuple[list[Run], list[Read]]:
    """What a poll brought, lane by lane: regular runs, and the records of all other lanes."""
    runs, others = list[Run](), list[Any]()
    for partition in sorted(fetched):
        if fetched[partition]:
            run = read_run((partition.topic, partition.partition), fetched[partition])
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
    for run in runs:
        waiting = {key for topic, key in held if topic == run.lane[0]}
        verdict = in_step(positions[run.lane], run, waiting)
        if verdict and not run.others:
            events += cast(Sequence[Event], run.events)
        elif verdict := verdict or in_step(positions[run.lane], run, frozenset()):
            verdict = replace(verdict, after=_behind(verdict.after, run.others))
            free, rest = run.apart(waiting)
            events += free
            mixed += rest
        else:
            others += run.reads()
            continue
        verdicts[run.lane] = verdict
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
    """The records of these events, of the news and of all runs that hold a refused one, with the reasons by `id`."""
    handed, known = set(map(id, events)), set(map(id, (read.event for read in news)))
    hit = [run for run in runs if not reasons.keys().isdisjoint(map(id, run.events))]
    more = [read for run in hit for read in run.reads() if id(read.event) not in known]
    return [
        replace(read, event=None, poison=reasons[id(read.event)]) if id(read.event) in reasons else read
        for read in [*more, *news]
        if id(read.event) in handed
    ]


def one_by_one(records: Sequence[Read], runs: Sequence[Run]) -> list[Read]:
    """All records, lane by lane."""
    return sorted([*records, *(read for run in runs for read in run.reads())], key=lambda read: read.lane)


def read_run(lane: Lane, records: Sequence[Any]) -> Run | None:
    """These records of a lane, in offset order, as a run, or None."""
    numbers, epochs = list[int](), set[int]()
    keys, events, kept, others = list[str](), list[Event | None](), list[Any](), list[Read]()
    for start in range(0, len(records), TOGETHER):
        piece = records[start : start + TOGETHER]
        try:
            told = _read(lane, piece)
            numbers += _numbers([one.sequence for one in told.envelopes])
            epochs |= {one.epoch for one in told.envelopes}
            keys += told.keys
            events += told.events
            kept += piece
        except IRREGULAR:
            for record, read in zip(piece, _sift(lane, piece), strict=True):
                if read.event is None:
                    others.append(read)
                if read.number is not None:
                    numbers.append(read.number)
                    epochs.add(read.epoch)
                    keys.append(read.key or "")
                    events.append(read.event)
                    kept.append(record)
    if len(epochs) != 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return None
    return Run(lane, numbers[0], epochs.pop(), kept[-1].offset, keys, events, kept, others)


def _sift(lane: Lane, records: Sequence[Any]) -> list[Read]:
    """Regular and other records, each by itself. Only what no reader of regular ones takes costs more than they do."""
    good, bad = list[Any](), list[Any]()
    decode, _ = regular._reader(lane[0])
    for record in records:
        try:
            decode(record.value or b"")
        except IRREGULAR:
            bad.append(record)
        else:
            (good if record.key and record.key in record.value and not _has_nul([record.value]) else bad).append(record)
    others = look_at(bad)
    try:
        told = _read(lane, good)
        numbers = _numbers([one.sequence for one in told.envelopes])
    except IRREGULAR:
        return look_at(records)
    reads = [
        Read(lane, record.offset, key, record.value, number, one.epoch, event, None, event.TYPE)
        for record, key, number, one, event in zip(good, told.keys, numbers, told.envelopes, told.events, strict=True)
    ]
    return sorted([*reads, *others], key=attrgetter("offset"))


def _read(lane: Lane, records: Sequence[Any]) -> regular.Told:
    """Raises Irregular, and what the reader raises."""
    values, keys = [record.value for record in records], [record.key for record in records]
    if not all(values) or not all(keys) or max(map(len, values)) > VALUE_BYTES_MAX or _has_nul(values):
        raise regular.Irregular
    told = regular.read(values, lane[0])
    # No key of an event holds a NUL here; so where the two are the same, none of a record does.
    if b"\0".join(keys) != "\0".join(told.keys).encode():
        raise regular.Irregular
    return told


def _has_nul(values: Sequence[bytes]) -> bool:
    joined = b"".join(values)
    return b"\\" in joined and b"\\u0000" in joined  # looking for one byte is ten times as fast


def _numbers(sequences: Sequence[str]) -> list[int]:
    if not "".join(sequences).isdecimal() or max(map(len, sequences)) > NUMBER_DIGITS_MAX:
        raise regular.Irregular
    return list(map(int, sequences))
