"""What events ask of this service: set money aside for winners, owe what they earn, release what they lose.

Topics are read independently, so a course may be completed here before the selection of its member was read. What is
owed is then scheduled all the same; it is paid once the reservation is there.
"""

from collections.abc import Iterable, Mapping, Sequence

from libs.events import outbox
from libs.events.clock import Clock
from libs.events.codec import Poison
from libs.events.contracts import MembershipRevoked, SelectedInBatch, TrainingCompleted, TrainingRated
from libs.events.database import Transaction
from libs.events.ordering import refuse
from libs.events.programme import Programme
from services.disbursement.domain.books import reservation_for, reserved
from services.disbursement.domain.ledger import Move, Movement
from services.disbursement.domain.milestones import due_once_rated, owed_for_course, owed_for_first_course
from services.disbursement.releasing import RELEASES_MAX, release_revoked
from services.disbursement.store import Store
from services.disbursement.store_money import Overdrawn

Rules = Mapping[str, Programme]


async def on_selected(
    *, tx: Transaction, store: Store, rules: Rules, clock: Clock, events: Sequence[SelectedInBatch]
) -> None:
    """Reserve what each new member can cost at most, in one ledger entry per programme and wave.

    Raises Poison where the appropriation does not cover it: the batch is halved, what fits is reserved, and the events
    of the others are parked with this reason until money is granted and they are redriven.
    """
    now = clock.now()
    _require_rules(events, rules)
    fresh = await store.reserve(tx, [reservation_for(event, rules[event.programme]) for event in events], now)
    moves = [
        Move(Movement.RESERVE, member.programme, member.wave, member.rupiah, member.citizen_id) for member in fresh
    ]
    try:
        await store.move(tx, moves, now)
    except Overdrawn as error:
        raise Poison("appropriation-overdrawn", str(error)) from None
    await outbox.add(tx, [reserved(member, now) for member in fresh])
    await release_revoked(tx=tx, store=store, now=now, limit=RELEASES_MAX)


async def on_completed(
    *, tx: Transaction, store: Store, rules: Rules, clock: Clock, events: Sequence[TrainingCompleted]
) -> None:
    """Owe the price to the partner, and the incentives of a first course to the member.

    Raises CanNotApply where the courses of a member cost more than the learning credit: training's books and ours
    would contradict each other, and the reservation would not cover it.
    """
    _require_rules(events, rules)
    owed = [
        one
        for event in events
        for one in (owed_for_course(event), *owed_for_first_course(event, rules[event.programme]))
        if one
    ]
    await store.schedule(tx, owed, clock.now())
    over = {
        (citizen_id, programme)
        for citizen_id, programme, fees in await store.course_fees(tx, _members(events))
        if fees > rules[programme].benefit.learning_credit
    }
    # Of several courses the last one is too many; whether the one before is, too, shows when the rest is tried again.
    last = {who: event for event in events if (who := (event.citizen_id, event.programme)) in over}
    refuse("credit-overspent", "the courses of this member cost more than the credit", last.values())


async def on_rated(
    *, tx: Transaction, store: Store, rules: Rules, clock: Clock, events: Sequence[TrainingRated]
) -> None:
    """Give the incentives of the rated course their due dates."""
    _require_rules(events, rules)
    due = [one for event in events for one in due_once_rated(event, rules[event.programme])]
    await store.rate(tx, due, clock.now())


async def on_revoked(*, tx: Transaction, store: Store, clock: Clock, events: Sequence[MembershipRevoked]) -> None:
    """Cancel what revoked members are owed themselves, and release the rest of their reservations.

    Partners keep what they earned, and what is on its way to a rail ends there first; such a rest is released later.
    """
    now, members = clock.now(), _members(events)
    await store.revoke(tx, sorted((event.citizen_id, event.programme, event.at) for event in events))
    await store.withdraw_members(tx, members, now)
    await store.cancel(tx, members, now)
    await release_revoked(tx=tx, store=store, now=now, limit=RELEASES_MAX)


def _members(events: Iterable[SelectedInBatch | TrainingCompleted | MembershipRevoked]) -> list[tuple[str, str]]:
    return sorted({(event.citizen_id, event.programme) for event in events})


def _require_rules(events: Sequence[SelectedInBatch | TrainingCompleted | TrainingRated], rules: Rules) -> None:
    unknown = (event for event in events if event.programme not in rules)
    refuse("unknown-programme", "no programme file with this name is loaded", unknown)
