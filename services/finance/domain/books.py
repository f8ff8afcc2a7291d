"""What each event of the money path does to the books, and what it may not do.

The books move money between five accounts of a programme, so that always
appropriation = available + reserved + in flight + paid + returned. Finance learns everything from events and decides
nothing about payments; an event that contradicts what the books hold is a `Contradiction` and is set aside for a
person. Events of one citizen arrive in order. Events of different citizens, and the appropriation itself, do not: so
`available` of a programme may be below zero for a moment, and no other account ever may. All amounts are whole rupiah.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from libs.events.contracts import (
    AppropriationGranted,
    AppropriationReturned,
    Event,
    IncentiveFailed,
    IncentivePaid,
    IncentiveReturned,
    IncentiveSubmitted,
    MoneyReserved,
    Payment,
    ReservationReleased,
)


class Contradiction(Exception):
    """An event that the books can not follow. The sentence names the payout or citizen, never what the event said."""


class Account(StrEnum):
    """Where the money of a programme can stand. `APPROPRIATION` is what the State granted: the sum of all others."""

    APPROPRIATION = "appropriation"
    AVAILABLE = "available"
    RESERVED = "reserved"
    IN_FLIGHT = "in_flight"
    PAID = "paid"
    RETURNED = "returned"


HOLDING: Final = tuple(account for account in Account if account is not Account.APPROPRIATION)

# From where to where the amount of each event moves. A grant comes from outside and raises both sides of the identity.
MOVES: Final[Mapping[type[Event], tuple[Account, Account]]] = {
    AppropriationGranted: (Account.APPROPRIATION, Account.AVAILABLE),
    MoneyReserved: (Account.AVAILABLE, Account.RESERVED),
    IncentiveSubmitted: (Account.RESERVED, Account.IN_FLIGHT),
    IncentivePaid: (Account.IN_FLIGHT, Account.PAID),
    IncentiveFailed: (Account.IN_FLIGHT, Account.RESERVED),
    IncentiveReturned: (Account.PAID, Account.RESERVED),
    ReservationReleased: (Account.RESERVED, Account.AVAILABLE),
    AppropriationReturned: (Account.AVAILABLE, Account.RETURNED),
}


class State(StrEnum):
    """What the last event about a payout said."""

    SUBMITTED = "submitted"
    PAID = "paid"
    FAILED = "failed"
    RETURNED = "returned"


# A payout that is on its way or paid can not be submitted again: that would pay the same milestone twice.
TRANSITIONS: Final[Mapping[tuple[State | None, type[Event]], State]] = {
    (None, IncentiveSubmitted): State.SUBMITTED,
    (State.SUBMITTED, IncentivePaid): State.PAID,
    (State.SUBMITTED, IncentiveFailed): State.FAILED,
    (State.PAID, IncentiveReturned): State.RETURNED,
    (State.FAILED, IncentiveSubmitted): State.SUBMITTED,
    (State.RETURNED, IncentiveSubmitted): State.SUBMITTED,
}


@dataclass(frozen=True, slots=True)
class Payout:
    """One owed amount, as its events told it. Everything but attempt and state is fixed by the first event."""

    payout_id: str
    citizen_id: str
    programme: str
    province: str
    milestone: str
    rail: str
    amount_rupiah: int
    attempt: int
    state: State


@dataclass(frozen=True, slots=True)
class Reservation:
    """What was promised to one member, by where it stands now, and how many releases of it were told."""

    citizen_id: str
    programme: str
    reserved_rupiah: int
    in_flight_rupiah: int = 0
    paid_rupiah: int = 0
    releases: int = 0


def follow(payout: Payout | None, event: Payment) -> Payout:
    """The payout after an event about it.

    Raises Contradiction when the step is not legal, when the attempt is not the one under way (a new one must count
    on), or when who, what for or how much differs from what was told before. The rail may change with a new attempt:
    a citizen repairs a failed payout by linking another account.
    """
    state = TRANSITIONS.get((payout.state if payout else None, type(event)))
    if state is None:
        held = f"is {payout.state}" if payout else "was never submitted"
        raise Contradiction(f"{event.TYPE}: payout {event.payout_id} {held}")
    if payout is None:
        return Payout(
            payout_id=event.payout_id,
            citizen_id=event.citizen_id,
            programme=event.programme,
            province=event.province,
            milestone=event.milestone,
            rail=event.rail,
            amount_rupiah=event.amount_rupiah,
            attempt=event.attempt,
            state=state,
        )
    _agree(payout, event)
    return replace(payout, attempt=event.attempt, rail=event.rail, state=state)


def _agree(payout: Payout, event: Payment) -> None:
    """Raise Contradiction where an event tells a known payout differently."""
    opens_attempt = type(event) is IncentiveSubmitted
    if (event.attempt <= payout.attempt) if opens_attempt else (event.attempt != payout.attempt):
        raise Contradiction(f"{event.TYPE}: payout {event.payout_id} stands at attempt {payout.attempt}")
    if not opens_attempt and event.rail != payout.rail:
        raise Contradiction(f"{event.TYPE}: attempt {event.attempt} of payout {event.payout_id} went by {payout.rail}")
    for field in ("amount_rupiah", "citizen_id", "programme", "province", "milestone"):
        if getattr(event, field) != getattr(payout, field):
            raise Contradiction(f"{event.TYPE}: {field} of payout {event.payout_id} differs from what was told before")


def draw_on(reservation: Reservation | None, event: Payment | MoneyReserved | ReservationReleased) -> Reservation:
    """A member's reservation after an event that moves part of it.

    Raises Contradiction when there is none, when there is already one, when more would leave than is there, or when
    a release does not have the next number: money that a rail sends back later is released once more.
    """
    if type(event) is MoneyReserved:
        if reservation:
            raise Contradiction(f"{event.TYPE}: citizen {event.citizen_id} already holds a reservation")
        return Reservation(event.citizen_id, event.programme, event.amount_rupiah)
    if reservation is None:
        raise Contradiction(f"{event.TYPE}: nothing was reserved for citizen {event.citizen_id}")
    releases = reservation.releases
    if type(event) is ReservationReleased:
        releases += 1
        if event.number != releases:
            raise Contradiction(f"{event.TYPE}: release {releases} of citizen {event.citizen_id} was not told yet")
    source, target = MOVES[type(event)]
    moved = {Account.RESERVED: 0, Account.IN_FLIGHT: 0, Account.PAID: 0, Account.AVAILABLE: 0}
    moved[source] -= event.amount_rupiah
    moved[target] += event.amount_rupiah
    after = Reservation(
        reservation.citizen_id,
        reservation.programme,
        reservation.reserved_rupiah + moved[Account.RESERVED],
        reservation.in_flight_rupiah + moved[Account.IN_FLIGHT],
        reservation.paid_rupiah + moved[Account.PAID],
        releases,
    )
    if min(after.reserved_rupiah, after.in_flight_rupiah, after.paid_rupiah) < 0:
        raise Contradiction(f"{event.TYPE}: citizen {event.citizen_id} has less money {source} than the event moves")
    return after
