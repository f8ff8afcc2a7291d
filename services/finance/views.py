"""What the books show to an auditor: the shapes of the answers, and how rows become them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, PlainSerializer

from libs.events.contracts import JSON_INTEGER_MAX

Amount = Annotated[
    int, PlainSerializer(lambda rupiah: rupiah if abs(rupiah) <= JSON_INTEGER_MAX else str(rupiah), when_used="json")
]
"""Whole rupiah, which may be below zero; a string on the wire beyond 2^53 - 1."""


class Identity(BaseModel):
    """appropriation = available + reserved + in_flight + paid + returned, and whether it is proven.

    `holds` says that the last proof found no disagreement. It covered `proven_events` of the `events` booked by now.
    """

    holds: bool
    events: int
    proven_events: int
    proven_at: datetime | None


class AlarmView(BaseModel):
    """Two figures that should be equal and were not; it stands while `cleared_at` is empty."""

    what: str
    account: str
    expected: Amount
    found: Amount
    raised_at: datetime
    cleared_at: datetime | None


class Sums(BaseModel):
    """Payout events counted, and rupiah on their way and paid, of everything in one group."""

    name: str
    submitted: int = 0
    paid_count: int = 0
    failed: int = 0
    returned: int = 0
    in_flight: Amount = 0
    paid: Amount = 0


class Totals(BaseModel):
    province: list[Sums]
    rail: list[Sums]
    milestone: list[Sums]


class Book(BaseModel):
    """The six figures of a programme in rupiah, from events alone. `parked_events` are missing in them."""

    programme: str
    appropriation: Amount
    available: Amount
    reserved: Amount
    in_flight: Amount
    paid: Amount
    returned: Amount
    identity: Identity
    totals: Totals
    alarms: list[AlarmView]
    parked_events: int


def book_of(
    book: Mapping[str, Any],
    totals: Sequence[Mapping[str, Any]],
    alarms: Sequence[Mapping[str, Any]],
    parked_events: int,
) -> Book:
    """The whole answer from the rows of one snapshot."""
    standing = any(alarm["cleared_at"] is None for alarm in alarms)
    return Book(
        programme=book["programme"],
        appropriation=book["appropriation_rupiah"],
        available=book["available_rupiah"],
        reserved=book["reserved_rupiah"],
        in_flight=book["in_flight_rupiah"],
        paid=book["paid_rupiah"],
        returned=book["returned_rupiah"],
        identity=Identity(
            holds=book["proven_at"] is not None and not standing,
            events=book["events"],
            proven_events=book["proven_events"] or 0,
            proven_at=book["proven_at"],
        ),
        totals=Totals(
            province=summed(totals, lambda row: row["province"]),
            rail=summed(totals, lambda row: row["rail"]),
            milestone=summed(totals, lambda row: row["milestone"]),
        ),
        alarms=[
            AlarmView(
                what=row["what"],
                account=row["account"],
                expected=row["expected_rupiah"],
                found=row["found_rupiah"],
                raised_at=row["raised_at"],
                cleared_at=row["cleared_at"],
            )
            for row in alarms
        ],
        parked_events=parked_events,
    )


def summed(rows: Sequence[Mapping[str, Any]], name_of: Callable[[Mapping[str, Any]], str]) -> list[Sums]:
    """Rows added up by one of their sides, in the order of its names."""
    groups: dict[str, Sums] = {}
    for row in rows:
        sums = groups.setdefault(name_of(row), Sums(name=name_of(row)))
        sums.submitted += row["submitted"]
        sums.paid_count += row["paid"]
        sums.failed += row["failed"]
        sums.returned += row["returned"]
        sums.in_flight += row["in_flight_rupiah"]
        sums.paid += row["paid_rupiah"]
    return [groups[name] for name in sorted(groups)]
