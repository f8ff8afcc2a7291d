"""What the bus tells registration: waves open and close its intake, and all about a citizen joins the timeline."""

from collections.abc import Sequence
from typing import Final

from libs.events import outbox
from libs.events.contracts import (
    Event,
    MembershipRevoked,
    NotSelected,
    SelectedInBatch,
    WaveAnnounced,
    WaveClosed,
    WaveCommitted,
    WaveDrawn,
    WaveDrawSetAside,
    WaveOpened,
    WavePublished,
    WaveRescheduled,
    WaveVoided,
)
from libs.events.database import Transaction
from services.registration.domain.steps import steps_of
from services.registration.domain.timeline import step_name
from services.registration.store import Store
from services.registration.store_waves import WaveStep, WaveStore

WaveMoved = WaveOpened | WaveCommitted | WaveDrawn | WaveDrawSetAside | WavePublished

STATES: Final = {
    WaveOpened: "open",
    WaveCommitted: "committed",
    WaveDrawn: "drawn",
    WaveDrawSetAside: "closed",
    WavePublished: "published",
}
"""The state of a wave after an event that only moves it. Announcing, closing and voiding do more."""


async def on_wave_announced(*, tx: Transaction, waves: WaveStore, events: Sequence[WaveAnnounced]) -> None:
    """Know a wave; joining waits until it opens."""
    await waves.announce(tx, events)


async def on_wave_moved(*, tx: Transaction, waves: WaveStore, events: Sequence[WaveMoved]) -> None:
    """Follow a wave. Waves are few: one statement for each."""
    for event in events:
        await waves.move_wave(tx, event.programme, event.wave, STATES[type(event)])
    await waves.add_wave_steps(tx, [_step(event) for event in events])


async def on_wave_rescheduled(*, tx: Transaction, waves: WaveStore, events: Sequence[WaveRescheduled]) -> None:
    """Join by the new times, and tell whoever has joined."""
    for event in events:
        await waves.reschedule(tx, event)
    await waves.add_wave_steps(tx, [_step(event) for event in events])


async def on_wave_closed(*, tx: Transaction, waves: WaveStore, events: Sequence[WaveClosed]) -> None:
    """Close the intake and state what was accepted. The gate is taken first, so nobody is lost between the two."""
    for event in sorted(events, key=lambda event: (event.programme, event.wave)):
        if stated := await waves.close_wave(tx, event):
            await outbox.add(tx, [stated])
    await waves.add_wave_steps(tx, [_step(event) for event in events])


async def on_wave_voided(*, tx: Transaction, waves: WaveStore, events: Sequence[WaveVoided]) -> None:
    """A void wave ends every application to it that has no result."""
    for event in sorted(events, key=lambda event: (event.programme, event.wave)):
        await waves.void_wave(tx, event.programme, event.wave)
    await waves.add_wave_steps(tx, [_step(event) for event in events])


async def on_selected(*, tx: Transaction, store: Store, waves: WaveStore, events: Sequence[SelectedInBatch]) -> None:
    """Winners are members from now on, and can not apply again."""
    await waves.select(tx, events)
    await on_told(tx=tx, store=store, events=events)


async def on_not_selected(*, tx: Transaction, store: Store, waves: WaveStore, events: Sequence[NotSelected]) -> None:
    """Whoever got no seat may join the next wave."""
    await waves.not_selected(tx, events)
    await on_told(tx=tx, store=store, events=events)


async def on_revoked(*, tx: Transaction, store: Store, waves: WaveStore, events: Sequence[MembershipRevoked]) -> None:
    """A revoked member stays one who was accepted once."""
    await waves.revoke(tx, events)
    await on_told(tx=tx, store=store, events=events)


async def on_told(*, tx: Transaction, store: Store, events: Sequence[Event]) -> None:
    """An event about a citizen becomes a step of the citizen's timeline."""
    await store.add_steps(tx, steps_of(events))


def _step(event: WaveMoved | WaveClosed | WaveRescheduled | WaveVoided) -> WaveStep:
    data = event.model_dump(mode="json", include={"programme", "wave", "reason", "closes_at", "draws_at"})
    return event.programme, event.wave, step_name(event.TYPE, _nth(event)), event.at, data


def _nth(event: Event) -> int:
    """What tells a step from others of its kind of the same wave; most can be taken once."""
    match event:
        case WaveCommitted() | WaveDrawn() | WaveDrawSetAside():
            return event.attempt
        case WaveRescheduled():
            return event.change
        case _:
            return 1
