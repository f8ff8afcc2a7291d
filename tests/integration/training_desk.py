"""A real store of training, and short words to work with it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from libs.events.contracts import SelectedInBatch
from libs.events.database import Database, open_database
from libs.events.refusal import Refusal
from services.training import commands, partners
from services.training.domain.course import Course, Draft
from services.training.domain.progress import Attendance, Score, Told
from services.training.domain.purchase import Order, Receipt
from services.training.jobs import revoke_lapsed
from services.training.reactions import on_selected
from services.training.store import Store
from tests.unit.training_examples import PARTNER, PROGRAMMES, draft, jakarta, selection


@dataclass
class Desk:
    """One store; every word below is one transaction."""

    database: Database
    store: Store = field(default_factory=Store)

    async def select(self, *events: SelectedInBatch) -> None:
        async with self.database.transaction() as tx:
            await on_selected(tx=tx, store=self.store, programmes=PROGRAMMES, events=events)

    async def winners(self, *names: str) -> list[str]:
        """Select people on 17 April 2020; gives their citizen ids."""
        events = [selection(name) for name in names]
        await self.select(*events)
        return [event.citizen_id for event in events]

    async def offer(self, given: Draft | None = None, partner: str = PARTNER, at: str = "2020-04-18") -> Course:
        async with self.database.transaction() as tx:
            return await commands.offer_course(
                tx, partner, given or draft(), jakarta(at), store=self.store, programmes=PROGRAMMES
            )

    async def buy(self, *orders: Order, at: str = "2020-04-20") -> list[Receipt | Refusal]:
        async with self.database.transaction() as tx:
            return await commands.purchase(tx, orders, jakarta(at), store=self.store, programmes=PROGRAMMES)

    async def bought(self, *orders: Order, at: str = "2020-04-20") -> list[Receipt]:
        """Purchases that have to succeed."""
        answers = await self.buy(*orders, at=at)
        assert all(isinstance(answer, Receipt) for answer in answers), answers
        return [answer for answer in answers if isinstance(answer, Receipt)]

    async def redeem(self, *codes: str, at: str = "2020-05-04 09:00", partner: str = PARTNER) -> list[Told]:
        async with self.database.transaction() as tx:
            return await partners.redeem(tx, partner, codes, jakarta(at), store=self.store, programmes=PROGRAMMES)

    async def attend(self, *lines: tuple[str, int], at: str = "2020-05-06 18:00", partner: str = PARTNER) -> list[Told]:
        reports = [Attendance(code, sequence) for code, sequence in lines]
        async with self.database.transaction() as tx:
            return await partners.record_attendance(tx, partner, reports, jakarta(at), store=self.store)

    async def certify(
        self, *lines: tuple[str, int], at: str = "2020-05-06 18:30", partner: str = PARTNER
    ) -> list[Told]:
        scores = [Score(code, score) for code, score in lines]
        async with self.database.transaction() as tx:
            return await partners.issue_certificates(
                tx, partner, scores, jakarta(at), store=self.store, programmes=PROGRAMMES
            )

    async def void(self, *codes: str, at: str = "2020-05-01", partner: str = PARTNER) -> list[Told]:
        async with self.database.transaction() as tx:
            return await partners.void_purchases(
                tx, partner, codes, jakarta(at), store=self.store, programmes=PROGRAMMES
            )

    async def cancel(self, course: Course, at: str = "2020-05-01", partner: str = PARTNER) -> int:
        async with self.database.transaction() as tx:
            return await commands.cancel_course(
                tx, partner, course.course_id, jakarta(at), store=self.store, programmes=PROGRAMMES
            )

    async def sweep(self, at: str | datetime, limit: int = 100) -> int:
        now = jakarta(at) if isinstance(at, str) else at
        async with self.database.transaction() as tx:
            return await revoke_lapsed(tx, now, store=self.store, limit=limit)

    async def finish(self, *codes: str) -> list[Told]:
        """Claim, attend all three days and the post-test, certify: the course of 4 to 6 May 2020."""
        assert all(told.why is None for told in await self.redeem(*codes))
        lines = [(code, sequence) for code in codes for sequence in (1, 2, 3, 999)]
        assert all(told.why is None for told in await self.attend(*lines))
        return await self.certify(*((code, 80) for code in codes))

    async def member(self, citizen_id: str) -> Any:
        return await self.row(
            "SELECT state, credit_rupiah, purchase_due, courses_open, courses_completed"
            " FROM membership WHERE citizen_id = $1",
            citizen_id,
        )

    async def row(self, sql: str, *values: object) -> Any:
        async with self.database.connection() as connection:
            return await connection.fetchrow(sql, *values)

    async def told(self, event_type: str) -> list[dict[str, Any]]:
        """The data of the events of a type that wait in the outbox, in order."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT key, convert_from(value, 'UTF8')::jsonb AS event FROM outbox ORDER BY xid, position"
            )
        events = [json.loads(row["event"]) for row in rows]
        return [event["data"] for event in events if event["type"] == event_type]


@asynccontextmanager
async def desk_at(address: str) -> AsyncIterator[Desk]:
    async with open_database(address, max_size=20) as database:
        yield Desk(database)
