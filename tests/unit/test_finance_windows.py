"""The live windows: minutes of programme time, added up over partitions."""

from datetime import UTC, datetime, timedelta
from typing import Any

from libs.events import ids
from libs.events.contracts import IncentivePaid, IncentiveSubmitted, Payment
from services.finance.domain.windows import WINDOWS_KEPT, counted, key_of, minute_of, place_of, read, surplus

NOON = datetime(2020, 5, 1, 5, tzinfo=UTC)


def payment(kind: type[Payment], at: datetime = NOON, **changes: Any) -> Payment:
    told: dict[str, Any] = {
        "at": at,
        "payout_id": ids.derive("payout"),
        "citizen_id": ids.derive("citizen"),
        "programme": "prakerja-2020",
        "wave": 1,
        "province": "31",
        "milestone": "incentive-1",
        "amount_rupiah": 600_000,
        "rail": "bank",
        "attempt": 1,
        "batch_id": ids.derive("batch"),
    }
    return kind(**{**told, **changes})


def test_a_window_is_a_minute_of_the_event_time() -> None:
    assert minute_of(NOON) == minute_of(NOON + timedelta(seconds=59.999)) == NOON.timestamp()
    assert minute_of(NOON + timedelta(seconds=60)) == NOON.timestamp() + 60


def test_a_key_names_partition_window_province_and_rail() -> None:
    key = key_of(7, payment(IncentivePaid))
    assert key == f"7|{int(NOON.timestamp())}|31|bank"
    assert place_of(key) == (7, int(NOON.timestamp()))


def test_counting_leaves_the_old_share_as_it_was() -> None:
    before: dict[str, list[int]] = {}
    once = counted(before, payment(IncentivePaid), 600_000)
    twice = counted(once, payment(IncentivePaid), 50_000)
    assert (before, once) == ({}, {"incentive-paid": [1, 600_000]})
    assert twice == {"incentive-paid": [2, 650_000]}


def test_the_shares_of_all_partitions_make_one_line() -> None:
    sent, paid = payment(IncentiveSubmitted), payment(IncentivePaid)
    shares = [
        (key_of(1, sent), counted(counted({}, sent, 600_000), paid, 600_000)),
        (key_of(2, sent), counted({}, sent, 50_000)),
    ]
    assert read(shares, last=10) == [
        {
            "minute": "2020-05-01T05:00:00+00:00",
            "province": "31",
            "rail": "bank",
            "submitted": {"payouts": 2, "rupiah": 650_000},
            "paid": {"payouts": 1, "rupiah": 600_000},
            "failed": {"payouts": 0, "rupiah": 0},
            "returned": {"payouts": 0, "rupiah": 0},
        }
    ]


def test_the_newest_windows_come_first_and_only_as_many_as_asked() -> None:
    events = [
        payment(IncentivePaid, NOON + timedelta(hours=hours), province=place)
        for hours in (0, 9, 2)
        for place in ("31", "11")
    ]
    lines = read([(key_of(0, event), counted({}, event, 1)) for event in events], last=2)
    assert [(line["minute"][11:13], line["province"]) for line in lines] == [
        ("14", "11"),
        ("14", "31"),
        ("07", "11"),
        ("07", "31"),
    ]


def test_the_newest_windows_are_kept_however_old_they_are() -> None:
    minutes = list(range(0, 60 * (WINDOWS_KEPT + 3), 60))
    assert list(surplus(reversed(minutes))) == [0, 60, 120]
    assert list(surplus(minutes[:WINDOWS_KEPT])) == []
