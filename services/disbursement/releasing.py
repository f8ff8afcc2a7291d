"""Money that was promised to members and is not needed any more goes back to their programme."""

from collections.abc import Sequence
from datetime import datetime

from libs.events import outbox
from libs.events.database import Transaction
from services.disbursement.domain.books import Reserved, released
from services.disbursement.domain.ledger import Move, Movement
from services.disbursement.store import Store


async def release_revoked(*, tx: Transaction, store: Store, now: datetime, limit: int) -> int:
    """Release the rest of up to `limit` revoked members to whom nothing is owed or on its way any more."""
    ready = await store.revoked_to_release(tx, limit)
    await release(tx, store, ready, "revoked", now)
    if ready:
        await store.settle_revocations(tx, ready, now)
    return len(ready)


async def release(tx: Transaction, store: Store, members: Sequence[Reserved], reason: str, now: datetime) -> None:
    """Give what is reserved for these members back to their programmes. `reason` is `revoked` or `year-end`."""
    rest = [member for member in members if member.rupiah]
    moves = [
        Move(Movement.RELEASE, member.programme, member.wave, member.rupiah, member.citizen_id, member.citizen_id)
        for member in rest
    ]
    await store.move(tx, moves, now)
    await outbox.add(tx, [released(member, reason, now) for member in rest])
