"""The store of what registration learns: waves, results, memberships. Applications move by their transitions."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from libs.events.contracts import (
    IntakeClosed,
    IntakeLane,
    MembershipRevoked,
    NotSelected,
    SelectedInBatch,
    WaveAnnounced,
    WaveClosed,
    WaveRescheduled,
)
from libs.events.database import Transaction
from libs.events.topics import TOPIC_OF
from services.registration.domain.application import TRANSITIONS, State
from services.registration.store import QUERIES

WaveStep = tuple[str, int, str, Any, Mapping[str, Any]]
"""Programme, wave, what happened, when, and what its sentences need."""


class WaveStore:
    """Waves and what became of the applications to them."""

    async def announce(self, tx: Transaction, events: Sequence[WaveAnnounced]) -> None:
        await QUERIES.waves_announce(
            tx,
            programmes=[event.programme for event in events],
            waves=[event.wave for event in events],
            opens=[event.opens_at for event in events],
            closes=[event.closes_at for event in events],
            draws=[event.draws_at for event in events],
            seats=[sum(quota.seats for quota in event.quotas) for event in events],
        )

    async def move_wave(self, tx: Transaction, programme: str, wave: int, state: str) -> None:
        await QUERIES.wave_move(tx, programme=programme, wave=wave, state=state)

    async def reschedule(self, tx: Transaction, event: WaveRescheduled) -> None:
        await QUERIES.wave_reschedule(
            tx, programme=event.programme, wave=event.wave, opens_at=event.opens_at, closes_at=event.closes_at,
            draws_at=event.draws_at,
        )  # fmt: skip

    async def close_wave(self, tx: Transaction, told: WaveClosed) -> IntakeClosed | None:
        """Take the gate, count what came through, and shut it: what is then stated of the applications that stand.

        None where the wave is unknown or was closed before.
        """
        wave = {"programme": told.programme, "wave": told.wave}
        state = await QUERIES.wave_lock(tx, **wave)
        if state not in ("announced", "open"):
            return None
        counted = await QUERIES.wave_count(tx, **wave)
        lanes = await QUERIES.wave_lanes(tx, **wave, lanes=TOPIC_OF[IntakeClosed.TYPE].partitions)
        await QUERIES.wave_close(tx, **wave, count=counted["count"], digest=counted["digest"])
        return IntakeClosed(
            at=told.at,
            programme=told.programme,
            wave=told.wave,
            count=counted["count"],
            digest=counted["digest"],
            lanes=tuple(IntakeLane(**lane) for lane in lanes),
        )

    async def void_wave(self, tx: Transaction, programme: str, wave: int) -> None:
        """Void a wave and every application to it that has no result yet."""
        await QUERIES.wave_lock(tx, programme=programme, wave=wave)
        await QUERIES.wave_move(tx, programme=programme, wave=wave, state="voided")
        await QUERIES.applications_void(tx, programme=programme, wave=wave, sources=_sources("wave-voided"))

    async def add_wave_steps(self, tx: Transaction, steps: Sequence[WaveStep]) -> None:
        programmes, waves, whats, at, data = zip(*steps, strict=True)
        await QUERIES.wave_steps_add(
            tx, programmes=programmes, waves=waves, whats=whats, at=at, data=[json.dumps(told) for told in data]
        )

    async def select(self, tx: Transaction, events: Sequence[SelectedInBatch]) -> None:
        """Winners become members, once in a lifetime."""
        await self.move_applications(tx, [event.application_id for event in events], "selected-in-batch")
        await QUERIES.members_add(
            tx,
            citizens=[event.citizen_id for event in events],
            programmes=[event.programme for event in events],
            waves=[event.wave for event in events],
        )

    async def not_selected(self, tx: Transaction, events: Sequence[NotSelected]) -> None:
        await self.move_applications(tx, [event.application_id for event in events], "not-selected")

    async def revoke(self, tx: Transaction, events: Sequence[MembershipRevoked]) -> None:
        gone = {
            "citizens": [event.citizen_id for event in events],
            "programmes": [event.programme for event in events],
            "waves": [event.wave for event in events],
        }
        await QUERIES.members_revoke(tx, **gone)
        await QUERIES.applications_revoke(tx, **gone, sources=_sources("membership-revoked"))

    async def move_applications(self, tx: Transaction, applications: Sequence[str], what: str) -> None:
        """Move applications by an event, those it finds in a state it may find them in."""
        target = next(state for (_, event), state in TRANSITIONS.items() if event == what)
        await QUERIES.applications_move(tx, applications=applications, sources=_sources(what), state=target)


def _sources(what: str) -> list[State]:
    return [state for state, event in TRANSITIONS if event == what]
