"""What a partner may report about a learner: the redeem code, attendance, the post-test, the certificate.

Sources: the redeem code works from one hour before to one hour after the start, and can be refused for six faults
(tribunnews, 9 April 2023); attendances are numbered 1 to 10, the post-test is 999 (developer.prakerja.go.id,
redeem-code/status); only the first finished course earns the incentive (liputan6 4685221).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from libs.events.clock import JAKARTA
from libs.events.contracts import TrainingCompleted
from libs.events.programme import Programme
from services.training.domain.enrolment import TRANSITIONS, CancelledBy, Claimed, Enrolment, State
from services.training.domain.membership import Membership

POST_TEST: Final = 999
PASS_MARK: Final = 60
"""Points of 100 that the post-test asks for. No published rule was found: a stated choice."""
SCORE_MAX: Final = 100

REDEEM_CODE: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{16}")
"""Sixteen digits of Crockford's base 32, 80 random bits: no letter that is mistaken for a digit."""


class Fault(StrEnum):
    """Why a redeem code is refused: the six faults of the programme, and the two ends of the window."""

    NOT_FOUND = "not-found"
    WRONG_TYPE = "wrong-type"  # not a redeem code at all: a voucher or card number, say
    OTHER_PARTNER = "other-partner"
    CANCELLED = "cancelled"  # the session was called off
    PURCHASE_CANCELLED = "purchase-cancelled"
    ALREADY_CLAIMED = "already-claimed"
    TOO_EARLY = "too-early"
    TOO_LATE = "too-late"


class Reason(StrEnum):
    """Why an attendance, a post-test, a certificate or a cancellation is refused."""

    NOT_FOUND = "not-found"
    OTHER_PARTNER = "other-partner"
    CANCELLED = "cancelled"
    NOT_CLAIMED = "not-claimed"
    NO_SUCH_SEQUENCE = "no-such-sequence"
    TOO_EARLY = "too-early"
    ATTENDANCE_MISSING = "attendance-missing"
    POST_TEST_MISSING = "post-test-missing"
    SCORE_TOO_LOW = "score-too-low"
    ALREADY_CLAIMED = "already-claimed"
    HAS_STARTED = "has-started"


@dataclass(frozen=True, slots=True)
class Attendance:
    """What a partner reports: that a learner was there. `sequence`: 1 to the session's days, 999 for the post-test."""

    redeem_code: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Score:
    """What a partner reports when a learner has finished: points of the post-test, of 100."""

    redeem_code: str
    score: int


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to one line of a partner's list. `why` is None where it was done, now or before (`again`)."""

    redeem_code: str
    enrolment: Enrolment | None = None
    why: Fault | Reason | None = None
    again: bool = False
    sequence: int | None = None


def claim(code: str, found: Enrolment | None, partner_id: str, rules: Programme | None, now: datetime) -> Fault | None:
    """Why a redeem code can not be claimed by this partner now; None when it can."""
    if not REDEEM_CODE.fullmatch(code):
        return Fault.WRONG_TYPE
    if found is None or rules is None:
        return Fault.NOT_FOUND
    if found.partner_id != partner_id:
        return Fault.OTHER_PARTNER
    if found.state is State.CANCELLED:
        return Fault.CANCELLED if found.cancelled_by is CancelledBy.SESSION else Fault.PURCHASE_CANCELLED
    if (found.state, Claimed) not in TRANSITIONS:
        return Fault.ALREADY_CLAIMED
    if now < found.starts_at - timedelta(hours=rules.training.redeem_hours_before):
        return Fault.TOO_EARLY
    if now > found.starts_at + timedelta(hours=rules.training.redeem_hours_after):
        return Fault.TOO_LATE
    return None


def attend(found: Enrolment | None, partner_id: str, sequence: int, now: datetime) -> Reason | None:
    """Why an attendance (1 to the session's days) or the post-test (999) can not be recorded; None when it can.

    Presence on a day can not be reported before that day, nor the post-test before the last one: certificates for
    courses nobody could have attended yet were the fraud of 2020. Late reports are taken, partners' queues were long.
    """
    place = _theirs(found, partner_id)
    if isinstance(place, Reason):
        return place
    if sequence != POST_TEST and not 1 <= sequence <= place.days:
        return Reason.NO_SUCH_SEQUENCE
    first = place.starts_at.astimezone(JAKARTA)
    day = place.ends_at.astimezone(JAKARTA) if sequence == POST_TEST else first + timedelta(days=sequence - 1)
    begins = max(place.starts_at, day.replace(hour=0, minute=0, second=0, microsecond=0))
    return Reason.TOO_EARLY if now < begins else None


def certify(found: Enrolment | None, partner_id: str, score: int) -> Reason | None:
    """Why a certificate can not be issued; None when attendance, post-test and score are all there."""
    place = _theirs(found, partner_id)
    if isinstance(place, Reason):
        return place
    if waiting_for := missing(place.days, place.attended):
        return Reason.POST_TEST_MISSING if waiting_for == [POST_TEST] else Reason.ATTENDANCE_MISSING
    return Reason.SCORE_TOO_LOW if score < PASS_MARK else None


def is_certified(found: Enrolment | None, partner_id: str) -> bool:
    """Whether this partner's certificate for it is already issued."""
    return found is not None and found.partner_id == partner_id and found.state in (State.COMPLETED, State.RATED)


def _theirs(found: Enrolment | None, partner_id: str) -> Enrolment | Reason:
    """The enrolment, if this partner may report about it; else what stands against that."""
    if found is None:
        return Reason.NOT_FOUND
    if found.partner_id != partner_id:
        return Reason.OTHER_PARTNER
    if found.state is State.CANCELLED:
        return Reason.CANCELLED
    return Reason.NOT_CLAIMED if found.state is State.BOUGHT else found


def void(found: Enrolment | None, partner_id: str, now: datetime) -> Reason | None:
    """Why a partner can not undo one purchase; None when it can: before the code is claimed and the session begins."""
    if found is None:
        return Reason.NOT_FOUND
    if found.partner_id != partner_id:
        return Reason.OTHER_PARTNER
    if found.state is not State.BOUGHT:
        return Reason.CANCELLED if found.state is State.CANCELLED else Reason.ALREADY_CLAIMED
    return Reason.HAS_STARTED if now >= found.starts_at else None


def completion(done: Enrolment, member: Membership, now: datetime) -> TrainingCompleted:
    """What the others are told: the fee is owed to the partner and, for the first course, the incentive is earned."""
    return TrainingCompleted(
        enrolment_id=done.enrolment_id,
        citizen_id=done.citizen_id,
        programme=done.programme,
        wave=done.wave,
        course_id=done.course_id,
        partner_id=done.partner_id,
        certificate_id=done.certificate_id,
        price_rupiah=done.price_rupiah,
        first=member.courses_completed == 0,
        at=now,
    )


def missing(days: int, attended: Collection[int]) -> list[int]:
    """The sequence numbers that the certificate of a session of `days` days still waits for."""
    return [number for number in (*range(1, days + 1), POST_TEST) if number not in attended]
