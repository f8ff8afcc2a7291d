"""The issuer for staff: its tokens are those that the services' access accepts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from httpx import AsyncClient, Response

from deploy.simulators import oidc
from libs.events.access import Staff, open_access
from libs.events.clock import FixedClock
from libs.events.refusal import Refused
from tests.unit.simulators import client

NOW = datetime(2020, 4, 17, 9, 0, tzinfo=UTC)
CLIENTS = """
[[clients]]
client_id = "officer-maker"
client_secret = "s3cret&+ é"
person = "person-1"
roles = ["maker"]
"""


@asynccontextmanager
async def issuer(folder: Path) -> AsyncIterator[AsyncClient]:
    (folder / "clients.toml").write_text(CLIENTS)
    settings = oidc.Settings(port=8999, book=folder / "book", clients=folder / "clients.toml")
    async with client(oidc.create(settings, FixedClock(NOW))) as told:
        yield told


async def ask(told: AsyncClient, **changes: str) -> Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": "officer-maker",
        "client_secret": "s3cret&+ é",
    }
    return await told.post("/token", data=form | changes)


async def test_a_token_is_accepted_by_the_services_for_an_hour_of_programme_time(tmp_path: Path) -> None:
    async with issuer(tmp_path) as told:
        answer = (await ask(told)).json()
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
        discovered = (await told.get("/.well-known/openid-configuration")).json()
        (tmp_path / "jwks.json").write_bytes((await told.get("/jwks")).content)
    clock = FixedClock(NOW + timedelta(hours=1))
    access = open_access(discovered["issuer"], tmp_path / "jwks.json", tmp_path / "none", clock)
    staff = await access.staff_of(answer["access_token"], "maker")
    assert staff == Staff("officer-maker", "person-1", frozenset({"maker"}))
    clock.at += timedelta(minutes=1)
    with pytest.raises(Refused, match="token-expired"):
        await access.staff_of(answer["access_token"], "maker")


async def test_the_key_survives_a_restart_and_its_private_half_is_never_told(tmp_path: Path) -> None:
    async with issuer(tmp_path) as told:
        before = (await told.get("/jwks")).json()
    async with issuer(tmp_path) as told:
        assert (await told.get("/jwks")).json() == before
    assert all("d" not in key for key in before["keys"])
    assert (tmp_path / "book").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_secret": "x" * 5000}, 400, "invalid_request"),
    ],
)
async def test_who_can_not_prove_who_they_are_gets_no_token(
    tmp_path: Path, changes: dict[str, str], status: int, error: str
) -> None:
    async with issuer(tmp_path) as told:
        answer = await ask(told, **changes)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


ASKED = {
    "response_type": "code",
    "client_id": "gelombang-pages",
    "redirect_uri": "http://127.0.0.1:20040/petugas/masuk/kembali",
    "state": "s<t>ate",
    # RFC 7636, appendix B
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "code_challenge_method": "S256",
}
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


async def code(told: AsyncClient) -> str:
    person = {"account": "officer-maker", "password": "s3cret&+ é"}
    answer = await told.post("/authorize", data=ASKED | person)
    assert answer.status_code == 303
    back = parse_qs(urlsplit(answer.headers["location"]).query)
    assert back["state"] == [ASKED["state"]]
    return back["code"][0]


def exchange(given: str, **changes: str) -> dict[str, str]:
    form = {"grant_type": "authorization_code", "code": given, "code_verifier": VERIFIER}
    return form | {name: ASKED[name] for name in ("client_id", "redirect_uri")} | changes


async def test_a_person_signs_in_with_a_code_that_works_once(tmp_path: Path) -> None:
    async with issuer(tmp_path) as told:
        page = await told.get("/authorize", params=ASKED)
        assert 'value="s&lt;t&gt;ate"' in page.text
        form = exchange(await code(told))
        answer = await told.post("/token", data=form)
        assert answer.status_code == 200
        assert answer.json()["expires_in"] == 3600
        assert (await told.post("/token", data=form)).json() == {"error": "invalid_grant"}


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "another"},
        {"redirect_uri": "http://127.0.0.1:1/elsewhere"},
        {"client_id": "officer-maker"},
        {"code": "made up"},
    ],
)
async def test_a_code_is_worth_nothing_to_somebody_else(tmp_path: Path, changes: dict[str, str]) -> None:
    async with issuer(tmp_path) as told:
        answer = await told.post("/token", data=exchange(await code(told), **changes))
        assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"})


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://elsewhere.test/"},
        {"redirect_uri": "javascript://127.0.0.1/"},
        {"code_challenge_method": "plain"},
        {"client_id": "another"},
    ],
)
async def test_a_browser_sent_by_somebody_else_is_not_asked_for_a_password(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    async with issuer(tmp_path) as told:
        assert (await told.get("/authorize", params=ASKED | changes)).status_code == 400
        assert (await told.post("/authorize", data=ASKED | changes)).status_code == 400


async def test_a_wrong_password_is_asked_for_again(tmp_path: Path) -> None:
    async with issuer(tmp_path) as told:
        answer = await told.post("/authorize", data=ASKED | {"account": "officer-maker", "password": "wrong"})
        assert answer.status_code == 401
        assert "Wrong account or password" in answer.text
