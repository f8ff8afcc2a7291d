"""The copy of all events as CSV (RFC 4180): a header, CRLF, fields quoted where needed, in the order of booking.

An export is always the beginning of every later export of the same programme. Times are UTC with microseconds, amounts
whole rupiah; what an event does not say is empty.
"""

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC
from typing import Any, Final

from libs.events.database import Database
from services.finance.store import Store

ROWS_PER_CHUNK: Final = 2_000

COLUMNS: Final = (
    "entry", "event_id", "type", "at", "programme", "wave", "province", "citizen_id", "payout_id", "milestone",
    "amount_rupiah", "rail", "attempt", "batch_id", "appropriation_id", "reason", "number",
)  # fmt: skip


def written(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as CSV lines."""
    page = io.StringIO()
    csv.writer(page).writerows(rows)  # its default dialect ends lines with CRLF and quotes only where needed
    return page.getvalue()


def line(entry: Mapping[str, Any]) -> list[Any]:
    told = {**entry, "at": entry["at"].astimezone(UTC).isoformat(timespec="microseconds")}
    return [told[column] for column in COLUMNS]


async def exported(database: Database, store: Store, programme: str, upto: int) -> AsyncIterator[str]:
    """The header, then page after page of entries up to `upto`. No transaction stays open while the reader reads."""
    yield written([COLUMNS])
    after = 0
    while True:
        async with database.connection() as connection:
            page = await store.entries(connection, programme, after, upto, ROWS_PER_CHUNK)
        if page:
            yield written([line(entry) for entry in page])
        if len(page) < ROWS_PER_CHUNK:
            return
        after = page[-1]["entry"]
