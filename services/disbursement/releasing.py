"""Money that was promised to members and is not needed any more goes back to their programme.

A rail may send money back after its member was released; then there is a rest again, and another release. Each has a
number, so that none is told twice and none is missing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from libs.events import outbox
from libs.events.database import Transaction
from services.disbursement.domain.books import Reserved, released
from services.disbursement.domain.ledger import Move, Movement
from services.disbursement.store import Store

RELEASES_MAX: Final = 5_000
"""How many members are released together with the event that made it possible; a job releases the others."""


async def release_revoked(
    *, tx: Transaction, store: Store, now: datetime, limit: int, programmes: Sequence[str] | None = None
) -> int:
    """Release the rest of up to `limit` revoked members to whom nothing is owed or on its way any more.

    What came back from a rail is not owed to them any more; their partners' fees are. Of all programmes unless told.
    """
    await store.cancel_revoked(tx, now, limit)
    ready = await store.revoked_to_release(tx, limit, programmes)
    await release(tx, store, ready, "revoked", now)
    if ready:
        await store.settle_revocations(tx, ready, now)
    return len(ready)


async def release_sent_back(tx: Transaction, store: Store, members: Sequence[tuple[str, str]], now: datetime) -> None:
    """Release what is left for those of these members (citizen, programme) who were revoked: a rail moved their money.

    Only in their programmes, whose balances the caller holds already: a further one could be held by a transaction that
    waits for one of these.
    """
    if await store.reopen_revocations(tx, members):
        programmes = sorted({programme for _, programme in members})
        await release_revoked(tx=tx, store=store, now=now, limit=RELEASES_MAX, programmes=programmes)


async def release(tx: Transaction, store: Store, members: Sequence[Reserved], reason: str, now: datetime) -> None:
    """Give what is reserved for these members back to their programmes. `reason` is `revoked` or `year-end`."""
    rest = [member for member in members if member.rupiah]
    moves = [
        Move(Movement.RELEASE, member.programme, member.wave, member.rupiah, member.citizen_id, member.citizen_id)
        for member in rest
    ]
    await store.move(tx, moves, now)
    await outbox.add(tx, [released(member, reason, now) for member in rest])
