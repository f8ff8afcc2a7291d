"""What the events of the money path ask of the books. One function for all eight types: each is copied, then booked."""

from collections.abc import Mapping, Sequence

from libs.events.codec import Poison
from libs.events.contracts import Event
from libs.events.database import Transaction
from services.finance.domain.books import Contradiction
from services.finance.domain.posting import is_about_a_member, is_payment, post
from services.finance.store import Store


async def record(tx: Transaction, store: Store, events: Sequence[Event]) -> None:
    """Copy events and move the balances by them, in their order; an event that was recorded before changes nothing.

    Raises Poison when an event contradicts what the books hold. It is then set aside, with all later events of its
    key, until a person has found out which side is wrong.
    """
    await store.lock(tx)
    try:
        told = _by_id(events)
        fresh = await store.copy(tx, told)
        if len(fresh) < len(told):
            _compare(told, await store.copies(tx, [event_id for event_id in told if event_id not in fresh]))
        await _book(tx, store, [event for event_id, event in told.items() if event_id in fresh])
    except Contradiction as contradiction:
        raise Poison("contradiction", str(contradiction)) from None


async def _book(tx: Transaction, store: Store, events: Sequence[Event]) -> None:
    if not events:
        return
    payouts = {event.payout_id for event in events if is_payment(event)}
    members = {(event.citizen_id, event.programme) for event in events if is_about_a_member(event)}
    done = post(events, await store.payouts(tx, sorted(payouts)), await store.reservations(tx, sorted(members)))
    await store.save(tx, done)


def _by_id(events: Sequence[Event]) -> dict[str, Event]:
    """Events by identity, in order. The same event twice counts once; two that differ contradict each other."""
    told: dict[str, Event] = {}
    for event in events:
        first = told.setdefault(event_id := event.event_id(), event)
        if first is not event:
            _compare({event_id: event}, {event_id: first})
    return told


def _compare(told: Mapping[str, Event], copies: Mapping[str, Event]) -> None:
    for event_id, event in told.items():
        if copies.get(event_id, event) != event:
            raise Contradiction(f"{event.TYPE}: event {event_id} was told before, and differently")
