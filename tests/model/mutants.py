"""Small mistakes, one decision each. The model must find every one of them within its budget of seeds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from libs.events import codec
from libs.events.acknowledged import Logs
from libs.events.numbering import Ahead, Behind, Lane, Numbers, Outgoing, Proof, Tail, Unsent, assign, judge
from libs.events.ordering import in_order, leave_out
from libs.events.parking import divide
from libs.events.position import Position, Seen, Verdict, sort_out
from libs.events.records import Held
from libs.events.runs import Run, Taken, take
from tests.model.decisions import PRODUCTION, Decisions
from tests.model.schedules import NO_FAULTS
from tests.model.world import Faults


@dataclass(frozen=True)
class Mutant:
    """What was changed, and in how many seeds the model must notice."""

    decisions: Decisions
    seeds: int = 2_000
    faults: Faults = NO_FAULTS


def _ignore_gaps(position: Position, records: Sequence[Seen]) -> Verdict:
    """Whatever is newer than the last one is news."""
    verdict, last = sort_out(position, records), position.number
    news = []
    for index, record in enumerate(records):
        if record.number is not None and record.number > last:
            news.append(index)
            last = record.number
    return replace(verdict, news=news, gap=None, after=Position(records[-1].offset + 1, last, position.epoch))


def _repeats_by_offset(position: Position, records: Sequence[Seen]) -> Verdict:
    """Kafka's offset tells what is new, not the number."""
    news = [i for i, r in enumerate(records) if r.number is not None and r.offset >= position.next_offset]
    numbers = [records[i].number or 0 for i in news]
    strays = [i for i, r in enumerate(records) if r.number is None and r.offset >= position.next_offset]
    after = Position(records[-1].offset + 1, max([position.number, *numbers]), position.epoch)
    return Verdict(news, strays, len(records) - len(news), None, after)


def _repeat_one_late(position: Position, records: Sequence[Seen]) -> Verdict:
    """The last applied number counts as news."""
    return sort_out(replace(position, number=max(0, position.number - 1)), records)


def _gap_one_wide(position: Position, records: Sequence[Seen]) -> Verdict:
    """A single missing number is let through."""
    verdict = sort_out(position, records)
    if verdict.gap and verdict.gap.first == verdict.gap.last:
        return sort_out(replace(position, number=verdict.gap.last), records)
    return verdict


def _strays_are_news(position: Position, records: Sequence[Seen]) -> Verdict:
    """A record without a number counts as the next one."""
    verdict = sort_out(position, records)
    return replace(verdict, after=replace(verdict.after, number=verdict.after.number + len(verdict.strays)))


def _taken_wherever_it_begins(positions: Mapping[Lane, Position], held: Held, runs: Sequence[Run]) -> Taken:
    """A run is taken as a whole though its numbers do not count on from the last one."""
    return take({run.lane: replace(positions[run.lane], number=run.first - 1) for run in runs}, held, runs)


def _taken_though_keys_wait(positions: Mapping[Lane, Position], _held: Held, runs: Sequence[Run]) -> Taken:
    """A run is taken as a whole though something of its keys is parked."""
    return take(positions, {}, runs)


def _taken_with_what_stands_behind(positions: Mapping[Lane, Position], held: Held, runs: Sequence[Run]) -> Taken:
    """Poison in a run is left out of it, and nothing else of its key."""
    taken = take(positions, held, runs)
    free = [read for read in taken.mixed if read.event and read.key not in held.get(read.lane, ())]
    taken.events += [read.event for read in free if read.event]
    taken.keys += [read.key or "" for read in free]
    taken.mixed = [read for read in taken.mixed if read not in free]
    return taken


def _forget_parked_keys(news: Any, _held: Any) -> Any:
    """Only the poison itself is parked, not what stands behind it from an earlier batch."""
    return divide(news, {})


def _forget_poison_of_this_batch(news: Any, held: Any) -> Any:
    """Keys parked before are known, those of this very batch are not."""
    healthy, parked = [], []
    for read in news:
        more_healthy, more_parked = divide([read], deepcopy(held))
        healthy += more_healthy
        parked += more_parked
    return healthy, parked


def _drop_what_stands_behind(news: Any, held: Any) -> Any:
    """What stands behind parked events is left out instead of parked."""
    healthy, parked = divide(news, held)
    return healthy, [record for record in parked if record.reason.reason != "behind"]


def _drop_poison(news: Any, held: Any) -> Any:
    """Poison is skipped."""
    return divide([read for read in news if not isinstance(read.poison, codec.Poison)], held)


def _by_type_alone(events: Any, keys: Any) -> Any:
    """All events of one type first, then the next type."""
    groups: dict[Any, list[Any]] = {}
    for event in events:
        groups.setdefault(type(event), []).append(event)
    return [(kind, group, keys) for kind, group in groups.items()]


def _newest_first(events: Any, keys: Any) -> Any:
    return [(kind, group[::-1], theirs[::-1]) for kind, group, theirs in in_order(events, keys)]


def _only_the_bad(events: Any, bad: Any, reason: str, detail: str, keys: Any) -> Any:
    """What stands behind a refused event is applied."""
    refused = leave_out(events, bad, reason, detail, keys)[1]
    return [event for event in events if id(event) not in {id(one) for one, _ in refused}], refused


def _count_from_one(_numbers: Mapping[Lane, int], lanes: Iterable[Unsent]) -> tuple[Outgoing, Numbers]:
    """Every batch starts to count anew."""
    return assign({}, lanes)


def _number_all_lanes_as_one(numbers: Mapping[Lane, int], lanes: Iterable[Unsent]) -> tuple[Outgoing, Numbers]:
    """One counter for the whole topic."""
    outgoing, _ = assign(numbers, lanes)
    number = max(numbers.values(), default=0)
    for records in outgoing.values():
        for index, (_, key, value) in enumerate(records):
            number += 1
            records[index] = (number, key, value)
    return outgoing, {lane: records[-1][0] for lane, records in outgoing.items()}


def _never_ahead(lane: Lane, stored: int, tail: Tail | None, *unsent: str | None) -> Ahead | Behind | None:
    """A topic that knows more than the database is no reason to stop."""
    found = judge(lane, stored, tail, *unsent)
    return None if isinstance(found, Ahead) else found


def _always_ahead(lane: Lane, stored: int, tail: Tail | None, *_unsent: str | None) -> Ahead | Behind | None:
    """Rows that were sent but not recorded do not explain a longer topic."""
    return judge(lane, stored, tail, None)


def _ahead_by_count(lane: Lane, stored: int, tail: Tail | None, *unsent: str | None) -> Ahead | Behind | None:
    """As many unsent rows as the topic has more records explain it, whatever they are."""
    return judge(lane, stored, tail, tail.event_id if tail and unsent[0] else None, tail.next_id if tail else None)


def _never_behind(lane: Lane, stored: int, tail: Tail | None, *unsent: str | None) -> Ahead | Behind | None:
    """A topic that knows less is left as it is."""
    found = judge(lane, stored, tail, *unsent)
    return None if isinstance(found, Behind) else found


def _one_too_few(lane: Lane, stored: int, tail: Tail | None, *unsent: str | None) -> Ahead | Behind | None:
    """The relay goes back one row short."""
    found = judge(lane, stored, tail, *unsent)
    return replace(found, missing=max(1, found.missing - 1)) if isinstance(found, Behind) else found


def _keep_the_place(number_at: int, _begin: int, _end: int) -> int:
    """A place outside the log is kept: perhaps the log grows there."""
    return number_at


class _Highest(Proof):
    """Believes that a lane is complete up to the highest number it holds."""

    def add(self, _offset: int, number: int | None, event_id: str) -> bool:
        if number is not None and number > (self.number or 0):
            self.number, self.event_id = number, event_id
        return True


class _Last(Proof):
    """Believes that the last number of a lane is its highest."""

    def add(self, _offset: int, number: int | None, event_id: str) -> bool:
        if number is not None:
            self.number, self.event_id = number, event_id
        return True


def highest_is_complete(_number: int, _number_at: int, _begin: int, _end: int) -> tuple[Proof, int]:
    return _Highest(0), 0


def last_is_highest(_number: int, _number_at: int, _begin: int, _end: int) -> tuple[Proof, int]:
    return _Last(0), 0


class _AnyLog(Logs):
    """A log in which records stand before those that were acknowledged is as good as another."""

    def acknowledge(self, lane: Lane, offset: int, records: int) -> None:
        self.offsets[lane] = offset + records - 1

    def look(self, births: Any, ends: Any) -> None:
        pass


def _changed(**changes: Any) -> Mutant:
    return Mutant(replace(PRODUCTION, **changes))


def _function(name: str, function: Callable[..., Any]) -> Mutant:
    return _changed(**{name: function})


def _when_logs_are_lost(name: str, function: Callable[..., Any]) -> Mutant:
    """A mistake that shows only when numbers are missing in a log that everybody is still reading."""
    return Mutant(replace(PRODUCTION, **{name: function}), faults=Faults(sudden_loss=True))  # type: ignore[arg-type]


MUTANTS = {
    "gap ignored": _when_logs_are_lost("sort_out", _ignore_gaps),
    "gap of one let through": _when_logs_are_lost("sort_out", _gap_one_wide),
    "repeat told by offset": _function("sort_out", _repeats_by_offset),
    "last number applied again": _function("sort_out", _repeat_one_late),
    "stranger counted": _function("sort_out", _strays_are_news),
    "run taken wherever it begins": _function("take", _taken_wherever_it_begins),
    "run taken though keys wait": _function("take", _taken_though_keys_wait),
    "run taken with what stands behind its poison": _function("take", _taken_with_what_stands_behind),
    "parked key forgotten": _function("divide", _forget_parked_keys),
    "parked key of this batch forgotten": _function("divide", _forget_poison_of_this_batch),
    "later events of a parked key dropped": _function("divide", _drop_what_stands_behind),
    "poison dropped": _function("divide", _drop_poison),
    "grouped by type alone": _function("in_order", _by_type_alone),
    "newest first within a group": _function("in_order", _newest_first),
    "left out without what stands behind": replace(_function("leave_out", _only_the_bad), seeds=4_000),
    "every batch counts from one": _function("assign", _count_from_one),
    "lanes share a counter": _function("assign", _number_all_lanes_as_one),
    "restored source not refused": _function("judge", _never_ahead),
    "crash taken for a restore": _function("judge", _always_ahead),
    "surplus only counted": _function("judge", _ahead_by_count),
    "lost log not noticed": _function("judge", _never_behind),
    "rewound one row short": _function("judge", _one_too_few),
    "lost place kept": _function("place", _keep_the_place),
    "highest number taken for the tail": _when_logs_are_lost("prove", highest_is_complete),
    "lost log written on": replace(_when_logs_are_lost("logs", _AnyLog), seeds=16_000),
    "place not proven": replace(_changed(place_proven=False), faults=Faults(sudden_loss=True)),
    "mark kept though something was parked": _changed(parking_marks=False),
    "stray parked again": _changed(strays_told=False),
    "cursor by id": _changed(by_transaction=False),
    "read above xmin": _changed(below_xmin=False),
    "unfenced store": _changed(store_fenced=False),
    "numbers not stored with the cursor": _changed(numbers_with_cursor=False),
    "numbers not rewound": _changed(rewind_numbers=False),
    "no check at the start": _changed(checked_at_start=False),
    "cursor and numbers loaded one after the other": replace(
        _changed(loaded_at_once=False), faults=Faults(sudden_loss=True)
    ),
    "cursor before acknowledgement": Mutant(
        replace(PRODUCTION, acknowledged_first=False), 10_000, Faults(disturbed_checks=True)
    ),
    "position not locked": _changed(position_locked=False),
    "position after the commit": _changed(one_transaction=False),
    "offset trusted from Kafka": _changed(place_of_database=False),
    "no search after a gap": replace(_changed(search_on_gap=False), faults=Faults(live_restore=True), seeds=16_000),
    "redrive newest first": _changed(redrive_from_oldest=False),
    "redrive forgets to delete": _changed(redrive_deletes=False),
}
