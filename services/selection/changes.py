"""Officers give an announced wave other times, or have it drawn anew: one asks, another approves, everybody is told."""

from datetime import datetime
from typing import Any

from libs.events import outbox
from libs.events.contracts import Event, WaveDrawSetAside, WaveRescheduled
from libs.events.database import Transaction
from services.selection import store_changes
from services.selection.commands import lock, must
from services.selection.domain import lifecycle, wave
from services.selection.domain.lifecycle import Change
from services.selection.domain.wave import State, Step
from services.selection.store import Store, Wave
from services.selection.store_changes import Wanted

UNCHANGED: Wanted = (None, None, None)


async def ask_times(
    tx: Transaction, store: Store, programme: str, number: int, times: Wanted, reason: str, person: str, now: datetime
) -> int:
    """Ask for other times; the number of the request. Raises Refused."""
    found = await lock(tx, store, programme, number)
    must(lifecycle.reschedule(found.state, found.times, *times, now))
    return await store_changes.ask(tx, found.wave_id, Step.RESCHEDULE, times, reason, person, now)


async def ask_redraw(
    tx: Transaction, store: Store, programme: str, number: int, reason: str, person: str, now: datetime
) -> int:
    """Ask for a commitment or a draw to be set aside and the same applications drawn anew. Raises Refused."""
    found = await lock(tx, store, programme, number)
    must(wave.redraw(found.state, found.draw, now))
    return await store_changes.ask(tx, found.wave_id, Step.REDRAW, UNCHANGED, reason, person, now)


async def approve_change(
    tx: Transaction, store: Store, programme: str, number: int, change_id: int, person: str, now: datetime
) -> dict[str, Any]:
    """Do what was asked, if the wave still allows it. Raises Refused."""
    found = await lock(tx, store, programme, number)
    change = must(lifecycle.approve(await store_changes.waiting(tx, found.wave_id), change_id, person))
    await store_changes.decide(tx, change, person, now)
    state, event = (
        await _redraw(tx, found, change, person, now)
        if change.step is Step.REDRAW
        else await _reschedule(tx, found, change, now)
    )
    await outbox.add(tx, [event])
    return {"state": state, "step": change.step}


async def _reschedule(tx: Transaction, found: Wave, change: Change, now: datetime) -> tuple[State, Event]:
    """The clock opens and closes by the times, and registration follows them: nothing else has to be done."""
    times = must(
        lifecycle.reschedule(found.state, found.times, change.opens_at, change.closes_at, change.draws_at, now)
    )
    await store_changes.set_times(tx, found.wave_id, times)
    return found.state, WaveRescheduled(
        at=now,
        programme=found.programme,
        wave=found.number,
        change=change.change_id,
        opens_at=times.opens_at,
        closes_at=times.closes_at,
        draws_at=times.draws_at,
        reason=change.reason,
    )


async def _redraw(tx: Transaction, found: Wave, change: Change, person: str, now: datetime) -> tuple[State, Event]:
    state = must(wave.redraw(found.state, found.draw, now))
    assert found.root is not None, "what was committed to has a root"
    await store_changes.set_aside(tx, found, change, state, person, now)
    return state, WaveDrawSetAside(
        at=now,
        programme=found.programme,
        wave=found.number,
        attempt=found.attempt,
        reason=change.reason,
        root=found.root.hex(),
        seed=found.seed.hex() if found.seed else None,
    )
