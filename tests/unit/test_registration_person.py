"""What people type, and what becomes of it."""

from datetime import date

import pytest

from libs.events.refusal import Refusal
from services.registration.domain import person
from tests.unit.registration_examples import claim, registration


@pytest.mark.parametrize(
    "typed", ["081234567890", "+62 812-3456-7890", "6281234567890", "81234567890", "0812 3456 7890", "(0812) 3456.7890"]
)
def test_one_sim_card_is_one_number_however_it_is_written(typed: str) -> None:
    assert person.phone(typed) == "+6281234567890"


@pytest.mark.parametrize(
    "typed", ["", "0211234567", "+4915112345678", "0812", "08123456789012", "0812345678a0", "٠٨١٢٣٤٥٦٧٨٩٠"]
)
def test_what_is_no_indonesian_mobile_number_is_refused(typed: str) -> None:
    assert person.phone(typed) == person.PHONE_WRONG


def test_a_nik_may_be_written_in_groups() -> None:
    assert person.nik("3273 0130 0495 0001") == "3273013004950001"


@pytest.mark.parametrize("typed", ["", "327301300495001", "32730130049500011", "327301300495000A", "3273013004950000"])
def test_a_nik_has_sixteen_digits_and_a_serial_from_0001(typed: str) -> None:
    assert person.nik(typed) == person.NIK_WRONG


@pytest.mark.parametrize(("nik", "disagrees"), [
    ("3273013004950001", False),
    ("3273017004950001", False),  # a woman: day + 40
    ("3273013104950001", True),
    ("3273013005950001", True),
    ("3273013004960001", True),
    ("3273019999990001", True),  # no date at all is no reason to reject it either
])  # fmt: skip
def test_a_nik_that_shows_another_birth_date_is_noticed(nik: str, disagrees: bool) -> None:
    assert person.nik_disagrees(nik, date(1995, 4, 30)) is disagrees


def test_a_woman_born_on_the_thirty_first_is_told_from_a_man() -> None:
    assert not person.nik_disagrees("3273017112000001", date(2000, 12, 31))


@pytest.mark.parametrize("typed", ["1995-04-30"])
def test_a_birth_date_is_a_day(typed: str) -> None:
    assert person.birth_date(typed) == date(1995, 4, 30)


@pytest.mark.parametrize("typed", ["30-04-1995", "1995-02-30", "1899-12-31", "1995-04-30T00:00:00", "19950430"])
def test_what_is_no_birth_date_is_refused(typed: str) -> None:
    assert person.birth_date(typed) == person.BIRTH_DATE_WRONG


def test_an_address_is_kept_in_lower_case() -> None:
    assert person.email("  Siti.Aminah@Contoh.ID ") == "siti.aminah@contoh.id"


@pytest.mark.parametrize(
    "typed", ["", "siti", "siti@", "@contoh.id", "siti@contoh", "si ti@contoh.id", "a@b..id", "a@" + "b" * 260 + ".id"]
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    assert person.email(typed) == person.EMAIL_WRONG


def test_a_name_loses_its_extra_spaces_and_nothing_else() -> None:
    assert person.name("  Siti   Nur'aini  binti Ahmad, S.Pd. ") == "Siti Nur'aini binti Ahmad, S.Pd."


@pytest.mark.parametrize("typed", ["", "   ", "a" * 101, "Siti\u202eAminah"])
def test_what_is_no_name_is_refused(typed: str) -> None:
    assert isinstance(person.name(typed), Refusal)


def test_papua_is_one_of_34_provinces_and_48_is_none() -> None:
    assert len(person.PROVINCES) == 34
    assert person.province("91") == "91"
    assert person.province("48") == person.PROVINCE_WRONG


def test_no_representation_shows_a_person() -> None:
    shown = repr(claim()) + repr(registration())
    assert not any(secret in shown for secret in ("3273", "Siti", "1995", "@", "+62"))
