"""A real store of registration, and short words to work with it."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from deploy.local.databases import ServiceDatabase
from libs.events.contracts import (
    Applied,
    Event,
    SelectedInBatch,
    WaveAnnounced,
    WaveClosed,
    WaveOpened,
)
from libs.events.database import Database, open_database
from libs.events.refusal import Refusal
from services.registration import codes, commands, jobs, views
from services.registration.codes import Confirmation, SignIn
from services.registration.commands import Join, Registration, Submission, Submitted
from services.registration.domain.person import Claim
from services.registration.main import reactions_of
from services.registration.store import Store
from services.registration.store_due import Check, DueStore, Finding, Letter
from services.registration.store_waves import WaveStore
from tests.support import jakarta
from tests.unit.registration_examples import PROGRAMMES, VAULT, numbered, registration, submission

MONDAY = jakarta("2020-04-13 09:00:00")
REACTIONS = reactions_of(Store(), WaveStore())


@dataclass
class Gateway:
    """Takes messages and keeps them."""

    letters: list[Letter] = field(default_factory=list)

    async def send(self, letters: Sequence[Letter]) -> None:
        self.letters += letters

    def code(self, address: str) -> str:
        """The six digits of the latest message to an address."""
        return next(one.message.text[-6:] for one in reversed(self.letters) if one.message.to == address)


@dataclass
class Registry:
    """Agrees with everybody, unless a test has said otherwise."""

    answer: Callable[[Check], dict[str, Any]] = lambda check: {}
    asked: list[Check] = field(default_factory=list)

    async def check(self, checks: Sequence[Check]) -> list[Finding]:
        self.asked += checks
        told = {"state": "verified", "mismatch_field": None, "blacklisted": False, "other_aid": False}
        return [
            Finding(**{"reference": check.reference, "laid_off_listed": False, **told, **self.answer(check)})
            for check in checks
        ]


@dataclass
class Desk:
    """One store; every word below is one transaction."""

    database: Database
    owner_url: str
    store: Store = field(default_factory=Store)
    gateway: Gateway = field(default_factory=Gateway)
    registry: Registry = field(default_factory=Registry)
    now: datetime = MONDAY

    async def register(self, *requests: Registration) -> list[str | Refusal]:
        async with self.database.transaction() as tx:
            return await commands.register(tx, requests, self.now, store=self.store, vault=VAULT)

    async def send(self) -> int:
        return await jobs.send_messages(
            database=self.database, now=self.now, due=DueStore(), vault=VAULT, gateway=self.gateway
        )

    async def confirm(self, *told: tuple[str, str]) -> list[str | Refusal]:
        requests = [Confirmation(citizen, digits) for citizen, digits in told]
        async with self.database.transaction() as tx:
            return await codes.confirm_emails(tx, requests, self.now, store=self.store, vault=VAULT)

    async def request_sign_in(self, *phones: str) -> None:
        async with self.database.transaction() as tx:
            await codes.request_sign_ins(tx, phones, self.now, store=self.store, vault=VAULT)

    async def sign_in(self, *told: tuple[str, str]) -> list[str | Refusal]:
        requests = [SignIn(phone, digits) for phone, digits in told]
        async with self.database.transaction() as tx:
            return await codes.sign_in(tx, requests, self.now, store=self.store, vault=VAULT)

    async def submit(self, *requests: Submission) -> list[Submitted | Refusal]:
        async with self.database.transaction() as tx:
            return await commands.submit_identities(tx, requests, self.now, store=self.store, vault=VAULT)

    async def check(self) -> int:
        return await jobs.check_identities(
            database=self.database, now=self.now, due=DueStore(), store=self.store, vault=VAULT, registry=self.registry
        )

    async def join(self, *citizens: str, wave: int = 1, programme: str = "prakerja-2020") -> list[Applied | Refusal]:
        async with self.database.transaction() as tx:
            return await commands.join(
                tx, [Join(citizen, programme, wave) for citizen in citizens], self.now,
                store=self.store, vault=VAULT, programmes=PROGRAMMES,
            )  # fmt: skip

    async def withdraw(self, citizen: str, wave: int = 1) -> str:
        async with self.database.transaction() as tx:
            return await commands.withdraw(tx, self.store, Join(citizen, "prakerja-2020", wave), self.now)

    async def hear(self, *events: Event) -> None:
        """Events of one type from the bus."""
        async with self.database.transaction() as tx:
            await REACTIONS[type(events[0])](tx=tx, events=events)

    async def me(self, citizen: str) -> dict[str, Any]:
        async with self.database.connection() as connection:
            return await views.me(connection, VAULT, PROGRAMMES, citizen, self.now)

    async def steps(self, citizen: str) -> list[str]:
        async with self.database.connection() as connection:
            return [step["what"] for step in await views.timeline(connection, PROGRAMMES, citizen)]

    async def announced(self) -> list[dict[str, Any]]:
        """The events in the outbox, oldest first."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT topic, value FROM outbox ORDER BY position")
        events = [{"topic": row["topic"], **json.loads(row["value"])} for row in rows]
        return [{"topic": event["topic"], "type": event["type"], **event["data"]} for event in events]

    async def value(self, sql: str, *arguments: object) -> Any:
        async with self.database.connection() as connection:
            return await connection.fetchval(sql, *arguments)

    async def citizens(self, count: int, *, claims: Callable[[int], Claim] = numbered, check: bool = True) -> list[str]:
        """Registered, confirmed, and (unless told otherwise) verified."""
        found = [str(one) for one in await self.register(*(registration(n) for n in range(1, count + 1)))]
        await self.send()
        await self.confirm(*((one, self.gateway.code(f"warga{n}@contoh.id")) for n, one in enumerate(found, 1)))
        await self.submit(*(submission(one, claims(n)) for n, one in enumerate(found, 1)))
        if check:
            await self.check()
        return found

    async def open_wave(self, wave: int = 1) -> None:
        told: dict[str, Any] = {"programme": "prakerja-2020", "wave": wave, "at": self.now}
        await self.hear(
            WaveAnnounced(
                opens_at=jakarta("2020-04-11 17:00:00"), closes_at=jakarta("2020-04-16 16:00:00"),
                draws_at=jakarta("2020-04-17 10:00:00"), quotas=(), **told,
            )
        )  # fmt: skip
        await self.hear(WaveOpened(**told))


def closed(wave: int = 1, at: datetime = MONDAY) -> WaveClosed:
    return WaveClosed(programme="prakerja-2020", wave=wave, at=at)


def selection_of(event: Applied, at: datetime = MONDAY) -> SelectedInBatch:
    told = event.model_dump(include={"application_id", "citizen_id", "programme", "wave", "province", "tier"})
    return SelectedInBatch(ticket="0" * 64, rank=1, at=at, **told)


@asynccontextmanager
async def open_desk(made: ServiceDatabase) -> AsyncIterator[Desk]:
    """A desk on a fresh store, with the rights of the running service and no more."""
    async with open_database(made.app_url) as database:
        yield Desk(database, made.owner_url)
