"""What officers, the public and citizens see over HTTP, from a real PostgreSQL."""

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from httpx import ASGITransport, AsyncClient
from joserfc import jwt
from joserfc.jwk import ECKey

from libs.events import ids
from libs.events.access import CITIZEN_AUDIENCE, CITIZEN_ISSUER, STAFF_AUDIENCE, open_access
from libs.events.contracts import ApplicationWithdrawn, Applied, IntakeClosed, MembershipRevoked
from services.selection import verify_draw
from services.selection.api import create_api
from services.selection.domain.ceremony import secret_commitment
from services.selection.domain.commitment import signed_bytes
from services.selection.draws import draw_one
from services.selection.main import service
from services.selection.settings import Settings
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
    open_world,
)

ISSUER = "https://issuer.test"
KEY = ECKey.generate_key("P-256", {"kid": "one"})
WAVE = f"/v1/waves/{PROGRAMME}/1"


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


def bearer(**claims: object) -> dict[str, str]:
    expires = {"exp": int((DRAWS + timedelta(days=30)).timestamp())}
    return {"Authorization": "Bearer " + jwt.encode({"alg": "ES256", "kid": "one"}, claims | expires, KEY)}


def staff(role: str, person: str, *more: str) -> dict[str, str]:
    return bearer(iss=ISSUER, aud=STAFF_AUDIENCE, sub=f"account-{person}", person=person, roles=[role, *more])


def citizen(citizen_id: str) -> dict[str, str]:
    return bearer(iss=CITIZEN_ISSUER, aud=CITIZEN_AUDIENCE, sub=citizen_id)


MAKER, CHECKER = staff("maker", "ani"), staff("checker", "budi")


async def read(client: AsyncClient) -> dict[str, str]:
    """The wave as a checker reads it now: what they name when they approve."""
    return {"mark": (await client.get(WAVE, headers=CHECKER)).json()["mark"]}


async def test_a_wave_from_the_first_request_to_the_verified_bundle(
    client: AsyncClient, world: World, tmp_path: Path
) -> None:
    proposed = await client.post("/v1/waves", json={"programme": PROGRAMME, "wave": 1, "seats": 20}, headers=MAKER)
    assert proposed.status_code == 201
    assert proposed.json()["state"] == "proposed"
    assert sum(quota["seats"] for quota in proposed.json()["quotas"]) == 20
    approved = await client.post(f"{WAVE}/approval", json=await read(client), headers=CHECKER)
    assert (approved.status_code, approved.json()) == (200, {"state": "announced"})
    people = crowd(120)
    await world.tick(OPENS)
    await world.tell(*people)
    await world.tick(CLOSES)
    waiting = (await client.get(WAVE)).json()["due"]
    assert (waiting["step"], waiting["waiting"]) == ("commit", "intake-closed-missing")
    assert waiting["applications"] == {"stated": None, "arrived": 120, "missing_partitions": []}
    await world.tell(closed(people))
    await world.tick()

    shown = (await client.get(WAVE)).json()
    assert shown["state"] == "committed"
    assert shown["commitment"]["pool"] == {"count": 120, "root": shown["root"]}
    assert shown["due"]["step"] == "draw"
    assert (shown["seed"], shown["winners"], shown["not_selected"]) == (None, None, None)
    mine = (await client.get("/v1/me/draws", headers=citizen(people[0].citizen_id))).json()
    assert mine[0]["state"] == "waiting"
    assert mine[0]["inclusion"]["root"] == shown["root"]
    early = await client.get(f"{WAVE}/bundle")
    assert early.headers.get("cache-control", "no-store") == "no-store"
    assert (early.status_code, early.json()["errors"][0]["code"]) == (409, "not-published")

    await world.tick(DRAWS)
    shown = (await client.get(WAVE)).json()
    assert (shown["state"], shown["winners"], shown["not_selected"], shown["due"]) == ("published", 20, 100, None)
    assert sum(quota["winners"] for quota in shown["quotas"]) == 20
    (mine,) = (await client.get("/v1/me/draws", headers=citizen(people[0].citizen_id))).json()
    assert mine["state"] in ("selected", "not-selected")
    assert mine["seed"] == shown["seed"]
    (listed,) = (await client.get("/v1/waves")).json()
    assert (listed["wave"], listed["state"], listed["winners"]) == (1, "published", 20)

    bundle = await client.get(f"{WAVE}/bundle")
    assert bundle.headers["content-disposition"] == f'attachment; filename="{PROGRAMME}-1.draw.jsonl"'
    # What never changes is had once: by a reader who asks again, and by any cache in between.
    assert "immutable" in bundle.headers["cache-control"]
    again = await client.get(f"{WAVE}/bundle", headers={"if-none-match": f'"other", {bundle.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    file = tmp_path / "bundle"
    file.write_bytes(bundle.content)
    assert verify_draw.main([str(file)]) == 0
    for person in people:
        assert person.citizen_id not in bundle.text
        assert person.household_id not in bundle.text


async def test_a_draw_is_told_when_it_is_published_and_not_before(client: AsyncClient, world: World) -> None:
    await world.until_committed(crowd(60))
    world.clock.at = DRAWS
    await draw_one(world.machine, world.database, DRAWS)
    shown, (listed,) = (await client.get(WAVE)).json(), (await client.get("/v1/waves")).json()
    assert (shown["state"], shown["due"]["step"], listed["state"]) == ("drawn", "publish", "drawn")
    for name in ("seed", "randomness", "beacon_signature", "winners", "not_selected"):
        assert shown[name] is None
    assert listed["winners"] is None
    front, page = [(await client.get(path)).text for path in ("/", f"/gelombang/{PROGRAMME}/1")]
    assert "Undian dijadwalkan" not in front
    assert "Undian sudah dijalankan." in front
    assert (await world.view())["seed"].hex() not in page
    assert not any({"winners", "cutoff", "applicants"} & quota.keys() for quota in shown["quotas"])
    assert (await client.get(f"{WAVE}/bundle")).json()["errors"][0]["code"] == "not-published"
    await world.tick()
    shown = (await client.get(WAVE)).json()
    assert (shown["state"], shown["winners"]) == ("published", 10)
    assert sum(quota["winners"] for quota in shown["quotas"]) == 10


async def test_a_draw_that_was_given_up_can_be_run_again_by_anybody(
    client: AsyncClient, world: World, tmp_path: Path
) -> None:
    await world.until_committed(crowd(60))
    await world.redraw()
    await world.tick()
    never = await client.get(f"{WAVE}/bundle?attempt=1")
    assert (never.status_code, never.json()["errors"][0]["code"]) == (409, "never-drawn")
    for attempt in (2, 3):
        world.clock.at = (await world.view())["draw_due_at"]
        await draw_one(world.machine, world.database, world.clock.now())
        early = await client.get(f"{WAVE}/bundle")
        assert (early.status_code, early.json()["errors"][0]["code"]) == (409, "not-published")
        # Set aside, and known at once; the last one goes with its wave.
        await (world.redraw() if attempt == 2 else world.void())
        await world.tick()
        bundle = await client.get(f"{WAVE}/bundle?attempt={attempt}")
        assert bundle.headers["content-disposition"] == (
            f'attachment; filename="{PROGRAMME}-1-attempt-{attempt}.draw.jsonl"'
        )
        (tmp_path / "bundle").write_bytes(bundle.content)
        assert verify_draw.main([str(tmp_path / "bundle")]) == 0
    shown = (await client.get(WAVE)).json()
    assert (shown["state"], shown["attempt"], shown["winners"]) == ("voided", 3, 10)
    assert [bool(attempt["seed"]) for attempt in shown["set_aside"]] == [False, True]
    assert (await client.get(f"{WAVE}/bundle")).content == bundle.content
    page = (await client.get(f"/gelombang/{PROGRAMME}/1")).text
    assert re.findall(rf'href="{WAVE}/bundle([^"]*)"', page) == ["?attempt=2", ""]
    assert shown["seed"] in page


async def test_a_commitment_can_be_kept_with_its_signature_and_compared_with_the_services_key(
    client: AsyncClient, world: World
) -> None:
    await world.announce(seats=10)
    early = await client.get(f"{WAVE}/commitment")
    assert (early.status_code, early.json()["errors"][0]["code"]) == (409, "not-committed")
    await world.tick(OPENS)
    await world.tick(CLOSES)
    await world.tell(closed([]))
    await world.tick()
    kept = await client.get(f"{WAVE}/commitment")
    assert kept.headers["content-disposition"] == f'attachment; filename="{PROGRAMME}-1.commitment.json"'
    key = (await client.get("/v1/signing-key")).json()
    assert key == {"algorithm": "Ed25519", "signing_key": world.machine.signer.public_key.hex()}
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(key["signing_key"])).verify(
        bytes.fromhex(kept.json()["signature"]), signed_bytes(kept.json()["commitment"])
    )
    assert key["signing_key"] in (await client.get("/periksa")).text
    assert (await client.get("/v1/waves/no-such/1/commitment")).status_code == 404
    page = (await client.get(f"/gelombang/{PROGRAMME}/1")).text
    randomness = json.loads(kept.json()["commitment"])["randomness"]
    for name in ("chain", "public_key", "genesis_time", "period_seconds", "round"):
        assert f"<code>{randomness[name]}</code>" in page
    assert f'href="{WAVE}/commitment"' in page


async def test_the_roles_are_kept_apart(client: AsyncClient) -> None:
    body = {"programme": PROGRAMME, "wave": 1}
    assert (await client.post("/v1/waves", json=body)).status_code == 401
    assert (await client.post("/v1/waves", json=body, headers=CHECKER)).status_code == 403
    assert (await client.post("/v1/waves", json=body, headers=MAKER)).status_code == 201
    told = await read(client)
    assert (await client.post(f"{WAVE}/approval", json=told, headers=MAKER)).status_code == 403
    same = await client.post(f"{WAVE}/approval", json=told, headers=staff("checker", "ani"))
    assert (same.status_code, same.json()["errors"][0]["code"]) == (409, "same-person")
    assert (await client.get("/v1/me/draws", headers=MAKER)).status_code == 401


async def test_what_was_replaced_since_it_was_read_is_not_approved(client: AsyncClient, world: World) -> None:
    body = {"programme": PROGRAMME, "wave": 1, "seats": 20}
    await client.post("/v1/waves", json=body, headers=MAKER)
    told = await read(client)
    world.clock.at += timedelta(seconds=1)
    await client.post("/v1/waves", json=body, headers=MAKER)
    refused = await client.post(f"{WAVE}/approval", json=told, headers=CHECKER)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "read-anew")
    for nothing in ({}, {"mark": ""}):
        assert (await client.post(f"{WAVE}/approval", json=nothing, headers=CHECKER)).status_code == 422
    assert (await client.post(f"{WAVE}/approval", json=await read(client), headers=CHECKER)).status_code == 200
    told = await read(client)
    await client.post(f"{WAVE}/void", json={"reason": "Kuota provinsi keliru"}, headers=MAKER)
    refused = await client.post(f"{WAVE}/void/approval", json=told, headers=CHECKER)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "read-anew")
    assert (await client.get(WAVE)).json()["state"] == "announced"


async def test_voiding_over_http(client: AsyncClient) -> None:
    await client.post("/v1/waves", json={"programme": PROGRAMME, "wave": 1}, headers=MAKER)
    await client.post(f"{WAVE}/approval", json=await read(client), headers=CHECKER)
    assert (await client.post(f"{WAVE}/void", json={"reason": "pendek"}, headers=MAKER)).status_code == 422
    reason = {"reason": "Kuota provinsi keliru"}
    assert (await client.post(f"{WAVE}/void", json=reason, headers=MAKER)).status_code == 202
    voided = await client.post(f"{WAVE}/void/approval", json=await read(client), headers=CHECKER)
    assert voided.json() == {"state": "voided"}
    shown = (await client.get(WAVE)).json()
    assert shown["void"]["reason"] == "Kuota provinsi keliru"
    assert shown["due"] is None


async def test_officers_change_the_times_over_http_and_everybody_sees_it(client: AsyncClient) -> None:
    await client.post("/v1/waves", json={"programme": PROGRAMME, "wave": 1}, headers=MAKER)
    await client.post(f"{WAVE}/approval", json=await read(client), headers=CHECKER)
    body = {"closes_at": "2020-04-16T20:00:00+07:00", "reason": "Kantor tutup karena banjir"}
    assert (await client.post(f"{WAVE}/times", json=body | {"reason": "pendek"}, headers=MAKER)).status_code == 422
    assert (await client.post(f"{WAVE}/times", json=body, headers=CHECKER)).status_code == 403
    asked = await client.post(f"{WAVE}/times", json=body, headers=MAKER)
    assert asked.status_code == 202
    (pending,) = (await client.get(WAVE)).json()["changes"]
    assert (pending["change_id"], pending["approved_at"]) == (asked.json()["change_id"], None)
    approval = f"{WAVE}/changes/{pending['change_id']}/approval"
    assert (await client.post(approval, json={}, headers=MAKER)).status_code == 403
    assert (await client.post(approval, json={}, headers=CHECKER)).json() == {
        "state": "announced",
        "step": "reschedule",
    }
    again = await client.post(approval, json={}, headers=CHECKER)
    assert (again.status_code, again.json()["errors"][0]["code"]) == (409, "no-change-asked")
    shown = (await client.get(WAVE)).json()
    assert shown["closes_at"] == "2020-04-16T13:00:00+00:00"
    assert "ani" not in json.dumps(shown["changes"])
    redraw = await client.post(f"{WAVE}/redraw", json={"reason": "Sumber acak tidak sah"}, headers=MAKER)
    assert (redraw.status_code, redraw.json()["errors"][0]["code"]) == (409, "illegal-step")


async def test_an_appeal_over_http(client: AsyncClient, world: World) -> None:
    siti = applied("siti", exclusions=("blacklist",))
    await world.run_wave([*crowd(30), siti], seats=20)
    body = {"application_id": siti.application_id, "ground": "not-me"}
    mine, other = citizen(siti.citizen_id), citizen(ids.derive("somebody"))
    assert (await client.post("/v1/me/appeals", json=body, headers=other)).status_code == 404
    lodged = await client.post("/v1/me/appeals", json=body, headers=mine)
    assert (lodged.status_code, lodged.json()["reason"]) == (201, "blacklist")
    (waiting,) = (await client.get("/v1/appeals", headers=CHECKER)).json()
    assert siti.citizen_id not in json.dumps(waiting)
    finding = f"/v1/appeals/{waiting['appeal_id']}/finding"
    told = {"finding": "record-wrong"}
    assert (await client.post(finding, json=told, headers=CHECKER)).status_code == 403
    assert (await client.post(finding, json=told, headers=MAKER)).json() == {"state": "examined"}
    same = await client.post(f"{finding}/approval", json=told, headers=staff("checker", "ani"))
    assert same.json()["errors"][0]["code"] == "same-person"
    assert (await client.post(f"{finding}/approval", json=told, headers=CHECKER)).json() == {"state": "upheld"}
    (shown,) = (await client.get("/v1/me/appeals", headers=mine)).json()
    assert (shown["state"], shown["seat_wave"]) == ("upheld", None)
    assert (await client.get("/v1/me/appeals", headers=other)).json() == []
    unknown = await client.post(f"/v1/appeals/{'0' * 32}/finding", json=told, headers=MAKER)
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (404, "no-such-appeal")


async def test_a_ceremony_over_http(client: AsyncClient, world: World) -> None:
    await world.announce(seats=10)
    secret = b"s" * 32
    told = {"office": "ombudsman", "secret_commitment": secret_commitment(PROGRAMME, 1, secret).hex()}
    official = staff("maker", "ani", "office:ombudsman")
    assert (await client.post(f"{WAVE}/ceremony", json=told)).status_code == 401
    assert (await client.post(f"{WAVE}/ceremony", json=told, headers=MAKER)).status_code == 403
    assert (await client.post(f"{WAVE}/ceremony", json=told, headers=official)).status_code == 201
    shown = (await client.get(WAVE)).json()["ceremony"]
    assert shown["officials"] == [told | {"office": "Ombudsman Republik Indonesia", "secret": None}]
    early = await client.post(f"{WAVE}/ceremony/reveal", json={"secret": secret.hex()}, headers=MAKER)
    assert (early.status_code, early.json()["errors"][0]["code"]) == (409, "no-reveals-now")


async def test_recycled_seats_can_be_listed(client: AsyncClient, world: World) -> None:
    await world.run_wave(crowd(30), seats=20)
    assert (await client.get(f"{WAVE}/recycled-seats")).json() == []
    assert (await client.get("/v1/waves/no-such/1/recycled-seats")).status_code == 404


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        ({"programme": "no-such", "wave": 1}, "unknown-programme", 404),
        ({"programme": PROGRAMME, "wave": 77}, "wave-not-in-programme", 422),
        ({"programme": PROGRAMME, "wave": 1, "seats": 0}, "no-seats", 422),
        ({"programme": PROGRAMME, "wave": 1, "seats": 0, "recycle": True}, "no-seats", 409),
        ({"programme": PROGRAMME, "wave": 1, "closes_at": "2020-04-01T00:00:00+07:00"}, "times-out-of-order", 422),
        ({"programme": "a\u0000b", "wave": 1}, "string_pattern_mismatch", 422),
        ({"programme": PROGRAMME, "wave": 2**40}, "less_than_equal", 422),
    ],
)
async def test_a_wrong_proposal_is_refused_in_two_languages(
    client: AsyncClient, body: dict[str, object], code: str, status: int
) -> None:
    refused = await client.post("/v1/waves", json=body, headers=MAKER)
    assert refused.status_code == status
    assert refused.headers["content-type"].startswith("application/problem+json")
    problem = refused.json()
    assert code in [error["code"] for error in problem["errors"]]
    assert problem["detail"]
    assert problem["detail_en"]


async def test_an_unknown_wave_is_not_found(client: AsyncClient) -> None:
    for path in (WAVE, f"{WAVE}/bundle"):
        assert (await client.get(path)).status_code == 404


def test_the_service_is_composed_from_its_settings(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = tmp_path / "draw.pem"
    key.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    settings = Settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        kafka_servers="127.0.0.1:1",
        staff_issuer="http://oidc",
        staff_jwks="keys.json",
        citizen_jwks="keys.json",
        beacon_urls="http://127.0.0.1:1, http://127.0.0.1:2",
        draw_key_file=key,
        _env_file=None,
    )
    made = service(settings)
    assert made.name == "selection"
    assert set(made.reactions) == {Applied, ApplicationWithdrawn, IntakeClosed, MembershipRevoked}
    assert {job.name for job in made.jobs} == {"open-and-close-waves", "run-draws"}
