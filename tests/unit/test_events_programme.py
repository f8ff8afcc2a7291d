"""A programme file that contradicts itself stops the start, and names the line to look at."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from libs.events.programme import SHIPPED, BadProgramme, last_moment, line_of, load_programme, load_programmes

GOOD = (SHIPPED / "prakerja-2020.toml").read_text()


def load(folder: Path, text: str) -> str:
    """The sentence with which the file is refused; fails when it is not."""
    path = folder / "programme.toml"
    path.write_text(text)
    with pytest.raises(BadProgramme) as refused:
        load_programme(path)
    return str(refused.value)


def edited(old: str, new: str) -> tuple[str, int]:
    """The good file with one line changed, and the number of that line."""
    lines = GOOD.splitlines()
    place = next(index for index, line in enumerate(lines) if line.startswith(old))
    lines[place] = new
    return "\n".join(lines), place + 1


@pytest.mark.parametrize(
    ("old", "new", "where", "remedy"),
    [
        ("total = 3_550_000", "total = 3_550_001", "benefit.total", "add up to 3550000; make total equal"),
        ("age_min = 18", "age_min = 65", "eligibility.age_min", "age_min is above age_max"),
        ("link_by = 2021-03-04", "link_by = 2021-03-06", "payout.link_by", "put it on or before that day"),
        ("cut_off = 2020-12-15", "cut_off = 2021-03-06", "training.cut_off", "training could never be paid"),
        ("appropriation = ", "appropriation = 3_549_999", "money.appropriation", "not pay for a single member"),
        ("closes = 2020-04-30", "closes = 2020-04-25T08:00:00+07:00", "waves.2.closes", "open, then close, then draw"),
        ("draws = 2020-05-01", "draws = 2020-04-30T16:00:00+07:00", "waves.2.closes", "open, then close, then draw"),
        ("number = 3", "number = 2", "waves.2.number", "wave 2 must follow wave 2"),
        (
            "opens = 2020-04-25",
            "opens = 2020-04-23T15:59:59+07:00",
            "waves.2.number",
            "follow wave 2 and open after it",
        ),
        ("age_max = 64", "age_max = -1", "eligibility.age_max", "greater than or equal to 0"),
        ("incentive = 600_000", "incentive = 600_000.5", "benefit.incentive", "valid integer"),
        ("purchase_days = 30", 'purchase_days = "a month"', "training.purchase_days", "valid integer"),
        ("name = ", 'name = "Prakerja 2020"', "name", "match pattern"),
        ("seats = 224_615", "seats = -1", "waves.2.seats", "greater than or equal to 0"),
        ("closes = 2020-04-30", "closes = 2020-04-30T16:00:00", "waves.2.closes", "timezone"),
        ("algorithm = ", 'algorithm = "draw/2"', "draw.algorithm", "match pattern"),
        ("ombudsman = ", "ombudsman = 'Om\"buds'", "draw.offices.ombudsman", "match pattern"),
    ],
)
def test_every_inconsistency_names_file_line_rule_and_remedy(
    tmp_path: Path, old: str, new: str, where: str, remedy: str
) -> None:
    text, line = edited(old, new)
    if old.startswith("draws"):
        line -= 1  # it is the closing that the sentence is about
    if old.startswith("opens"):
        line -= 1  # the wave as a whole comes too early: its first line is named
    told = load(tmp_path, text)
    assert told.startswith(f"programme.toml, line {line}: {where}: ")
    assert remedy in told


def test_two_offices_of_one_title_name_the_line_of_their_table(tmp_path: Path) -> None:
    text, line = edited("management = ", 'management = "Komite Cipta Kerja"')
    told = load(tmp_path, text)
    assert told.startswith(f"programme.toml, line {line - 2}: draw.offices: two offices have one title")


def test_a_rule_that_is_missing_names_the_line_of_its_table(tmp_path: Path) -> None:
    text = "\n".join(line for line in GOOD.splitlines() if not line.startswith("surveys ="))
    table = text.splitlines().index(next(line for line in text.splitlines() if line.startswith("[benefit]"))) + 1
    assert load(tmp_path, text).startswith(f"programme.toml, line {table}: benefit.surveys: Field required")


def test_a_rule_that_nobody_knows_names_its_own_line(tmp_path: Path) -> None:
    text, line = edited("surveys = 3", "surveys = 3\nsurvey_prize = 1")
    told = load(tmp_path, text)
    assert told.startswith(f"programme.toml, line {line + 1}: benefit.survey_prize: ")


def test_what_is_not_toml_is_refused_with_its_place(tmp_path: Path) -> None:
    text, line = edited("surveys = 3", "surveys = = 3")
    assert f"programme.toml: not TOML: Invalid value (at line {line}" in load(tmp_path, text)


def test_a_folder_without_programmes_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(BadProgramme, match="point GELOMBANG_PROGRAMMES at a folder with one"):
        load_programmes(tmp_path)


def test_every_shipped_programme_agrees_with_itself_and_is_named_after_its_file() -> None:
    found = load_programmes()
    assert {f"{name}.toml" for name in found} == {path.name for path in SHIPPED.glob("*.toml")}


def test_the_benefit_of_2020_is_the_published_one() -> None:
    """beritasatu 634939: 1,000,000 + 4 x 600,000 + 3 x 50,000 = 3,550,000."""
    benefit = load_programmes()["prakerja-2020"].benefit
    assert (benefit.learning_credit, benefit.incentive, benefit.incentives) == (1_000_000, 600_000, 4)
    assert (benefit.survey, benefit.surveys, benefit.total) == (50_000, 3, 3_550_000)


def test_the_benefit_of_2023_is_the_published_one() -> None:
    """antara 466449: 3,500,000 + 600,000 + 2 x 50,000 = 4,200,000."""
    benefit = load_programmes()["prakerja-2023"].benefit
    assert (benefit.learning_credit, benefit.incentive, benefit.incentives) == (3_500_000, 600_000, 1)
    assert (benefit.survey, benefit.surveys, benefit.total) == (50_000, 2, 4_200_000)


def test_a_wave_is_found_by_its_number() -> None:
    programme = load_programmes()["prakerja-2020"]
    wave = programme.wave(2)
    assert wave is not None
    assert (wave.number, wave.seats) == (2, 288_154)
    assert programme.wave(99) is None


def test_a_day_ends_in_jakarta() -> None:
    assert last_moment(date(2020, 12, 15)) == datetime(2020, 12, 15, 16, 59, 59, 999_999, tzinfo=UTC)


def test_lines_are_found_by_path() -> None:
    text = 'name = "x"\n\n[ benefit ]\n total = 1\n[[waves]]\nnumber = 1\n[[ waves ]]\nnumber = 2\ncloses = 3\n'
    assert line_of(text, "name") == 1
    assert line_of(text, "benefit.total") == 4
    assert line_of(text, "waves.0.number") == 6
    assert line_of(text, "waves.1.closes") == 9
    assert line_of(text, "waves.1.draws") == 7
    assert line_of(text, "benefit.missing") == 3
    assert line_of(text, "nothing.at_all") == 1
