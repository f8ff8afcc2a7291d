"""People and waves that the tests of registration use. Every number here is invented."""

from datetime import date

from libs.events import ids
from libs.events.programme import load_programmes
from services.registration.commands import Registration, Submission
from services.registration.domain.application import Applicant, State, Wave
from services.registration.domain.eligibility import Person
from services.registration.domain.person import Claim, Contact
from services.registration.vault import Vault
from tests.support import jakarta

PROGRAMMES = load_programmes()
PRAKERJA_2020, PRAKERJA_2023 = PROGRAMMES["prakerja-2020"], PROGRAMMES["prakerja-2023"]
VAULT = Vault(b"n" * 32, b"k" * 32, b"w" * 32)
BORN = date(1995, 4, 30)
NIK = "3273013004950001"
KK = "3273010101100007"


def registration(number: int = 1, *, email: str = "", phone: str = "", id: str = "") -> Registration:
    contact = Contact(email or f"warga{number}@contoh.id", phone or f"+62812{number:07}")
    return Registration(id or ids.derive("test registration", str(number)), contact)


def claim(nik: str = NIK, kk: str = KK, name: str = "Siti Aminah", born: date = BORN) -> Claim:
    return Claim(nik, kk, name, born)


def submission(citizen_id: str, told: Claim | None = None, occupation: str = "job-seeker") -> Submission:
    return Submission(citizen_id, told or claim(), "32", occupation, False)


def numbered(number: int) -> Claim:
    """A claim of somebody else, on a family card of their own."""
    return claim(nik=f"327301300495{number:04}", kk=f"32730101011{number:05}", name=f"Warga {number}")


def person(born: date = BORN, **told: object) -> Person:
    return Person(**{"birth_date": born, "in_education": False, "occupation": "job-seeker", **told})  # type: ignore[arg-type]


def wave(state: str = "open", number: int = 1) -> Wave:
    return Wave("prakerja-2020", number, state, jakarta("2020-04-16 16:00:00"))


def applicant(told: Person | None = None, *, member: bool = False, state: State | None = None, n: int = 0) -> Applicant:
    return Applicant("c" * 32, "f" * 32, "32", told, member, state, n)
