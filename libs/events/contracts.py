"""Every event that crosses the bus, as the producer writes it and the consumer reads it.

A contract names what happened in the programme's words. It carries opaque ids, never a NIK, name, phone, e-mail or
account number. Changes are additive only: a new field has a default, an old one keeps its meaning, unknown fields are
ignored, and enumerations that may grow are plain strings on the reading side. Which topic a type travels on, and who
may write it, stands in `topics.toml`. Units: rupiah are integers; times are aware and in programme time.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)

from libs.events import ids

JSON_INTEGER_MAX = 2**53 - 1


def _rupiah_on_the_wire(amount: int) -> int | str:
    return amount if amount <= JSON_INTEGER_MAX else str(amount)


Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""128 bits as 32 lower-case hexadecimal digits. Opaque: nothing about a person can be read from it."""

Rupiah = Annotated[int, Field(ge=0), PlainSerializer(_rupiah_on_the_wire, when_used="json")]
"""A whole number of rupiah; on the wire a string above 2^53 - 1, which JSON readers would round."""

Province = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$")]
"""Two-digit Kemendagri code of the declared domicile."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""32 bytes, in lower-case hexadecimal."""

Tier = Literal["priority", "public"]
Rail = Literal["bank", "e-wallet"]


class Event(BaseModel):
    """Something that has happened; immutable. `at` is the programme time at which it was decided."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    TYPE: ClassVar[str]
    VERSION: ClassVar[int]
    KEY: ClassVar[str]
    MEANING: ClassVar[tuple[str, ...]]

    at: AwareDatetime

    def __init_subclass__(
        cls,
        *,
        type: str = "",
        version: int = 1,
        key: str = "citizen_id",
        meaning: tuple[str, ...] = (),
        **rest: Any,
    ) -> None:
        super().__init_subclass__(**rest)
        cls.TYPE, cls.VERSION, cls.KEY, cls.MEANING = type, version, key, meaning

    def key(self) -> str:
        """The value that orders this event: events with one key arrive in the order they were committed."""
        return str(getattr(self, self.KEY))

    @classmethod
    def keys(cls, told: Iterable[Any]) -> list[str]:
        """`key` of each of these, which are events of this type or what was read of such."""
        values = list(map(attrgetter(cls.KEY), told))
        return values if cls.model_fields[cls.KEY].annotation is str else list(map(str, values))

    def event_id(self) -> str:
        """An id derived from what the event means, so that a retry mints the same one."""
        return ids.derive(self.TYPE, *(str(getattr(self, field)) for field in self.MEANING))

    @classmethod
    def event_ids(cls, events: Sequence["Event"]) -> list[str]:
        """`event_id` of each of these, which are of this type."""
        if cls.event_id is not Event.event_id:
            return [event.event_id() for event in events]
        return ids.derive_each(cls.TYPE, *(map(str, map(attrgetter(field), events)) for field in cls.MEANING))


class Applied(Event, type="applied", meaning=("application_id",)):
    """A citizen entered a wave. `exclusions` are what the outside checks found, for selection to apply by its rules."""

    application_id: Id
    citizen_id: Id
    household_id: Id
    programme: str
    wave: int
    province: Province
    tier: Tier
    exclusions: tuple[str, ...] = ()  # of: blacklist, other-aid


class ApplicationWithdrawn(Event, type="application-withdrawn", meaning=("application_id",)):
    """A citizen left a wave before its intake closed; the application can not come back."""

    application_id: Id
    citizen_id: Id
    programme: str
    wave: int


class OfWave(Event):
    """What every event about a wave says. Not an event by itself."""

    programme: str
    wave: int


class IntakeLane(BaseModel):
    """What one partition of the topic `applied` holds of a wave; `digest` is over its standing applications alone.

    `last` is the number of the wave's last event in this partition, counting its applications and withdrawals from 1.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    lane: Annotated[int, Field(ge=0)]
    last: Annotated[int, Field(ge=1)]
    count: Annotated[int, Field(ge=0)]
    digest: Digest


class IntakeClosed(OfWave, type="intake-closed", version=2, key="wave", meaning=("programme", "wave")):
    """Registration accepts nobody into the wave any more, and states what it has accepted, also by partition.

    `digest` is the SHA-256 of the standing applications' ids, as 16 raw bytes each, in ascending order. A partition
    without an event of the wave is left out of `lanes`.
    """

    count: int
    digest: Digest
    lanes: tuple[IntakeLane, ...] = ()


class Quota(BaseModel):
    """Seats of one stratum: province and tier."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    province: Province
    tier: Tier
    seats: Annotated[int, Field(ge=0)]


class WaveAnnounced(OfWave, type="wave-announced", key="wave", meaning=("programme", "wave")):
    """A wave will open; maker and checker have agreed on its times and seats."""

    opens_at: AwareDatetime
    closes_at: AwareDatetime
    draws_at: AwareDatetime
    quotas: tuple[Quota, ...]
    recycled_seats: int = 0  # of the quotas, how many were freed by revocations


class WaveRescheduled(OfWave, type="wave-rescheduled", key="wave", meaning=("programme", "wave", "change")):
    """Two officers gave an announced wave other times, for a public reason. `change` tells one change from another."""

    change: int
    opens_at: AwareDatetime
    closes_at: AwareDatetime
    draws_at: AwareDatetime
    reason: str


class WaveOpened(OfWave, type="wave-opened", key="wave", meaning=("programme", "wave")):
    """The clock opened the wave."""


class WaveClosed(OfWave, type="wave-closed", key="wave", meaning=("programme", "wave")):
    """The clock closed the wave. Registration answers with `intake-closed`."""


class DrawStep(OfWave):
    """A step of a draw, which may be taken again: `attempt` counts the draws of a wave. Not an event by itself."""

    attempt: Annotated[int, Field(ge=1)] = 1

    def event_id(self) -> str:
        """The id of version 1 for a first draw, which had no number."""
        again = (str(self.attempt),) if self.attempt > 1 else ()
        return ids.derive(self.TYPE, self.programme, str(self.wave), *again)


class WaveCommitted(DrawStep, type="wave-committed", version=2, key="wave", meaning=("programme", "wave", "attempt")):
    """The pool is frozen under a root, before the randomness that orders it exists."""

    algorithm: str
    pool_count: int
    root: Digest
    beacon: str
    beacon_round: int


class WaveDrawn(DrawStep, type="wave-drawn", version=2, key="wave", meaning=("programme", "wave", "attempt")):
    seed: Digest
    winners: int


class WaveDrawSetAside(OfWave, type="wave-draw-set-aside", key="wave", meaning=("programme", "wave", "attempt")):
    """Two officers gave up a commitment or a draw before any result was sent; the same applications are drawn anew.

    `attempt` is the one given up. Its pool, tickets and ranks are kept; `seed` is None where it was not drawn yet.
    """

    attempt: Annotated[int, Field(ge=1)]
    reason: str
    root: Digest
    seed: Digest | None = None


class WavePublished(OfWave, type="wave-published", key="wave", meaning=("programme", "wave")):
    winners: int
    not_selected: int


class WaveVoided(OfWave, type="wave-voided", key="wave", meaning=("programme", "wave")):
    reason: str


class SelectedInBatch(Event, type="selected-in-batch", version=2, meaning=("application_id",)):
    """An application won a seat. `rank` counts from 1 in its stratum; `cutoff` is the highest ticket that won there.

    With `appeal_id` the seat was given by an upheld appeal and taken out of the quota before the draw. Then the
    application id is one of its own, and the rank goes on after all applicants of the stratum who were drawn.
    """

    application_id: Id
    citizen_id: Id
    programme: str
    wave: int
    province: Province
    tier: Tier
    ticket: Digest
    rank: Annotated[int, Field(ge=1)]
    cutoff: Digest | None = None
    appeal_id: Id | None = None


class NotSelected(Event, type="not-selected", meaning=("application_id",)):
    """An application got no seat, and why: blacklist, other-aid, already-member, household-cap or lost-draw."""

    application_id: Id
    citizen_id: Id
    programme: str
    wave: int
    reason: str
    ticket: str | None = None
    rank: Annotated[int, Field(ge=1)] | None = None  # within the stratum; None where the household had no place left
    cutoff: str | None = None  # the highest winning ticket of the stratum; None where nobody won


class OfAppeal(Event):
    """What every event about an appeal says. `contested` is the id of the `not-selected` event that decided it."""

    appeal_id: Id
    citizen_id: Id
    application_id: Id
    contested: Id
    programme: str
    wave: int


class AppealLodged(OfAppeal, type="appeal-lodged", meaning=("appeal_id",)):
    """A citizen contests an exclusion."""

    reason: str  # of the exclusion: blacklist, other-aid, already-member, household-cap
    ground: str  # why the citizen contests it: record-wrong, not-me, circumstances-changed


class AppealDecided(OfAppeal, type="appeal-decided", meaning=("appeal_id",)):
    """Two officers decided an appeal. Upheld, it gives a seat in the next wave; the old draw stays as it is."""

    upheld: bool
    finding: str  # record-wrong, record-right, no-evidence


class TrainingCompleted(Event, type="training-completed", meaning=("enrolment_id",)):
    """A member finished a course: attendance, post-test and certificate are all there.

    `price_rupiah` was taken from the learning credit and is now owed to the partner.
    """

    enrolment_id: Id
    citizen_id: Id
    programme: str
    wave: int
    course_id: Id
    partner_id: str
    certificate_id: Id
    price_rupiah: Rupiah
    first: bool  # only the first completed course earns the incentive


class TrainingRated(Event, type="training-rated", meaning=("enrolment_id",)):
    enrolment_id: Id
    citizen_id: Id
    programme: str
    wave: int
    course_id: Id
    stars: Annotated[int, Field(ge=1, le=5)]


class MembershipRevoked(Event, type="membership-revoked", meaning=("citizen_id", "programme")):
    """A member lost the membership; the seat goes back to its stratum, the reserved money to the appropriation."""

    citizen_id: Id
    programme: str
    wave: int
    province: Province
    tier: Tier
    reason: str  # no-purchase-in-time
    released_rupiah: Rupiah  # learning credit that was not spent


class AppropriationGranted(Event, type="appropriation-granted", key="programme", meaning=("appropriation_id",)):
    """The State granted money; maker and checker have booked it."""

    appropriation_id: Id
    programme: str
    amount_rupiah: Rupiah


class MoneyReserved(Event, type="money-reserved", meaning=("citizen_id", "programme")):
    """The most a member can cost was set aside: learning credit, incentives and surveys."""

    citizen_id: Id
    programme: str
    wave: int
    province: Province
    amount_rupiah: Rupiah


class Payment(Event):
    """What every event about one attempt at paying one payout says. Not an event by itself."""

    payout_id: Id
    citizen_id: Id
    programme: str
    wave: int
    province: Province
    milestone: str  # incentive-1 ... incentive-4, survey-1 ... survey-3, course-<enrolment id>
    amount_rupiah: Rupiah
    rail: Rail
    attempt: Annotated[int, Field(ge=1)]


class IncentiveSubmitted(Payment, type="incentive-submitted", meaning=("payout_id", "attempt")):
    """Reserved money is on its way: exact bytes and idempotency key were stored before anything was sent."""

    batch_id: Id


class IncentivePaid(Payment, type="incentive-paid", meaning=("payout_id", "attempt")):
    """The rail has booked the payment."""


class IncentiveFailed(Payment, type="incentive-failed", meaning=("payout_id", "attempt")):
    """The rail has refused the payment; the money is reserved again until the citizen has repaired the reason."""

    # account-closed, account-not-found, not-verified, wallet-full, limit-exceeded, identity-mismatch, phone-changed,
    # not-booked, rail-refused
    reason: str


class IncentiveReturned(Payment, type="incentive-returned", meaning=("payout_id", "attempt")):
    """The rail has sent a booked payment back; the money is reserved again."""

    reason: str


class ReservationReleased(Event, type="reservation-released", meaning=("citizen_id", "programme", "number")):
    """Promised money that will not be needed is available again: revoked, forfeited at year-end, or not spent.

    `number` counts the releases of one reservation from 1: what a rail sends back later is released once more.
    """

    citizen_id: Id
    programme: str
    wave: int
    province: Province
    amount_rupiah: Rupiah
    reason: str  # revoked, year-end
    number: Annotated[int, Field(ge=1)] = 1


class AppropriationReturned(Event, type="appropriation-returned", key="programme", meaning=("programme", "number")):
    """What was still available at year-end went back to the treasury.

    `number` counts these returns of one programme from 1: what a rail sends back later follows.
    """

    programme: str
    amount_rupiah: Rupiah
    number: Annotated[int, Field(ge=1)] = 1


def catalogue() -> dict[str, type[Event]]:
    """Every event type by name."""
    found: dict[str, type[Event]] = {}
    pending = list(Event.__subclasses__())
    while pending:
        contract = pending.pop()
        pending += contract.__subclasses__()
        if contract.TYPE:
            found[contract.TYPE] = contract
    return dict(sorted(found.items()))
