"""A small OpenID Connect issuer for staff and for partners' machines: discovery, keys, and two ways to a token.

Machines take client credentials. People sign in with a browser: authorization code with PKCE (RFC 7636), for one public
client, the programme's pages, at addresses of this machine only (RFC 8252, section 7.3). Their password is the secret
of their account.
"""

import hmac
import json
import secrets
import sqlite3
import tomllib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.jwk import ECKey
from pydantic import BaseModel

from deploy.simulators import common
from libs.events.clock import Clock

AUDIENCE = "gelombang"
LIFETIME = timedelta(hours=1)
FORM_BYTES_MAX = 4096
PAGES_CLIENT = "gelombang-pages"
CODES_MAX = 100
HERE = {"127.0.0.1", "::1", "localhost"}
ASKED = ("response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method")
PAGE = """<!doctype html><html lang="id"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Masuk (simulator)</title>
<link rel="icon" href="data:,"><h1>Layanan masuk (simulator)</h1>{wrong}<form method="post" action="/authorize">{hidden}
<p><label>Akun / Account<br><input name="account" autocomplete="username" required></label></p>
<p><label>Kata sandi / Password<br>
<input name="password" type="password" autocomplete="current-password" required></label></p>
<p><button>Masuk / Sign in</button></p></form></html>"""

TABLES = "CREATE TABLE IF NOT EXISTS signing_key (kid TEXT PRIMARY KEY, private_jwk TEXT NOT NULL);"


class Settings(common.Settings):
    clients: Path
    issuer: str | None = None  # http://127.0.0.1:PORT unless given


class Client(BaseModel):
    """An account. `person` is who stands behind it: two accounts of one person are not two people."""

    client_id: common.Text
    client_secret: common.Text
    person: common.Text
    roles: list[common.Text]


class Clients(BaseModel):
    clients: list[Client]


@dataclass(frozen=True, slots=True)
class Code:
    """What a code stands for until it is exchanged, once. A restart forgets it, and the person signs in again."""

    account: str
    redirect_uri: str
    challenge: str


def signing_key(book: sqlite3.Connection) -> ECKey:
    """The issuer's key: made once, then kept, so that tokens issued before a restart stay valid."""
    with book:
        kept = book.execute("SELECT private_jwk FROM signing_key").fetchone()
        if kept:
            return ECKey.import_key(json.loads(kept["private_jwk"]))
        key = ECKey.generate_key("P-256", auto_kid=True)
        private = json.dumps(key.as_dict(private=True))
        book.execute("INSERT INTO signing_key (kid, private_jwk) VALUES (?, ?)", (key.kid, private))
    return key


def refuse(error: str, status: int) -> JSONResponse:
    """An OAuth 2.0 error (RFC 6749, section 5.2)."""
    return JSONResponse({"error": error}, status, headers={"Cache-Control": "no-store"})


def asks_rightly(asked: Mapping[str, str]) -> bool:
    """Whether a browser was sent here by the programme's pages on this machine, with a challenge."""
    told = urlsplit(asked.get("redirect_uri", ""))
    return (
        asked.get("response_type") == "code"
        and asked.get("client_id") == PAGES_CLIENT
        and told.scheme in ("http", "https")
        and told.hostname in HERE
        and asked.get("code_challenge_method") == "S256"
        and len(asked.get("code_challenge", "")) == 43
    )


def sign_in_page(asked: Mapping[str, str], wrong: bool = False) -> Response:
    """The form of the simulator; what was asked travels in it."""
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(asked[name])}">' for name in ASKED if name in asked
    )
    sentence = "<p role=alert>Akun atau kata sandi salah. / Wrong account or password.</p>" if wrong else ""
    return HTMLResponse(
        PAGE.format(wrong=sentence, hidden=hidden), 401 if wrong else 200, headers={"Cache-Control": "no-store"}
    )


def _add_sign_in(app: FastAPI, clients: Mapping[str, Client], codes: dict[str, Code]) -> None:
    @app.get("/authorize")
    async def ask(request: Request) -> Response:
        asked = dict(request.query_params)
        return sign_in_page(asked) if asks_rightly(asked) else refuse("invalid_request", 400)

    @app.post("/authorize")
    async def take(request: Request) -> Response:
        form = await read_form(request)
        if form is None or not asks_rightly(form):
            return refuse("invalid_request", 400)
        client = clients.get(form.get("account", ""))
        if client is None or not same(client.client_secret, form.get("password", "")):
            return sign_in_page(form, wrong=True)
        code = secrets.token_urlsafe(32)
        while len(codes) >= CODES_MAX:
            del codes[next(iter(codes))]
        codes[code] = Code(client.client_id, form["redirect_uri"], form["code_challenge"])
        back = urlencode({"code": code, "state": form.get("state", "")})
        return RedirectResponse(f"{form['redirect_uri']}?{back}", 303, headers={"Cache-Control": "no-store"})


def _exchanged(form: Mapping[str, str], codes: dict[str, Code]) -> str | None:
    """The account whose code this is, if the exchange is the one that was begun; the code is used up either way."""
    code = codes.pop(form.get("code", ""), None)
    hashed = sha256(form.get("code_verifier", "").encode()).digest()
    challenge = urlsafe_b64encode(hashed).rstrip(b"=").decode()
    right = (
        code is not None
        and form.get("client_id") == PAGES_CLIENT
        and form.get("redirect_uri") == code.redirect_uri
        and same(challenge, code.challenge)
    )
    return code.account if code is not None and right else None


async def read_form(request: Request) -> dict[str, str] | None:
    """The fields of a form; None where it is too large."""
    body = await request.body()
    if len(body) > FORM_BYTES_MAX:
        return None
    return {name: values[0] for name, values in parse_qs(body.decode("ascii", "replace")).items()}


def same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def create(settings: Settings, clock: Clock) -> FastAPI:
    book = common.open_book(settings.book, TABLES)
    settings.book.chmod(0o600)
    app = common.create_app("Sign-in for staff and partners (simulator)", book)
    key = signing_key(book)
    told = Clients.model_validate(tomllib.loads(settings.clients.read_text()))
    clients = {client.client_id: client for client in told.clients}
    issuer = settings.issuer or f"http://127.0.0.1:{settings.port}"
    codes: dict[str, Code] = {}
    _add_sign_in(app, clients, codes)

    @app.get("/.well-known/openid-configuration")
    async def configuration() -> dict[str, Any]:
        return {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/jwks",
            "token_endpoint": f"{issuer}/token",
            "authorization_endpoint": f"{issuer}/authorize",
            "grant_types_supported": ["client_credentials", "authorization_code"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "none"],
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    @app.get("/jwks")
    async def jwks() -> dict[str, Any]:
        return {"keys": [{**key.as_dict(private=False), "use": "sig", "alg": "ES256"}]}

    @app.post("/token")
    async def token(request: Request) -> JSONResponse:
        form = await read_form(request)
        if form is None:
            return refuse("invalid_request", 400)
        match form.get("grant_type"):
            case "client_credentials":
                client = clients.get(form.get("client_id", ""))
                if client is None or not same(client.client_secret, form.get("client_secret", "")):
                    return refuse("invalid_client", 401)
            case "authorization_code":
                client = clients.get(_exchanged(form, codes) or "")
                if client is None:
                    return refuse("invalid_grant", 400)
            case _:
                return refuse("unsupported_grant_type", 400)
        now = clock.now()
        claims = {
            "iss": issuer,
            "aud": AUDIENCE,
            "sub": client.client_id,
            "person": client.person,
            "roles": client.roles,
            "iat": int(now.timestamp()),
            "exp": int((now + LIFETIME).timestamp()),
        }
        answer = {
            "access_token": jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key),
            "token_type": "Bearer",
            "expires_in": int(LIFETIME.total_seconds()),
        }
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    return app


if __name__ == "__main__":
    common.serve(Settings, create)
