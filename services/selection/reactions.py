"""What events ask of selection: applications come and go, intakes close, revoked members free their seats."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from libs.events.contracts import ApplicationWithdrawn, Applied, IntakeClosed, MembershipRevoked
from libs.events.database import Transaction
from libs.events.ordering import Refused, leave_out, refuse
from services.selection.domain.wave import State
from services.selection.store import Store, WaveKey

TAKES_APPLICATIONS: Final = frozenset({State.ANNOUNCED, State.OPEN, State.CLOSED, State.VOIDED})
"""`announced`: registration may follow the clock a moment earlier. `closed`: what was accepted before may arrive late.
`voided`: registration may not have heard of it yet; nothing will come of the application."""

E = TypeVar("E", Applied, ApplicationWithdrawn, IntakeClosed)


async def on_applied(*, tx: Transaction, store: Store, events: Sequence[Applied]) -> Refused:
    """Note applications. One that comes after the pool was frozen is refused: the intake's count did not contain it."""
    known = await _known(tx, store, events)
    why = "an application to a wave that takes none: its pool is frozen, or it was never announced"
    events, refused = leave_out(events, _frozen(known, events), "contradiction", why)
    await store.add_applications(tx, _wave_ids(known, events), events)
    return refused


async def on_withdrawn(*, tx: Transaction, store: Store, events: Sequence[ApplicationWithdrawn]) -> None:
    """Take applications out again, while the pool is not frozen."""
    known = await _known(tx, store, events)
    refuse("contradiction", "a withdrawal from a wave whose pool is frozen", _frozen(known, events))
    found = await store.withdraw(tx, _wave_ids(known, events), events)
    lost = (event for event in events if event.application_id not in found)
    refuse("contradiction", "a withdrawal of an application that never came", lost)


async def on_intake_closed(*, tx: Transaction, store: Store, events: Sequence[IntakeClosed]) -> None:
    """Keep what registration has stated; the clock compares it with what has arrived."""
    known = await _known(tx, store, events)
    await store.add_intakes(tx, _wave_ids(known, events), events)


async def on_revoked(*, tx: Transaction, store: Store, events: Sequence[MembershipRevoked]) -> None:
    """Free the seats of revoked members, each for one later wave."""
    found = await store.revoke(tx, events)
    lost = (event for event in events if (event.citizen_id, event.programme) not in found)
    refuse("contradiction", "a revocation of a membership that no draw has given", lost)


async def _known(tx: Transaction, store: Store, events: Sequence[E]) -> Mapping[tuple[str, int], WaveKey]:
    """The waves of the events. Raises CanNotApply for a wave that was never proposed here."""
    known = await store.keys(tx, {(event.programme, event.wave) for event in events})
    strange = (event for event in events if (event.programme, event.wave) not in known)
    refuse("contradiction", "an event about a wave that was never proposed", strange)
    return known


def _wave_ids(known: Mapping[tuple[str, int], WaveKey], events: Sequence[E]) -> list[int]:
    return [known[event.programme, event.wave].wave_id for event in events]


def _frozen(known: Mapping[tuple[str, int], WaveKey], events: Sequence[E]) -> list[E]:
    """The events of waves that take no applications."""
    closed = {wave for wave, key in known.items() if key.state not in TAKES_APPLICATIONS}
    return [event for event in events if (event.programme, event.wave) in closed] if closed else []
