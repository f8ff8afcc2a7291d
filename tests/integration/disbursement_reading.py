"""What tests of disbursement look at: its store, its outbox, and its tables."""

import json
from typing import Any

import asyncpg

from deploy.local.databases import ServiceDatabase
from libs.events.database import Database
from services.disbursement.store import Store
from tests.integration.disbursement_people import Person

PROGRAMME = "prakerja-2020"


class Reading:
    """For a world that has a database. `told()` is what was announced."""

    database: Database
    owner: ServiceDatabase
    store: Store

    async def figures(self) -> dict[str, int]:
        async with self.database.connection() as reading:
            return await self.store.balances(reading, PROGRAMME)

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        async with self.database.connection() as reading:
            return list(await reading.fetch(sql, *arguments))

    async def payouts(self, one: Person) -> dict[str, str]:
        async with self.database.connection() as reading:
            return {p.milestone: str(p.state) for p in await self.store.payouts_of(reading, one.citizen_id)}

    async def told(self) -> list[dict[str, Any]]:
        rows = await self.fetch("SELECT value FROM outbox ORDER BY position")
        return [json.loads(row["value"]) for row in rows]

    async def told_types(self) -> list[str]:
        return [event["type"] for event in await self.told()]

    async def holds(self) -> list[tuple[str, str]]:
        async with self.database.connection() as reading:
            return [(hold["reason"], hold["reference"]) for hold in await self.store.open_holds(reading)]

    async def as_owner(self, sql: str) -> None:
        connection = await asyncpg.connect(self.owner.owner_url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()
