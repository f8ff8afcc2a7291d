"""Rules about what people type that hold for everything they could type."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from libs.events.refusal import Refusal
from services.registration.domain import person
from services.registration.domain.eligibility import age
from services.registration.vault import Seal

NUMBERS = st.from_regex(r"8[0-9]{8,11}", fullmatch=True)
DAYS = st.dates(date(1900, 1, 1), date(2099, 12, 31))


@given(NUMBERS, st.sampled_from(["", "0", "62", "+62"]), st.lists(st.sampled_from(" -.()"), max_size=4))
def test_every_way_to_write_a_number_gives_the_same(national: str, prefix: str, marks: list[str]) -> None:
    written = prefix + national[:3] + "".join(marks) + national[3:]
    assert person.phone(written) == f"+62{national}"


@given(st.text())
def test_reading_is_final_and_never_fails(text: str) -> None:
    for read in (person.nik, person.kk, person.name, person.email, person.phone):
        result = read(text)
        assert isinstance(result, Refusal) or read(result) == result


@given(st.text(), st.sampled_from([person.nik, person.kk, person.name, person.email, person.phone, person.birth_date]))
def test_no_refusal_repeats_what_was_typed(text: str, read: object) -> None:
    result = read(text)  # type: ignore[operator]
    assert not isinstance(result, Refusal) or result in {
        person.NIK_WRONG, person.KK_WRONG, person.NAME_WRONG, person.EMAIL_WRONG, person.PHONE_WRONG,
        person.BIRTH_DATE_WRONG,
    }  # fmt: skip


@given(DAYS, st.booleans(), st.integers(1, 9999), st.from_regex(r"[0-9]{6}", fullmatch=True))
def test_a_nik_agrees_with_the_birth_date_it_was_made_from(born: date, woman: bool, serial: int, place: str) -> None:
    nik = f"{place}{born.day + 40 * woman:02}{born:%m%y}{serial:04}"
    assert person.nik(nik) == nik
    assert not person.nik_disagrees(nik, born)


@given(DAYS, DAYS)
def test_nobody_grows_younger(born: date, today: date) -> None:
    assert age(born, today) <= age(born, today.replace(day=28) if today.day < 28 else today)
    assert age(born, born) == 0


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=50), max_size=5))
def test_whatever_is_closed_opens_unchanged(value: dict[str, str]) -> None:
    seal = Seal(b"k" * 32, "c" * 32)
    assert seal.open("test", seal.close("test", value)) == value
