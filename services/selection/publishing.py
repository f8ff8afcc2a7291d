"""Sends the results of a drawn wave to everybody who applied, and then calls the wave published.

The result of the draw was fixed by one transaction; what happens here is only telling it. It is told in pages, each a
transaction with its own cursor, because one transaction over millions of events would hold back every other event of
this service and meet the database's time limits. `published` is said with the last page: until then nothing is public.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from libs.events import outbox
from libs.events.contracts import Event, SelectedInBatch, WavePublished
from libs.events.database import Database, Transaction
from libs.events.logs import get_logger
from libs.events.refusal import Refusal
from services.selection import copying, result_events, store_appeals
from services.selection.domain import tickets, wave
from services.selection.domain.bulk_pool import cell_of
from services.selection.domain.bulk_sha256 import Bytes
from services.selection.domain.quotas import Stratum
from services.selection.domain.wave import State, Step
from services.selection.draw_work import PoolChanged
from services.selection.draws import Machine, wait
from services.selection.pool_store import BEFORE_ALL
from services.selection.result_events import Telling
from services.selection.store import Wave

RESULTS_PER_PAGE: Final = 200_000
"""A page is one transaction of a second or two: far below the database's time limits. Then the relay sends it."""
RESULTS_PER_PART: Final = 50_000
"""A part of a page is some 35 MB of events; two are in memory at a time."""

log = get_logger()


async def publish_some(machine: Machine, database: Database, now: datetime, page_rows: int = RESULTS_PER_PAGE) -> int:
    """Tell the next page of results of a drawn wave; with the last page the wave is published."""
    async with database.connection() as tx:
        drawn = await machine.store.in_state(tx, State.DRAWN)
    for seen in drawn:
        try:
            if told := await _publish_page(machine, database, seen, now, page_rows):
                return told
        except PoolChanged as error:
            # This wave waits, and says so in public; the others go on.
            await wait(machine, database, seen, "results-changed", error)
    return 0


async def _publish_page(machine: Machine, database: Database, seen: Wave, now: datetime, page_rows: int) -> int:
    """One transaction: a page of results, and with the last one what ends the wave. Raises PoolChanged."""
    async with database.transaction() as tx:
        found = await machine.store.lock(tx, seen.programme, seen.number)
        if found is None or isinstance(state := wave.move(found.state, Step.PUBLISH), Refusal):
            return 0
        if found.announced_up_to is None:
            await _check_results(machine, tx, found)
        page = Page(machine, database, found, await _telling(machine, tx, found, now), page_rows)
        if await outbox.add_copied(tx, page.messages()) != page.told:
            raise PoolChanged("the outbox has another number of results than it was given")
        if page.told:
            await machine.pools.announced(tx, found.wave_id, page.last, page.told, page.lost)
        if page.told == page_rows:
            return page.told
        not_selected, announced = found.not_selected + page.lost, found.announced + page.told
        if announced - not_selected != found.winners:
            raise PoolChanged("the results that were told are not the results that were drawn")
        await machine.pools.publish(tx, found.wave_id, state, now)
        await outbox.add(tx, await _appeal_seats(tx, found, now))
        ended = WavePublished(
            at=now, programme=found.programme, wave=found.number, winners=found.winners, not_selected=not_selected
        )
        await outbox.add(tx, [ended])
    log.info("a wave was published", programme=found.programme, wave=found.number, results=announced)
    return page.told + 1


async def _check_results(machine: Machine, tx: Transaction, found: Wave) -> None:
    """Before the first result goes out, all of them must be there: afterwards nothing can be taken back.

    Raises PoolChanged.
    """
    document = json.loads(found.commitment or "")
    results, winners = await machine.pools.counted(tx, found.wave_id)
    if (results, winners) != (found.pool_count, found.winners):
        raise PoolChanged(
            f"{results} results and {winners} winners are stored; {found.pool_count} and {found.winners} were drawn"
        )
    standing = await machine.store.standing(tx, found.wave_id)
    if standing != found.pool_count + sum(document["excluded"].values()):
        raise PoolChanged(f"{standing} applications stand; the commitment has another number of them")


class Page:
    """The next results of a wave on their way into the outbox, a part at a time.

    While the database takes one part in, the next is read over a connection of its own, for a drawn result does not
    change, and its events are made in a thread. After `messages` has ended it knows what was told.
    """

    def __init__(self, machine: Machine, database: Database, found: Wave, telling: Telling, rows: int) -> None:
        self._machine, self._database, self._found, self._telling = machine, database, found, telling
        self._left, self.last = rows, found.announced_up_to or BEFORE_ALL
        self.told = self.lost = 0

    async def messages(self) -> AsyncIterator[bytes]:
        """The page as a binary COPY into the outbox. Raises PoolChanged for an application without a fate."""
        yield copying.HEADER
        ahead = asyncio.create_task(self._part())
        try:
            while pieces := await ahead:
                ahead = asyncio.create_task(self._part())
                for piece in pieces:
                    for message in copying.messages_of(piece):
                        yield message
        finally:
            ahead.cancel()
        yield copying.TRAILER

    async def _part(self) -> list[Bytes]:
        limit = min(self._left, RESULTS_PER_PART)
        if not limit:
            return []
        async with self._database.connection() as tx:
            rows = await self._machine.pools.results(tx, self._found.wave_id, self.last, limit)
        if not len(rows):
            return []
        if (rows["fate"] == result_events.UNKNOWN).any():
            raise PoolChanged("an application is neither in the pool nor excluded from it")
        self._left = self._left - limit if len(rows) == limit else 0
        self.last = copying.raw(rows["application"][-1:]).tobytes().hex()
        self.told += len(rows)
        self.lost += int((rows["fate"] != result_events.WON).sum())
        return await asyncio.to_thread(lambda: list(result_events.outbox_rows(rows, self._telling)))


async def _telling(machine: Machine, tx: Transaction, found: Wave, now: datetime) -> Telling:
    strata = await machine.store.strata(tx, found.wave_id)
    cutoffs = {cell_of(Stratum(row["province"], row["tier"])): row["cutoff"] for row in strata if row["cutoff"]}
    return Telling(found.programme, found.number, now, cutoffs, outbox.current_traceparent())


async def _appeal_seats(tx: Transaction, found: Wave, now: datetime) -> list[Event]:
    """What is told to those whose upheld appeals took a seat of this wave; they are few."""
    rows = await store_appeals.given(tx, found.wave_id)
    numbers = tickets.tickets_of(found.seed or b"", [bytes.fromhex(row["application_id"]) for row in rows])
    return [
        SelectedInBatch(**row, at=now, programme=found.programme, wave=found.number, ticket=ticket.hex())
        for row, ticket in zip(rows, numbers, strict=True)
    ]
