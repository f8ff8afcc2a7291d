"""What every contract promises: one identity per meaning, one order per key, whole rupiah, tolerance for tomorrow."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from libs.events import ids
from libs.events.contracts import (
    JSON_INTEGER_MAX,
    AppropriationGranted,
    Event,
    IncentiveFailed,
    IncentivePaid,
    IncentiveSubmitted,
    Payment,
    WaveClosed,
    WaveCommitted,
    catalogue,
)

AT = datetime(2020, 5, 1, tzinfo=UTC)


def payment(kind: type[Payment] = IncentivePaid, **changes: Any) -> Payment:
    told: dict[str, Any] = {
        "at": AT,
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
        "reason": "wallet-full",
    }
    return kind(**{**told, **changes})


def grant(amount: int | str) -> AppropriationGranted:
    return AppropriationGranted(
        at=AT,
        appropriation_id=ids.derive("g"),
        programme="prakerja-2020",
        amount_rupiah=amount,
    )


def test_the_catalogue_knows_every_event_and_nothing_else() -> None:
    found = catalogue()
    assert list(found) == sorted(found)
    assert all(name == contract.TYPE and issubclass(contract, Event) for name, contract in found.items())
    assert Payment not in found.values()
    assert {contract.__module__ for contract in found.values()} == {"libs.events.contracts"}


def test_a_retry_tells_the_same_event() -> None:
    assert payment().event_id() == payment(at=AT + timedelta(days=1)).event_id()


def test_ids_of_many_are_the_ids_of_each() -> None:
    paid = [payment(), payment(attempt=2)]
    construct: Any = WaveCommitted.model_construct
    drawn = [construct(programme="prakerja-2020", wave=7, attempt=attempt) for attempt in (1, 2)]
    assert IncentivePaid.event_ids(paid) == [event.event_id() for event in paid]
    assert WaveCommitted.event_ids(drawn) == [event.event_id() for event in drawn]


def test_another_attempt_or_another_type_is_another_event() -> None:
    told = [payment(), payment(attempt=2), payment(IncentiveSubmitted), payment(IncentiveFailed)]
    assert len({event.event_id() for event in told}) == 4


def test_a_citizens_events_share_a_key_and_a_waves_key_is_its_number() -> None:
    assert payment().key() == payment(IncentiveFailed, attempt=2).key() == ids.derive("citizen")
    assert WaveClosed(at=AT, programme="prakerja-2020", wave=7).key() == "7"


def test_an_event_can_not_be_changed() -> None:
    event = payment()
    with pytest.raises(ValidationError, match="frozen"):
        event.amount_rupiah = 1  # type: ignore[misc]


@given(st.integers(0, 10**20))
def test_money_survives_the_wire_to_the_rupiah(amount: int) -> None:
    sent = grant(amount).model_dump_json()
    assert AppropriationGranted.model_validate_json(sent).amount_rupiah == amount
    on_the_wire = json.loads(sent)["amount_rupiah"]
    assert on_the_wire == (amount if amount <= JSON_INTEGER_MAX else str(amount))


@pytest.mark.parametrize("amount", [-1, 0.5, "Rp1", "1.5", None])
def test_what_is_not_a_whole_number_of_rupiah_is_refused(amount: Any) -> None:
    with pytest.raises(ValidationError):
        grant(amount)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("at", datetime(2020, 5, 1)),  # noqa: DTZ001  # the point is that it has no zone
        ("citizen_id", "3171234567890001"),
        ("citizen_id", ids.derive("citizen").upper()),
        ("payout_id", "01234567-89ab-cdef-0123-456789abcdef"),
        ("province", "DKI"),
        ("province", "3"),
        ("attempt", 0),
    ],
)
def test_what_does_not_have_its_form_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        payment(**{field: value})


def test_a_field_of_tomorrow_is_ignored() -> None:
    told = json.loads(payment().model_dump_json())
    assert IncentivePaid.model_validate({**told, "fee_rupiah": 1}) == payment()


def test_a_reason_of_tomorrow_is_read() -> None:
    """Reasons may grow: an old reader must not stop at a new one."""
    assert payment(IncentiveFailed, reason="under-investigation").reason == "under-investigation"  # type: ignore[attr-defined]
