"""Seats by province and tier."""

import pytest

from libs.events.refusal import Refusal
from services.selection.domain.decree import decree
from services.selection.domain.quotas import Province, Stratum, add, parse_provinces, split
from services.selection.main import PROVINCES

PLACES = parse_provinces(PROVINCES.read_text())


def test_the_table_has_the_34_provinces_of_2020_and_their_published_sum() -> None:
    assert len(PLACES) == 34
    assert sum(place.population for place in PLACES) == 27018
    assert PLACES[0] == Province("11", "Aceh", 527)


def test_the_first_wave_of_2020_gives_four_fifths_to_the_priority_tier() -> None:
    quotas = split(200_000, PLACES, 80)
    assert sum(quotas.values()) == 200_000
    # Jawa Barat: 200,000 x 4827 / 27018 x 80 % = 28,585.39, and the fraction is too small for a rounded seat.
    assert quotas[Stratum("32", "priority")] == 28_585
    assert quotas[Stratum("32", "public")] == 7_146
    priority = sum(seats for stratum, seats in quotas.items() if stratum.tier == "priority")
    assert abs(priority - 160_000) <= 34


def test_the_largest_remainders_get_the_seats_that_are_left() -> None:
    places = (Province("11", "A", 50), Province("12", "B", 30), Province("13", "C", 20))
    # 7 seats: 3.5, 2.1, 1.4 -> 3, 2, 1, and the one left goes to the largest remainder, A.
    public = {stratum.province: seats for stratum, seats in split(7, places, 0).items() if stratum.tier == "public"}
    assert public == {"11": 4, "12": 2, "13": 1}


def test_equal_remainders_go_to_the_lower_code_and_to_priority_first() -> None:
    places = (Province("11", "A", 10), Province("12", "B", 10))
    assert split(1, places, 50) == {
        Stratum("11", "priority"): 1,
        Stratum("11", "public"): 0,
        Stratum("12", "priority"): 0,
        Stratum("12", "public"): 0,
    }


def test_a_programme_without_a_whitelist_gives_priority_no_seat() -> None:
    assert not sum(seats for stratum, seats in split(10_000, PLACES, 0).items() if stratum.tier == "priority")


def test_recycled_seats_are_added_where_they_came_from() -> None:
    told = add({Stratum("11", "public"): 2}, {Stratum("11", "public"): 1, Stratum("12", "priority"): 3})
    assert told == {Stratum("11", "public"): 3, Stratum("12", "priority"): 3}


def test_a_population_without_two_decimals_is_refused() -> None:
    with pytest.raises(ValueError, match="province 11"):
        parse_provinces("code,name,population_millions_2020\n11,Aceh,5.2\n")


def test_a_decreed_table_says_how_many_seats_each_stratum_has() -> None:
    quotas = decree(" 31,public,5\r\n\r\n11 , priority , 2\r\n", 7, PLACES)
    assert not isinstance(quotas, Refusal)
    assert {stratum: seats for stratum, seats in quotas.items() if seats} == {
        Stratum("11", "priority"): 2,
        Stratum("31", "public"): 5,
    }
    assert list(quotas) == sorted(split(7, PLACES, 80))


@pytest.mark.parametrize(
    ("table", "code", "said"),
    [
        ("31,public,5\n99,public,2", "quota-unknown-province", "line 2"),
        ("31,public,5\n1,public,2", "quota-unknown-province", "line 2"),
        ("31,rich,7", "quota-unknown-tier", "line 1"),
        ("31,public,5\n\n31,public,2", "quota-stratum-twice", "line 3"),
        ("31,public,8\n11,public,-1", "quota-negative", "line 2"),
        ("31,public", "quota-line-unreadable", "line 1"),
        ("31,public,7,", "quota-line-unreadable", "line 1"),
        ("31,public,5.0", "quota-line-unreadable", "line 1"),
        ("31,public,\u0665", "quota-line-unreadable", "line 1"),
        ("31,public,5\n11,public,3", "quotas-differ-from-seats", "add up to 8, but the wave has 7"),
        ("\n", "quotas-differ-from-seats", "add up to 0, but the wave has 7"),
    ],
)
def test_a_table_that_can_not_be_right_is_refused_with_its_line_and_reason(table: str, code: str, said: str) -> None:
    refusal = decree(table, 7, PLACES)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.status, refusal.field) == (code, 422, "quotas")
    assert said in refusal.en
