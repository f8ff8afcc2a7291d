"""The number decides what is news, a repeat, a stray or a gap; never the offset."""

import pytest

from libs.events.position import Gap, Position, place, sort_out
from tests.support import Seen

AT_5 = Position(next_offset=10, number=5, epoch=1, number_at=9)


def seen(*numbers: int | None, offset: int = 10, epoch: int = 1) -> list[Seen]:
    return [Seen(offset + index, number, epoch) for index, number in enumerate(numbers)]


def test_the_next_numbers_are_news() -> None:
    verdict = sort_out(AT_5, seen(6, 7, 8))
    assert (verdict.news, verdict.repeats, verdict.gap) == ([0, 1, 2], 0, None)
    assert verdict.after == Position(13, 8, 1, 12)


def test_what_was_applied_is_a_repeat_wherever_it_stands() -> None:
    verdict = sort_out(AT_5, seen(4, 5, 6, 6, 5, 7, offset=200))
    assert (verdict.news, verdict.repeats) == ([2, 5], 4)
    assert verdict.after == Position(206, 7, 1, 205)


def test_a_lost_log_that_starts_again_at_offset_0_brings_repeats_then_news() -> None:
    verdict = sort_out(AT_5, seen(1, 2, 3, 4, 5, 6, offset=0))
    assert (verdict.news, verdict.repeats, verdict.after) == ([5], 5, Position(6, 6, 1, 5))


def test_a_missing_number_stops_the_lane_where_it_is() -> None:
    verdict = sort_out(AT_5, seen(6, 9, 10))
    assert verdict.news == [0]
    assert verdict.gap == Gap(7, 8, 11)
    assert verdict.after == Position(11, 6, 1, 10), "a restart must find the gap again"


def test_the_missing_number_may_arrive_later_and_the_lane_goes_on() -> None:
    verdict = sort_out(AT_5, seen(7, 8, 6, 7, 8))
    assert (verdict.news, verdict.gap, verdict.after) == ([2, 3, 4], None, Position(15, 8, 1, 14))


def test_a_record_without_a_number_is_a_stray_and_does_not_move_the_number() -> None:
    verdict = sort_out(AT_5, seen(None, 6, None))
    assert (verdict.strays, verdict.news, verdict.after) == ([0, 2], [1], Position(13, 6, 1, 11))


def test_a_relay_of_an_older_epoch_is_not_believed_but_its_repeats_are_repeats() -> None:
    position = Position(10, 5, epoch=2)
    verdict = sort_out(position, [Seen(10, 5, 1), Seen(11, 6, 1), Seen(12, 6, 2)])
    assert (verdict.repeats, verdict.strays, verdict.news) == (1, [1], [2])


def test_a_newer_epoch_goes_on_counting() -> None:
    verdict = sort_out(AT_5, seen(6, epoch=2))
    assert (verdict.news, verdict.after) == ([0], Position(11, 6, 2, 10))


def test_a_gap_of_an_earlier_poll_still_holds_the_offset() -> None:
    first = sort_out(AT_5, seen(7)).after
    assert sort_out(first, seen(5, offset=11)).after.next_offset == 10


def test_a_stray_behind_a_gap_is_parked_like_any_other() -> None:
    verdict = sort_out(AT_5, seen(7, None, 6, 7))
    assert verdict.after.next_offset == 14
    assert verdict.strays == [1]


def test_the_last_number_is_found_where_it_was_read_last() -> None:
    assert sort_out(AT_5, seen(3, 4, 5, None)).after == Position(14, 5, 1, 12)


def test_a_log_that_was_filled_again_up_to_our_place_shows_a_gap_there() -> None:
    verdict = sort_out(AT_5, seen(8, offset=AT_5.number_at))
    assert (verdict.gap, verdict.after) == (Gap(6, 7, 9), AT_5)


@pytest.mark.parametrize(
    ("number_at", "begin", "end", "there"),
    [(7, 0, 10, 7), (10, 0, 10, 0), (0, 0, 0, 0), (3, 3, 9, 3), (11, 0, 10, 0), (2, 5, 9, 5)],
    ids=["inside", "the log ends before it", "empty", "at the beginning", "log lost", "log cut off"],
)
def test_a_place_outside_the_log_becomes_its_beginning(number_at: int, begin: int, end: int, there: int) -> None:
    assert place(number_at, begin, end) == there
