"""Whatever happens to whom and in whatever batches it arrives, the books add up and say where the money is."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from libs.events import ids
from libs.events.contracts import (
    AppropriationGranted,
    Event,
    IncentiveFailed,
    IncentivePaid,
    IncentiveReturned,
    IncentiveSubmitted,
    MoneyReserved,
    ReservationReleased,
)
from services.finance.domain.books import HOLDING, Account, Payout, Reservation
from services.finance.domain.posting import ReservationKey, Total, TotalKey, post

AT = datetime(2020, 5, 1, tzinfo=UTC)
PROGRAMME = "prakerja-2020"
BENEFIT = 3_550_000
MILESTONES = ("incentive-1", "incentive-2", "survey-1")

# What may happen to one payout: attempts that fail or come back, then one that is left in flight, paid, or not made.
endings = st.lists(st.sampled_from(["failed", "returned"]), max_size=3).flatmap(
    lambda tries: st.sampled_from([tries, [*tries, "paid"], [*tries, "in-flight"]])
)


def history(name: int, endings: dict[str, list[str]], release: bool) -> list[Event]:
    """Everything told about one citizen, in order. What was paid may come back after the release, and is released."""
    citizen = ids.derive("citizen", str(name))
    person: dict[str, Any] = {"at": AT, "citizen_id": citizen, "programme": PROGRAMME, "wave": 1, "province": "31"}
    told: list[Event] = [MoneyReserved(**person, amount_rupiah=BENEFIT)]
    left = BENEFIT
    for milestone, tries in endings.items():
        for attempt, ending in enumerate(tries, 1):
            fields = {
                **person,
                "payout_id": ids.derive(citizen, milestone),
                "milestone": milestone,
                "amount_rupiah": 600_000,
                "rail": ("bank", "e-wallet")[attempt % 2],
                "attempt": attempt,
            }
            told.append(IncentiveSubmitted(**fields, batch_id=ids.derive("batch")))
            if ending == "failed":
                told.append(IncentiveFailed(**fields, reason="wallet-full"))
            if ending in ("paid", "returned"):
                told.append(IncentivePaid(**fields))
            if ending == "returned":
                told.append(IncentiveReturned(**fields, reason="account-closed"))
            left -= 600_000 * (ending in ("paid", "in-flight"))
    if release:
        told.append(ReservationReleased(**person, amount_rupiah=left, reason="year-end"))
        paid = [event for event in told if type(event) is IncentivePaid and endings[event.milestone][-1] == "paid"]
        last = {event.payout_id: event for event in paid}
        for number, event in enumerate(last.values(), 2):
            told.append(IncentiveReturned(**event.model_dump(), reason="account-closed"))
            told.append(ReservationReleased(**person, amount_rupiah=600_000, reason="year-end", number=number))
    return told


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Several citizens' histories and the grant, interleaved in any way that keeps each citizen's order."""
    histories = [
        history(name, draw(st.fixed_dictionaries(dict.fromkeys(MILESTONES, endings))), draw(st.booleans()))
        for name in range(draw(st.integers(1, 4)))
    ]
    grant = AppropriationGranted(
        at=AT, appropriation_id=ids.derive("g"), programme=PROGRAMME, amount_rupiah=100_000_000
    )
    waiting: list[list[Event]] = [[grant], *histories]
    stream: list[Event] = []
    while waiting:
        chosen = draw(st.integers(0, len(waiting) - 1))
        stream.append(waiting[chosen].pop(0))
        waiting = [rest for rest in waiting if rest]
    return stream


class Books:
    """Books in memory: what the store does with a posting, without the database."""

    def __init__(self) -> None:
        self.payouts: dict[str, Payout] = {}
        self.reservations: dict[ReservationKey, Reservation] = {}
        self.moved: Counter[tuple[str, Account]] = Counter()
        self.totals: dict[TotalKey, Total] = {}

    def book(self, events: list[Event]) -> None:
        done = post(events, self.payouts, self.reservations)
        self.payouts |= done.payouts
        self.reservations |= done.reservations
        self.moved.update(done.moved)
        for key, added in done.totals.items():
            held = self.totals.setdefault(key, Total())
            for field in Total.__slots__:
                setattr(held, field, getattr(held, field) + getattr(added, field))

    def balance(self, account: Account) -> int:
        return self.moved[PROGRAMME, account]


@given(streams(), st.integers(1, 7))
def test_any_cut_into_batches_gives_the_same_books(stream: list[Event], size: int) -> None:
    whole, cut = Books(), Books()
    whole.book(stream)
    for start in range(0, len(stream), size):
        cut.book(stream[start : start + size])
    assert (cut.payouts, cut.reservations, cut.totals) == (whole.payouts, whole.reservations, whole.totals)
    assert all(cut.balance(account) == whole.balance(account) for account in Account)


@given(streams())
def test_the_identity_holds_after_every_single_event(stream: list[Event]) -> None:
    books = Books()
    for event in stream:
        books.book([event])
        assert books.balance(Account.APPROPRIATION) == sum(books.balance(account) for account in HOLDING)
        assert all(books.balance(account) >= 0 for account in HOLDING if account is not Account.AVAILABLE)


@given(streams())
def test_balances_reservations_payouts_and_totals_say_the_same(stream: list[Event]) -> None:
    books = Books()
    books.book(stream)
    held = books.reservations.values()
    in_flight = sum(payout.amount_rupiah for payout in books.payouts.values() if payout.state == "submitted")
    paid = sum(payout.amount_rupiah for payout in books.payouts.values() if payout.state == "paid")
    assert books.balance(Account.RESERVED) == sum(one.reserved_rupiah for one in held)
    assert books.balance(Account.IN_FLIGHT) == sum(one.in_flight_rupiah for one in held) == in_flight
    assert books.balance(Account.PAID) == sum(one.paid_rupiah for one in held) == paid
    assert sum(total.paid_rupiah for total in books.totals.values()) == paid
    assert sum(total.in_flight_rupiah for total in books.totals.values()) == in_flight
