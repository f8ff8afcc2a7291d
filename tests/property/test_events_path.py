"""Numbers, positions and order, for any input."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events import codec, faults
from libs.events.numbering import Numbers, Proof, assign
from libs.events.ordering import in_order
from libs.events.position import Position, sort_out
from libs.events.topics import TOPICS
from tests.support import Seen, by_lane

ROWS = st.lists(st.tuples(st.integers(0, 3), st.text(max_size=3)), max_size=30).map(
    lambda found: [(1, index, "t", lane, key, b"{%d" % index) for index, (lane, key) in enumerate(found)]
)


@given(ROWS, st.lists(st.integers(0, 30), max_size=5))
def test_batches_may_be_cut_anywhere_and_every_row_keeps_its_number(rows: list[Any], cuts: list[int]) -> None:
    """A relay that starts again reads other batches, and must give the same numbers."""
    whole, last = assign({}, by_lane(rows))
    pieces: dict[Any, list[Any]] = defaultdict(list)
    numbers: Numbers = {}
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for start, end in pairwise(edges):
        outgoing, after = assign(numbers, by_lane(rows[start:end]))
        numbers.update(after)
        for lane, records in outgoing.items():
            pieces[lane] += records
    assert (dict(pieces), numbers) == (whole, last)
    assert all([number for number, _, _ in records] == list(range(1, len(records) + 1)) for records in whole.values())


@st.composite
def logs(draw: Any) -> list[int]:
    """The log of a lane as relays write it: each start goes back to some number that was sent, and counts on."""
    log = list(range(1, draw(st.integers(0, 6)) + 1))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(1, max(log, default=0) + 1))
        log += range(start, start + draw(st.integers(1, 6)))
    return log


@given(logs(), st.data())
def test_whatever_is_repeated_and_wherever_polls_end_each_number_is_applied_once_in_order(
    log: list[int], data: st.DataObject
) -> None:
    position, applied, at = Position(), list[int](), 0
    while at < len(log):
        start = data.draw(st.integers(0, at))  # a worker may read again what another has applied
        end = data.draw(st.integers(at + 1, len(log)))
        records = [Seen(offset, log[offset]) for offset in range(start, end)]
        verdict = sort_out(position, records)
        applied += [log[start + index] for index in verdict.news]
        assert verdict.gap is None
        assert verdict.repeats + len(verdict.news) == len(records)
        position, at = verdict.after, end
    assert applied == list(range(1, max(log, default=0) + 1))
    last = max(log, default=0)
    assert position == Position(len(log), last, 0, len(log) - 1 - log[::-1].index(last) if log else 0)


@given(st.lists(st.integers(1, 12), max_size=40))
def test_a_lane_is_complete_up_to_the_first_number_that_it_lacks(numbers: list[int]) -> None:
    proof, missing = Proof(0), next(number for number in range(1, 99) if number not in numbers)
    assert all(proof.add(offset, number, f"e{number}") for offset, number in enumerate(numbers))
    assert (proof.number, proof.event_id) == (missing - 1, f"e{missing - 1}" if missing > 1 else "")


@given(st.integers(0, 5), st.lists(st.one_of(st.none(), st.integers(0, 12)), max_size=12))
def test_a_number_is_never_skipped_and_never_applied_twice_in_any_log(last: int, numbers: list[int | None]) -> None:
    records = [Seen(offset, number) for offset, number in enumerate(numbers, start=100)]
    verdict = sort_out(Position(100, last), records)
    assert [numbers[index] for index in verdict.news] == list(range(last + 1, verdict.after.number + 1))
    if verdict.gap:
        assert verdict.gap.first == verdict.after.number + 1 <= verdict.gap.last
        assert verdict.after.next_offset == verdict.gap.offset


@dataclass(frozen=True)
class One:
    TYPE: ClassVar[str] = "one"
    who: str
    index: int

    def key(self) -> str:
        return self.who


class Two(One):
    TYPE = "two"


class Three(One):
    TYPE = "three"


@given(st.lists(st.tuples(st.sampled_from([One, Two, Three]), st.sampled_from("abc")), max_size=20))
def test_grouping_loses_nothing_and_keeps_the_order_of_every_key(told: list[tuple[type[One], str]]) -> None:
    events: list[Any] = [kind(who, index) for index, (kind, who) in enumerate(told)]
    groups = in_order(events, [event.who for event in events])
    assert all([event.key() for event in group] == list(keys) for _, group, keys in groups)
    flat: list[Any] = [event for kind, group, _ in groups for event in group if type(event) is kind]
    assert sorted(event.index for event in flat) == list(range(len(events)))
    for who in "abc":
        assert [e for e in flat if e.who == who] == [e for e in events if e.who == who]


WORDS = {
    "empty: the record has no value",
    "bad-json: the record is not JSON",
    "not-a-cloud-event: a required attribute is missing, or is not what it must be",
}


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader_and_its_words_never_repeat_them(value: bytes) -> None:
    with pytest.raises(codec.Poison) as poison:
        codec.read_envelope(value)
    assert str(poison.value) in WORDS


@given(st.integers(1, 10**15), st.integers(0, 10**6))
def test_the_number_survives_the_bus(number: int, epoch: int) -> None:
    bare = b'{"specversion":"1.0","id":"i","source":"s","type":"t","dataschema":"d","data":{}}'
    envelope = codec.read_envelope(codec.numbered(bare, number, epoch))
    assert (codec.number_of(envelope), envelope.epoch, envelope.id) == (number, epoch, "i")


@given(st.text())
def test_a_key_has_one_lane_within_the_topic(key: str) -> None:
    for topic in TOPICS.values():
        assert 0 <= topic.lane(key) < topic.partitions
        assert topic.lane(key) == topic.lane(key)


@given(st.dictionaries(st.sampled_from(sorted(faults.POINTS)), st.integers(1, 99)))
def test_armed_fault_points_are_read_as_they_are_written(table: dict[str, int]) -> None:
    assert faults.parse(",".join(f"{name}:{times}" for name, times in table.items())) == table
