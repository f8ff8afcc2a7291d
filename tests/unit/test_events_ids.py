"""Ids that mean something are the same for ever; ids that mean nothing sort by time."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from libs.events import ids

AN_ID = re.compile(r"[0-9a-f]{32}")
NOW = datetime(2020, 4, 17, tzinfo=UTC)


def test_a_meaning_has_one_id_for_ever() -> None:
    """The figures are stored in databases and on the bus: they may never change."""
    assert ids.derive("payout", "citizen", "prakerja-2020", "incentive-1") == "640721c2927fa055bb62c8175c66d1fa"
    assert ids.derive() == "e3b0c44298fc1c149afbf4c8996fb924"


@given(st.lists(st.text(), max_size=5))
def test_an_id_is_32_hexadecimal_digits_whatever_it_means(parts: list[str]) -> None:
    assert AN_ID.fullmatch(ids.derive(*parts))


@given(st.lists(st.text(), min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=4))
def test_different_meanings_have_different_ids(one: list[str], other: list[str]) -> None:
    assume(one != other)
    assert ids.derive(*one) != ids.derive(*other)


@given(st.text(min_size=1), st.data())
def test_the_same_letters_split_elsewhere_mean_something_else(text: str, data: st.DataObject) -> None:
    """Joining the parts before hashing would give all of these one id."""
    cuts = st.lists(st.integers(0, len(text)), max_size=4).map(sorted)
    splits = []
    for _ in range(2):
        edges = [0, *data.draw(cuts), len(text)]
        splits.append([text[start:end] for start, end in pairwise(edges)])
    assume(splits[0] != splits[1])
    assert ids.derive(*splits[0]) != ids.derive(*splits[1])


def test_a_part_more_is_another_meaning_even_if_it_is_empty() -> None:
    assert len({ids.derive("a"), ids.derive("a", ""), ids.derive("", "a"), ids.derive("a", "", "")}) == 4


def test_new_ids_sort_by_the_millisecond_of_their_birth() -> None:
    born = [ids.new(NOW + timedelta(milliseconds=ms)) for ms in range(50)]
    assert born == sorted(born)
    assert all(AN_ID.fullmatch(one) for one in born)


def test_new_ids_of_one_moment_differ() -> None:
    assert len({ids.new(NOW) for _ in range(1_000)}) == 1_000
