"""What pages read beside the wave itself: one application's part, the winners' numbers, and what waits for officers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from libs.events.database import Transaction
from services.selection.domain.appeal import AppealState
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

    async def people(self, tx: Transaction, wave_id: int) -> Mapping[str, Any]:
        """Who proposed a wave and who asked to void it, and whether results were sent. For officers alone."""
        row: Mapping[str, Any] = await QUERIES.wave_people(tx, wave_id=wave_id)
        return row

    async def requests(self, tx: Transaction, limit: int) -> list[Mapping[str, Any]]:
        """What waits for a person over all waves, the oldest first: kind, who asked (or has to reveal), and when."""
        return list(await QUERIES.requests_open(tx, limit=limit))

    async def hand_ins(
        self, tx: Transaction, person: str, offices: Sequence[tuple[str, str]], now: datetime, limit: int
    ) -> list[Mapping[str, Any]]:
        """Waves that still take a secret commitment from a person who speaks for `offices`: programme and title."""
        return list(
            await QUERIES.hand_ins_open(
                tx, person=person, programmes=[programme for programme, _ in offices],
                offices=[title for _, title in offices], now=now, limit=limit,
            )
        )  # fmt: skip

    async def seats_free(self, tx: Transaction) -> dict[str, int]:
        """Recycled seats that wait for a wave, by programme."""
        return {row["programme"]: row["seats"] for row in await QUERIES.freed_seats_free(tx)}

    async def appeals_counted(self, tx: Transaction) -> dict[str, int]:
        """How many appeals wait, by state."""
        found = {row["state"]: row["appeals"] for row in await QUERIES.appeals_counted(tx)}
        return {state: found.get(state, 0) for state in (AppealState.LODGED, AppealState.EXAMINED)}

    async def appeals(
        self, tx: Transaction, state: AppealState, after: str | None, limit: int
    ) -> list[Mapping[str, Any]]:
        """Appeals that wait in a state, the oldest first, behind the appeal `after`."""
        return list(await QUERIES.appeals_page(tx, state=state, after=after, limit=limit))

    async def appeal(self, tx: Transaction, appeal_id: str, lifetime: Sequence[str]) -> Mapping[str, Any] | None:
        """One appeal; `lifetime` are the programmes that select nobody who was selected anywhere."""
        row: Mapping[str, Any] | None = await QUERIES.appeal_shown(tx, appeal_id=appeal_id, lifetime=lifetime)
        return row
