"""A bought place in a course, and the states it goes through."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from libs.events import ids
from services.training.domain.course import Course, days
from services.training.domain.membership import Membership


class State(StrEnum):
    BOUGHT = "bought"
    CLAIMED = "claimed"  # the partner has presented the redeem code
    COMPLETED = "completed"  # attendance, post-test and certificate are all there
    RATED = "rated"
    CANCELLED = "cancelled"  # the partner undid it; the credit went back


@dataclass(frozen=True, slots=True)
class Claimed:
    """The partner presented the redeem code within its window."""


@dataclass(frozen=True, slots=True)
class Certified:
    """The partner reported a passing score, all attendance being there."""


@dataclass(frozen=True, slots=True)
class Rated:
    """The member gave stars and a review."""


@dataclass(frozen=True, slots=True)
class CalledOff:
    """The partner undid the purchase or the whole session."""


Change = Claimed | Certified | Rated | CalledOff

TRANSITIONS: Final[Mapping[tuple[State, type[Change]], State]] = {
    (State.BOUGHT, Claimed): State.CLAIMED,
    (State.BOUGHT, CalledOff): State.CANCELLED,
    (State.CLAIMED, CalledOff): State.CANCELLED,
    (State.CLAIMED, Certified): State.COMPLETED,
    (State.COMPLETED, Rated): State.RATED,
}


class CancelledBy(StrEnum):
    """What was called off: the session for everybody, or this one purchase."""

    SESSION = "session"
    PURCHASE = "purchase"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One purchase of one course, with what of its session the rules need. `attended` is filled where it is asked."""

    enrolment_id: str
    citizen_id: str
    programme: str
    wave: int
    course_id: str
    partner_id: str
    starts_at: datetime
    ends_at: datetime
    price_rupiah: int
    redeem_code: str
    state: State
    bought_at: datetime
    cancelled_by: CancelledBy | None = None
    attended: frozenset[int] = frozenset()

    @property
    def certificate_id(self) -> str:
        return ids.derive("certificate", self.enrolment_id)

    @property
    def days(self) -> int:
        return days(self.starts_at, self.ends_at)


def open_enrolment(enrolment_id: str, member: Membership, course: Course, redeem_code: str, now: datetime) -> Enrolment:
    """The place a purchase gives."""
    return Enrolment(
        enrolment_id=enrolment_id,
        citizen_id=member.citizen_id,
        programme=member.programme,
        wave=member.wave,
        course_id=course.course_id,
        partner_id=course.partner_id,
        starts_at=course.draft.starts_at,
        ends_at=course.draft.ends_at,
        price_rupiah=course.draft.price_rupiah,
        redeem_code=redeem_code,
        state=State.BOUGHT,
        bought_at=now,
    )


def moved(enrolment: Enrolment, change: type[Change]) -> Enrolment:
    """The enrolment after a change. Raises KeyError for one that the table does not know."""
    return replace(enrolment, state=TRANSITIONS[enrolment.state, change])
