"""Who may apply. The rules' numbers come from the programme file; each rule names its source."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from libs.events.contracts import Tier
from libs.events.programme import Eligibility

Occupation = Literal["job-seeker", "laid-off", "furloughed", "worker", "micro-business", "barred-office"]


@dataclass(frozen=True, slots=True)
class Person:
    """What the rules ask about a citizen: declared by the citizen, or found by the outside checks."""

    birth_date: date = field(repr=False)
    in_education: bool
    occupation: str
    blacklisted: bool = False
    other_aid: bool = False
    laid_off_listed: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a citizen may not apply."""

    code: str
    id: str
    en: str


IN_EDUCATION: Final = Reason(
    "in-education",
    "Anda masih menempuh pendidikan formal. Anda dapat mendaftar setelah lulus atau berhenti.",
    "You are still in formal education. You can apply once you have left it.",
)
BARRED_OFFICE: Final = Reason(
    "barred-office",
    "Pejabat negara, anggota DPRD, ASN, TNI, Polri, kepala dan perangkat desa, serta direksi, komisaris, dan dewan "
    "pengawas BUMN/BUMD tidak dapat mengikuti program ini.",
    "State officials, legislators, civil servants, military, police, village heads and staff, and directors, "
    "commissioners and supervisors of state or regional firms can not take part.",
)


def age(born: date, on: date) -> int:
    """Completed years. Who was born on 29 February turns a year older on 1 March of a common year."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def reasons_against(rules: Eligibility, person: Person, today: date) -> Sequence[Reason]:
    """Every rule that bars this person on this day in Jakarta; empty for whoever may apply.

    Age by the declared birth date, formal education and barred offices: Permenko 11/2020, Art. 2. Blacklists and other
    aid are not judged here: they travel with the application, and selection excludes by them.
    """
    found = []
    years = age(person.birth_date, today)
    if years < rules.age_min:
        found.append(
            Reason(
                "too-young",
                f"Usia Anda belum {rules.age_min} tahun. Anda dapat mendaftar setelah berusia {rules.age_min} tahun.",
                f"You are not {rules.age_min} years old yet. You can apply once you are.",
            )
        )
    if years > rules.age_max:
        found.append(
            Reason(
                "too-old",
                f"Program ini untuk usia {rules.age_min} sampai {rules.age_max} tahun.",
                f"This programme is for ages {rules.age_min} to {rules.age_max}.",
            )
        )
    if person.in_education and not rules.in_education:
        found.append(IN_EDUCATION)
    if person.occupation == "barred-office":
        found.append(BARRED_OFFICE)
    return found


def tier(person: Person) -> Tier:
    """Listed laid-off workers come first: the Kemnaker whitelist was to fill 80 % of each 2020 wave."""
    return "priority" if person.laid_off_listed else "public"


def exclusions(person: Person) -> tuple[str, ...]:
    """What the outside checks found, for selection to apply by the programme's rules."""
    return ("blacklist",) * person.blacklisted + ("other-aid",) * person.other_aid
