"""What the rail says about a payment, and what follows from it.

The rail speaks three times: in its answer, when asked, and in its statement. Statements are the truth. The same thing
told twice has no second effect; two things that can not both be true are a contradiction, which stops all sending until
a person has looked at it.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from services.disbursement.domain.payouts import TRANSITIONS, State, Step


class Verdict(StrEnum):
    BOOKED = "booked"
    REFUSED = "refused"
    RETURNED = "returned"
    NO_ANSWER = "no-answer"


@dataclass(frozen=True, slots=True)
class Told:
    """One thing the rail said about one attempt. `reference` and `day` are set where a statement said it."""

    key: str
    verdict: Verdict
    amount_rupiah: int | None = None
    reason: str | None = None
    reference: str | None = None
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at paying, as the books know it. `outcome` is None while it is open."""

    key: str
    payout_id: str
    number: int
    amount_rupiah: int
    outcome: str | None  # paid, failed, returned, withdrawn
    state: State  # of its payout


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Why sending stops. `reference` names the attempt or the line; nothing in it is personal."""

    code: str  # wrong-amount, unknown-line, booked-twice, refused-but-booked, booked-but-missing, ...
    reference: str


KEY_REUSED: Final = "key-reused"
"""The rail knows the key with another amount or account: one of the two books is wrong."""

_STEPS: Final = {Verdict.BOOKED: Step.BOOK, Verdict.REFUSED: Step.REFUSE, Verdict.NO_ANSWER: Step.LOSE}

_REPEATED: Final = {
    (Verdict.BOOKED, "paid"),
    (Verdict.BOOKED, "returned"),  # booked first, sent back later: the debit stands on an earlier line
    (Verdict.REFUSED, "failed"),
    (Verdict.RETURNED, "returned"),
    (Verdict.NO_ANSWER, "paid"),
    (Verdict.NO_ANSWER, "failed"),
    (Verdict.NO_ANSWER, "returned"),
}


def decide(attempt: Attempt, told: Told) -> list[Step] | Contradiction:
    """The steps the payout takes because of what was told: none for a repeat, two for a return nobody saw booked."""
    if told.amount_rupiah is not None and told.amount_rupiah != attempt.amount_rupiah:
        return Contradiction("wrong-amount", told.key)
    if told.reason == KEY_REUSED:
        return Contradiction(KEY_REUSED, told.key)
    if attempt.outcome is not None:
        if (told.verdict, attempt.outcome) in _REPEATED:
            return []
        if told.verdict is Verdict.RETURNED and attempt.outcome == "paid":
            return [Step.RETURN]
        return Contradiction(f"{attempt.outcome}-but-{told.verdict}", told.key)
    if attempt.state not in (State.SUBMITTED, State.UNKNOWN):
        return Contradiction("told-before-sent", told.key)
    if told.verdict is Verdict.RETURNED:
        return [Step.BOOK, Step.RETURN]
    step = _STEPS[told.verdict]
    return [step] if (attempt.state, step) in TRANSITIONS else []


REASONS: Final = {
    # ISO 20022 external status reason codes of pain.002 and camt.053
    "AC01": "account-not-found",
    "AC03": "account-not-found",
    "AC04": "account-closed",
    "AC06": "account-closed",
    "BE01": "identity-mismatch",
    "BE04": "identity-mismatch",
    "AM02": "limit-exceeded",
    # the e-wallet's own words
    "closed": "account-closed",
    "not-found": "account-not-found",
    **{
        name: name
        for name in (
            "account-closed",
            "account-not-found",
            "identity-mismatch",
            "not-verified",
            "wallet-full",
            "limit-exceeded",
            "phone-changed",
            "not-booked",
        )
    },
}

ACCOUNT_REASONS: Final = frozenset(
    {"account-closed", "account-not-found", "identity-mismatch", "not-verified", "phone-changed"}
)
"""Reasons that lie in the linked account: it counts as invalid until the rail finds it valid again, or another one is
linked. The others (a full wallet, a limit) pass by themselves or by the citizen's own doing."""


def reason_of(code: str | None) -> str:
    """A rail's reason in the programme's words; `rail-refused` for one that nobody knows."""
    return REASONS.get(code or "", "rail-refused")


ASK_AFTER: Final = (timedelta(hours=2), timedelta(hours=8), timedelta(hours=49))
"""When a rail is asked about payments without an answer, counted from sending: at most three times, never within 90
seconds, and the last time when the statements of the day of sending and of the next one exist."""

ASK_APART_MIN: Final = timedelta(seconds=90)


def next_ask(sent_at: datetime, asks: int, now: datetime) -> datetime | None:
    """When to ask next after `asks` questions; None once only the statement can tell."""
    if asks >= len(ASK_AFTER):
        return None
    return max(sent_at + ASK_AFTER[asks], now + ASK_APART_MIN if asks else now)
