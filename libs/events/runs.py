"""The records of one lane in a poll, taken as one where that is as good as one by one.

A run is regular when every record is what a relay writes (regular.py), has its own key, and follows the one before.
Nothing about it is then decided for a single record. What is not regular is looked at record by record.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from libs.events import regular
from libs.events.codec import NUMBER_DIGITS_MAX, VALUE_BYTES_MAX
from libs.events.contracts import Event
from libs.events.numbering import Lane
from libs.events.position import Position, Verdict, in_step
from libs.events.records import Read, look_at

TOGETHER: Final = 500
"""Records read at once: enough for the price of a call to vanish, few enough to stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Run:
    """Records whose numbers count on from `first`, of one epoch, each with a healthy event under its own key."""

    lane: Lane
    first: int
    epoch: int
    offset: int
    """Where the last record stands."""
    keys: Sequence[str]
    events: Sequence[Event]
    records: Sequence[Any]

    def reads(self) -> list[Read]:
        """The same, each record by itself."""
        return look_at(self.records)


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
) -> tuple[dict[Lane, Verdict], list[Event], list[Read]]:
    """Take the runs that are news as a whole: their verdicts and events. And the records of all others, one by one."""
    verdicts, events, others = dict[Lane, Verdict](), list[Event](), list[Read]()
    for run in runs:
        waiting = {key for topic, key in held if topic == run.lane[0]}
        if verdict := in_step(positions[run.lane], run, waiting):
            verdicts[run.lane] = verdict
            events += run.events
        else:
            others += run.reads()
    return verdicts, events, others


def keys_of(records: Sequence[Read], runs: Sequence[Run]) -> list[str]:
    """The keys of all that a poll brought."""
    return [read.key for read in records if read.key] + [key for run in runs for key in run.keys]


def one_by_one(records: Sequence[Read], runs: Sequence[Run]) -> list[Read]:
    """All records, lane by lane."""
    return sorted([*records, *(read for run in runs for read in run.reads())], key=lambda read: read.lane)


def read_run(lane: Lane, records: Sequence[Any]) -> Run | None:
    """These records of a lane, in offset order, as a regular run, or None."""
    numbers, epochs = list[int](), set[int]()
    keys, events = list[str](), list[Event]()
    try:
        for start in range(0, len(records), TOGETHER):
            told = _read(lane, records[start : start + TOGETHER])
            numbers += _numbers([one.sequence for one in told.envelopes])
            epochs |= {one.epoch for one in told.envelopes}
            keys += told.keys
            events += told.events
    except (msgspec.DecodeError, regular.Irregular, ValueError, RecursionError):
        return None
    if len(epochs) > 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return None
    return Run(lane, numbers[0], epochs.pop(), records[-1].offset, keys, events, records)


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
