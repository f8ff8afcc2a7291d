"""What must have come about by the end because something else did: results, completions, payments, releases.

Each function gives how often a thing came about that must come about exactly once, and what it is.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from tests.fault.dump import Record

Times = Iterator[tuple[int, str]]


def results(stream: Sequence[Record]) -> Times:
    """The load ends when every announced wave has its result."""
    published = _count(stream, "wave-published", "wave")
    voided = _count(stream, "wave-voided", "wave")
    for wave in _count(stream, "wave-announced", "wave"):
        if not voided[wave]:
            yield published[wave], f"result of wave {wave}"


def completions(stream: Sequence[Record]) -> Times:
    """Only a completed course can be rated."""
    completed = _count(stream, "training-completed", "enrolment_id")
    for record in _of(stream, "training-rated"):
        enrolment_id = record.data["enrolment_id"]
        yield completed[enrolment_id], f"completion of enrolment {enrolment_id}"


def releases(stream: Sequence[Record]) -> Times:
    """The rest of what was reserved for a revoked member is released; further releases have numbers of their own."""
    revoked = _count(stream, "membership-revoked", "citizen_id")
    first = [record for record in _of(stream, "reservation-released") if record.data["number"] == 1]
    released = Counter(record.data["citizen_id"] for record in first if record.data["reason"] == "revoked")
    for citizen_id in revoked:
        yield released[citizen_id], f"release of what was reserved for revoked member {citizen_id}"


def payments(stream: Sequence[Record], acknowledged: Iterable[dict[str, Any]], paid_at: datetime) -> Times:
    """What was due when officers had all that was due paid out for the last time: fees, first incentives, surveys.

    A fee is paid and stays with its partner. A citizen's account may be one that refuses: then only the try counts.
    """
    sent = _payouts(stream, "incentive-submitted", attempt=1)
    kept = _payouts(stream, "incentive-paid")
    kept.subtract(_payouts(stream, "incentive-returned"))
    troubled = _payouts(stream, "incentive-failed") + _payouts(stream, "incentive-returned")
    linked = {line["citizen_id"] for line in acknowledged if line["kind"] == "account-linked"}
    first = set()
    for record in _before(stream, "training-completed", paid_at):
        if record.data["price_rupiah"]:
            fee = (record.data["citizen_id"], f"course-{record.data['enrolment_id']}")
            yield kept[fee], f"payment of {fee[1]}"
        if record.data["first"]:
            first.add(record.data["enrolment_id"])
    due = [
        (record.data["citizen_id"], "incentive-1")
        for record in _before(stream, "training-rated", paid_at)
        if record.data["enrolment_id"] in first and record.data["citizen_id"] in linked
    ]
    due += [
        (line["citizen_id"], f"survey-{line['number']}")
        for line in acknowledged
        if line["kind"] == "survey-answered" and datetime.fromisoformat(line["at"]) <= paid_at
    ]
    for payout in due:
        yield sent[payout], f"first attempt at {payout[1]} of {payout[0]}"
        if sent[payout] and not troubled[payout]:
            yield kept[payout], f"payment of {payout[1]} to {payout[0]}"


def _of(stream: Sequence[Record], kind: str) -> Iterator[Record]:
    return (record for record in stream if record.type == kind)


def _before(stream: Sequence[Record], kind: str, moment: datetime) -> Iterator[Record]:
    return (record for record in _of(stream, kind) if datetime.fromisoformat(record.at) <= moment)


def _count(stream: Sequence[Record], kind: str, field: str) -> Counter[Any]:
    return Counter(record.data[field] for record in _of(stream, kind))


def _payouts(stream: Sequence[Record], kind: str, attempt: int = 0) -> Counter[tuple[str, str]]:
    """By citizen and milestone. `attempt`: only these."""
    return Counter(
        (record.data["citizen_id"], record.data["milestone"])
        for record in _of(stream, kind)
        if attempt in (0, record.data["attempt"])
    )
