"""Sends the results of a drawn wave to everybody who applied, and then calls the wave published.

The result of the draw was fixed by one transaction; what happens here is only telling it. It is told in pages, each a
transaction with its own cursor, because one transaction over millions of events would hold back every other event of
this service and meet the database's time limits. `published` is said with the last page: until then nothing is public.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from libs.events import outbox
from libs.events.contracts import Event, NotSelected, SelectedInBatch, WavePublished
from libs.events.database import Database, Transaction
from libs.events.logs import get_logger
from libs.events.refusal import Refusal
from services.selection import store_appeals
from services.selection.domain import tickets, wave
from services.selection.domain.wave import State, Step
from services.selection.draws import Machine, PoolChanged
from services.selection.store import Wave

RESULTS_PER_PAGE: Final = 2_000
"""Making and encoding the events of a page holds up the event loop for some 50 ms."""

log = get_logger()


async def publish_some(machine: Machine, database: Database, now: datetime, page_rows: int = RESULTS_PER_PAGE) -> int:
    """Tell the next page of results of a drawn wave; with the last page the wave is published."""
    async with database.connection() as tx:
        drawn = await machine.store.in_state(tx, State.DRAWN)
    for seen in drawn:
        async with database.transaction() as tx:
            found = await machine.store.lock(tx, seen.programme, seen.number)
            if found is None or isinstance(state := wave.move(found.state, Step.PUBLISH), Refusal):
                continue
            rows = await machine.pools.results(tx, found.wave_id, found.announced_up_to, page_rows)
            events = [result_event(row, found.programme, found.number, now) for row in rows]
            lost = sum(isinstance(event, NotSelected) for event in events)
            await outbox.add(tx, events)
            if rows:
                last = rows[-1]["application_id"]
                await machine.pools.announced(tx, found.wave_id, last, len(rows), lost)
            if len(rows) == page_rows:
                return len(rows)
            not_selected, announced = found.not_selected + lost, found.announced + len(rows)
            if announced - not_selected != found.winners:
                raise PoolChanged("the results that were told are not the results that were drawn")
            await machine.pools.publish(tx, found.wave_id, state, now)
            await outbox.add(tx, await _appeal_seats(tx, found, now))
            ended = WavePublished(
                at=now,
                programme=found.programme,
                wave=found.number,
                winners=found.winners,
                not_selected=not_selected,
            )
            await outbox.add(tx, [ended])
        log.info("a wave was published", programme=found.programme, wave=found.number, results=announced)
        return len(rows) + 1
    return 0


async def _appeal_seats(tx: Transaction, found: Wave, now: datetime) -> list[Event]:
    """What is told to those whose upheld appeals took a seat of this wave; they are few."""
    rows = await store_appeals.given(tx, found.wave_id)
    numbers = tickets.tickets_of(found.seed or b"", [bytes.fromhex(row["application_id"]) for row in rows])
    return [
        SelectedInBatch(**row, at=now, programme=found.programme, wave=found.number, ticket=ticket.hex())
        for row, ticket in zip(rows, numbers, strict=True)
    ]


def result_event(row: Mapping[str, Any], programme: str, number: int, now: datetime) -> Event:
    """What one application is told. Raises PoolChanged for an application the draw knows nothing of."""
    common = {
        "at": now,
        "application_id": row["application_id"],
        "citizen_id": row["citizen_id"],
        "programme": programme,
        "wave": number,
    }
    if row["excluded"]:
        return NotSelected(**common, reason=row["excluded"])
    if row["ticket"] is None:
        raise PoolChanged("an application is neither in the pool nor excluded from it")
    ticket = row["ticket"].hex()
    if row["seat_province"]:
        return SelectedInBatch(**common, province=row["province"], tier=row["tier"], ticket=ticket, rank=row["rank"])
    reason = "lost-draw" if row["rank"] else "household-cap"
    cutoff = row["cutoff"].hex() if row["cutoff"] else None
    return NotSelected(**common, reason=reason, ticket=ticket, cutoff=cutoff)
