"""Waves, quotas, applications, members, freed seats: rows to values and back. The bulk of a draw is in `pool_store`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from libs.events.contracts import ApplicationWithdrawn, Applied, IntakeClosed, MembershipRevoked
from libs.events.database import Transaction, load_queries
from libs.events.topics import TOPIC_OF
from services.selection.domain.quotas import Stratum
from services.selection.domain.wave import Draw, Proposal, State, Times

QUERIES: Final[Any] = load_queries(Path(__file__).with_name("queries.sql"))

WaveName = tuple[str, int]
"""Programme and number."""


@dataclass(frozen=True, slots=True)
class Wave:
    """A wave as the steps of its life need it."""

    wave_id: int
    programme: str
    number: int
    attempt: int
    state: State
    times: Times
    maker_person: str
    commitment: str | None
    root: bytes | None
    pool_count: int | None
    waiting: str | None
    seed: bytes | None
    draw_due_at: datetime | None
    winners: int | None
    announced_up_to: str | None
    announced: int
    not_selected: int
    void_reason: str | None
    void_maker_person: str | None
    reveal_until: datetime | None
    reveals: str | None

    @property
    def draw(self) -> Draw:
        return Draw(self.draw_due_at, self.waiting, self.reveal_until is not None, self.announced_up_to is not None)


@dataclass(frozen=True, slots=True)
class WaveKey:
    """What an event's wave is in the tables, and how far it has come."""

    wave_id: int
    state: State


@dataclass(frozen=True, slots=True)
class Intake:
    """What registration has stated for a closed wave; the digest in hexadecimal."""

    count: int
    digest: str


class Apart(NamedTuple):
    """A partition of the intake that does not agree: number of the last event stated, and how many have arrived."""

    lane: int
    stated_last: int
    arrived_last: int


class Store:
    """Takes the transaction first; keeps nothing itself."""

    async def lock(self, tx: Transaction, programme: str, wave: int) -> Wave | None:
        row = await QUERIES.wave_for_update(tx, programme=programme, wave=wave)
        return _wave(row) if row else None

    async def in_state(self, tx: Transaction, state: State) -> list[Wave]:
        return [_wave(row) for row in await QUERIES.waves_in_state(tx, state=state)]

    async def to_move(self, tx: Transaction, now: datetime) -> list[tuple[int, str, int, State]]:
        """Waves whose time to open or to close has come, locked: id, programme, number, state."""
        rows = await QUERIES.waves_to_move(tx, now=now)
        return [(row["wave_id"], row["programme"], row["wave"], State(row["state"])) for row in rows]

    async def propose(
        self, tx: Transaction, proposal: Proposal, person: str, now: datetime, *, decreed: bool
    ) -> int | None:
        """Write or replace a proposal; None when the wave has gone on meanwhile. `decreed`: its quotas are a table."""
        times = proposal.times
        wave_id: int | None = await QUERIES.wave_propose(
            tx, programme=proposal.programme, wave=proposal.wave, seats=proposal.seats, recycle=proposal.recycle,
            decreed=decreed, opens_at=times.opens_at, closes_at=times.closes_at, draws_at=times.draws_at,
            maker_person=person, now=now,
        )  # fmt: skip
        return wave_id

    async def set_quotas(
        self, tx: Transaction, wave_id: int, quotas: Mapping[Stratum, int], recycled: Mapping[Stratum, int],
        appealed: Mapping[Stratum, int],
    ) -> None:  # fmt: skip
        strata = sorted(quotas)
        await QUERIES.quotas_drop(tx, wave_id=wave_id)
        await QUERIES.quotas_add(
            tx,
            wave_id=wave_id,
            provinces=[stratum.province for stratum in strata],
            tiers=[stratum.tier for stratum in strata],
            seats=[quotas[stratum] for stratum in strata],
            recycled=[recycled.get(stratum, 0) for stratum in strata],
            appealed=[appealed.get(stratum, 0) for stratum in strata],
        )

    async def quotas(self, tx: Transaction, wave_id: int) -> dict[Stratum, tuple[int, int]]:
        """Seats, and how many of them are recycled, by stratum."""
        rows = await QUERIES.quotas_of(tx, wave_id=wave_id)
        return {Stratum(row["province"], row["tier"]): (row["seats"], row["recycled"]) for row in rows}

    async def claim_freed_seats(self, tx: Transaction, programme: str, wave_id: int) -> dict[Stratum, int]:
        rows = await QUERIES.freed_seats_claim(tx, programme=programme, wave_id=wave_id)
        return {Stratum(row["province"], row["tier"]): row["seats"] for row in rows}

    async def release_freed_seats(self, tx: Transaction, wave_id: int) -> None:
        await QUERIES.freed_seats_release(tx, wave_id=wave_id)

    async def approve(self, tx: Transaction, wave_id: int, state: State, person: str, now: datetime) -> None:
        await QUERIES.wave_approve(tx, wave_id=wave_id, state=state, person=person, now=now)

    async def set_state(self, tx: Transaction, wave_id: int, state: State) -> None:
        await QUERIES.wave_state(tx, wave_id=wave_id, state=state)

    async def wait(
        self, tx: Transaction, wave_id: int, reason: str, applications_seen: int | None = None,
        lanes: Sequence[Apart] = (),
    ) -> None:  # fmt: skip
        """Note why a wave does not go on, for everybody to see."""
        missing = [apart.lane for apart in lanes]
        await QUERIES.wave_waits(
            tx, wave_id=wave_id, waiting=reason, applications_seen=applications_seen, lanes=missing
        )

    async def ask_void(self, tx: Transaction, wave_id: int, reason: str, person: str, now: datetime) -> None:
        await QUERIES.void_ask(tx, wave_id=wave_id, reason=reason, person=person, now=now)

    async def void(self, tx: Transaction, wave_id: int, person: str, now: datetime) -> None:
        """Void a wave: its seats become free again for others, and its winners, who were never told, no members."""
        await QUERIES.wave_void(tx, wave_id=wave_id, person=person, now=now)
        await QUERIES.freed_seats_release(tx, wave_id=wave_id)
        await QUERIES.appeal_seats_release(tx, wave_id=wave_id)
        await QUERIES.members_forget(tx, wave_id=wave_id)

    async def keys(self, tx: Transaction, names: set[WaveName]) -> dict[WaveName, WaveKey]:
        """The waves of a batch of events, which can not take a step until the transaction ends."""
        programmes, waves = zip(*sorted(names), strict=True)
        rows = await QUERIES.wave_ids(tx, programmes=programmes, waves=waves)
        return {(row["programme"], row["wave"]): WaveKey(row["wave_id"], State(row["state"])) for row in rows}

    async def add_applications(self, tx: Transaction, wave_ids: Sequence[int], events: Sequence[Applied]) -> None:
        await QUERIES.applications_add(
            tx,
            wave_ids=wave_ids,
            application_ids=[event.application_id for event in events],
            citizen_ids=[event.citizen_id for event in events],
            household_ids=[event.household_id for event in events],
            provinces=[event.province for event in events],
            tiers=[event.tier for event in events],
            exclusions=[",".join(event.exclusions) for event in events],
            applied_ats=[event.at for event in events],
        )

    async def withdraw(
        self, tx: Transaction, wave_ids: Sequence[int], events: Sequence[ApplicationWithdrawn]
    ) -> set[str]:
        """Mark applications as withdrawn; the ids found."""
        rows = await QUERIES.applications_withdraw(
            tx,
            wave_ids=wave_ids,
            application_ids=[event.application_id for event in events],
            withdrawn_ats=[event.at for event in events],
        )
        return {row["application_id"] for row in rows}

    async def add_intakes(self, tx: Transaction, wave_ids: Sequence[int], events: Sequence[IntakeClosed]) -> None:
        await QUERIES.intakes_add(
            tx,
            wave_ids=wave_ids,
            counts=[event.count for event in events],
            digests=[bytes.fromhex(event.digest) for event in events],
            stated_ats=[event.at for event in events],
        )
        stated = [(wave_id, lane) for wave_id, event in zip(wave_ids, events, strict=True) for lane in event.lanes]
        await QUERIES.intake_lanes_add(
            tx,
            wave_ids=[wave_id for wave_id, _ in stated],
            lanes=[lane.lane for _, lane in stated],
            lasts=[lane.last for _, lane in stated],
            counts=[lane.count for _, lane in stated],
            digests=[bytes.fromhex(lane.digest) for _, lane in stated],
        )

    async def lanes_apart(self, tx: Transaction, wave_id: int) -> list[Apart]:
        """The partitions whose applications are not yet those that registration has stated."""
        rows = await QUERIES.lanes_apart(tx, wave_id=wave_id, lanes=TOPIC_OF[IntakeClosed.TYPE].partitions)
        return [Apart(row["lane"], row["stated_last"], row["arrived_last"]) for row in rows]

    async def intake(self, tx: Transaction, wave_id: int) -> Intake | None:
        row = await QUERIES.intake_of(tx, wave_id=wave_id)
        return Intake(row["count"], row["digest"].hex()) if row else None

    async def standing(self, tx: Transaction, wave_id: int) -> int:
        """How many standing applications a wave has."""
        count: int = await QUERIES.applications_standing(tx, wave_id=wave_id)
        return count

    async def revoke(self, tx: Transaction, events: Sequence[MembershipRevoked]) -> set[tuple[str, str]]:
        """Mark memberships as revoked and free their seats; citizen and programme of those found."""
        told = {
            "citizen_ids": [event.citizen_id for event in events],
            "programmes": [event.programme for event in events],
        }
        ats = [event.at for event in events]
        found = await QUERIES.members_revoke(tx, **told, revoked_ats=ats)
        await QUERIES.freed_seats_add(tx, **told, reasons=[event.reason for event in events], freed_ats=ats)
        return {(row["citizen_id"], row["programme"]) for row in found}

    async def view(
        self, tx: Transaction, programme: str, wave: int, attempt: int | None = None
    ) -> Mapping[str, Any] | None:
        """The public columns of a wave, as it is now or as the attempt that was set aside."""
        row: Mapping[str, Any] | None = await QUERIES.wave_view(tx, programme=programme, wave=wave, attempt=attempt)
        return row

    async def listed(self, tx: Transaction, limit: int, *, announced: bool) -> list[Mapping[str, Any]]:
        """Every wave, or those that were `announced`: a proposal is nobody's business but the officers'."""
        return list(await QUERIES.waves_list(tx, limit=limit, announced=announced))

    async def sources_of_recycled_seats(self, tx: Transaction, wave_id: int) -> list[Mapping[str, Any]]:
        return list(await QUERIES.freed_seats_used(tx, wave_id=wave_id))

    async def recycled_seats(self, tx: Transaction, wave_id: int, after: int, limit: int) -> list[Mapping[str, Any]]:
        """The recycled seats of a wave one by one, numbered from 1, those behind number `after`."""
        return list(await QUERIES.recycled_seats(tx, wave_id=wave_id, after=after, limit=limit))

    async def strata(self, tx: Transaction, wave_id: int) -> list[Mapping[str, Any]]:
        return list(await QUERIES.stratum_results_of(tx, wave_id=wave_id))


def _wave(row: Mapping[str, Any]) -> Wave:
    return Wave(
        wave_id=row["wave_id"],
        programme=row["programme"],
        number=row["wave"],
        attempt=row["attempt"],
        state=State(row["state"]),
        times=Times(row["opens_at"], row["closes_at"], row["draws_at"]),
        maker_person=row["maker_person"],
        commitment=row["commitment"],
        root=row["root"],
        pool_count=row["pool_count"],
        waiting=row["waiting"],
        seed=row["seed"],
        draw_due_at=row["draw_due_at"],
        winners=row["winners"],
        announced_up_to=row["announced_up_to"],
        announced=row["announced"],
        not_selected=row["not_selected"],
        void_reason=row["void_reason"],
        void_maker_person=row["void_maker_person"],
        reveal_until=row["reveal_until"],
        reveals=row["reveals"],
    )
