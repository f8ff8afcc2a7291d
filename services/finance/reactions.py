"""What the events of the money path ask of the books. One function for all eight types: each is copied, then booked."""

from collections.abc import Mapping, Sequence

from libs.events.codec import Poison
from libs.events.contracts import Event
from libs.events.database import Transaction
from libs.events.ordering import CanNotApply, refuse
from services.finance.domain.posting import CanNotBook, is_about_a_member, is_payment, post
from services.finance.store import Store


async def record(*, tx: Transaction, store: Store, events: Sequence[Event]) -> None:
    """Copy events and move the balances by them, in their order; an event that was recorded before changes nothing.

    Raises CanNotApply with events that contradict what the books hold. They are then set aside, with all later events
    of their keys, until a person has found out which side is wrong.
    """
    await store.lock(tx)
    told: dict[str, Event] = {}
    for event in events:
        told.setdefault(event.event_id(), event)
    if len(told) < len(events):
        _require_same(events, told)
    fresh = await store.copy(tx, told)
    if len(fresh) < len(told):
        _require_same(events, await store.copies(tx, [event_id for event_id in told if event_id not in fresh]))
    try:
        await _book(tx, store, [event for event_id, event in told.items() if event_id in fresh])
    except CanNotBook as error:
        raise CanNotApply([(event, Poison("contradiction", why)) for event, why in error.found]) from None


async def _book(tx: Transaction, store: Store, events: Sequence[Event]) -> None:
    if not events:
        return
    payouts = {event.payout_id for event in events if is_payment(event)}
    members = {(event.citizen_id, event.programme) for event in events if is_about_a_member(event)}
    done = post(events, await store.payouts(tx, sorted(payouts)), await store.reservations(tx, sorted(members)))
    await store.save(tx, done)


def _require_same(events: Sequence[Event], copies: Mapping[str, Event]) -> None:
    """The same event twice counts once; two that differ contradict each other."""
    other = (event for event in events if copies.get(event.event_id(), event) != event)
    refuse("contradiction", "this event was told before, and differently", other)
