"""What the contestants carry: synthetic events with the size and shape of real ones, and a meter that counts them."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel

from libs.events import ids
from libs.events.contracts import (
    ApplicationWithdrawn,
    Applied,
    AppropriationGranted,
    Event,
    IncentivePaid,
    IncentiveSubmitted,
    MoneyReserved,
    SelectedInBatch,
    TrainingRated,
)

AT: Final = datetime(2020, 5, 1, 3, 4, 5, 678_901, tzinfo=UTC)
PROGRAMME: Final = "prakerja-2020"


class Told(BaseModel):
    """A record as a rival reads it: the same bytes, the same pydantic model for what is inside."""

    specversion: str
    id: str
    source: str
    type: str
    data: Applied


class Meter:
    """Counts events as a handler sees them.

    The clock runs from the end of the first call, so neither start, nor joining the group, nor the first batch count:
    what is measured is whole cycles of work.
    """

    def __init__(self, target: int) -> None:
        self.target, self.seen, self.first, self.waves = target, 0, 0, 0
        self.begun = self.ended = 0.0

    def see(self, events: Sequence[Applied]) -> bool:
        """Handle events: the one thing all handlers do is to add up a field. True once the target is reached."""
        for event in events:
            self.waves += event.wave
        return self.count(len(events))

    def count(self, events: int) -> bool:
        self.ended = time.perf_counter()
        if not self.seen:
            self.begun, self.first = self.ended, events
        self.seen += events
        return self.seen >= self.target

    def rate(self) -> float:
        """Events a second. Raises ValueError when the first batch held everything: the target was too small."""
        if self.ended <= self.begun:
            raise ValueError("everything came in one batch; measure with more records")
        return (self.seen - self.first) / (self.ended - self.begun)


def applications(count: int, first: int = 0) -> list[Event]:
    """`applied`, the event that comes in millions, each by another citizen."""
    return [
        Applied(
            at=AT,
            application_id=ids.derive("application", str(number)),
            citizen_id=ids.derive("citizen", str(number)),
            household_id=ids.derive("household", str(number // 3)),
            programme=PROGRAMME,
            wave=number % 11 + 1,
            province="31",
            tier="public",
        )
        for number in range(first, first + count)
    ]


def withdrawals(count: int) -> list[Event]:
    """`application-withdrawn`, the smallest event of a citizen: what a record costs shows where bytes cost least."""
    return [
        ApplicationWithdrawn(
            at=AT,
            application_id=ids.derive("application", str(number)),
            citizen_id=ids.derive("citizen", str(number)),
            programme=PROGRAMME,
            wave=number % 11 + 1,
        )
        for number in range(count)
    ]


def ratings(count: int) -> list[Event]:
    """`training-rated`: a line in a citizen's timeline, and nothing else."""
    return [
        TrainingRated(
            at=AT,
            enrolment_id=ids.derive("enrolment", str(number)),
            citizen_id=ids.derive("citizen", str(number)),
            programme=PROGRAMME,
            wave=number % 11 + 1,
            course_id=ids.derive("course", str(number % 100)),
            stars=number % 5 + 1,
        )
        for number in range(count)
    ]


def winners(count: int) -> list[Event]:
    """`selected-in-batch`: each makes a member, and sets money aside."""
    return [
        SelectedInBatch(
            at=AT,
            application_id=ids.derive("application", str(number)),
            citizen_id=ids.derive("citizen", str(number)),
            programme=PROGRAMME,
            wave=number % 11 + 1,
            province="31",
            tier="public",
            ticket=f"{number:064x}",
            rank=number + 1,
        )
        for number in range(count)
    ]


def payments(count: int) -> list[Event]:
    """The money of `count` // 3 members: reserved, on its way, paid; first of all the grant it comes from."""
    told: list[Event] = [
        AppropriationGranted(
            at=AT, appropriation_id=ids.derive("grant"), programme=PROGRAMME, amount_rupiah=5_600_000_000_000
        )
    ]
    batch = ids.derive("batch")
    for number in range(count // 3):
        citizen = ids.derive("citizen", str(number))
        person: dict[str, Any] = {
            "at": AT, "citizen_id": citizen, "programme": PROGRAMME, "wave": 3, "province": "31",
        }  # fmt: skip
        payout = {
            **person, "payout_id": ids.derive(citizen, "incentive-1"), "milestone": "incentive-1",
            "amount_rupiah": 600_000, "rail": "bank", "attempt": 1,
        }  # fmt: skip
        told += [
            MoneyReserved(**person, amount_rupiah=3_550_000),
            IncentiveSubmitted(**payout, batch_id=batch),
            IncentivePaid(**payout),
        ]
    return told
