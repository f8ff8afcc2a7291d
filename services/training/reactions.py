"""What events ask: a winner of the draw becomes a member."""

from collections.abc import Mapping, Sequence

from libs.events.codec import Poison
from libs.events.contracts import SelectedInBatch
from libs.events.database import Transaction
from libs.events.programme import Programme
from services.training.domain.membership import Membership, open_membership
from services.training.store import Store


async def on_selected(
    tx: Transaction, events: Sequence[SelectedInBatch], *, store: Store, programmes: Mapping[str, Programme]
) -> None:
    """Open a membership, with its credit and its due date, for every winner.

    Raises KeyError for a programme that has no rules here, Poison where another application of the same citizen
    and programme has won before. The same event again changes nothing.
    """
    members: dict[tuple[str, str], Membership] = {}
    for event in events:
        member = open_membership(event, programmes[event.programme])
        first = members.setdefault((event.citizen_id, event.programme), member)
        if first.application_id != event.application_id:
            raise Poison("contradiction", "one batch holds two selections of one citizen for one programme")
    new = await store.open_memberships(tx, list(members.values()))
    known = await store.members_of(tx, {citizen_id for citizen_id, _ in members.keys() - new})
    for who in members.keys() - new:
        if known[who].application_id != members[who].application_id:
            raise Poison("contradiction", "this citizen is already a member of this programme by another application")
