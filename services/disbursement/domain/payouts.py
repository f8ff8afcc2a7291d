"""What can happen to an owed amount, from the day it is scheduled to the day the rail has booked it.

A payout has at most one live attempt. "Unknown" is a state of its own: the rail may have booked the payment, so the
only ways out are what the rail says when asked, and its statement. Sending again is not among them.
"""

from enum import StrEnum
from typing import Final

from libs.events import ids

ATTEMPTS_MAX: Final = 999
"""Three digits of the end-to-end id; a retry every third day of a year needs 122."""


class State(StrEnum):
    SCHEDULED = "scheduled"
    APPROVED = "approved"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Step(StrEnum):
    APPROVE = "approve"  # a checker agreed with the control totals of its batch
    VOID = "void"  # the batch was edited: its approval no longer counts
    SUBMIT = "submit"  # key and bytes are stored; from here on the rail may have it
    LOSE = "lose"  # the rail gave no clear answer
    BOOK = "book"  # the rail has booked it
    REFUSE = "refuse"  # the rail has refused it, or proved by its statements that it never booked it
    RETURN = "return"  # the rail has sent a booked payment back
    RETRY = "retry"  # the reason was repaired, or its waiting time is over
    CANCEL = "cancel"  # the membership was revoked, or the year has ended


TRANSITIONS: Final = {
    (State.SCHEDULED, Step.APPROVE): State.APPROVED,
    (State.APPROVED, Step.VOID): State.SCHEDULED,
    (State.APPROVED, Step.SUBMIT): State.SUBMITTED,
    (State.SUBMITTED, Step.LOSE): State.UNKNOWN,
    (State.SUBMITTED, Step.BOOK): State.PAID,
    (State.SUBMITTED, Step.REFUSE): State.FAILED,
    (State.UNKNOWN, Step.BOOK): State.PAID,
    (State.UNKNOWN, Step.REFUSE): State.FAILED,
    (State.PAID, Step.RETURN): State.FAILED,
    (State.FAILED, Step.RETRY): State.SCHEDULED,
    (State.SCHEDULED, Step.CANCEL): State.CANCELLED,
    (State.FAILED, Step.CANCEL): State.CANCELLED,
}


def sources(step: Step) -> list[str]:
    """The states a step may start from: what set-based updates select by, so that SQL holds no second table."""
    return sorted(state.value for state, taken in TRANSITIONS if taken is step)


def target(step: Step) -> State:
    """The one state a step leads to, wherever it started."""
    return next(state for (_, taken), state in TRANSITIONS.items() if taken is step)


def payout_id(citizen_id: str, programme: str, milestone: str) -> str:
    """One id for one owed amount, however often it is asked for."""
    return ids.derive("payout", citizen_id, programme, milestone)


def end_to_end_id(payout: str, attempt: int) -> str:
    """The idempotency key of one attempt: 35 characters, the most ISO 20022 allows for an EndToEndId.

    Raises ValueError outside 1..999.
    """
    if not 1 <= attempt <= ATTEMPTS_MAX:
        raise ValueError(f"attempt {attempt} does not fit into the end-to-end id")
    return f"{payout}{attempt:03d}"
