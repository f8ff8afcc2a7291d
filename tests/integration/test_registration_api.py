"""The HTTP API of registration, composed as in production, on a real PostgreSQL."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient, Response
from joserfc import jwe, jwt
from joserfc.jwk import ECKey
from pydantic import SecretStr

from deploy.local.databases import ServiceDatabase
from libs.events.clock import FileClock
from libs.events.contracts import NotSelected
from libs.events.database import open_database
from services.registration.main import service
from services.registration.settings import Settings
from tests.integration.registration_desk import MONDAY, Desk
from tests.unit.registration_examples import KK, NIK

IDENTITY = {
    "nik": NIK, "kk": KK, "name": "Siti Aminah", "birth_date": "1995-04-30", "province": "32",
    "occupation": "job-seeker", "in_education": False, "statement": True,
}  # fmt: skip
REGISTRATION = {"registration_id": "ab" * 16, "email": "siti@contoh.id", "phone": "0812-3456-7890"}


@dataclass
class Site:
    """The API and, behind it, the store."""

    http: AsyncClient
    desk: Desk
    clock: FileClock
    disbursement: ECKey
    citizen: ECKey

    async def register(self, **changed: str) -> dict[str, str]:
        answer = await self.http.post("/v1/registrations", json=REGISTRATION | changed)
        assert answer.status_code == 201, answer.text
        self.http.headers["authorization"] = f"Bearer {answer.json()['token']}"
        found: dict[str, str] = answer.json()
        return found

    async def verified(self) -> str:
        citizen = (await self.register())["citizen_id"]
        await self.desk.send()
        await self.http.post("/v1/me/email-confirmation", json={"code": self.desk.gateway.code("siti@contoh.id")})
        assert (await self.http.post("/v1/me/identity", json=IDENTITY)).status_code == 202
        await self.desk.check()
        return citizen


def private_jwk(folder: Path, name: str) -> ECKey:
    key = ECKey.generate_key("P-256", auto_kid=True)
    (folder / f"{name}.json").write_text(json.dumps(key.as_dict(private=True)))
    (folder / f"{name}.public.json").write_text(json.dumps(key.as_dict(private=False)))
    (folder / f"{name}.set.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    return key


@asynccontextmanager
async def open_site(made: ServiceDatabase, folder: Path) -> AsyncIterator[Site]:
    citizen = private_jwk(folder, "citizen")
    disbursement = private_jwk(folder, "disbursement")
    keys = {"nik_index": b"n" * 32, "kk_index": b"k" * 32, "wrap": b"w" * 32}
    (folder / "keys.json").write_text(json.dumps({name: key.hex() for name, key in keys.items()}))
    clock = FileClock(folder / "clock.json")
    clock.set(MONDAY)
    composed = service(
        Settings(
            database_url=SecretStr(made.app_url), kafka_servers="127.0.0.1:1", clock=str(clock.path),
            staff_issuer="http://oidc", staff_jwks=str(folder / "citizen.set.json"),
            citizen_jwks=str(folder / "citizen.set.json"),
            citizen_key_file=folder / "citizen.json", identity_keys_file=folder / "keys.json",
            disbursement_jwk_file=folder / "disbursement.public.json",
            civil_registry_url="http://127.0.0.1:1", messages_url="http://127.0.0.1:1",
        )
    )  # fmt: skip
    async with open_database(made.app_url) as database:
        composed.api.state.database, composed.api.state.clock = database, composed.clock
        for resource in composed.resources:
            started = resource.start(database, composed.clock)
            if started is not None:
                await started
        async with AsyncClient(transport=ASGITransport(composed.api), base_url="http://test") as http:
            yield Site(http, Desk(database, made.owner_url), clock, disbursement, citizen)
        for resource in composed.resources:
            await resource.close()


@pytest.fixture
async def site(database: Callable[[str], ServiceDatabase], tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(database("registration"), tmp_path) as opened:
        yield opened


def errors(answer: Response) -> dict[str, str]:
    """The wrong fields and their codes."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return {error["field"]: error["code"] for error in answer.json()["errors"]}


async def test_from_the_first_visit_to_a_place_in_a_wave(site: Site) -> None:
    citizen = await site.verified()
    me = (await site.http.get("/v1/me")).json()
    assert (me["citizen_id"], me["identity"], me["eligible"]) == (citizen, "verified", True)
    await site.desk.open_wave()
    assert [wave["state"] for wave in (await site.http.get("/v1/waves")).json()] == ["open"]
    joined = await site.http.post("/v1/me/applications", json={"programme": "prakerja-2020", "wave": 1})
    assert (joined.status_code, joined.json()["state"]) == (201, "applied")
    again = await site.http.post("/v1/me/applications", json={"programme": "prakerja-2020", "wave": 1})
    assert (again.status_code, again.json()["errors"][0]["code"]) == (409, "already-applied")
    left = await site.http.delete("/v1/me/applications/prakerja-2020/1")
    assert (left.status_code, left.json()) == (200, {"state": "withdrawn"})
    steps = (await site.http.get("/v1/me/timeline")).json()
    assert [step["what"] for step in steps] == [
        "registered", "email-confirmed", "identity-submitted", "identity-verified", "applied", "application-withdrawn",
    ]  # fmt: skip
    assert steps[4]["wave"] == 1
    assert steps[4]["next_id"].startswith("Tunggu")


async def test_a_result_shows_the_citizens_own_numbers_in_the_draw(site: Site) -> None:
    citizen = await site.verified()
    await site.desk.open_wave()
    joined = await site.http.post("/v1/me/applications", json={"programme": "prakerja-2020", "wave": 1})
    assert joined.status_code == 201
    told = {"citizen_id": citizen, "application_id": "a" * 32, "programme": "prakerja-2020", "wave": 1}
    await site.desk.hear(NotSelected(reason="lost-draw", at=MONDAY, ticket="9" * 64, rank=8, cutoff="1" * 64, **told))
    steps = (await site.http.get("/v1/me/timeline")).json()
    result = next(step for step in steps if step["what"] == "not-selected")
    assert result["draw"] == {"ticket": "9" * 64, "rank": 8, "cutoff": "1" * 64, "proof": "/v1/me/draws"}
    assert {step["draw"] for step in steps if step is not result and step["what"] == "applied"} == {None}


async def test_a_citizen_who_asks_for_it_is_forgotten(site: Site) -> None:
    citizen = await site.verified()
    await site.desk.open_wave()
    told = {"confirm": "erase-everything"}
    await site.http.post("/v1/me/applications", json={"programme": "prakerja-2020", "wave": 1})
    standing = await site.http.post("/v1/me/erasure", json=told)
    assert (standing.status_code, standing.json()["errors"][0]["code"]) == (409, "application-stands")
    await site.http.delete("/v1/me/applications/prakerja-2020/1")
    careless = await site.http.post("/v1/me/erasure", json={"confirm": "yes"})
    assert (careless.status_code, careless.json()["errors"][0]["field"]) == (422, "confirm")
    assert (await site.http.get("/v1/me")).json()["identity"] == "verified"
    for _ in range(2):
        done = await site.http.post("/v1/me/erasure", json=told)
        assert (done.status_code, done.json()) == (200, {"status": "erased"})
    assert await site.desk.value("SELECT count(*) FROM identity WHERE citizen_id = $1", citizen) == 0
    assert (await site.http.get("/v1/me/timeline")).json() == []
    assert (await site.http.get("/v1/me")).status_code < 500
    again = await site.http.post("/v1/me/applications", json={"programme": "prakerja-2020", "wave": 1})
    assert 400 <= again.status_code < 500


async def test_the_same_registration_again_is_the_same_answer(site: Site) -> None:
    first, again = await site.register(), await site.register()
    assert first["citizen_id"] == again["citizen_id"]
    other = await site.http.post("/v1/registrations", json=REGISTRATION | {"email": "budi@contoh.id"})
    assert (other.status_code, errors(other)) == (409, {"registration_id": "registration-id-used"})


async def test_every_wrong_field_is_named_at_once_with_its_remedy(site: Site) -> None:
    await site.register()
    wrong = {"nik": "12", "kk": "x", "name": "", "birth_date": "30/04/1995", "province": "48", "occupation": "king",
             "in_education": "maybe", "statement": False}  # fmt: skip
    answer = await site.http.post("/v1/me/identity", json=wrong)
    assert answer.status_code == 422
    assert errors(answer) == {
        "nik": "nik-form", "kk": "kk-form", "name": "name-form", "birth_date": "birth-date-form",
        "province": "province-unknown", "occupation": "occupation-unknown", "in_education": "in-education-form",
        "statement": "statement-missing",
    }  # fmt: skip
    assert all(error["id"] and error["en"] for error in answer.json()["errors"])
    assert "30/04" not in answer.text
    assert (await site.http.get("/v1/me")).json()["identity"] == "none"


async def test_missing_fields_are_named_too(site: Site) -> None:
    answer = await site.http.post("/v1/registrations", json={})
    assert errors(answer) == dict.fromkeys(["registration_id", "email", "phone"], "missing")


async def test_a_field_that_is_not_known_is_refused_and_nothing_is_taken_of_the_form(site: Site) -> None:
    await site.register()
    answer = await site.http.post("/v1/me/identity", json=IDENTITY | {"ocupation": "worker"})
    assert (answer.status_code, list(errors(answer).values())) == (422, ["extra_forbidden"])
    assert "ocupation" not in answer.text
    assert (await site.http.get("/v1/me")).json()["identity"] == "none"


BAD = [
    "\x00",
    "Siti\x00",
    "x" * 100_000,
    7,
    None,
    [],
    {"a": 1},
    True,
    "🙈" * 200,
    "\ud800",
    "\ud800@contoh.id",
    "'; DROP TABLE citizen; --",
]


@pytest.mark.parametrize("bad", BAD, ids=[str(number) for number in range(len(BAD))])
async def test_whatever_is_sent_is_refused_in_words_and_never_repeated(site: Site, bad: Any) -> None:
    await site.register()
    for path, form in (
        ("/v1/registrations", REGISTRATION),
        ("/v1/me/identity", IDENTITY),
        ("/v1/tokens", {"phone": ""}),
    ):
        body = json.dumps(dict.fromkeys(form, bad))
        answer = await site.http.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422
        assert set(errors(answer)) - {"name"} == set(form) - {"name"} - (
            {"statement", "in_education"} if bad is True else set()
        )
        if isinstance(bad, str):
            assert bad not in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"phone": "\\ud800"}', b"[" * 5000])
async def test_a_body_that_is_no_json_is_refused(site: Site, body: bytes) -> None:
    answer = await site.http.post("/v1/tokens", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)


async def test_signing_in_on_another_device(site: Site) -> None:
    citizen = (await site.register())["citizen_id"]
    await site.desk.send()
    for phone in ("0812 3456 7890", "0899 9999 9999"):
        answer = await site.http.post("/v1/tokens", json={"phone": phone})
        assert (answer.status_code, answer.json()) == (202, {"status": "sent-if-registered"})
    assert await site.desk.send() == 1
    otp = site.desk.gateway.code("+6281234567890")
    wrong = await site.http.post(
        "/v1/tokens/exchange", json={"phone": "081234567890", "otp": f"{(int(otp) + 1) % 10**6:06}"}
    )
    assert (wrong.status_code, errors(wrong)) == (422, {"otp": "code-wrong"})
    right = await site.http.post("/v1/tokens/exchange", json={"phone": "081234567890", "otp": otp})
    assert (right.status_code, right.json()["citizen_id"]) == (200, citizen)
    site.http.headers["authorization"] = f"Bearer {right.json()['token']}"
    assert (await site.http.get("/v1/me")).status_code == 200


async def test_a_failed_attempt_is_counted_although_it_is_refused(site: Site) -> None:
    await site.register()
    await site.desk.send()
    right = site.desk.gateway.code("siti@contoh.id")
    wrong = {"code": f"{(int(right) + 1) % 10**6:06}"}
    statuses = [(await site.http.post("/v1/me/email-confirmation", json=wrong)).status_code for _ in range(6)]
    assert statuses == [422] * 5 + [429]
    assert (await site.http.post("/v1/me/email-confirmation", json={"code": right})).status_code == 429


async def test_the_identity_token_is_signed_and_opens_for_disbursement_alone(site: Site) -> None:
    await site.register()
    early = await site.http.post("/v1/me/identity-token", json={"audience": "disbursement"})
    assert (early.status_code, early.json()["errors"][0]["code"]) == (409, "identity-not-verified")
    citizen = await site.verified()
    answer = await site.http.post("/v1/me/identity-token", json={"audience": "disbursement"})
    sealed = answer.json()["identity_token"]
    assert NIK not in answer.text
    opened = jwe.decrypt_compact(sealed, site.disbursement, algorithms=["ECDH-ES+A256KW", "A256GCM"])
    assert opened.headers()["cty"] == "JWT"
    signed = jwt.decode((opened.plaintext or b"").decode(), site.citizen, algorithms=["ES256"])
    assert signed.header == {"typ": "JWT", "alg": "ES256", "kid": site.citizen.kid}
    assert signed.claims == {
        "iss": "gelombang-registration", "aud": "disbursement", "sub": citizen,
        "nik": NIK, "name": "Siti Aminah", "phone": "+6281234567890",
        "iat": int(MONDAY.timestamp()), "exp": int((MONDAY + timedelta(minutes=10)).timestamp()),
    }  # fmt: skip
    other = await site.http.post("/v1/me/identity-token", json={"audience": "somebody"})
    assert other.status_code == 422


async def test_a_disagreeing_nik_warns(site: Site) -> None:
    await site.register()
    await site.desk.send()
    await site.http.post("/v1/me/email-confirmation", json={"code": site.desk.gateway.code("siti@contoh.id")})
    answer = await site.http.post("/v1/me/identity", json=IDENTITY | {"birth_date": "1995-05-01"})
    assert answer.status_code == 202
    assert answer.json()["status"] == "checking"
    assert [warning["code"] for warning in answer.json()["warnings"]] == ["nik-birth-date"]


@pytest.mark.parametrize("path", ["/v1/me", "/v1/me/timeline"])
async def test_nobody_sees_anything_without_a_token(site: Site, path: str) -> None:
    answer = await site.http.get(path)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "token-missing")


async def test_a_token_ends(site: Site) -> None:
    await site.register()
    site.clock.set(MONDAY + timedelta(days=31))
    answer = await site.http.get("/v1/me")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "token-expired")


async def test_a_crowd_is_served_in_few_transactions_and_nothing_personal_is_logged(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = await site.desk.value("SELECT pg_current_xact_id()")
    answers = await asyncio.gather(*(
        site.http.post("/v1/registrations", json={
            "registration_id": f"{number:032x}", "email": f"warga{number}@contoh.id", "phone": f"0812{number:07}",
        })
        for number in range(200)
    ))  # fmt: skip
    after = await site.desk.value("SELECT pg_current_xact_id()")
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["citizen_id"] for answer in answers}) == 200
    assert int(after) - int(before) < 60
    assert "contoh.id" not in caplog.text
    assert "0812" not in caplog.text
