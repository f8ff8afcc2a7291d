"""The rules of the books, one sentence each."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.events import ids
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
    catalogue,
)
from libs.events.topics import TOPICS
from services.finance.domain.books import MOVES, TRANSITIONS, Account, State
from services.finance.domain.posting import CanNotBook, Posting, kind_of, post
from services.finance.domain.proof import COPY, IDENTITY, OVERDRAWN, PAYOUTS, RESERVATIONS, Alarm, Finding, examine

PROGRAMME = "prakerja-2020"
AT = datetime(2020, 5, 1, 3, tzinfo=UTC)
SITI = ids.derive("citizen", "siti")


def payment(kind: type[Payment], attempt: int = 1, **changes: Any) -> Payment:
    told: dict[str, Any] = {
        "at": AT,
        "payout_id": ids.derive(SITI, "incentive-1"),
        "citizen_id": SITI,
        "programme": PROGRAMME,
        "wave": 1,
        "province": "31",
        "milestone": "incentive-1",
        "amount_rupiah": 600_000,
        "rail": "bank",
        "attempt": attempt,
        "batch_id": ids.derive("batch"),
        "reason": "account-closed",
    }
    return kind(**{**told, **changes})


def reserved(amount: int = 3_550_000) -> MoneyReserved:
    return MoneyReserved(at=AT, citizen_id=SITI, programme=PROGRAMME, wave=1, province="31", amount_rupiah=amount)


def released(amount: int, number: int = 1) -> ReservationReleased:
    return ReservationReleased(
        at=AT, citizen_id=SITI, programme=PROGRAMME, wave=1, province="31", amount_rupiah=amount, reason="revoked",
        number=number,
    )  # fmt: skip


def granted(amount: int) -> AppropriationGranted:
    return AppropriationGranted(at=AT, appropriation_id=ids.derive("grant"), programme=PROGRAMME, amount_rupiah=amount)


def booked(*events: Event) -> Posting:
    return post(events, {}, {})


def balances(*events: Event) -> dict[Account, int]:
    moved = booked(*events).moved
    return {account: moved[PROGRAMME, account] for account in Account if moved[PROGRAMME, account]}


SUBMITTED, PAID = payment(IncentiveSubmitted), payment(IncentivePaid)
FAILED, SENT_BACK = payment(IncentiveFailed), payment(IncentiveReturned)


def test_every_event_of_the_topic_moves_money() -> None:
    assert {contract.TYPE for contract in MOVES} == set(TOPICS["incentive-paid"].events)
    assert all(catalogue()[contract.TYPE] is contract for contract in MOVES)


def test_a_grant_is_available() -> None:
    assert balances(granted(10_000_000)) == {Account.APPROPRIATION: 10_000_000, Account.AVAILABLE: 10_000_000}


def test_what_is_promised_is_no_longer_available() -> None:
    assert balances(granted(10_000_000), reserved(3_550_000)) == {
        Account.APPROPRIATION: 10_000_000,
        Account.AVAILABLE: 6_450_000,
        Account.RESERVED: 3_550_000,
    }


@pytest.mark.parametrize(
    ("events", "reserved_rupiah", "in_flight", "paid"),
    [
        ([SUBMITTED], 2_950_000, 600_000, 0),
        ([SUBMITTED, PAID], 2_950_000, 0, 600_000),
        ([SUBMITTED, FAILED], 3_550_000, 0, 0),
        ([SUBMITTED, PAID, SENT_BACK], 3_550_000, 0, 0),
        ([SUBMITTED, FAILED, payment(IncentiveSubmitted, 2), payment(IncentivePaid, 2)], 2_950_000, 0, 600_000),
    ],
)
def test_money_is_where_the_last_event_says(
    events: Sequence[Event], reserved_rupiah: int, in_flight: int, paid: int
) -> None:
    held = booked(reserved(), *events).reservations[SITI, PROGRAMME]
    assert (held.reserved_rupiah, held.in_flight_rupiah, held.paid_rupiah) == (reserved_rupiah, in_flight, paid)


def test_what_is_released_is_available_again_and_what_is_returned_has_left() -> None:
    back = AppropriationReturned(at=AT, programme=PROGRAMME, amount_rupiah=5_000_000)
    assert balances(granted(5_000_000), reserved(), released(3_550_000), back) == {
        Account.APPROPRIATION: 5_000_000,
        Account.RETURNED: 5_000_000,
    }


def test_what_a_rail_sends_back_is_released_and_returned_once_more() -> None:
    returns = [
        AppropriationReturned(at=AT, programme=PROGRAMME, amount_rupiah=amount, number=number)
        for number, amount in ((1, 4_400_000), (2, 600_000))
    ]
    story = [SUBMITTED, PAID, released(2_950_000), returns[0], SENT_BACK, released(600_000, 2), returns[1]]
    assert len({event.event_id() for event in story}) == len(story)
    assert balances(granted(5_000_000), reserved(), *story) == {
        Account.APPROPRIATION: 5_000_000,
        Account.RETURNED: 5_000_000,
    }
    held = booked(reserved(), *story).reservations[SITI, PROGRAMME]
    assert (held.reserved_rupiah, held.releases) == (0, 2)


def test_the_appropriation_may_arrive_after_what_was_promised_of_it() -> None:
    assert balances(reserved(3_550_000))[Account.AVAILABLE] == -3_550_000


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ([PAID], "was never submitted"),
        ([FAILED], "was never submitted"),
        ([SUBMITTED, SENT_BACK], "is submitted"),
        ([SUBMITTED, PAID, payment(IncentiveSubmitted, 2)], "is paid"),
        ([SUBMITTED, payment(IncentiveSubmitted, 2)], "is submitted"),
        ([SUBMITTED, FAILED, payment(IncentiveSubmitted, 1, at=AT)], "stands at attempt 1"),
        ([SUBMITTED, payment(IncentivePaid, 2)], "stands at attempt 1"),
        ([SUBMITTED, payment(IncentivePaid, amount_rupiah=600_001)], "amount_rupiah"),
        ([SUBMITTED, payment(IncentivePaid, province="32")], "province"),
        ([SUBMITTED, payment(IncentivePaid, milestone="survey-1")], "milestone"),
        ([SUBMITTED, payment(IncentivePaid, rail="e-wallet")], "went by bank"),
        ([payment(IncentiveSubmitted, amount_rupiah=3_550_001)], "less money reserved"),
        ([SUBMITTED, released(3_550_000)], "less money reserved"),
        ([released(1_000_000, 2)], "release 1 of citizen [0-9a-f]{32} was not told yet"),
        ([released(1_000_000), released(1_000_000, 3)], "release 2 of"),
        ([reserved()], "already holds"),
    ],
)
def test_what_can_not_be_is_a_contradiction(events: Sequence[Event], sentence: str) -> None:
    with pytest.raises(CanNotBook, match=sentence):
        booked(reserved(), *events)


def test_nothing_is_paid_to_whom_nothing_was_promised() -> None:
    with pytest.raises(CanNotBook, match="nothing was reserved"):
        booked(SUBMITTED)


def test_of_each_citizen_the_first_event_that_can_not_be_is_named() -> None:
    budi: dict[str, Any] = {"citizen_id": ids.derive("citizen", "budi"), "payout_id": ids.derive("budi", "incentive-1")}
    stray, behind = payment(IncentivePaid, **budi), payment(IncentiveFailed, **budi)
    with pytest.raises(CanNotBook) as told:
        booked(reserved(), stray, SUBMITTED, PAID, behind, PAID)
    assert [event for event, _ in told.value.found] == [stray, PAID]


def test_another_account_may_be_tried_after_a_failure() -> None:
    again = payment(IncentiveSubmitted, 2, rail="e-wallet")
    done = booked(reserved(), SUBMITTED, FAILED, again)
    assert done.payouts[again.payout_id].rail == "e-wallet"
    assert done.totals[PROGRAMME, "31", "bank", "incentive-1"].in_flight_rupiah == 0
    assert done.totals[PROGRAMME, "31", "e-wallet", "incentive-1"].in_flight_rupiah == 600_000


def test_totals_count_events_and_sum_rupiah() -> None:
    total = booked(reserved(), SUBMITTED, PAID).totals[PROGRAMME, "31", "bank", "incentive-1"]
    assert (total.submitted, total.paid, total.failed, total.returned) == (1, 1, 0, 0)
    assert (total.in_flight_rupiah, total.paid_rupiah) == (0, 600_000)


def test_all_courses_are_one_kind_of_milestone() -> None:
    assert [kind_of("course-0a1b"), kind_of("incentive-2"), kind_of("survey-3")] == [
        "course",
        "incentive-2",
        "survey-3",
    ]


def test_only_what_failed_or_came_back_is_submitted_again() -> None:
    again = {state for state, event in TRANSITIONS if event is IncentiveSubmitted}
    assert again == {None, State.FAILED, State.RETURNED}


def finding(**changes: int) -> Finding:
    figures = {
        Account.APPROPRIATION: 100,
        Account.AVAILABLE: 40,
        Account.RESERVED: 30,
        Account.IN_FLIGHT: 20,
        Account.PAID: 10,
        Account.RETURNED: 0,
    }
    held = {account: changes.get(account, amount) for account, amount in figures.items()}
    ways = {
        COPY: figures,
        RESERVATIONS: {account: figures[account] for account in (Account.RESERVED, Account.IN_FLIGHT, Account.PAID)},
        PAYOUTS: {account: figures[account] for account in (Account.IN_FLIGHT, Account.PAID)},
    }
    return Finding(PROGRAMME, 7, held, ways)


def test_books_that_agree_on_every_way_are_proven() -> None:
    assert examine(finding()) == []


def test_a_balance_that_differs_raises_an_alarm_for_each_way_that_contradicts_it() -> None:
    assert examine(finding(paid=11)) == [
        Alarm(PROGRAMME, COPY, Account.PAID, 10, 11),
        Alarm(PROGRAMME, RESERVATIONS, Account.PAID, 10, 11),
        Alarm(PROGRAMME, PAYOUTS, Account.PAID, 10, 11),
    ]


def test_a_promise_beyond_the_appropriation_raises_an_alarm() -> None:
    assert Alarm(PROGRAMME, OVERDRAWN, Account.AVAILABLE, 0, -1) in examine(finding(available=-1))


def test_a_copy_that_does_not_add_up_raises_an_alarm() -> None:
    told = finding()
    copied = {**told.ways[COPY], Account.RETURNED: 5}
    found = examine(Finding(PROGRAMME, 7, told.balances, {**told.ways, COPY: copied}))
    assert Alarm(PROGRAMME, IDENTITY, Account.APPROPRIATION, 100, 105) in found
