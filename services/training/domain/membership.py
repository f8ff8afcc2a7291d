"""What a membership allows, and when it lapses.

Sources: Permenko 11/2020, Art. 18 (the credit is non-cash and usable for several courses), Art. 20 (thirty days for the
first purchase, else revoked, no re-entry); for 2023 fifteen days, and fifteen again after each finished course.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from libs.events.clock import end_of_day
from libs.events.contracts import MembershipRevoked, SelectedInBatch, Tier
from libs.events.programme import Programme, last_moment
from services.training.domain.credit import Entry, Kind


class State(StrEnum):
    SELECTED = "selected"  # has bought nothing that still stands
    TRAINING = "training"  # has bought, has not finished a course yet
    COMPLETED = "completed"  # has finished at least one course; may buy more
    REVOKED = "revoked"  # bought nothing in time: seat and money went back
    CLOSED = "closed"  # finished, then bought nothing more in time: what was left of the credit is forfeited


@dataclass(frozen=True, slots=True)
class Bought:
    """Learning credit was exchanged for a place in a course."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A course was finished."""


@dataclass(frozen=True, slots=True)
class CalledOff:
    """A purchase was undone by the partner; another bought course is still open."""


@dataclass(frozen=True, slots=True)
class LastCalledOff:
    """A purchase was undone by the partner, and no other bought course is open."""


@dataclass(frozen=True, slots=True)
class Lapsed:
    """The day by which something had to be bought has passed."""


Change = Bought | Completed | CalledOff | LastCalledOff | Lapsed

TRANSITIONS: Final[Mapping[tuple[State, type[Change]], State]] = {
    (State.SELECTED, Bought): State.TRAINING,
    (State.SELECTED, Lapsed): State.REVOKED,
    (State.TRAINING, Bought): State.TRAINING,
    (State.TRAINING, CalledOff): State.TRAINING,
    (State.TRAINING, LastCalledOff): State.SELECTED,
    (State.TRAINING, Completed): State.COMPLETED,
    (State.COMPLETED, Bought): State.COMPLETED,
    (State.COMPLETED, CalledOff): State.COMPLETED,
    (State.COMPLETED, LastCalledOff): State.COMPLETED,
    (State.COMPLETED, Completed): State.COMPLETED,
    (State.COMPLETED, Lapsed): State.CLOSED,
}


@dataclass(frozen=True, slots=True)
class Membership:
    """One citizen's membership of one programme, with the running balance of the learning credit.

    `purchase_due` is the last moment for a purchase, in programme time; None while none is asked for.
    """

    citizen_id: str
    programme: str
    wave: int
    application_id: str
    province: str
    tier: Tier
    state: State
    selected_at: datetime
    purchase_due: datetime | None
    credit_rupiah: int
    entries: int  # how many entries the ledger holds for this member
    courses_open: int
    courses_completed: int

    def post(
        self, kind: Kind, amount_rupiah: int, now: datetime, enrolment_id: str | None = None
    ) -> tuple["Membership", Entry]:
        """Write one ledger entry; gives the member with the new balance, and the entry."""
        entry = Entry(
            citizen_id=self.citizen_id,
            programme=self.programme,
            number=self.entries + 1,
            kind=kind,
            amount_rupiah=amount_rupiah,
            before_rupiah=self.credit_rupiah,
            enrolment_id=enrolment_id,
            at=now,
        )
        return replace(self, credit_rupiah=entry.balance_rupiah, entries=entry.number), entry


class IllegalChange(Exception):
    """A change that the table of transitions does not know: a defect of the caller, never a person's mistake."""


def after(member: Membership, change: type[Change]) -> State:
    """The state a change leads to. Raises IllegalChange, naming what would have been legal."""
    state = TRANSITIONS.get((member.state, change))
    if state is None:
        legal = sorted(known.__name__ for at, known in TRANSITIONS if at is member.state)
        raise IllegalChange(f"{change.__name__} at {member.state}; legal here: {', '.join(legal) or 'nothing'}")
    return state


def open_membership(event: SelectedInBatch, rules: Programme) -> Membership:
    """The membership of a winner, with the credit as its ledger's first line; no line where none is granted."""
    member = Membership(
        citizen_id=event.citizen_id,
        programme=event.programme,
        wave=event.wave,
        application_id=event.application_id,
        province=event.province,
        tier=event.tier,
        state=State.SELECTED,
        selected_at=event.at,
        purchase_due=purchase_due(event.at, rules.training.purchase_days, rules),
        credit_rupiah=0,
        entries=0,
        courses_open=0,
        courses_completed=0,
    )
    if not rules.benefit.learning_credit:
        return member
    member, _ = member.post(Kind.GRANTED, rules.benefit.learning_credit, event.at)
    return member


def purchase_due(since: datetime, days: int, rules: Programme) -> datetime:
    """The end, in Jakarta, of the last of `days` days, but never after the programme's cut-off day."""
    return min(end_of_day(since, days), last_moment(rules.training.cut_off))


def bought(member: Membership, price_rupiah: int, enrolment_id: str, now: datetime) -> tuple[Membership, Entry]:
    """The member after a purchase: the price is taken, and no purchase is due any more."""
    member, entry = member.post(Kind.PURCHASE, -price_rupiah, now, enrolment_id)
    state = after(member, Bought)
    return replace(member, state=state, purchase_due=None, courses_open=member.courses_open + 1), entry


def called_off(
    member: Membership, price_rupiah: int, enrolment_id: str, rules: Programme, now: datetime
) -> tuple[Membership, Entry]:
    """The member after the partner undid a purchase: the price comes back.

    Whoever is left without a course through no fault of their own gets the full time for a purchase again.
    """
    member, entry = member.post(Kind.REFUND, price_rupiah, now, enrolment_id)
    courses_open = member.courses_open - 1
    state = after(member, CalledOff if courses_open else LastCalledOff)
    due = member.purchase_due if courses_open else _due_again(member, state, rules, now)
    return replace(member, state=state, purchase_due=due, courses_open=courses_open), entry


def completed(member: Membership, rules: Programme, now: datetime) -> Membership:
    """The member after a finished course. The next purchase is asked for once no bought course is open any more."""
    state, courses_open = after(member, Completed), member.courses_open - 1
    return replace(
        member,
        state=state,
        courses_open=courses_open,
        courses_completed=member.courses_completed + 1,
        purchase_due=None if courses_open else _due_again(member, state, rules, now),
    )


def _due_again(member: Membership, state: State, rules: Programme, now: datetime) -> datetime | None:
    """When a member without an open course has to buy: in full again for the first course, else by the next rule."""
    if state is State.SELECTED:
        return purchase_due(now, rules.training.purchase_days, rules)
    if rules.training.next_purchase_days and member.credit_rupiah:
        return purchase_due(now, rules.training.next_purchase_days, rules)
    return None


@dataclass(frozen=True, slots=True)
class Lapse:
    """What a passed purchase date does. `revoked` is None where an earned membership is only closed."""

    member: Membership
    entry: Entry | None
    revoked: MembershipRevoked | None


def lapse(member: Membership, now: datetime) -> Lapse | None:
    """End a membership whose purchase date has passed; None while there is time or nothing is due.

    Without any purchase the member is revoked and everything goes back (Art. 20). Whoever has finished a course has
    earned its incentive and the partner its fee: these stay promised, and only the unspent credit is forfeited.
    """
    if member.purchase_due is None or now <= member.purchase_due:
        return None
    state, unspent = after(member, Lapsed), member.credit_rupiah
    entry: Entry | None = None
    if unspent:
        kind = Kind.RELEASED if state is State.REVOKED else Kind.FORFEITED
        member, entry = member.post(kind, -unspent, now)
    ended = replace(member, state=state, purchase_due=None)
    if state is not State.REVOKED:
        return Lapse(ended, entry, None)
    revoked = MembershipRevoked(
        citizen_id=member.citizen_id,
        programme=member.programme,
        wave=member.wave,
        province=member.province,
        tier=member.tier,
        reason="no-purchase-in-time",
        released_rupiah=unspent,
        at=now,
    )
    return Lapse(ended, entry, revoked)
