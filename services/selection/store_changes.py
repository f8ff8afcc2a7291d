"""What officers change about an announced wave, and the attempts that were set aside: rows to values and back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from libs.events.database import Transaction
from services.selection.domain.lifecycle import Change
from services.selection.domain.wave import State, Step, Times
from services.selection.store import QUERIES, Wave

COPY_ROWS: Final = 100_000
"""Applications that one statement copies: some two seconds, far below the database's time limit."""
BEFORE_ALL: Final = "0" * 32
"""No id is all zeros, so this stands before the first one."""

Wanted = tuple[datetime | None, datetime | None, datetime | None]
"""Opens, closes, draws; None stays as it is."""


async def ask(tx: Transaction, wave_id: int, step: Step, times: Wanted, reason: str, person: str, now: datetime) -> int:
    """Write a request down in place of the one that waits; its number."""
    await QUERIES.change_drop(tx, wave_id=wave_id)
    opens_at, closes_at, draws_at = times
    change_id: int = await QUERIES.change_ask(
        tx, wave_id=wave_id, step=step, opens_at=opens_at, closes_at=closes_at, draws_at=draws_at, reason=reason,
        person=person, now=now,
    )  # fmt: skip
    return change_id


async def waiting(tx: Transaction, wave_id: int) -> Change | None:
    """The request that waits for a checker."""
    row = await QUERIES.change_waiting(tx, wave_id=wave_id)
    if row is None:
        return None
    return Change(
        row["change_id"], Step(row["step"]), row["opens_at"], row["closes_at"], row["draws_at"], row["reason"],
        row["maker_person"],
    )  # fmt: skip


async def decide(tx: Transaction, change: Change, person: str, now: datetime) -> None:
    await QUERIES.change_decide(tx, change_id=change.change_id, person=person, now=now)


async def set_times(tx: Transaction, wave_id: int, times: Times) -> None:
    await QUERIES.wave_times(
        tx, wave_id=wave_id, opens_at=times.opens_at, closes_at=times.closes_at, draws_at=times.draws_at
    )


async def set_aside(tx: Transaction, found: Wave, change: Change, state: State, person: str, now: datetime) -> None:
    """Keep an attempt as it is, and begin the next one with the same applications, quotas and intake."""
    wave_id = found.wave_id
    await QUERIES.wave_set_aside(
        tx, wave_id=wave_id, reason=change.reason, maker_person=change.maker_person, person=person, now=now
    )
    again: int = await QUERIES.wave_again(tx, wave_id=wave_id, state=state)
    for copy in (
        QUERIES.quotas_again, QUERIES.intake_again, QUERIES.intake_lanes_again, QUERIES.freed_seats_again,
        QUERIES.appeal_seats_again,
    ):  # fmt: skip
        await copy(tx, wave_id=wave_id, again=again)
    after: str | None = BEFORE_ALL
    while after is not None:
        after = await QUERIES.applications_again(tx, wave_id=wave_id, again=again, after=after, limit=COPY_ROWS)
    # Its winners were never told. Its tickets and ranks stay in draw_result.
    await QUERIES.members_forget(tx, wave_id=wave_id)


async def changes(tx: Transaction, programme: str, wave: int) -> list[Mapping[str, Any]]:
    return list(await QUERIES.changes_of(tx, programme=programme, wave=wave))


async def attempts(tx: Transaction, programme: str, wave: int) -> list[Mapping[str, Any]]:
    return list(await QUERIES.attempts_of(tx, programme=programme, wave=wave))
