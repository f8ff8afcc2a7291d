"""A real store of selection, a clock that stands where it is put, and a beacon that may misbehave."""

import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import asyncpg
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.simulators.beacon import chain_info, secret_key, sign
from libs.events import ids
from libs.events.clock import FixedClock
from libs.events.contracts import ApplicationWithdrawn, Applied, Event, IntakeClosed, IntakeLane, MembershipRevoked
from libs.events.database import Database, open_database
from libs.events.ordering import react
from libs.events.programme import load_programmes
from libs.events.topics import TOPICS
from services.selection import changes, commands
from services.selection.beacon_client import BeaconClient
from services.selection.domain.quotas import Stratum, Tier, parse_provinces
from services.selection.domain.wave import State, mark
from services.selection.draws import Machine
from services.selection.jobs import run_draws
from services.selection.main import PROVINCES
from services.selection.pool_store import PoolStore
from services.selection.reactions import on_applied, on_intake_closed, on_revoked, on_withdrawn
from services.selection.signing import Signer
from services.selection.store import Store
from tests.conftest import MakeDatabase
from tests.support import jakarta

PROGRAMME = "prakerja-2020"
PLACES = parse_provinces(PROVINCES.read_text())
PROPOSED = jakarta("2020-04-10 09:00:00")
OPENS, CLOSES, DRAWS = jakarta("2020-04-11 17:00:00"), jakarta("2020-04-16 16:00:00"), jakarta("2020-04-17 10:00:00")
SECRET, INFO = secret_key("test"), chain_info("test")


@cache
def signed(number: int) -> str:
    return sign(SECRET, number).hex()


@dataclass
class Beacon:
    """A drand beacon. `lie` changes what a round looks like; `silent` makes it answer 503."""

    clock: FixedClock
    silent: bool = False
    lie: Mapping[str, Any] = field(default_factory=dict)
    ahead: int = 0

    def app(self) -> web.Application:
        app = web.Application()
        chain = INFO["hash"]
        app.router.add_get("/chains", self.chains)
        app.router.add_get(f"/{chain}/info", self.info)
        app.router.add_get(f"/{chain}/public/latest", self.latest)
        app.router.add_get(f"/{chain}/public/{{number}}", self.round)
        return app

    def newest(self) -> int:
        return int((self.clock.now().timestamp() - INFO["genesis_time"]) // INFO["period"]) + 1 + self.ahead

    async def chains(self, _request: web.Request) -> web.Response:
        return web.json_response([INFO["hash"]], status=503 if self.silent else 200)

    async def info(self, _request: web.Request) -> web.Response:
        return web.json_response(INFO)

    async def latest(self, _request: web.Request) -> web.Response:
        return self._told(self.newest())

    async def round(self, request: web.Request) -> web.Response:
        return self._told(int(request.match_info["number"]))

    def _told(self, number: int) -> web.Response:
        if self.silent or number > self.newest():
            return web.json_response({}, status=503 if self.silent else 425)
        signature = signed(number)
        randomness = hashlib.sha256(bytes.fromhex(signature)).hexdigest()
        told = {"round": number, "signature": signature, "randomness": randomness}
        return web.json_response(told | dict(self.lie))


@dataclass
class World:
    database: Database
    owner_url: str
    machine: Machine
    clock: FixedClock
    beacon: Beacon

    async def propose(self, wave: int = 1, programme: str = PROGRAMME, **given: Any) -> dict[Stratum, int]:
        told: dict[str, Any] = {"seats": 100, "recycle": False, "times": (None, None, None), "person": "maker"} | given
        async with self.database.transaction() as tx:
            return await commands.propose(
                tx, self.machine.store, self.machine.programmes, PLACES, programme=programme, number=wave,
                now=self.clock.now(), **told,
            )  # fmt: skip

    async def approve(self, wave: int = 1, programme: str = PROGRAMME, person: str = "checker") -> State:
        read, now = mark(await self.view(wave, programme)), self.clock.now()
        async with self.database.transaction() as tx:
            return await commands.approve(tx, self.machine.store, programme, wave, read, person, now)

    async def announce(self, wave: int = 1, **given: Any) -> None:
        await self.propose(wave, **given)
        await self.approve(wave, given.get("programme", PROGRAMME))

    async def void(self, wave: int = 1, reason: str = "Kesalahan kuota provinsi", programme: str = PROGRAMME) -> State:
        now = self.clock.now()
        async with self.database.transaction() as tx:
            await commands.ask_void(tx, self.machine.store, programme, wave, reason, "maker", now)
        read = mark(await self.view(wave, programme))
        async with self.database.transaction() as tx:
            return await commands.approve_void(tx, self.machine.store, programme, wave, read, "checker", now)

    async def change_times(self, wave: int = 1, person: str = "checker", **times: datetime) -> dict[str, Any]:
        """Other times, asked by one and approved by another; `opens_at`, `closes_at`, `draws_at`."""
        wanted = (times.get("opens_at"), times.get("closes_at"), times.get("draws_at"))
        store, now, reason = self.machine.store, self.clock.now(), "Kantor tutup karena banjir"
        async with self.database.transaction() as tx:
            asked = await changes.ask_times(tx, store, PROGRAMME, wave, wanted, reason, "maker", now)
            return await changes.approve_change(tx, store, PROGRAMME, wave, asked, person, now)

    async def redraw(self, wave: int = 1, person: str = "checker") -> dict[str, Any]:
        store, now = self.machine.store, self.clock.now()
        async with self.database.transaction() as tx:
            asked = await changes.ask_redraw(tx, store, PROGRAMME, wave, "Sumber acak tidak sah", "maker", now)
            return await changes.approve_change(tx, store, PROGRAMME, wave, asked, person, now)

    async def tell(self, *events: Event) -> None:
        """Let events arrive, in their order, in one transaction."""
        reactions: dict[type[Event], Any] = {
            Applied: on_applied,
            ApplicationWithdrawn: on_withdrawn,
            IntakeClosed: on_intake_closed,
            MembershipRevoked: on_revoked,
        }
        async with self.database.transaction() as tx:
            for kind, group in itertools.groupby(events, type):
                await react(partial(reactions[kind], store=self.machine.store), tx, list(group))

    async def tick(self, at: datetime | None = None) -> None:
        """Put the clock to `at` and do everything that is due."""
        if at:
            self.clock.at = at
        while True:
            async with self.database.transaction() as tx:
                moved = await commands.open_and_close(tx=tx, now=self.clock.now(), store=self.machine.store)
            drawn = await run_draws(database=self.database, now=self.clock.now(), machine=self.machine)
            if not moved and not drawn:
                return

    async def view(self, wave: int = 1, programme: str = PROGRAMME) -> Mapping[str, Any]:
        async with self.database.connection() as tx:
            found = await self.machine.store.view(tx, programme, wave)
        assert found
        return found

    async def state(self, wave: int = 1) -> str:
        return str((await self.view(wave))["state"])

    async def until_committed(self, people: Sequence[Applied], standing: Sequence[Applied] | None = None) -> None:
        """Wave 1 with 10 seats, up to its commitment; `standing` is what registration states, if not all of them."""
        await self.announce(seats=10)
        await self.tick(OPENS)
        await self.tell(*people)
        await self.tick(CLOSES)
        await self.tell(closed(people if standing is None else standing))
        await self.tick()

    async def run_wave(self, applications: Sequence[Applied], wave: int = 1, **given: Any) -> None:
        """From proposal to publication."""
        rules = self.machine.programmes[given.get("programme", PROGRAMME)]
        view = rules.wave(wave)
        assert view
        await self.announce(wave, **given)
        await self.tick(view.opens)
        await self.tell(*applications)
        await self.tick(view.closes)
        await self.tell(closed(applications, wave, rules.name))
        await self.tick()
        await self.tick(view.draws)

    async def said(self, *kinds: str) -> list[dict[str, Any]]:
        """The data of every event in the outbox, oldest first, of these types."""
        async with self.owner() as connection:
            rows = await connection.fetch("SELECT value FROM outbox ORDER BY xid, position")
        told = [json.loads(row["value"]) for row in rows]
        return [event for event in told if not kinds or event["type"].rsplit(".")[-1] in kinds]

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(self.owner_url)
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def open_world(database: MakeDatabase) -> AsyncIterator[World]:
    made = database("selection")
    clock = FixedClock(PROPOSED)
    beacon = Beacon(clock)
    async with open_database(made.app_url) as opened, TestServer(beacon.app()) as server:
        machine = Machine(
            store=Store(),
            pools=PoolStore(),
            programmes=load_programmes(),
            beacon=BeaconClient([str(server.make_url("/"))]),
            signer=Signer(Ed25519PrivateKey.from_private_bytes(b"k" * 32)),
            clock=clock,
        )
        yield World(opened, made.owner_url, machine, clock, beacon)


def applied(
    name: str, *, wave: int = 1, household: str = "", province: str = "31", tier: Tier = "public", **more: Any
) -> Applied:
    """An application by a person of this name; people with one `household` share a family card."""
    told: dict[str, Any] = {"at": CLOSES, "programme": PROGRAMME} | more
    return Applied(
        application_id=ids.derive("application", name, str(wave), told["programme"]),
        citizen_id=ids.derive("citizen", name),
        household_id=ids.derive("household", household or name),
        wave=wave,
        province=province,
        tier=tier,
        **told,
    )


def crowd(count: int, wave: int = 1, prefix: str = "warga") -> list[Applied]:
    """People spread over all provinces and tiers, every third pair in one household."""
    tiers: tuple[Tier, Tier] = ("priority", "public")
    return [
        applied(
            f"{prefix}-{number}", wave=wave, province=PLACES[number % len(PLACES)].code, tier=tiers[number // 40 % 2],
            household=f"{prefix}-kk-{number // 3}",
        )
        for number in range(count)
    ]  # fmt: skip


def withdrawn(application: Applied) -> ApplicationWithdrawn:
    return ApplicationWithdrawn(
        at=CLOSES, application_id=application.application_id, citizen_id=application.citizen_id,
        programme=application.programme, wave=application.wave,
    )  # fmt: skip


def closed(
    applications: Sequence[Applied], wave: int = 1, programme: str = PROGRAMME, gone: Sequence[Applied] = ()
) -> IntakeClosed:
    """What registration states when exactly these stand; `gone` have applied and withdrawn."""
    stands = {each.application_id for each in applications}
    lanes: dict[int, list[Applied]] = defaultdict(list)
    for each in (*applications, *gone):
        lanes[lane(each)].append(each)
    return IntakeClosed(
        at=CLOSES,
        programme=programme,
        wave=wave,
        count=len(applications),
        digest=digest(applications),
        lanes=tuple(
            IntakeLane(
                lane=number,
                last=sum(1 if each.application_id in stands else 2 for each in held),
                count=sum(each.application_id in stands for each in held),
                digest=digest([each for each in held if each.application_id in stands]),
            )
            for number, held in sorted(lanes.items())
        ),
    )


def digest(applications: Sequence[Applied]) -> str:
    raw = b"".join(sorted(bytes.fromhex(each.application_id) for each in applications))
    return hashlib.sha256(raw).hexdigest()


def lane(application: Applied) -> int:
    """The partition in which the bus carries an application."""
    return TOPICS["applied"].lane(application.key())


def bundle_file(folder: Path, data: bytes) -> Path:
    path = folder / "wave.draw.jsonl"
    path.write_bytes(data)
    return path
