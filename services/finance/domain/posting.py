"""A batch of events, booked: what becomes of each payout and reservation, and by how much each sum moves."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeGuard

from libs.events.contracts import (
    Event,
    IncentiveFailed,
    IncentivePaid,
    IncentiveReturned,
    IncentiveSubmitted,
    MoneyReserved,
    Payment,
    ReservationReleased,
)
from services.finance.domain.books import MOVES, Account, Contradiction, Payout, Reservation, draw_on, follow

ReservationKey = tuple[str, str]
"""citizen_id, programme"""

TotalKey = tuple[str, str, str, str]
"""programme, province, rail, milestone"""

# What each event adds to a total: payouts submitted, paid, failed, returned; then rupiah in flight and paid, as signs.
ADDS: Final[Mapping[type[Event], tuple[int, int, int, int, int, int]]] = {
    IncentiveSubmitted: (1, 0, 0, 0, 1, 0),
    IncentivePaid: (0, 1, 0, 0, -1, 1),
    IncentiveFailed: (0, 0, 1, 0, -1, 0),
    IncentiveReturned: (0, 0, 0, 1, 0, -1),
}

MEMBERS: Final = frozenset((MoneyReserved, ReservationReleased, *ADDS))
"""Events that move what was promised to one member."""


@dataclass(slots=True)
class Total:
    """What was paid, or is on its way, for one province, rail and milestone. Counts are events, sums are rupiah."""

    submitted: int = 0
    paid: int = 0
    failed: int = 0
    returned: int = 0
    in_flight_rupiah: int = 0
    paid_rupiah: int = 0

    def add(self, event: Payment) -> None:
        submitted, paid, failed, returned, in_flight, settled = ADDS[type(event)]
        self.submitted += submitted
        self.paid += paid
        self.failed += failed
        self.returned += returned
        self.in_flight_rupiah += in_flight * event.amount_rupiah
        self.paid_rupiah += settled * event.amount_rupiah


@dataclass(slots=True)
class Posting:
    """The outcome of a batch. Payouts and reservations are as they stand afterwards; the rest are differences."""

    payouts: dict[str, Payout] = field(default_factory=dict)
    reservations: dict[ReservationKey, Reservation] = field(default_factory=dict)
    moved: Counter[tuple[str, Account]] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    totals: dict[TotalKey, Total] = field(default_factory=dict)


class CanNotBook(Exception):
    """Events of a batch that the books can not follow, each with the sentence that says why."""

    def __init__(self, found: Sequence[tuple[Event, str]]) -> None:
        super().__init__(f"{len(found)} events can not be booked: {found[0][1]}")
        self.found = found


# By exact type: `isinstance` on these classes costs ten times as much, for every event of a batch.
def is_payment(event: Event) -> TypeGuard[Payment]:
    return type(event) in ADDS


def is_about_a_member(event: Event) -> TypeGuard[Payment | MoneyReserved | ReservationReleased]:
    return type(event) in MEMBERS


def kind_of(milestone: str) -> str:
    """The milestone as totals know it: `course-<enrolment id>` is one kind, a sum per enrolment would say nothing."""
    return "course" if milestone.startswith("course-") else milestone


def post(
    events: Sequence[Event],
    payouts: Mapping[str, Payout],
    reservations: Mapping[ReservationKey, Reservation],
) -> Posting:
    """Book events in their order on what the books hold about their payouts and citizens.

    Raises CanNotBook with the first event of each key that can not be followed; nothing of the batch then counts.
    """
    done, found, behind = Posting(), list[tuple[Event, str]](), set[str]()
    for event in events:
        if behind and event.key() in behind:
            continue
        try:
            if is_payment(event):
                payout = done.payouts.get(event.payout_id) or payouts.get(event.payout_id)
                done.payouts[event.payout_id] = follow(payout, event)
                total = (event.programme, event.province, event.rail, kind_of(event.milestone))
                done.totals.setdefault(total, Total()).add(event)
            if is_about_a_member(event):
                key = (event.citizen_id, event.programme)
                done.reservations[key] = draw_on(done.reservations.get(key) or reservations.get(key), event)
        except Contradiction as contradiction:
            found.append((event, str(contradiction)))
            behind.add(event.key())
        else:
            _move(done, event)
    if found:
        raise CanNotBook(found)
    return done


def _move(done: Posting, event: Event) -> None:
    """Both sides of one movement. A grant raises the appropriation and what is available of it."""
    programme, amount = event.programme, event.amount_rupiah  # type: ignore[attr-defined]  # all eight contracts have both
    source, target = MOVES[type(event)]
    done.events[programme] += 1
    done.moved[programme, target] += amount
    done.moved[programme, source] += amount if source is Account.APPROPRIATION else -amount
