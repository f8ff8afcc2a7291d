"""What the public pages read beside the wave itself: one application's part, and the winners' numbers."""

from collections.abc import Mapping
from typing import Any

from libs.events.database import Transaction
from services.selection.store import QUERIES


class PageStore:
    """Takes the transaction first; keeps nothing itself."""

    async def entry(self, tx: Transaction, wave_id: int, application_id: str) -> Mapping[str, Any] | None:
        """One standing application with its place in the pool and its result; None where there is none."""
        row: Mapping[str, Any] | None = await QUERIES.entry_shown(tx, wave_id=wave_id, application_id=application_id)
        return row

    async def winners(self, tx: Transaction, wave_id: int, start: str, limit: int) -> list[str]:
        """Up to `limit` application ids that won, ascending from `start` (32 hexadecimal digits)."""
        rows = await QUERIES.winners_shown(tx, wave_id=wave_id, start=start, limit=limit)
        return [row["application_id"].hex() for row in rows]
