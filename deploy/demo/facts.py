"""What the bus says, gathered in one pass over every record: the outside view that the checks compare with the rest.

Nothing is asked of the services here; the records are read as any outsider with the administrator's rights could.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

Attempt = tuple[str, int]
"""A payout and the number of the try."""

CONTENT_TYPE: Final = "content-type"
ENVELOPE: Final = frozenset({"specversion", "id", "source", "type", "time", "dataschema", "sequence", "epoch", "data"})


@dataclass(frozen=True, slots=True)
class Application:
    citizen_id: str
    household_id: str
    wave: int
    province: str
    tier: str


@dataclass(frozen=True, slots=True)
class Seat:
    citizen_id: str
    wave: int
    province: str
    tier: str


@dataclass(frozen=True, slots=True)
class Paid:
    amount_rupiah: int
    rail: str
    milestone: str
    province: str
    wave: int
    at: str


@dataclass(slots=True)
class Facts:
    """Collected by `take`, one record at a time, each partition in its own order."""

    applied: dict[str, Application] = field(default_factory=dict)
    withdrawn: Counter[str] = field(default_factory=Counter)
    selected: dict[str, Seat] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)  # application -> how many outcomes it has
    refused: Counter[tuple[int, str]] = field(default_factory=Counter)  # wave and reason of not-selected
    quotas: dict[int, dict[tuple[str, str], int]] = field(default_factory=dict)
    recycled: dict[int, int] = field(default_factory=dict)
    drawn: Counter[int] = field(default_factory=Counter)
    revoked: dict[str, Any] = field(default_factory=dict)
    completed: Counter[int] = field(default_factory=Counter)  # by wave
    rated: int = 0
    paid: dict[Attempt, Paid] = field(default_factory=dict)
    paid_times: Counter[Attempt] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    failed_payouts: set[str] = field(default_factory=set)
    returned: dict[Attempt, int] = field(default_factory=dict)
    rupiah: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    records: int = 0
    repeats: int = 0
    faults: list[str] = field(default_factory=list)  # records that are not as agreed
    gaps: list[str] = field(default_factory=list)
    _next: dict[tuple[str, str, int], int] = field(default_factory=lambda: defaultdict(lambda: 1))

    def take(self, topic: str, partition: int, offset: int, value: bytes, headers: list[str]) -> None:
        """One record. Raises nothing: what is wrong with it is kept for the checks."""
        self.records += 1
        where = f"{topic} partition {partition} offset {offset}"
        try:
            event = orjson.loads(value)
            source, number, data = event["source"], int(event["sequence"]), event["data"]
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            self.faults.append(f"{where}: not a numbered CloudEvent")
            return
        if not event.keys() >= ENVELOPE or headers != [CONTENT_TYPE]:
            self.faults.append(f"{where}: its envelope or its headers are not the agreed ones")
        if not self._is_next(source, topic, partition, number, where):
            return
        self.types[event["type"]] += 1
        if react := _REACTIONS.get(event["type"]):
            react(self, data)

    def _is_next(self, source: str, topic: str, partition: int, number: int, where: str) -> bool:
        """Numbers run from 1. A smaller one is a repeat by a relay that started again: every reader skips it."""
        lane = (source, topic, partition)
        wanted = self._next[lane]
        if number < wanted:
            self.repeats += 1
            return False
        if number > wanted:
            self.gaps.append(f"{where}: number {number} follows {wanted - 1}")
        self._next[lane] = number + 1
        return True

    # -- one short reaction per type -----------------------------------------------------------------------------

    def _applied(self, data: dict[str, Any]) -> None:
        self.applied[data["application_id"]] = Application(
            data["citizen_id"], data["household_id"], data["wave"], data["province"], data["tier"]
        )

    def _withdrawn(self, data: dict[str, Any]) -> None:
        self.withdrawn[data["application_id"]] += 1

    def _announced(self, data: dict[str, Any]) -> None:
        self.quotas[data["wave"]] = {(quota["province"], quota["tier"]): quota["seats"] for quota in data["quotas"]}
        self.recycled[data["wave"]] = data["recycled_seats"]

    def _published(self, data: dict[str, Any]) -> None:
        self.drawn[data["wave"]] = data["winners"]

    def _selected(self, data: dict[str, Any]) -> None:
        self.outcomes[data["application_id"]] += 1
        self.selected[data["application_id"]] = Seat(data["citizen_id"], data["wave"], data["province"], data["tier"])

    def _not_selected(self, data: dict[str, Any]) -> None:
        self.outcomes[data["application_id"]] += 1
        self.refused[data["wave"], data["reason"]] += 1

    def _revoked(self, data: dict[str, Any]) -> None:
        self.revoked[data["citizen_id"]] = data["wave"]

    def _paid(self, data: dict[str, Any]) -> None:
        attempt = (data["payout_id"], data["attempt"])
        self.paid_times[attempt] += 1
        self.paid[attempt] = Paid(
            int(data["amount_rupiah"]), data["rail"], data["milestone"], data["province"], data["wave"], data["at"]
        )

    def _failed(self, data: dict[str, Any]) -> None:
        self.failed[data["reason"]] += 1
        self.failed_payouts.add(data["payout_id"])

    def _returned(self, data: dict[str, Any]) -> None:
        self.returned[data["payout_id"], data["attempt"]] = int(data["amount_rupiah"])
        self.failed_payouts.add(data["payout_id"])

    def _completed(self, data: dict[str, Any]) -> None:
        self.completed[data["wave"]] += data["first"]

    def _rated(self, data: dict[str, Any]) -> None:
        self.rated += 1

    def _granted(self, data: dict[str, Any]) -> None:
        self.rupiah["granted"] += int(data["amount_rupiah"])

    def _released(self, data: dict[str, Any]) -> None:
        self.rupiah[f"released {data['reason']}"] += int(data["amount_rupiah"])

    def _reserved(self, data: dict[str, Any]) -> None:
        self.rupiah["reserved"] += int(data["amount_rupiah"])

    def _treasury(self, data: dict[str, Any]) -> None:
        self.rupiah["returned"] += int(data["amount_rupiah"])


_REACTIONS: Final = {
    "applied": Facts._applied,
    "application-withdrawn": Facts._withdrawn,
    "wave-announced": Facts._announced,
    "wave-published": Facts._published,
    "selected-in-batch": Facts._selected,
    "not-selected": Facts._not_selected,
    "membership-revoked": Facts._revoked,
    "training-completed": Facts._completed,
    "training-rated": Facts._rated,
    "appropriation-granted": Facts._granted,
    "money-reserved": Facts._reserved,
    "reservation-released": Facts._released,
    "appropriation-returned": Facts._treasury,
    "incentive-paid": Facts._paid,
    "incentive-failed": Facts._failed,
    "incentive-returned": Facts._returned,
}
