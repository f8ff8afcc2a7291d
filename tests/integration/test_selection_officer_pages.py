"""What officers' pages show and take, without a browser; and what nobody but officers sees."""

import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
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
from services.selection import appeals, changes, commands
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
    applied,
    closed,
    crowd,
    lane,
    open_world,
)

ISSUER = "https://issuer.test"
KEY = ECKey.generate_key("P-256", {"kid": "one"})
PAGE = f"{FOLDER}/{PROGRAMME}/1"
WAVE = f"/v1/waves/{PROGRAMME}/1"
PUBLIC = f"/gelombang/{PROGRAMME}/1"
REASON = "Kuota Papua salah hitung"
NOTHING = "Tidak ada yang menunggu orang."
BY_TABLE, BY_POPULATION = "Kuota memakai tabel dari pengusul.", "Tanpa tabel kuota: kursi dibagi menurut penduduk"


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
    assert (BY_TABLE in shown, BY_POPULATION in shown) == (True, False)
    # A proposal that takes its place says for itself where its seats come from.
    assert (await maker.send(f"{FOLDER}/usul", **form)).status_code == 303
    shown = await officer.look(PAGE)
    assert (BY_TABLE in shown, BY_POPULATION in shown) == (False, True)
    assert (await maker.send(f"{FOLDER}/usul", **form, quotas="31,public,5\r\n11,priority,2")).status_code == 303
    await world.approve()
    (announced,) = await world.said("wave-announced")
    seats = {(each["province"], each["tier"]): each["seats"] for each in announced["data"]["quotas"] if each["seats"]}
    assert seats == {("11", "priority"): 2, ("31", "public"): 5}
    assert (await officer.client.get(WAVE)).json()["quotas_decreed"] is True
    public = (await officer.client.get(f"/gelombang/{PROGRAMME}/1")).text
    assert ("mengikuti tabel kuota" in public, "dibagi menurut penduduk" in public) == (True, False)
    # Without a table the seats are split by population.
    split = await world.propose(2, seats=7)
    assert sum(split.values()) == 7
    assert {(place, tier): count for (place, tier), count in split.items() if count} != seats
    await world.approve(2)
    assert (await officer.client.get(f"/v1/waves/{PROGRAMME}/2")).json()["quotas_decreed"] is False
    public = (await officer.client.get(f"/gelombang/{PROGRAMME}/2")).text
    assert ("mengikuti tabel kuota" in public, "dibagi menurut penduduk" in public) == (False, True)


async def test_a_draw_that_was_set_aside_leaves_its_promise_and_the_table_goes_on(
    world: World, officer: Officer
) -> None:
    people = crowd(20)
    await world.announce(seats=7, decreed="31,public,5\n11,priority,2")
    await world.tick(OPENS)
    await world.tell(*people)
    await world.tick(CLOSES)
    await world.tell(closed(people))
    await world.tick()
    root = (await world.view())["root"].hex()
    await world.redraw()
    shown = (await officer.client.get(WAVE)).json()
    assert (shown["attempt"], shown["quotas_decreed"]) == (2, True)
    page = (await officer.client.get(f"/gelombang/{PROGRAMME}/1")).text
    link = f"{WAVE}/commitment?attempt=1"
    assert (f'href="{link}" download' in page, f"{WAVE}/bundle" in page) == (True, False)
    assert root in (await officer.client.get(link)).json()["commitment"]


async def test_the_seats_of_appeals_explain_why_a_quota_is_smaller_than_its_table(
    world: World, officer: Officer
) -> None:
    siti = applied("siti", province="31", exclusions=("blacklist",))
    await world.run_wave([*crowd(30), siti], seats=20)
    rules, now = world.machine.programmes, world.clock.now()
    async with world.database.transaction() as tx:
        lodged = await appeals.lodge(tx, rules, siti.citizen_id, siti.application_id, "not-me", now)
        await appeals.examine(tx, rules, lodged.appeal_id, "record-wrong", "maker", now)
        await appeals.decide(tx, rules, lodged.appeal_id, "record-wrong", "checker", now)
    await world.propose(2, seats=7, decreed="31,public,5\n11,priority,2")
    page = f"{FOLDER}/{PROGRAMME}/2"
    shown = await officer.look(page)
    assert "31 DKI Jakarta: Prioritas 0, Umum 4 (dan 1 karena banding)" in shown
    assert "11 Aceh: Prioritas 2, Umum 0</li>" in shown
    assert "1 kursi sudah keluar dari kuota sebelum diumumkan" in shown
    await world.approve(2)
    assert "1 kursi karena banding" in await officer.look(page)
    await world.propose(3, seats=7)
    assert "karena banding" not in await officer.look(f"{FOLDER}/{PROGRAMME}/3")


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
    for path in (WAVE, *(f"{WAVE}/{part}" for part in ("recycled-seats", "commitment", "bundle")), PUBLIC):
        assert (await public.get(path)).status_code == 404
    official = Officer(public, "dewi", "official office:ombudsman")
    assert PAGE not in await official.look(FOLDER)
    for path in (PAGE, f"{FOLDER}/banding"):
        refused = await public.get(path, headers={"cookie": f"{SESSION}={official.token}"})
        assert refused.status_code in (403, 404)
        assert "banding" not in await official.look(FOLDER)
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


async def test_a_request_that_nobody_approved_is_not_called_new_for_ever(world: World, officer: Officer) -> None:
    page, new, never = f"/gelombang/{PROGRAMME}/1", "(baru diusulkan)", "(belum disetujui orang kedua"
    await world.until_committed(crowd(40))
    async with world.database.transaction() as tx:
        await changes.ask_redraw(tx, world.machine.store, PROGRAMME, 1, REASON, "maker", world.clock.now())
    shown = (await officer.client.get(page)).text
    assert (new in shown, never in shown, REASON in shown) == (True, False, True)
    await world.tick(DRAWS)
    assert await world.state() == "published"
    shown = (await officer.client.get(page)).text
    assert (new in shown, never in shown, REASON in shown) == (False, True, True)


@pytest.mark.parametrize("step", ["void", "redraw"])
async def test_what_would_be_refused_now_waits_for_nobody(world: World, officer: Officer, step: str) -> None:
    await world.until_committed(crowd(40))
    async with world.database.transaction() as tx:
        ask = commands.ask_void if step == "void" else changes.ask_redraw
        await ask(tx, world.machine.store, PROGRAMME, 1, REASON, "maker", world.clock.now())
    name = {"void": "Usul pembatalan", "redraw": "Usul undian ulang"}[step]
    assert name in await officer.look(FOLDER)
    # The round is out: the draw comes first, and after it the request may be decided again.
    world.clock.at = DRAWS
    shown = await officer.look(FOLDER)
    assert (name in shown, NOTHING in shown) == (False, True)
    await draw_one(world.machine, world.database, DRAWS)
    assert name in await officer.look(FOLDER)


async def test_an_official_finds_what_waits_for_them_and_nobody_elses(world: World, officer: Officer) -> None:
    ani = Officer(officer.client, "ani", "official office:ombudsman")
    budi = Officer(officer.client, "budi", "checker office:committee")
    commit, reveal = "Berjanji atas sebuah rahasia", "Buka rahasia Anda"
    await world.announce(seats=10)
    assert f'href="{PAGE}#pejabat">{commit}' in await ani.look(FOLDER)
    assert NOTHING in await officer.look(FOLDER)
    for official, office, secret in ((ani, "ombudsman", b"s" * 32), (budi, "committee", b"t" * 32)):
        promise = secret_commitment(PROGRAMME, 1, secret).hex()
        taken = await official.call(f"{WAVE}/ceremony", {"office": office, "secret_commitment": promise})
        assert taken.status_code == 201
        assert NOTHING in await official.look(FOLDER)
        # Somebody else of an office that has spoken is not asked again.
        assert NOTHING in await Officer(officer.client, "citra", f"maker office:{office}").look(FOLDER)
    await world.tick(OPENS)
    await world.tick(CLOSES)
    await world.tell(closed([]))
    await world.tick()
    assert await world.state() == "committed"
    # Two secrets wait, and an officer who has none to reveal is told that nothing waits for them.
    assert NOTHING in await Officer(officer.client, "citra", "checker").look(FOLDER)
    assert f'href="{PAGE}#pejabat">{reveal}' in await ani.look(FOLDER)
    world.clock.at = (await world.view())["reveal_until"]
    assert (await ani.call(f"{WAVE}/ceremony/reveal", {"secret": (b"s" * 32).hex()})).status_code == 200
    assert NOTHING in await ani.look(FOLDER)
    assert reveal in await budi.look(FOLDER)
    world.clock.at += timedelta(seconds=1)
    assert NOTHING in await budi.look(FOLDER)


async def test_an_office_is_asked_until_the_intake_closes(world: World, officer: Officer) -> None:
    ani = Officer(officer.client, "ani", "official office:ombudsman")
    await world.propose(seats=10)
    assert "Berjanji atas" not in await ani.look(FOLDER)
    await world.approve()
    world.clock.at = CLOSES - timedelta(seconds=1)
    assert "Berjanji atas" in await ani.look(FOLDER)
    world.clock.at = CLOSES
    assert NOTHING in await ani.look(FOLDER)


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
    official = Officer(officer.client, "ani", "official office:ombudsman")
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
