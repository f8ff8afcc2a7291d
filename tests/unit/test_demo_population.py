"""Synthetic people: the same for the same seed, with numbers as real ones are built, wrong where they should be."""

from collections import Counter
from datetime import date
from functools import cache

import pytest

from deploy.demo import figures, population
from deploy.demo.population import Person, Reach, secrets_of, split_evenly

TOLD = figures.load(5000)


@cache
def people(seed: str = "2020") -> tuple[Person, ...]:
    return tuple(population.make(TOLD, seed))


def test_the_same_seed_makes_the_same_people_and_another_one_others() -> None:
    assert population.make(TOLD, "2020") == list(people())
    assert population.make(TOLD, "2021") != list(people())


def test_no_two_people_share_a_nik_a_phone_an_e_mail_or_an_account() -> None:
    for field in ("nik", "phone", "email", "account"):
        assert len({getattr(person, field) for person in people()}) == len(people()), field


def test_as_many_come_as_far_as_was_published() -> None:
    reached = Counter(person.reach for person in people())
    assert sum(reached.values()) == 40_000_000 // 5000
    assert reached[Reach.VERIFIED] == 20_000_000 // 5000
    assert reached[Reach.REGISTERED] == (40_000_000 - 26_000_000) // 5000


def test_a_nik_holds_the_birth_date_with_forty_added_for_women() -> None:
    for person in people()[:500]:
        assert len(person.nik) == len(person.kk) == 16
        day = int(person.nik[6:8])
        assert day in (person.birth_date.day, person.birth_date.day + 40)
        assert person.nik[8:12] == f"{person.birth_date:%m%y}"


def test_some_were_issued_their_nik_elsewhere() -> None:
    elsewhere = sum(person.nik[:2] != person.province for person in people())
    assert 0 < elsewhere < len(people()) / 3


def test_everybody_is_of_age_on_the_first_day() -> None:
    for person in people():
        assert 18 <= (date(2020, 4, 11) - person.birth_date).days / 365.2425 < 61


def test_families_share_a_card_and_a_province_and_are_never_larger_than_three() -> None:
    families: dict[str, list[Person]] = {}
    for person in people():
        families.setdefault(person.kk, []).append(person)
    sizes = Counter(len(family) for family in families.values())
    assert sizes[2] > 0
    assert sizes[3] > 0
    assert max(sizes) == 3
    assert all(len({person.province for person in family}) == 1 for family in families.values())


def test_whoever_mistypes_gets_one_field_wrong_and_then_right() -> None:
    wrong = [person for person in people() if person.mistypes]
    assert {person.mistypes for person in wrong} == {"nik", "kk", "name", "birth_date"}
    for person in wrong:
        first, then = person.identity(typed_right=False), person.identity(typed_right=True)
        assert {field for field in first if first[field] != then[field]} == {person.mistypes}
        if person.mistypes in ("nik", "kk"):
            assert len(first[person.mistypes]) == 16


@pytest.mark.parametrize("share", [0.0, 0.05, 1 / 3, 0.95, 1.0])
def test_a_share_is_taken_evenly_and_nobody_is_lost(share: float) -> None:
    items = list(range(997))
    taken, others = split_evenly(items, share)
    assert sorted(taken + others) == items
    assert len(taken) == pytest.approx(997 * share, abs=1)
    half = [item for item in taken if item < 500]
    assert len(half) == pytest.approx(500 * share, abs=1)


def test_everything_personal_is_known_to_the_scan() -> None:
    person = people()[3]
    numbers, words = secrets_of([person])
    assert {person.nik, person.kk, person.phone[1:], person.account.removeprefix("0")} == numbers
    assert set(person.name.lower().split()) < words
