"""What events ask: a winner of the draw becomes a member."""

from collections.abc import Mapping, Sequence

from libs.events.contracts import SelectedInBatch
from libs.events.database import Transaction
from libs.events.ordering import refuse
from libs.events.programme import Programme
from services.training.domain.membership import Membership, open_membership
from services.training.store import Store


async def on_selected(
    *, tx: Transaction, store: Store, programmes: Mapping[str, Programme], events: Sequence[SelectedInBatch]
) -> None:
    """Open a membership, with its credit and its due date, for every winner.

    Raises CanNotApply for a programme that has no rules here, and where another application of the same citizen and
    programme has won before. The same event again changes nothing.
    """
    unknown = (event for event in events if event.programme not in programmes)
    refuse("unknown-programme", "no programme file with this name is loaded", unknown)
    members: dict[tuple[str, str], Membership] = {}
    for event in events:
        members.setdefault((event.citizen_id, event.programme), open_membership(event, programmes[event.programme]))
    new = await store.open_memberships(tx, list(members.values()))
    known = await store.members_of(tx, {citizen_id for citizen_id, _ in members.keys() - new})
    won = {who: known.get(who, member).application_id for who, member in members.items()}
    again = (event for event in events if event.application_id != won[event.citizen_id, event.programme])
    refuse("contradiction", "this citizen is already a member of this programme by another application", again)
