"""The rules of one scheme and year, as data. Services read their numbers from here and from nowhere else.

A programme file is TOML. A rule that contradicts another one stops the start with a sentence that names the file, the
line and the remedy. Amounts are whole rupiah. Days are calendar days in Jakarta.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from libs.events.clock import JAKARTA

SHIPPED = Path(__file__).parent / "programmes"

Count = Annotated[int, Field(ge=0)]
Percent = Annotated[int, Field(ge=0, le=100)]
OfficeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
OfficeTitle = Annotated[str, StringConstraints(pattern=r"^[!#-\[\]-~]([ !#-\[\]-~]{0,78}[!#-\[\]-~])?$")]
"""ASCII without `"` and `\\`, as the commitment of a draw takes it."""


class BadProgramme(Exception):
    """A programme file that contradicts itself; the message names file, line and remedy."""


class Inconsistent(ValueError):
    """One rule against another. `where` is the dotted path of the rule to look at."""

    def __init__(self, where: str, sentence: str) -> None:
        super().__init__(sentence)
        self.where = where


class _Rules(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Eligibility(_Rules):
    age_min: Count
    age_max: Count
    in_education: bool
    other_aid: bool
    household_cap: Annotated[int, Field(ge=1, le=255)]
    once_per_lifetime: bool


class Draw(_Rules):
    algorithm: Annotated[str, Field(pattern="^draw/1$")]
    priority_percent: Percent
    provinces: Annotated[str, Field(pattern="^by-population$")]
    appeal_days: Annotated[int, Field(ge=1, le=365)]
    offices: dict[OfficeName, OfficeTitle] = Field(default_factory=dict)
    """Who can take part in the ceremony of a draw. Published is the title; the name is what an account's role says."""


class Benefit(_Rules):
    """What one member is worth at most, in rupiah."""

    learning_credit: Count
    incentive: Count
    incentives: Count
    incentive_every_days: Annotated[int, Field(ge=1)]
    survey: Count
    surveys: Count
    total: Count


class Training(_Rules):
    purchase_days: Annotated[int, Field(ge=1)]
    next_purchase_days: Count
    course_hours_min: Count
    redeem_hours_before: Count
    redeem_hours_after: Count
    cut_off: date
    commission_percent_max: Percent


class Payout(_Rules):
    link_by: date
    last_payment: date
    retry_days: Count


class Money(_Rules):
    appropriation: Count


class Wave(_Rules):
    number: Annotated[int, Field(ge=1)]
    opens: AwareDatetime
    closes: AwareDatetime
    draws: AwareDatetime
    seats: Count


class Programme(_Rules):
    """One scheme and year."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    title_id: str
    title_en: str
    year: int
    eligibility: Eligibility
    draw: Draw
    benefit: Benefit
    training: Training
    payout: Payout
    money: Money
    waves: tuple[Wave, ...]

    @model_validator(mode="after")
    def agree(self) -> Self:
        """Hold every rule against the others."""
        paid = self.benefit
        total = paid.learning_credit + paid.incentive * paid.incentives + paid.survey * paid.surveys
        if total != paid.total:
            raise Inconsistent(
                "benefit.total",
                f"the parts of the benefit add up to {total}; make total equal to that",
            )
        if self.eligibility.age_min > self.eligibility.age_max:
            raise Inconsistent("eligibility.age_min", "age_min is above age_max; nobody could apply")
        if self.payout.link_by > self.payout.last_payment:
            raise Inconsistent(
                "payout.link_by",
                "link_by lies after last_payment; put it on or before that day",
            )
        if self.training.cut_off > self.payout.last_payment:
            raise Inconsistent(
                "training.cut_off",
                "cut_off lies after last_payment; training could never be paid",
            )
        if paid.total and self.money.appropriation < paid.total:
            raise Inconsistent(
                "money.appropriation",
                "the appropriation does not pay for a single member",
            )
        if len(set(self.draw.offices.values())) < len(self.draw.offices):
            raise Inconsistent("draw.offices", "two offices have one title; nobody could tell them apart")
        self._waves_agree()
        return self

    def _waves_agree(self) -> None:
        last: Wave | None = None
        for index, wave in enumerate(self.waves):
            here = f"waves.{index}"
            if not wave.opens < wave.closes < wave.draws:
                raise Inconsistent(
                    f"{here}.closes",
                    f"wave {wave.number} must open, then close, then draw",
                )
            if last and (wave.number <= last.number or wave.opens < last.closes):
                raise Inconsistent(
                    f"{here}.number",
                    f"wave {wave.number} must follow wave {last.number} and open after it",
                )
            last = wave

    def wave(self, number: int) -> Wave | None:
        """The wave with this number, or None."""
        return next((wave for wave in self.waves if wave.number == number), None)


def last_moment(day: date) -> datetime:
    """The end of a calendar day in Jakarta."""
    return datetime.combine(day, time(23, 59, 59, 999_999), JAKARTA)


def load_programmes(folder: Path = SHIPPED) -> Mapping[str, Programme]:
    """Every programme file of a folder, by name.

    Raises BadProgramme with file, line and remedy when a file can not be read, breaks its form or contradicts itself.
    """
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise BadProgramme(
            f"{folder}: no programme file (*.toml) here; point GELOMBANG_PROGRAMMES at a folder with one"
        )
    found = [load_programme(path) for path in files]
    return {programme.name: programme for programme in found}


def load_programme(path: Path) -> Programme:
    """Read one programme file. Raises BadProgramme."""
    text = path.read_text()
    try:
        return Programme.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadProgramme(f"{path.name}: not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        cause = first.get("ctx", {}).get("error")
        where = cause.where if isinstance(cause, Inconsistent) else ".".join(str(part) for part in first["loc"])
        sentence = str(cause) if cause else first["msg"]
        raise BadProgramme(f"{path.name}, line {line_of(text, where)}: {where}: {sentence}") from None


def line_of(text: str, where: str) -> int:
    """The line of a dotted path (`benefit.total`, `waves.3.closes`, `draw.offices`); of its table, or 1, without it."""
    *tables, key = where.split(".")
    nth = int(tables.pop()) if tables and tables[-1].isdigit() else 0
    table = ".".join(tables)
    inside, seen, line_of_table = not tables, -1, 1
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([\w.-]+)\s*\]\]?", line):
            if header[1] == where:
                return number
            seen += header[1] == table
            inside = header[1] == table and seen == nth
            line_of_table = number if inside else line_of_table
        elif inside and re.match(rf"\s*{re.escape(key)}\s*=", line):
            return number
    return line_of_table
