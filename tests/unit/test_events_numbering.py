"""The relay's numbers, and what it thinks of its topics before it sends."""

import pytest

from libs.events.numbering import Ahead, Behind, Tail, assign, judge

LANE = ("applied", 3)
IDS = ["e6", "e7", "e8"]


def row(position: int, lane: int, key: str = "k") -> tuple[int, int, str, int, str, bytes]:
    return (1, position, "applied", lane, key, b"{}")


def test_each_lane_counts_for_itself_and_goes_on_from_what_is_stored() -> None:
    outgoing, after = assign({("applied", 0): 41}, [row(1, 0, "a"), row(2, 5, "b"), row(3, 0, "c")])
    assert outgoing == {
        ("applied", 0): [(42, "a", b"{}"), (43, "c", b"{}")],
        ("applied", 5): [(1, "b", b"{}")],
    }
    assert after == {("applied", 0): 43, ("applied", 5): 1}


def test_numbering_leaves_the_stored_numbers_alone_until_they_are_stored() -> None:
    stored = {("applied", 0): 41}
    assign(stored, [row(1, 0)])
    assert stored == {("applied", 0): 41}


def test_nothing_to_send_numbers_nothing() -> None:
    assert assign({LANE: 4}, []) == ({}, {})


@pytest.mark.parametrize("tail", [Tail(5, "e5")])
def test_a_topic_that_ends_where_the_database_does_is_right(tail: Tail) -> None:
    assert judge(LANE, 5, tail, IDS) is None


def test_a_lane_in_which_nobody_ever_spoke_is_right() -> None:
    assert judge(LANE, 0, None, IDS) is None


@pytest.mark.parametrize(("number", "event_id"), [(6, "e6"), (8, "e8")])
def test_what_was_sent_before_a_crash_and_not_recorded_is_recognised_by_its_id(number: int, event_id: str) -> None:
    assert judge(LANE, 5, Tail(number, event_id), IDS) is None


@pytest.mark.parametrize(
    ("number", "event_id", "unsent"),
    [(7, "e6", IDS), (6, "strange", IDS), (9, "e9", IDS), (6, "e6", [])],
    ids=["another event", "never written here", "more than is unsent", "nothing is unsent"],
)
def test_what_this_database_never_wrote_shows_that_it_is_older_than_its_topic(
    number: int, event_id: str, unsent: list[str]
) -> None:
    assert judge(LANE, 5, Tail(number, event_id), unsent) == Ahead(LANE, 6, number)


@pytest.mark.parametrize(("tail", "missing"), [(None, 5), (Tail(3, "e3"), 2)])
def test_a_topic_that_lacks_what_was_sent_has_lost_it(tail: Tail | None, missing: int) -> None:
    assert judge(LANE, 5, tail, IDS) == Behind(LANE, missing)


def test_a_single_retried_event_at_the_end_hides_strange_ones_before_it() -> None:
    """A known limit: only the last id is compared. The topic's 6 was `lost`, and `e6` would be given its number."""
    assert judge(LANE, 5, Tail(7, "e7"), ["e6", "e7"]) is None
