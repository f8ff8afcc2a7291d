"""Who is calling: what makes a token valid, and what every other token is told."""

import asyncio
import base64
import hmac
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from aiohttp import web
from fastapi import Depends, FastAPI
from httpx import ASGITransport, AsyncClient
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OKPKey

from libs.events import access as access_module
from libs.events.access import CITIZEN_ISSUER, Access, Citizen, Staff, Verifier, open_access
from libs.events.citizen_tokens import CitizenTokens
from libs.events.clock import FixedClock
from libs.events.refusal import Refused

NOW = datetime(2020, 4, 17, 9, 0, tzinfo=UTC)
ISSUER = "http://issuer.test"
CITIZEN = "0123456789abcdef0123456789abcdef"

Key = ECKey | OKPKey


def p256(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid})


def publish(path: Path, *keys: Key) -> Path:
    path.write_text(json.dumps({"keys": [key.as_dict(private=False) for key in keys]}))
    return path


def staff_token(key: Key, alg: str = "ES256", **changes: Any) -> str:
    issued = int(NOW.timestamp())
    claims = {
        "iss": ISSUER,
        "aud": "gelombang",
        "sub": "officer-maker",
        "person": "person-1",
        "roles": ["maker"],
        "iat": issued,
        "exp": issued + 3600,
    } | changes
    told = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": alg, "kid": key.kid}, told, key, registry=jws.JWSRegistry(algorithms=[alg]))


def make_verifier(jwks: Path | str, clock: FixedClock | None = None, **options: Any) -> Verifier:
    return Verifier(ISSUER, jwks, "gelombang", clock or FixedClock(NOW), **options)


async def refusal_of(verifier: Verifier, token: str) -> tuple[int, str]:
    with pytest.raises(Refused) as refused:
        await verifier.claims(token)
    return refused.value.refusals[0].status, refused.value.refusals[0].code


@pytest.fixture
def key() -> ECKey:
    return p256("k1")


@pytest.fixture
def jwks(tmp_path: Path, key: ECKey) -> Path:
    return publish(tmp_path / "jwks.json", key)


@pytest.fixture
def verifier(jwks: Path) -> Verifier:
    return make_verifier(jwks)


async def test_a_valid_token_tells_who_is_calling(verifier: Verifier, key: ECKey) -> None:
    claims = await verifier.claims(staff_token(key))
    assert (claims["sub"], claims["person"], claims["roles"]) == ("officer-maker", "person-1", ["maker"])


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
async def test_ed25519_is_accepted_under_both_of_its_names(tmp_path: Path, alg: str) -> None:
    key = OKPKey.generate_key("Ed25519", {"kid": "ed"})
    claims = await make_verifier(publish(tmp_path / "ed.json", key)).claims(staff_token(key, alg=alg))
    assert claims["sub"] == "officer-maker"


async def test_a_token_ends_one_minute_after_its_hour_by_the_programme_clock(jwks: Path, key: ECKey) -> None:
    clock = FixedClock(NOW + timedelta(hours=1, seconds=59))
    verifier = make_verifier(jwks, clock)
    assert await verifier.claims(staff_token(key))
    clock.at = NOW + timedelta(hours=1, seconds=60)
    assert await refusal_of(verifier, staff_token(key)) == (401, "token-expired")


async def test_a_token_is_not_valid_before_its_time(verifier: Verifier, key: ECKey) -> None:
    soon = int(NOW.timestamp())
    assert await verifier.claims(staff_token(key, nbf=soon + 60))
    assert await refusal_of(verifier, staff_token(key, nbf=soon + 61)) == (401, "token-refused")


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "gelombang-citizen"},
        {"aud": ["another"]},
        {"iss": "http://stranger.test"},
        {"aud": None},
        {"iss": None},
        {"sub": None},
        {"exp": None},
        {"exp": "tomorrow"},
    ],
)
async def test_a_token_for_somebody_else_or_without_its_claims_is_refused(
    verifier: Verifier, key: ECKey, changes: dict[str, Any]
) -> None:
    assert await refusal_of(verifier, staff_token(key, **changes)) == (401, "token-refused")


async def test_an_unsigned_token_is_refused(verifier: Verifier, key: ECKey) -> None:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    payload = staff_token(key).split(".")[1]
    for alg in ("none", "None", "NONE"):
        assert await refusal_of(verifier, f"{part({'alg': alg, 'kid': 'k1'})}.{payload}.") == (401, "token-refused")


async def test_a_public_key_can_not_be_used_as_a_shared_secret(verifier: Verifier, key: ECKey) -> None:
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "k1"}).encode()).rstrip(b"=").decode()
    signed = f"{head}.{staff_token(key).split('.')[1]}"
    secret = key.as_pem(private=False)
    mac = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), "sha256")).rstrip(b"=").decode()
    forged = f"{signed}.{mac}"
    assert await refusal_of(verifier, forged) == (401, "token-refused")


async def test_a_changed_token_is_refused(verifier: Verifier, key: ECKey) -> None:
    header, _, signature = staff_token(key).split(".")
    _, payload, _ = staff_token(key, roles=["maker", "checker"]).split(".")
    assert await refusal_of(verifier, f"{header}.{payload}.{signature}") == (401, "token-refused")


async def test_a_stranger_with_a_known_key_id_is_refused(verifier: Verifier) -> None:
    assert await refusal_of(verifier, staff_token(p256("k1"))) == (401, "token-refused")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "..", "\x00", "é.é.é", "a" * 10_000])
async def test_what_is_no_token_is_refused(verifier: Verifier, token: str) -> None:
    assert await refusal_of(verifier, token) == (401, "token-refused")


async def test_no_exception_and_no_log_repeats_a_token(
    verifier: Verifier, key: ECKey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for token in (staff_token(key, exp=1), staff_token(p256("k1")), staff_token(p256("unknown"))):
        with pytest.raises(Refused) as refused:
            await verifier.claims(token)
        told = repr(refused.value) + repr(refused.value.__context__) + caplog.text
        assert not any(part in told for part in token.split("."))


async def test_a_rotated_key_is_fetched_and_the_old_one_forgotten(tmp_path: Path, key: ECKey, jwks: Path) -> None:
    verifier, newer = make_verifier(jwks, refresh_seconds=0), p256("k2")
    assert await verifier.claims(staff_token(key))
    publish(jwks, newer)
    assert await verifier.claims(staff_token(newer))
    assert await refusal_of(verifier, staff_token(key)) == (401, "token-refused")


async def test_a_withdrawn_key_is_forgotten_even_if_nobody_shows_an_unknown_one(jwks: Path, key: ECKey) -> None:
    verifier = make_verifier(jwks, refresh_seconds=0, stale_seconds=0)
    await verifier.claims(staff_token(key))
    publish(jwks, p256("k2"))
    await verifier.claims(staff_token(key))  # answered from the cache while the keys are renewed beside it
    await asyncio.sleep(0.01)
    assert await refusal_of(verifier, staff_token(key)) == (401, "token-refused")


async def test_keys_of_other_kinds_beside_ours_do_no_harm(tmp_path: Path, key: ECKey) -> None:
    others = [{"kty": "oct", "kid": "s", "k": "AAAA"}, {"kty": "EC", "crv": "P-384", "kid": "p"}, "nonsense"]
    path = tmp_path / "mixed.json"
    path.write_text(json.dumps({"keys": [*others, key.as_dict(private=False)]}))
    assert await make_verifier(path).claims(staff_token(key))


@asynccontextmanager
async def issuer(answers: list[object]) -> AsyncIterator[tuple[str, list[int]]]:
    """An issuer that gives `answers` in turn, the last one for ever: a key set, a status, or seconds of silence."""
    asked: list[int] = []

    async def answer(_: web.Request) -> web.Response:
        asked.append(1)
        told = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(told, float):
            await asyncio.sleep(told)
        return web.Response(status=told) if isinstance(told, int) else web.json_response(told)

    app = web.Application()
    app.router.add_get("/jwks", answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/jwks", asked
    finally:
        await runner.cleanup()


def key_set(*keys: Key) -> dict[str, object]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


async def test_invented_key_ids_do_not_flood_the_issuer(key: ECKey) -> None:
    async with issuer([key_set(key)]) as (url, asked):
        verifier = make_verifier(url, refresh_seconds=60)
        assert await verifier.claims(staff_token(key))
        for number in range(20):
            assert await refusal_of(verifier, staff_token(p256(f"invented-{number}"))) == (401, "token-refused")
        assert len(asked) == 1


async def test_requests_that_arrive_together_share_one_look(key: ECKey) -> None:
    async with issuer([key_set(key)]) as (url, asked):
        verifier = make_verifier(url, refresh_seconds=0)
        await asyncio.gather(*(verifier.claims(staff_token(key)) for _ in range(10)))
        assert len(asked) == 1


async def test_a_silent_issuer_holds_nobody_up_and_the_answer_says_so(key: ECKey) -> None:
    async with issuer([2.0]) as (url, _):
        verifier = make_verifier(url, timeout_seconds=0.2)
        before = asyncio.get_running_loop().time()
        assert await refusal_of(verifier, staff_token(key)) == (503, "sign-in-unavailable")
        assert asyncio.get_running_loop().time() - before < 2, "nobody waits as long as the issuer is silent"


async def test_an_issuer_that_comes_back_is_asked_again_soon(key: ECKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "RETRY_SECONDS", 0.5)
    async with issuer([503, key_set(key)]) as (url, asked):
        verifier = make_verifier(url, refresh_seconds=60)
        assert await refusal_of(verifier, staff_token(key)) == (503, "sign-in-unavailable")
        assert await refusal_of(verifier, staff_token(key)) == (503, "sign-in-unavailable")
        assert len(asked) == 1
        await asyncio.sleep(0.6)
        assert await verifier.claims(staff_token(key))


@pytest.mark.parametrize("broken", [500, {"keys": "none"}, [], {"keys": [{"kty": "EC", "crv": "P-256", "kid": "x"}]}])
async def test_a_broken_issuer_takes_nothing_from_those_already_known(key: ECKey, broken: object) -> None:
    async with issuer([key_set(key), broken]) as (url, asked):
        verifier = make_verifier(url, refresh_seconds=0)
        await verifier.claims(staff_token(key))
        assert await refusal_of(verifier, staff_token(p256("k2"))) == (503, "sign-in-unavailable")
        assert await verifier.claims(staff_token(key))
        assert len(asked) == 2


@pytest.fixture
def citizen_tokens(tmp_path: Path) -> CitizenTokens:
    key = p256("citizens-1")
    (tmp_path / "citizen-key.json").write_text(json.dumps(key.as_dict(private=True)))
    publish(tmp_path / "citizen-jwks.json", key)
    return CitizenTokens(tmp_path / "citizen-key.json", FixedClock(NOW))


@pytest.fixture
def access(tmp_path: Path, jwks: Path) -> Access:
    return open_access(ISSUER, jwks, tmp_path / "citizen-jwks.json", FixedClock(NOW))


@pytest.fixture
def app(access: Access, citizen_tokens: CitizenTokens) -> FastAPI:
    app = FastAPI()
    seen: list[Any] = []
    app.state.seen = seen

    @app.get("/approve")
    async def approve(staff: Annotated[Staff, Depends(access.staff("checker", "auditor"))]) -> None:
        seen.append(staff)

    @app.get("/mine")
    async def mine(citizen: Annotated[Citizen, Depends(access.citizen)]) -> None:
        seen.append(citizen)

    return app


async def call(app: FastAPI, path: str, token: str | None) -> tuple[int, str]:
    """The status and code of the refusal, or 200 and nothing."""
    async with AsyncClient(transport=ASGITransport(app), base_url="http://service.test") as client:
        try:
            await client.get(path, headers={"authorization": f"Bearer {token}"} if token else {})
        except Refused as refused:
            return refused.refusals[0].status, refused.refusals[0].code
    return 200, ""


async def test_one_of_the_roles_opens_the_route(app: FastAPI, key: ECKey) -> None:
    assert await call(app, "/approve", staff_token(key, roles=["checker"])) == (200, "")
    assert app.state.seen == [Staff("officer-maker", "person-1", frozenset({"checker"}))]


async def test_a_maker_may_not_approve(app: FastAPI, key: ECKey) -> None:
    assert await call(app, "/approve", staff_token(key)) == (403, "role-missing")
    assert await call(app, "/approve", None) == (401, "token-missing")


@pytest.mark.parametrize("changes", [{"person": None}, {"person": ""}, {"roles": None}, {"roles": "checker"}])
async def test_staff_without_person_or_roles_can_not_be_told_apart_and_are_refused(
    app: FastAPI, key: ECKey, changes: dict[str, Any]
) -> None:
    assert await call(app, "/approve", staff_token(key, **{"roles": ["checker"]} | changes)) == (401, "token-refused")


async def test_a_citizen_is_known_by_the_token_that_registration_issued(
    app: FastAPI, citizen_tokens: CitizenTokens
) -> None:
    assert await call(app, "/mine", citizen_tokens.issue(CITIZEN, timedelta(hours=1))) == (200, "")
    assert app.state.seen == [Citizen(CITIZEN)]


async def test_citizens_and_staff_can_not_take_each_others_place(
    app: FastAPI, key: ECKey, citizen_tokens: CitizenTokens
) -> None:
    assert await call(app, "/mine", staff_token(key)) == (401, "token-refused")
    assert await call(app, "/approve", citizen_tokens.issue(CITIZEN, timedelta(hours=1))) == (401, "token-refused")


async def test_a_citizens_token_names_an_opaque_id_and_nothing_else(
    app: FastAPI, citizen_tokens: CitizenTokens
) -> None:
    assert await call(app, "/mine", citizen_tokens.issue("3273010101900001", timedelta(hours=1))) == (
        401,
        "token-refused",
    )


async def test_what_registration_tells_one_audience_counts_for_no_other(
    tmp_path: Path, app: FastAPI, citizen_tokens: CitizenTokens
) -> None:
    told = citizen_tokens.sign("disbursement", CITIZEN, timedelta(minutes=10), name="Siti", aud="gelombang-citizen")
    verifier = Verifier(CITIZEN_ISSUER, tmp_path / "citizen-jwks.json", "disbursement", FixedClock(NOW))
    claims = await verifier.claims(told)
    assert (claims["sub"], claims["name"], claims["aud"]) == (CITIZEN, "Siti", "disbursement")
    assert await call(app, "/mine", told) == (401, "token-refused")
    assert await refusal_of(verifier, citizen_tokens.issue(CITIZEN, timedelta(hours=1))) == (401, "token-refused")


async def test_a_citizens_session_ends(tmp_path: Path, citizen_tokens: CitizenTokens) -> None:
    clock = FixedClock(NOW + timedelta(minutes=10))
    verifier = Verifier(CITIZEN_ISSUER, tmp_path / "citizen-jwks.json", "gelombang-citizen", clock)
    token = citizen_tokens.issue(CITIZEN, timedelta(minutes=10))
    assert await verifier.claims(token)
    clock.at += timedelta(seconds=60)
    assert await refusal_of(verifier, token) == (401, "token-expired")


def test_a_public_key_can_not_issue_citizen_tokens(tmp_path: Path) -> None:
    path = tmp_path / "public.json"
    path.write_text(json.dumps(p256("k").as_dict(private=False)))
    with pytest.raises(ValueError, match="private P-256"):
        CitizenTokens(path, FixedClock(NOW))
