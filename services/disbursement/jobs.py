"""What time asks: failed payouts are tried again, and an approved close of a year is carried out.

What the rails are asked and told stands with its subject: `checking`, `sending`, `asking`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from libs.events import outbox
from libs.events.contracts import AppropriationReturned
from libs.events.database import Transaction
from services.disbursement.domain.ledger import Account, Entry, Movement
from services.disbursement.releasing import release
from services.disbursement.store import Store

WHOLE_YEAR: Final = "0" * 32
"""No payout and no member stands behind the last entry of a year: it concerns the programme as a whole."""


async def retry_failed(*, tx: Transaction, store: Store, now: datetime, limit: int) -> int:
    """Schedule up to `limit` failed payouts again: their reason was repaired, or may have been."""
    return await store.retry(tx, now, limit)


async def close_years(*, tx: Transaction, store: Store, now: datetime, limit: int) -> int:
    """Do the next part of an approved close of a year; 0 when nothing is left or something is still on its way.

    First what is unpaid is taken out of batches and cancelled, then each member's rest is released, and at last what
    is available goes back to the treasury. Money that a rail sends back later takes the same way.
    """
    done = 0
    for programme in await store.years_to_close(tx):
        done += await _close(tx, store, programme, now, limit)
    return done


async def _close(tx: Transaction, store: Store, programme: str, now: datetime, limit: int) -> int:
    closing = await store.year_end(tx, programme)  # locks it
    await store.withdraw_programme(tx, programme, now)
    if cancelled := await store.cancel_programme(tx, programme, now, limit):
        return cancelled
    balances: Mapping[str, int] = await store.balances(tx, programme)
    if balances.get(Account.IN_FLIGHT, 0):
        return 0
    if rest := await store.with_rest(tx, programme, limit):
        await release(tx, store, rest, "year-end", now)
        return len(rest)
    available = balances.get(Account.AVAILABLE, 0)
    if available:
        await store.post(tx, [Entry(Movement.GIVE_BACK, programme, None, available, (WHOLE_YEAR,))], now)
        number = await store.count_return(tx, programme)
        returned = AppropriationReturned(programme=programme, amount_rupiah=available, number=number, at=now)
        await outbox.add(tx, [returned])
    elif closing and closing.done_at:
        return 0
    await store.finish_year_end(tx, programme, now)
    return 1
