"""What officers' pages show and take, without a browser; and what nobody but officers sees."""

import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from httpx import ASGITransport, AsyncClient, Response
from joserfc import jwt
from joserfc.jwk import ECKey

from libs.events.access import STAFF_AUDIENCE, open_access
from libs.events.contracts import IntakeClosed
from services.selection import changes, commands
from services.selection.api import create_api
from services.selection.domain.ceremony import secret_commitment
from services.selection.draws import draw_one
from services.selection.publishing import publish_some
from services.selection.sign_in import FOLDER, SESSION
from tests.conftest import MakeDatabase
from tests.integration.selection_world import (
    CLOSES,
    DRAWS,
    OPENS,
    PLACES,
    PROGRAMME,
    World,
    closed,
    crowd,
    lane,
    open_world,
)

ISSUER = "https://issuer.test"
KEY = ECKey.generate_key("P-256", {"kid": "one"})
PAGE = f"{FOLDER}/{PROGRAMME}/1"
WAVE = f"/v1/waves/{PROGRAMME}/1"
REASON = "Kuota Papua salah hitung"


@dataclass
class Officer:
    """One at their browser, who can also call the API with the same token."""

    client: AsyncClient
    person: str
    roles: str

    @property
    def token(self) -> str:
        claims = {"iss": ISSUER, "aud": STAFF_AUDIENCE, "sub": self.person, "person": self.person}
        rest = {"roles": self.roles.split(), "exp": int(DRAWS.timestamp()) + 30 * 86_400}
        return jwt.encode({"alg": "ES256", "kid": "one"}, claims | rest, KEY)

    async def look(self, path: str) -> str:
        answer = await self.client.get(path, headers={"cookie": f"{SESSION}={self.token}"})
        assert answer.status_code == 200
        return answer.text

    async def send(self, path: str, **form: str) -> Response:
        token = self.token
        proof = hmac.new(token.encode(), b"gelombang form", sha256).hexdigest()
        return await self.client.post(path, data=form | {"proof": proof}, headers={"cookie": f"{SESSION}={token}"})

    async def call(self, path: str, body: dict[str, str]) -> Response:
        return await self.client.post(path, json=body, headers=self.bearer)

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}


@pytest_asyncio.fixture
async def world(database: MakeDatabase) -> AsyncIterator[World]:
    async with open_world(database) as opened:
        yield opened


@pytest_asyncio.fixture
async def client(world: World, tmp_path: Path) -> AsyncIterator[AsyncClient]:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [KEY.as_dict(private=False)]}))
    machine = world.machine
    access = open_access(ISSUER, keys, keys, world.clock)
    api = create_api(machine.store, machine.pools, machine.programmes, PLACES, access, machine.signer.public_key)
    api.state.database, api.state.clock = world.database, world.clock
    async with AsyncClient(transport=ASGITransport(api), base_url="http://selection") as made:
        yield made


@pytest.fixture
def officer(client: AsyncClient) -> Officer:
    return Officer(client, "ani", "maker checker")


async def test_a_number_that_is_written_otherwise_leads_to_its_wave(officer: Officer) -> None:
    answer = await officer.send(f"{FOLDER}/usul", programme=f" {PROGRAMME} ", wave=" 1.0", seats="10")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}?selesai=proposal")


async def test_a_decreed_table_is_proposed_read_approved_and_drawn_by(world: World, officer: Officer) -> None:
    maker = Officer(officer.client, "budi", "maker")
    form = {"programme": PROGRAMME, "wave": "1", "seats": "7"}
    refused = await maker.send(f"{FOLDER}/usul", **form, quotas="31,public,5\r\n99,public,2")
    assert refused.status_code == 422
    assert "baris 2: provinsi ini tidak dikenal" in refused.text
    assert "31,public,5\n99,public,2" in refused.text.replace("\r", "")
    wrong = await maker.call("/v1/waves", form | {"quotas": "31,public,6"})
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "quotas-differ-from-seats")
    assert (await maker.send(f"{FOLDER}/usul", **form, quotas="31,public,5\r\n11,priority,2")).status_code == 303
    shown = await officer.look(PAGE)
    assert "11 Aceh: Prioritas 2, Umum 0" in shown
    assert "31 DKI Jakarta: Prioritas 0, Umum 5" in shown
    await world.approve()
    (announced,) = await world.said("wave-announced")
    seats = {(each["province"], each["tier"]): each["seats"] for each in announced["data"]["quotas"] if each["seats"]}
    assert seats == {("11", "priority"): 2, ("31", "public"): 5}
    # Without a table the seats are split by population.
    split = await world.propose(2, seats=7)
    assert sum(split.values()) == 7
    assert {(place, tier): count for (place, tier), count in split.items() if count} != seats


async def test_an_unknown_step_is_called_that(world: World, officer: Officer) -> None:
    await world.propose()
    for path in (f"{PAGE}/no-such", f"{FOLDER}/banding/{'0' * 32}/no-such"):
        answer = await officer.send(path)
        assert answer.status_code == 404
        assert "Langkah ini tidak dikenal" in answer.text


async def test_nobody_but_officers_sees_a_proposal(world: World, officer: Officer) -> None:
    await world.propose()
    public = officer.client
    assert (await public.get("/v1/waves")).json() == []
    for path in (WAVE, f"{WAVE}/recycled-seats", f"/gelombang/{PROGRAMME}/1"):
        assert (await public.get(path)).status_code == 404
    assert f"/gelombang/{PROGRAMME}/1" not in (await public.get("/")).text
    assert (await public.get(WAVE, headers={"authorization": "Bearer no"})).status_code == 401
    assert (await public.get(WAVE, headers=officer.bearer)).json()["state"] == "proposed"
    assert PAGE in await officer.look(FOLDER)
    # A proposal that is given up was never public either.
    await world.void()
    assert (await public.get("/v1/waves")).json() == []
    assert f"/gelombang/{PROGRAMME}/1" not in (await public.get("/")).text


@pytest.mark.parametrize("step", ["void", "redraw"])
async def test_what_was_asked_for_is_shown_while_it_can_be_done(world: World, officer: Officer, step: str) -> None:
    await world.until_committed(crowd(40))
    store, now = world.machine.store, world.clock.now()
    async with world.database.transaction() as tx:
        ask = commands.ask_void if step == "void" else changes.ask_redraw
        await ask(tx, store, PROGRAMME, 1, REASON, "maker", now)
    approval = {"void": f"{PAGE}/void-approval", "redraw": f"{PAGE}/change-approval"}[step]
    name = {"void": "Usul pembatalan", "redraw": "Usul undian ulang"}[step]
    shown = await officer.look(PAGE)
    assert (REASON in shown, approval in shown, "menunggu orang kedua" in shown) == (True, True, True)
    assert name in await officer.look(FOLDER)
    # Once the first result is sent nobody can give the wave up, nor ask for it.
    world.clock.at = DRAWS
    await draw_one(world.machine, world.database, DRAWS)
    await publish_some(world.machine, world.database, DRAWS, page_rows=20)
    assert await world.state() == "drawn"
    shown = await officer.look(PAGE)
    assert (approval in shown, "menunggu orang kedua" in shown, f'{PAGE}/{step}"' in shown) == (False, False, False)
    assert name not in await officer.look(FOLDER)
    await world.tick()
    shown = await officer.look(PAGE)
    assert (approval in shown, "menunggu orang kedua" in shown) == (False, False)


async def test_the_partitions_that_do_not_agree_are_named(world: World, officer: Officer) -> None:
    people = crowd(30)
    await world.announce(seats=10)
    await world.tick(OPENS)
    await world.tell(*people[1:])
    await world.tick(CLOSES)
    told: IntakeClosed = closed(people)
    await world.tell(told)
    await world.tick()
    assert f"Partisi yang belum cocok: {lane(people[0])}." in await officer.look(PAGE)
    await world.tell(people[0])
    await world.tick()
    assert "Partisi" not in await officer.look(PAGE)


async def test_only_who_speaks_for_an_office_of_the_programme_hands_in_for_it(world: World, officer: Officer) -> None:
    await world.announce(seats=10)
    promise = secret_commitment(PROGRAMME, 1, b"s" * 32).hex()
    assert "tidak mewakili satu pun jabatan" in await officer.look(PAGE)
    official = Officer(officer.client, "ani", "auditor office:ombudsman")
    shown = await official.look(PAGE)
    assert '<option value="ombudsman">Ombudsman Republik Indonesia</option>' in shown
    assert "Komite Cipta Kerja" not in shown
    for wrong, code in (("palace", "no-such-office"), ("committee", "not-your-office"), ("  ", "")):
        refused = await official.call(f"{WAVE}/ceremony", {"office": wrong, "secret_commitment": promise})
        (error,) = refused.json()["errors"]
        assert error["field"] == "office"
        assert not code or error["code"] == code
        sent = await official.send(f"{PAGE}/commitment", office=wrong, secret_commitment=promise)
        assert sent.status_code == refused.status_code
    taken = await official.call(f"{WAVE}/ceremony", {"office": "ombudsman", "secret_commitment": promise})
    assert (taken.status_code, taken.json()) == (201, {"office": "Ombudsman Republik Indonesia"})
    another = Officer(officer.client, "budi", "checker office:ombudsman")
    other = secret_commitment(PROGRAMME, 1, b"t" * 32).hex()
    same = await another.call(f"{WAVE}/ceremony", {"office": "ombudsman", "secret_commitment": other})
    assert same.json()["errors"][0]["code"] == "already-handed-in"
    for wrong in ("Ombudsman ", " Ombudsman", 'O"', "O\\"):
        with pytest.raises(asyncpg.CheckViolationError, match="official_office_check"):
            async with world.database.transaction() as tx:
                await tx.execute(
                    "INSERT INTO official (wave_id, person, office, secret_commitment, handed_in_at)"
                    " SELECT wave_id, 'citra', $1, secret_commitment, handed_in_at FROM official",
                    wrong,
                )
