"""The order in which things must happen to one application, enrolment, payment or wave, whoever is killed meanwhile."""

from collections.abc import Iterator, Sequence
from typing import Final

from tests.fault.dump import Record

LIVES: Final = (
    (("application_id",), {"applied": 0, "application-withdrawn": 1}),
    (("enrolment_id",), {"training-completed": 0, "training-rated": 1}),
    (
        ("payout_id", "attempt"),
        {"incentive-submitted": 0, "incentive-paid": 1, "incentive-failed": 1, "incentive-returned": 2},
    ),
    (("citizen_id",), {"money-reserved": 0, "incentive-submitted": 1, "reservation-released": 2}),
    (
        ("wave",),
        {
            "wave-announced": 0,
            "wave-opened": 1,
            "wave-closed": 2,
            "wave-committed": 3,
            "wave-drawn": 4,
            "wave-published": 5,
        },
    ),
)
"""By the fields that name a thing: the steps of its life on one topic. None comes before a smaller one."""


def disorder(stream: Sequence[Record]) -> Iterator[str]:
    """Every step that comes after a later one, and every attempt at a payout that comes before the one it follows.

    A citizen's partner fees may be sent after the release of what the citizen was promised, so only milestones of the
    citizen's own count there.
    """
    for fields, ranks in LIVES:
        reached: dict[tuple[object, ...], int] = {}
        for record in stream:
            if record.type not in ranks or _of_a_partner(record, fields):
                continue
            thing = (record.topic, *(record.data.get(name) for name in fields))
            rank = ranks[record.type]
            if rank < reached.get(thing, 0):
                yield f"{record.topic}/{record.lane} number {record.number}: {record.type} comes after a later step"
            reached[thing] = max(rank, reached.get(thing, 0))
    attempts: dict[str, int] = {}
    for record in stream:
        if record.type == "incentive-submitted":
            payout, attempt = record.data["payout_id"], record.data["attempt"]
            if attempt != attempts.get(payout, 0) + 1:
                yield f"payout {payout}: attempt {attempt} follows attempt {attempts.get(payout, 0)}"
            attempts[payout] = attempt


def _of_a_partner(record: Record, fields: tuple[str, ...]) -> bool:
    return fields == ("citizen_id",) and str(record.data.get("milestone", "")).startswith("course-")
