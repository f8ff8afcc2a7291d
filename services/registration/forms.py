"""What the API takes and gives. Every wrong field is named with its remedy, all at once; nothing typed is repeated."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from libs.events.refusal import Refusal
from services.registration.domain import person
from services.registration.domain.eligibility import Occupation

CHARACTERS_MAX: Final = 300

T = TypeVar("T")

ID_WRONG: Final = Refusal(
    "id-form",
    422,
    "Nomor ini harus 32 angka heksadesimal huruf kecil, dibuat oleh aplikasi Anda.",
    "This id must be 32 lower-case hexadecimal digits, made by your client.",
)
CODE_WRONG: Final = Refusal(
    "code-form",
    422,
    "Kode terdiri dari enam angka. Salin dari pesan terakhir yang kami kirim.",
    "The code has six digits. Copy it from the latest message we sent.",
)
STATEMENT_MISSING: Final = Refusal(
    "statement-missing",
    422,
    "Setujui pernyataan bahwa data Anda benar untuk melanjutkan.",
    "Agree to the statement that what you tell us is true in order to go on.",
)
OCCUPATION_WRONG: Final = Refusal(
    "occupation-unknown",
    422,
    "Pilih pekerjaan dari daftar: job-seeker, laid-off, furloughed, worker, micro-business, atau barred-office.",
    "Choose an occupation from the list: job-seeker, laid-off, furloughed, worker, micro-business or barred-office.",
)
IN_EDUCATION_WRONG: Final = Refusal(
    "in-education-form",
    422,
    "Jawab ya atau tidak: apakah Anda sedang menempuh pendidikan formal?",
    "Answer yes or no: are you in formal education?",
)
OCCUPATIONS: Final = ("job-seeker", "laid-off", "furloughed", "worker", "micro-business", "barred-office")


def _told(refusal: Refusal) -> PydanticCustomError:
    return PydanticCustomError(refusal.code, refusal.en, {"id": refusal.id})


def _text(read: Callable[[str], T | Refusal], wrong: Refusal) -> BeforeValidator:
    """Read a text by a rule of the domain. What is no text, too long or has a NUL is wrong in the same words."""

    def check(value: object) -> T:
        if not isinstance(value, str) or len(value) > CHARACTERS_MAX or "\x00" in value:
            raise _told(wrong)
        result = read(value)
        if isinstance(result, Refusal):
            raise _told(result)
        return result

    return BeforeValidator(check)


def _exactly(accepts: Callable[[object], bool], wrong: Refusal) -> BeforeValidator:
    def check(value: object) -> object:
        if not accepts(value):
            raise _told(wrong)
        return value

    return BeforeValidator(check)


def _hex(value: object) -> bool:
    return isinstance(value, str) and len(value) == 32 and all(digit in "0123456789abcdef" for digit in value)


def _six_digits(value: object) -> bool:
    return isinstance(value, str) and len(value) == 6 and value.isascii() and value.isdecimal()


Phone = Annotated[str, _text(person.phone, person.PHONE_WRONG), Field(repr=False, examples=["0812-3456-7890"])]
Digits = Annotated[str, _exactly(_six_digits, CODE_WRONG), Field(repr=False, examples=["123456"])]
ProgrammeName = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$", examples=["prakerja-2020"])]
WaveNumber = Annotated[int, Field(ge=1, le=1_000_000)]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class RegistrationForm(_Form):
    registration_id: Annotated[str, _exactly(_hex, ID_WRONG)]
    email: Annotated[str, _text(person.email, person.EMAIL_WRONG), Field(repr=False, examples=["nama@contoh.id"])]
    phone: Phone


class ConfirmationForm(_Form):
    code: Digits


class ErasureForm(_Form):
    """Nothing brings the data back, so it is not done by a mere visit."""

    confirm: Literal["erase-everything"]


class IdentityForm(_Form):
    nik: Annotated[str, _text(person.nik, person.NIK_WRONG), Field(repr=False)]
    kk: Annotated[str, _text(person.kk, person.KK_WRONG), Field(repr=False)]
    name: Annotated[str, _text(person.name, person.NAME_WRONG), Field(repr=False)]
    birth_date: Annotated[date, _text(person.birth_date, person.BIRTH_DATE_WRONG), Field(repr=False)]
    province: Annotated[str, _text(person.province, person.PROVINCE_WRONG), Field(examples=["32"])]
    occupation: Annotated[Occupation, _exactly(lambda value: value in OCCUPATIONS, OCCUPATION_WRONG)]
    in_education: Annotated[bool, _exactly(lambda value: isinstance(value, bool), IN_EDUCATION_WRONG)]
    statement: Annotated[Literal[True], _exactly(lambda value: value is True, STATEMENT_MISSING)]


class ApplicationForm(_Form):
    programme: ProgrammeName
    wave: WaveNumber


class TokenForm(_Form):
    phone: Phone


class ExchangeForm(_Form):
    phone: Phone
    otp: Digits


class IdentityTokenForm(_Form):
    audience: Literal["disbursement"]


class SignedIn(BaseModel):
    citizen_id: str
    token: str


class Status(BaseModel):
    status: str


class Notice(BaseModel):
    """Something to look at that bars nothing."""

    code: str
    id: str
    en: str


class Submitted(BaseModel):
    status: Literal["checking"]
    warnings: list[Notice]


class Joined(BaseModel):
    application_id: str
    state: str


class Withdrawn(BaseModel):
    state: str


class IdentityToken(BaseModel):
    identity_token: str


class NextStep(BaseModel):
    id: str | None
    en: str | None


class ApplicationState(BaseModel):
    application_id: str
    programme: str
    wave: int
    state: str


class Me(BaseModel):
    citizen_id: str
    email_confirmed: bool
    identity: Literal["none", "checking", "verified", "mismatch", "not-found"]
    mismatch_field: str | None
    nik_disagrees: bool
    eligible: bool
    reasons: list[Notice]
    next_step: NextStep
    applications: list[ApplicationState]


class OwnDraw(BaseModel):
    """A citizen's own numbers in a draw, to be checked against the published bundle.

    `proof` is a path of selection's API, not of this one: there the inclusion proof is.
    """

    ticket: str
    rank: int | None
    cutoff: str | None
    proof: str


class Step(BaseModel):
    at: datetime
    what: str
    programme: str | None
    wave: int | None
    id: str
    en: str
    next_id: str | None
    next_en: str | None
    deadline: datetime | None
    draw: OwnDraw | None


class WaveState(BaseModel):
    programme: str
    wave: int
    state: str
    opens_at: datetime | None
    closes_at: datetime | None
    draws_at: datetime | None
    seats: int | None
    intake_count: int | None
    intake_digest: str | None
