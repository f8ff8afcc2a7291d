"""The relay's numbers, and what it thinks of its topics before it sends."""

import pytest

from libs.events.numbering import Ahead, Behind, Proof, Tail, assign, cursor_behind, in_order, judge, prove, same_log
from tests.support import by_lane

LANE = ("applied", 3)
IDS = ["e6", "e7", "e8"]


def row(position: int, lane: int, key: str = "k") -> tuple[int, int, str, int, str, bytes]:
    return (1, position, "applied", lane, key, b"{}")


def test_each_lane_counts_for_itself_and_goes_on_from_what_is_stored() -> None:
    outgoing, after = assign({("applied", 0): 41}, by_lane([row(1, 0, "a"), row(2, 5, "b"), row(3, 0, "c")]))
    assert outgoing == {
        ("applied", 0): [(42, "a", b"{}"), (43, "c", b"{}")],
        ("applied", 5): [(1, "b", b"{}")],
    }
    assert after == {("applied", 0): 43, ("applied", 5): 1}


def test_numbering_leaves_the_stored_numbers_alone_until_they_are_stored() -> None:
    stored = {("applied", 0): 41}
    assign(stored, by_lane([row(1, 0)]))
    assert stored == {("applied", 0): 41}


def test_nothing_to_send_numbers_nothing() -> None:
    assert assign({LANE: 4}, []) == ({}, {})


def test_the_cursor_goes_behind_the_last_row_of_all_lanes() -> None:
    lanes = by_lane([(7, 9, "applied", 0, "k", b""), (8, 1, "applied", 5, "k", b""), (8, 2, "applied", 0, "k", b"")])
    assert cursor_behind(lanes) == (8, 2)


def test_rows_that_a_sort_has_shuffled_are_put_in_order_again() -> None:
    """By transaction first: a later position may belong to an earlier one."""
    shuffled = ("applied", 3, [8, 7, 8], [2, 9, 1], ["c", "a", "b"], [b"3", b"1", b"2"])
    lane = in_order(shuffled)
    assert [list(column) for column in lane[2:]] == [[7, 8, 8], [9, 1, 2], ["a", "b", "c"], [b"1", b"2", b"3"]]
    assert in_order(lane) is lane


def test_a_topic_that_ends_where_the_database_does_is_right() -> None:
    assert judge(LANE, 5, Tail(5, "e5"), None) is None


def test_a_lane_in_which_nobody_ever_spoke_is_right() -> None:
    assert judge(LANE, 0, None, None) is None


@pytest.mark.parametrize(("number", "event_id"), [(6, "e6"), (8, "e8")])
def test_what_was_sent_before_a_crash_and_not_recorded_is_recognised_by_its_id(number: int, event_id: str) -> None:
    assert judge(LANE, 5, Tail(number, event_id), event_id) is None


@pytest.mark.parametrize("unsent", ["another", None], ids=["another event", "nothing so far is unsent"])
def test_what_this_database_never_wrote_shows_that_it_is_older_than_its_topic(unsent: str | None) -> None:
    assert judge(LANE, 5, Tail(7, "e7"), unsent) == Ahead(LANE, 6, 7)


@pytest.mark.parametrize(("tail", "missing"), [(None, 5), (Tail(3, "e3"), 2)])
def test_a_topic_that_lacks_what_was_sent_has_lost_it(tail: Tail | None, missing: int) -> None:
    assert judge(LANE, 5, tail, None) == Behind(LANE, missing)


def test_the_first_number_behind_the_stored_one_must_be_ours_too() -> None:
    """A relay of an older epoch was first with number 6; what followed is ours."""
    assert judge(LANE, 5, Tail(7, "e7", "lost"), "e7", "e6") == Ahead(LANE, 6, 7)
    assert judge(LANE, 5, Tail(7, "e7", "e6"), "e7", "e6") is None
    assert judge(LANE, 5, Tail(9, "e9"), "e9", "e6") is None, "retention took the first"


def test_a_retried_event_at_the_end_hides_strange_ones_in_the_middle() -> None:
    """A known limit: only the first and the last id are compared."""
    assert judge(LANE, 5, Tail(8, "e8", "e6"), "e8", "e6") is None


@pytest.mark.parametrize("number_at", [4, -1])
def test_of_two_records_with_one_number_the_first_counts_as_with_readers(number_at: int) -> None:
    proof, start = prove(5, number_at, 0, 8)
    log = [(1, "e1"), (2, "e2"), (3, "e3"), (4, "e4"), (5, "e5"), (6, "lost"), (6, "e6"), (7, "e7")]
    assert all(proof.add(offset, *log[offset]) for offset in range(start, 8))
    assert proof.tail(5) == Tail(7, "e7", "lost")


def tail(stored: int, number_at: int, begin: int, numbers: list[int | None]) -> Tail | None:
    """What the relay finds in a log that holds these numbers from `begin` on; None, too, if it is another one."""
    proof, start = prove(stored, number_at, begin, begin + len(numbers))
    there = list(enumerate(numbers, start=begin))[start - begin :]
    return proof.tail(stored) if all(proof.add(offset, number, f"e{number}") for offset, number in there) else None


@pytest.mark.parametrize(
    ("number_at", "begin", "numbers", "last"),
    [
        (4, 0, [1, 2, 3, 4, 5], 5),
        (4, 0, [None, None, None, None, 5, 6, None, 7, 6], 7),  # what stands before the place is not looked at
        (-1, 0, [1, 2, 3, 2, 3, 4], 4),
        (-1, 0, [5, 6, 7, 1, 2, 3, 4], 7),  # filled again, and complete
        (-1, 0, [6, 7, 9, 6, 7, 8, 1, 2, 3, 4, 5], 9),
        (-1, 0, [6, 7, 1, 2], 2),
        (-1, 0, [6, 7], None),
        (9, 0, [1, 2, 3], 3),
        (-1, 0, [], None),
        (4, 3, [None, 5, 6], 6),
        (4, 20, [], 5),  # retention took it all
        (4, 20, [7, 8], 8),
    ],
)  # fmt: skip
def test_a_lane_is_believed_as_far_as_it_is_complete(
    number_at: int, begin: int, numbers: list[int | None], last: int | None
) -> None:
    found = tail(5, number_at, begin, numbers)
    assert (found.number if found else None) == last
    assert found is None or found.event_id in (f"e{last}", "")


@pytest.mark.parametrize("there", [4, 6, None])
def test_a_log_without_the_last_number_in_its_place_is_another_one(there: int | None) -> None:
    proof, start = prove(5, 4, 0, 9)
    assert start == 4
    assert not proof.add(4, there, "e")


def test_a_log_is_known_by_the_moment_of_its_first_record() -> None:
    assert same_log(77, (0, 77))
    assert not same_log(77, (0, 78))
    assert not same_log(77, None)
    assert not same_log(None, (0, 77))
    assert same_log(77, (5, 99)), "retention took the first record"


def test_a_proof_keeps_runs_and_not_records() -> None:
    proof = Proof(0)
    assert all(proof.add(offset, 1_000 + offset, "e") for offset in range(500))
    assert len(proof.apart) == 1
