"""What the API takes and gives: the shapes of JSON, checked at the edge. Texts refuse NUL, lists are bounded."""

from datetime import UTC, datetime
from typing import Annotated, Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from libs.events.contracts import Id
from services.training.domain.course import Course, Draft, Mode
from services.training.domain.enrolment import CancelledBy, Enrolment
from services.training.domain.progress import SCORE_MAX, Attendance, Fault, Score, Told

LINES_MAX: Final = 1000
"""Lines of one partner list: one transaction, well below a second."""

_CLEAN: Final = r"^[^\x00]*$"
Short = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_CLEAN)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_CLEAN, strip_whitespace=True)]
Review = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=_CLEAN, strip_whitespace=True)]
# Beyond these years there is no programme, and arithmetic with time zones would leave the calendar.
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
Moment = Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST)]
Price = Annotated[int, Field(ge=1, le=1_000_000_000)]


class _In(BaseModel):
    """What comes in. A field that is not known is refused: were its name misspelt, a rule would be skipped silently."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class CourseBody(_In):
    """A course to put on sale. `also_sold_at_rupiah`: its price elsewhere, if it is sold there."""

    code: Short
    title: Title
    mode: Mode
    hours: Annotated[int, Field(ge=1, le=1000)]
    price_rupiah: Price
    seats: Annotated[int, Field(ge=1, le=1_000_000)]
    starts_at: Moment
    ends_at: Moment
    also_sold_at_rupiah: Price | None = None

    def draft(self) -> Draft:
        return Draft(**self.model_dump())


class CourseShown(BaseModel):
    course_id: str
    partner: str
    code: str
    title: str
    mode: Mode
    hours: int
    price_rupiah: int
    also_sold_at_rupiah: int | None
    seats: int
    seats_left: int
    starts_at: datetime
    ends_at: datetime
    cancelled_at: datetime | None

    @classmethod
    def of(cls, course: Course) -> Self:
        draft = course.draft
        return cls(
            course_id=course.course_id,
            partner=course.partner_id,
            code=draft.code,
            title=draft.title,
            mode=draft.mode,
            hours=draft.hours,
            price_rupiah=draft.price_rupiah,
            also_sold_at_rupiah=draft.also_sold_at_rupiah,
            seats=draft.seats,
            seats_left=draft.seats - course.seats_taken,
            starts_at=draft.starts_at,
            ends_at=draft.ends_at,
            cancelled_at=course.cancelled_at,
        )


class Catalogue(BaseModel):
    """One page of courses; `next` is the `after` of the following page, null on the last one."""

    courses: list[CourseShown]
    next: str | None


class Cancelled(BaseModel):
    course_id: str
    refunded: int


class PurchaseBody(_In):
    """`purchase_id` is made by the client; the same again is the same purchase."""

    course_id: Id
    purchase_id: Id


class ReceiptShown(BaseModel):
    enrolment_id: str
    redeem_code: str
    balance_rupiah: int


class RatingBody(_In):
    enrolment_id: Id
    stars: Annotated[int, Field(ge=1, le=5)]
    review: Review


class RatingShown(BaseModel):
    enrolment_id: str
    stars: int
    review: str


class NextStep(BaseModel):
    id: str
    en: str


class EnrolmentShown(BaseModel):
    enrolment_id: str
    programme: str
    course_id: str
    title: str
    mode: Mode
    starts_at: datetime
    ends_at: datetime
    price_rupiah: int
    redeem_code: str
    state: str
    bought_at: datetime
    cancelled_at: datetime | None
    cancelled_by: CancelledBy | None  # session: the partner called it off; purchase: the partner undid this purchase
    attended: list[int]
    waiting_for: list[int]  # sequence numbers still missing for the certificate; 999 is the post-test
    certificate_id: str | None
    score: int | None
    stars: int | None


class CreditLine(BaseModel):
    number: int
    kind: str
    amount_rupiah: int
    balance_rupiah: int
    enrolment_id: str | None
    at: datetime


class MembershipShown(BaseModel):
    state: str  # none, or a state of the membership
    programme: str | None
    wave: int | None
    selected_at: datetime | None
    purchase_due: datetime | None
    balance_rupiah: int
    next_step: NextStep
    enrolments: list[EnrolmentShown]
    credit: list[CreditLine]


class CodeLine(_In):
    redeem_code: Short


class AttendanceLine(_In):
    redeem_code: Short
    sequence: Annotated[int, Field(ge=0, le=999)]

    def report(self) -> Attendance:
        return Attendance(self.redeem_code, self.sequence)


class ScoreLine(_In):
    redeem_code: Short
    score: Annotated[int, Field(ge=0, le=SCORE_MAX)]

    def report(self) -> Score:
        return Score(self.redeem_code, self.score)


# The programme tells six faults apart; the status keeps to the words partners already know, `fault` says which it was.
_STATUS_OF_FAULT: Final = {Fault.WRONG_TYPE: Fault.NOT_FOUND, Fault.PURCHASE_CANCELLED: Fault.CANCELLED}


class RedemptionShown(BaseModel):
    redeem_code: str
    status: str
    fault: str | None
    enrolment_id: str | None
    session_starts_at: datetime | None
    session_ends_at: datetime | None

    @classmethod
    def of(cls, told: Told) -> Self:
        """Who is not the course's partner learns nothing about it."""
        fault = told.why if isinstance(told.why, Fault) else None
        place: Enrolment | None = None if fault is Fault.OTHER_PARTNER else told.enrolment
        return cls(
            redeem_code=told.redeem_code,
            status=_STATUS_OF_FAULT.get(fault, fault) if fault else "claimed",
            fault=fault,
            enrolment_id=place.enrolment_id if place else None,
            session_starts_at=place.starts_at if place else None,
            session_ends_at=place.ends_at if place else None,
        )


class AttendanceShown(BaseModel):
    redeem_code: str
    sequence: int
    status: str
    reason: str | None

    @classmethod
    def of(cls, told: Told) -> Self:
        return cls(
            redeem_code=told.redeem_code,
            sequence=told.sequence or 0,
            status=_status(told, "recorded", "already-recorded"),
            reason=told.why,
        )


class CertificateShown(BaseModel):
    redeem_code: str
    status: str
    reason: str | None
    certificate_id: str | None

    @classmethod
    def of(cls, told: Told) -> Self:
        issued = told.enrolment if told.why is None else None
        return cls(
            redeem_code=told.redeem_code,
            status=_status(told, "completed", "already-completed"),
            reason=told.why,
            certificate_id=issued.certificate_id if issued else None,
        )


class VoidShown(BaseModel):
    redeem_code: str
    status: str
    reason: str | None

    @classmethod
    def of(cls, told: Told) -> Self:
        if told.again:
            return cls(redeem_code=told.redeem_code, status="already-voided", reason=None)
        return cls(redeem_code=told.redeem_code, status=_status(told, "voided", ""), reason=told.why)


def _status(told: Told, done: str, before: str) -> str:
    if told.again:
        return before
    return "refused" if told.why else done
