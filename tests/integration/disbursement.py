"""A small world around disbursement for its integration tests: its real database, and the real simulators of the rails
in this process, all under one clock that a test sets."""

import json
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from deploy.local.databases import ServiceDatabase
from libs.events import ids
from libs.events.access import CITIZEN_ISSUER, Verifier
from libs.events.clock import JAKARTA, FixedClock
from libs.events.contracts import MembershipRevoked, Rail, SelectedInBatch, TrainingCompleted, TrainingRated
from libs.events.database import Database, open_database
from libs.events.programme import load_programmes
from services.disbursement import commands, reactions
from services.disbursement.asking import Asker
from services.disbursement.checking import check_accounts
from services.disbursement.citizens import Link, Survey, answer_surveys, link_accounts
from services.disbursement.domain.batches import Batch
from services.disbursement.domain.iso20022 import Debtor
from services.disbursement.identity import AUDIENCE, identify
from services.disbursement.jobs import close_years, retry_failed
from services.disbursement.partners import load_partners
from services.disbursement.rails import Bank, EWallet
from services.disbursement.sending import Sender
from services.disbursement.store import Store
from services.disbursement.vault import Vault
from tests.integration.disbursement_people import Person, Registration, granted
from tests.integration.disbursement_rails import simulated
from tests.integration.disbursement_reading import PROGRAMME, Reading

RULES = load_programmes()
TOTAL = RULES[PROGRAMME].benefit.total
PARTNER_ACCOUNT = "9000000001"


def jakarta(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=JAKARTA)


@dataclass
class World(Registration, Reading):
    """Everything a test needs; `told()` is what was announced. `identity` opens what `registration` signs."""

    database: Database
    owner: ServiceDatabase
    clock: FixedClock
    vault: Vault
    identity: ECKey
    registration: ECKey
    identities: Verifier
    rails: dict[Rail, Bank | EWallet]
    urls: dict[Rail, str]
    store: Store = field(default_factory=Store)

    @property
    def now(self) -> datetime:
        return self.clock.now()

    @property
    def sender(self) -> Sender:
        debtor = Debtor("Gelombang", "999080000000001", "bni")
        return Sender(self.store, self.vault, self.rails, RULES, load_partners(), debtor)

    @property
    def asker(self) -> Asker:
        return Asker(self.store, self.rails, RULES)

    async def until_done(self, run: Callable[[], Coroutine[Any, Any, int]]) -> int:
        """As the runtime does: again and again until nothing is left."""
        done = 0
        for _ in range(100):
            more = await run()
            if not more:
                return done
            done += more
        raise AssertionError("a job never came to an end")

    async def send(self) -> int:
        return await self.until_done(lambda: self.sender.send(database=self.database, now=self.now))

    async def settle(self) -> int:
        return await self.until_done(lambda: self.asker.settle(database=self.database, now=self.now))

    async def check(self) -> int:
        return await self.until_done(
            lambda: check_accounts(
                database=self.database, store=self.store, vault=self.vault, rails=self.rails, now=self.now
            )
        )

    async def retry(self) -> int:
        async with self.database.transaction() as tx:
            return await retry_failed(tx=tx, store=self.store, now=self.now, limit=1000)

    async def close(self) -> int:
        async def once() -> int:
            async with self.database.transaction() as tx:
                return await close_years(tx=tx, store=self.store, now=self.now, limit=2)

        return await self.until_done(once)

    async def grant(self, rupiah: int, reference: str = "DIPA-1") -> None:
        async with self.database.transaction() as tx:
            grant = await commands.propose_appropriation(
                tx,
                self.store,
                RULES,
                programme=PROGRAMME,
                amount_rupiah=rupiah,
                reference=reference,
                person="maker",
                now=self.now,
            )
            await commands.approve_appropriation(tx, self.store, RULES, grant.appropriation_id, "checker", self.now)

    async def select(self, people: Sequence[Person], wave: int = 1) -> None:
        events = [
            SelectedInBatch(
                application_id=ids.derive("application", one.citizen_id),
                citizen_id=one.citizen_id,
                programme=PROGRAMME,
                wave=wave,
                province="31",
                tier="public",
                ticket="0" * 64,
                rank=1,
                at=self.now,
            )
            for one in people
        ]
        async with self.database.transaction() as tx:
            await reactions.on_selected(tx=tx, store=self.store, rules=RULES, clock=self.clock, events=events)

    async def complete(
        self, people: Sequence[Person], price: int = 400_000, course: str = "c", first: bool = True
    ) -> None:
        events = [
            TrainingCompleted(
                enrolment_id=ids.derive("enrolment", one.citizen_id, course),
                citizen_id=one.citizen_id,
                programme=PROGRAMME,
                wave=1,
                course_id=ids.derive("course", course),
                partner_id="partner-a",
                certificate_id=ids.derive("certificate", one.citizen_id, course),
                price_rupiah=price,
                first=first,
                at=self.now,
            )
            for one in people
        ]
        async with self.database.transaction() as tx:
            await reactions.on_completed(tx=tx, store=self.store, rules=RULES, clock=self.clock, events=events)

    async def rate(self, people: Sequence[Person], course: str = "c") -> None:
        events = [
            TrainingRated(
                enrolment_id=ids.derive("enrolment", one.citizen_id, course),
                citizen_id=one.citizen_id,
                programme=PROGRAMME,
                wave=1,
                course_id=ids.derive("course", course),
                stars=5,
                at=self.now,
            )
            for one in people
        ]
        async with self.database.transaction() as tx:
            await reactions.on_rated(tx=tx, store=self.store, rules=RULES, clock=self.clock, events=events)

    async def revoke(self, people: Sequence[Person]) -> None:
        events = [
            MembershipRevoked(
                citizen_id=one.citizen_id,
                programme=PROGRAMME,
                wave=1,
                province="31",
                tier="public",
                reason="no-purchase-in-time",
                released_rupiah=1_000_000,
                at=self.now,
            )
            for one in people
        ]
        async with self.database.transaction() as tx:
            await reactions.on_revoked(tx=tx, store=self.store, clock=self.clock, events=events)

    async def link(self, one: Person, rail: Rail = "bank", number: str | None = None) -> str:
        number = number or (one.phone if rail == "e-wallet" else f"10{one.nik[-8:]}")
        person = await identify(self.token(one), one.citizen_id, self.vault, self.identities)
        link = Link(one.citizen_id, person, rail, "bni" if rail == "bank" else "ovo", number)
        async with self.database.transaction() as tx:
            told = await link_accounts(tx, [link], self.now, store=self.store, vault=self.vault, rules=RULES)
        return str(granted(told[0]))

    async def answer(self, one: Person, number: int, answers: dict[str, Any]) -> None:
        survey = Survey(one.citizen_id, PROGRAMME, number, answers)
        async with self.database.transaction() as tx:
            told = await answer_surveys(tx, [survey], self.now, store=self.store, vault=self.vault, rules=RULES)
        granted(told[0])

    async def open_account(self, one: Person, rail: Rail = "bank", behaviour: str = "good") -> None:
        """Have an account at the rail, without linking it."""
        number = one.phone if rail == "e-wallet" else f"10{one.nik[-8:]}"
        told = {"account": number, "nik": one.nik, "name": one.name, "behaviour": behaviour}
        await self.post(rail, "/accounts", [told])

    async def repair(self, one: Person, rail: Rail) -> None:
        number = one.phone if rail == "e-wallet" else f"10{one.nik[-8:]}"
        await self.post(rail, "/repairs", [{"account": number}])

    async def post(self, rail: Rail, path: str, body: Any) -> None:
        await self.rails[rail]._json("POST", path, json.dumps(body).encode())  # the simulator's own routes

    async def ready(self, people: Sequence[Person], rail: Rail = "bank", behaviour: str = "good") -> None:
        """Members with a rated first course and a valid account."""
        for one in people:
            await self.open_account(one, rail, behaviour)
        await self.select(people)
        await self.complete(people)
        await self.rate(people)
        for one in people:
            await self.link(one, rail)
        await self.check()

    async def propose(self, rail: Rail = "bank", maker: str = "maker") -> Batch | None:
        async with self.database.transaction() as tx:
            return await commands.propose_batch(
                tx,
                self.store,
                RULES,
                ["partner-a"],
                programme=PROGRAMME,
                rail=rail,
                person=maker,
                now=self.now,
            )

    async def approve(self, batch: Batch, checker: str = "checker") -> Batch:
        async with self.database.transaction() as tx:
            return await commands.approve_batch(
                tx,
                self.store,
                batch.batch_id,
                payouts=batch.payouts,
                total_rupiah=batch.total_rupiah,
                person=checker,
                now=self.now,
            )

    async def pay(self, rail: Rail = "bank") -> Batch:
        """Propose, approve and send what is due."""
        batch = await self.propose(rail)
        assert batch is not None, "nothing was due"
        await self.approve(batch)
        await self.send()
        return batch


@asynccontextmanager
async def open_world(database: ServiceDatabase, folder: Path, *, at: datetime, **faults: float) -> AsyncIterator[World]:
    """A fresh world. Faults of the rails are off unless a test names them: bank_..., ewallet_..."""
    clock = FixedClock(at)
    identity = ECKey.generate_key("P-256", private=True)
    (folder / "identity.json").write_text(json.dumps(identity.as_dict(private=True)))
    registration = ECKey.generate_key("P-256", {"kid": "citizens"}, private=True)
    (folder / "citizens.json").write_text(json.dumps({"keys": [registration.as_dict(private=False)]}))
    (folder / "keys.json").write_text(
        json.dumps({"account_index": secrets.token_hex(32), "wrap": secrets.token_hex(32)})
    )
    async with simulated(folder, clock, faults) as urls, open_database(database.app_url) as opened:
        rails: dict[Rail, Bank | EWallet] = {"bank": Bank(urls["bank"], 5), "e-wallet": EWallet(urls["e-wallet"], 5)}
        for client in rails.values():
            client.start(opened, clock)
        world = World(
            opened,
            database,
            clock,
            Vault.open(folder / "keys.json", folder / "identity.json"),
            identity,
            registration,
            Verifier(CITIZEN_ISSUER, folder / "citizens.json", AUDIENCE, clock),
            rails,
            urls,
        )
        await world.post("bank", "/accounts", [{"account": PARTNER_ACCOUNT, "nik": "0", "name": "Mitra"}])
        try:
            yield world
        finally:
            for client in rails.values():
                await client.close()
