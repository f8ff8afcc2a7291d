"""Who may apply, as the regulation says it."""

from datetime import date

import pytest

from services.registration.domain.eligibility import age, exclusions, reasons_against, tier
from tests.unit.registration_examples import PRAKERJA_2020, person

TODAY = date(2020, 4, 12)
RULES = PRAKERJA_2020.eligibility


def codes(**told: object) -> list[str]:
    born = told.pop("born", date(1995, 4, 30))
    return [reason.code for reason in reasons_against(RULES, person(born, **told), TODAY)]  # type: ignore[arg-type]


def test_an_adult_job_seeker_may_apply() -> None:
    assert codes() == []


def test_from_the_eighteenth_birthday_on() -> None:
    assert codes(born=date(2002, 4, 12)) == []
    assert codes(born=date(2002, 4, 13)) == ["too-young"]


def test_to_the_day_before_the_sixty_fifth_birthday() -> None:
    assert codes(born=date(1955, 4, 13)) == []
    assert codes(born=date(1955, 4, 12)) == ["too-old"]


def test_a_leap_day_child_grows_older_on_the_first_of_march() -> None:
    assert age(date(2004, 2, 29), date(2022, 2, 28)) == 17
    assert age(date(2004, 2, 29), date(2022, 3, 1)) == 18


def test_formal_education_bars() -> None:
    assert codes(in_education=True) == ["in-education"]


@pytest.mark.parametrize("occupation", ["laid-off", "furloughed", "worker", "micro-business"])
def test_these_may_apply(occupation: str) -> None:
    assert codes(occupation=occupation) == []


def test_public_office_bars() -> None:
    assert codes(occupation="barred-office") == ["barred-office"]


def test_every_reason_is_named_at_once() -> None:
    assert codes(born=date(2010, 1, 1), in_education=True, occupation="barred-office") == [
        "too-young", "in-education", "barred-office",
    ]  # fmt: skip


def test_listed_laid_off_workers_have_priority() -> None:
    assert tier(person(laid_off_listed=True)) == "priority"
    assert tier(person(occupation="laid-off")) == "public"  # saying so is not being on the list


def test_what_the_lists_say_travels_with_the_application_and_bars_nobody_here() -> None:
    listed = person(blacklisted=True, other_aid=True)
    assert exclusions(listed) == ("blacklist", "other-aid")
    assert exclusions(person()) == ()
    assert list(reasons_against(RULES, listed, TODAY)) == []
