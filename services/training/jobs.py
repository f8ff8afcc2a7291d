"""What time asks: members who bought nothing in time."""

from datetime import datetime

from libs.events import outbox
from libs.events.database import Transaction
from services.training.domain.membership import lapse
from services.training.store import Store


async def revoke_lapsed(tx: Transaction, now: datetime, *, store: Store, limit: int) -> int:
    """End up to `limit` memberships whose purchase date has passed. Safe to repeat; gives how many."""
    due = await store.members_due(tx, now, limit)
    lapsed = [ended for member in due if (ended := lapse(member, now))]
    await store.move_members(tx, [one.member for one in lapsed], [one.entry for one in lapsed if one.entry])
    await outbox.add(tx, [one.revoked for one in lapsed if one.revoked])
    return len(due)
