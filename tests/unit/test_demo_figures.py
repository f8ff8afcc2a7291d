"""The published figures, and the rules that fill what they leave out."""

import pytest

from deploy.demo import figures
from deploy.demo.calendar import RECOVERY
from deploy.demo.figures import interpolated, largest_remainder, rounded
from libs.events.programme import load_programmes


def test_a_replay_at_1_to_1000_has_the_published_funnel() -> None:
    told = figures.load(1000)
    assert sum(stage.registered for stage in told.arrivals.values()) == 40_000
    assert sum(stage.confirmed for stage in told.arrivals.values()) == 26_000
    assert sum(stage.verified for stage in told.arrivals.values()) == 20_000


def test_the_first_wave_is_as_published() -> None:
    told = figures.load(1000)
    assert told.arrivals[1] == figures.Stage(5_965, 4_429, 3_294)
    assert (told.applicants[1], told.seats[1]) == (2_078, 200)


def test_seats_are_the_published_quotas_or_what_was_accepted() -> None:
    told = figures.load(1)
    assert told.seats[2] == 288_154
    assert [told.seats[number] for number in range(4, 10)] == [800_000] * 6
    assert told.seats[10] == 116_261
    assert told.seats[11] == 0


def test_applicants_that_were_not_published_lie_between_their_neighbours() -> None:
    told = figures.load(1)
    assert told.applicants[6] == 1_760_000
    assert told.applicants[7] == (1_760_000 + 4_700_000) // 2
    assert told.applicants[9] == (4_700_000 + 6_700_000) // 2
    assert told.applicants[10] == 6_700_000


def test_the_recovery_wave_draws_as_many_applicants_a_day_as_the_one_before() -> None:
    told = figures.load(1)
    last = load_programmes()[figures.PROGRAMME].waves[-1]
    per_hour = told.applicants[10] / ((last.closes - last.opens).total_seconds() / 3600)
    assert told.applicants[11] / ((RECOVERY.closes - RECOVERY.opens).total_seconds() / 3600) == pytest.approx(per_hour)


def test_members_are_lost_in_the_published_shares() -> None:
    told = figures.load(1)
    accepted = sum(told.seats[number] for number in range(1, 9))
    assert round(accepted * told.revoked_share[8]) == 344_959
    assert round(told.seats[9] * told.revoked_share[9]) == 28_786
    assert told.finished_share == pytest.approx(0.95)


@pytest.mark.parametrize("scale", [1, 7, 100, 1000, 9_999])
def test_nobody_verifies_without_confirming_or_confirms_without_registering(scale: int) -> None:
    for stage in figures.load(scale).arrivals.values():
        assert stage.registered >= stage.confirmed >= stage.verified >= 0


def test_the_population_of_all_provinces_is_the_whole_country() -> None:
    provinces = figures.load(1000).provinces
    assert len({province.code for province in provinces}) == 34
    assert sum(province.share for province in provinces) == pytest.approx(1)


def test_largest_remainders_add_up_and_favour_the_largest_fraction() -> None:
    assert largest_remainder(10, [1, 1, 1]) == [4, 3, 3]
    assert largest_remainder(7, [0.6, 0.3, 0.1]) == [4, 2, 1]
    assert sum(largest_remainder(123_457, [0.1, 0.7, 0.13, 0.07])) == 123_457


def test_halves_are_rounded_up() -> None:
    assert [rounded(count, 1000) for count in (499, 500, 1_499, 1_500)] == [0, 1, 1, 2]


def test_after_the_last_known_value_it_is_used_again() -> None:
    assert interpolated({1: 10, 3: 20}, [1, 2, 3, 4]) == {1: 10, 2: 15, 3: 20, 4: 20}
