"""What a poll brought, read: lane by lane as a run where its records count on (runs.py), otherwise one by one.

Where all records of a lane are just what a relay writes (regular.py) they are read by column. What is not is few, and
looked at by itself.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from typing import Any, Final, TypeAlias

from libs.events import regular
from libs.events.codec import NUL, NUMBER_DIGITS_MAX, VALUE_BYTES_MAX
from libs.events.contracts import Event
from libs.events.numbering import Lane
from libs.events.records import KEY_BYTES_MAX, Read, look_at, without
from libs.events.runs import Run, counting_on

TOGETHER: Final = 250
"""Records read at once: enough for the price of a call to vanish, and few, since the poll before waits for them each
time the store has answered it. With 500 at a stretch its short statements took milliseconds each, all was read before
its long ones began, and then nobody had work: timelines were rebuilt at 64,000 a second instead of 74,000. So others
have a turn in the middle, too."""

BACKSLASH: Final = NUL[0]

KEY, VALUE = attrgetter("key"), attrgetter("value")
SEQUENCE, EPOCH = attrgetter("sequence"), attrgetter("epoch")

Poll: TypeAlias = tuple[list[Run], list[Read]]


async def read_poll(fetched: Mapping[Any, Sequence[Any]]) -> Poll:
    """What a poll brought, lane by lane: regular runs, and the records of all other lanes. Others have their turn in
    between: a poll is read while the one before it is with the database."""
    lots = [
        await _read_lot((partition.topic, partition.partition), fetched[partition])
        for partition in sorted(fetched)
        if fetched[partition]
    ]
    runs, others = list[Run](), list[Any]()
    for lot, run in zip(lots, await _as_runs(lots), strict=True):
        if run:
            runs.append(run)
        else:
            others += lot.records
    return runs, look_at(others)


@dataclass(slots=True)
class _Lot:
    """Records of a lane, in offset order: what the regular ones say, by column, and where the others stand."""

    lane: Lane
    records: Sequence[Any]
    numbers: list[int] = field(default_factory=list)
    epochs: set[int] = field(default_factory=set)
    keys: list[str] = field(default_factory=list)
    events: list[Event | None] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)
    """The records themselves."""
    irregular: list[int] = field(default_factory=list)

    def as_run(self, reads: Sequence[Read]) -> Run | None:
        """With the irregular ones, of which each takes its place: a run, or None where they do not count on."""
        others, strays = list[Read](), 0
        for at, read in zip(self.irregular, reads, strict=True):
            if read.event is None:
                others.append(read)
            if read.number is None:
                strays += 1
            else:
                place = at - strays
                self.numbers.insert(place, read.number)
                self.epochs.add(read.epoch)
                self.keys.insert(place, read.key or "")
                self.events.insert(place, read.event)
                self.kept.insert(place, self.records[at])
        return counting_on(self.lane, self.numbers, self.epochs, self.keys, self.events, self.kept, others)


async def _read_lot(lane: Lane, records: Sequence[Any]) -> _Lot:
    lot = _Lot(lane, records)
    for piece in _pieces(len(records)):
        told, good, rest = await _read(lane, records[piece])
        lot.numbers += map(int, map(SEQUENCE, told.envelopes))
        lot.epochs.update(map(EPOCH, told.envelopes))
        lot.keys += told.keys
        lot.events += told.events
        lot.kept += good
        lot.irregular += [piece.start + at for at in rest]
        await asyncio.sleep(0)
    return lot


async def _as_runs(lots: Sequence[_Lot]) -> list[Run | None]:
    """Each of these as a run, where it is one. What is irregular in all of them is looked at together, which takes half
    as long."""
    irregular = [lot.records[at] for lot in lots for at in lot.irregular]
    reads = list[Read]()
    for piece in _pieces(len(irregular)):
        reads += look_at(irregular[piece])
        await asyncio.sleep(0)
    noted = iter(reads)
    return [lot.as_run(list(islice(noted, len(lot.irregular)))) for lot in lots]


def _pieces(count: int) -> list[slice]:
    """So many records in pieces of equal size."""
    pieces = -(-count // TOGETHER)
    return [slice(count * piece // pieces, count * (piece + 1) // pieces) for piece in range(pieces)]


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
    if BACKSLASH not in b"".join(values):
        return []
    return [at for at, value in enumerate(values) if BACKSLASH in value and NUL in value]
