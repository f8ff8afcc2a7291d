"""A small OpenID Connect issuer for staff and for partners' machines: discovery, keys, tokens by client credentials."""

import hmac
import json
import sqlite3
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from joserfc import jwt
from joserfc.jwk import ECKey
from pydantic import BaseModel

from deploy.simulators import common
from libs.events.clock import Clock

AUDIENCE = "gelombang"
LIFETIME = timedelta(hours=1)
FORM_BYTES_MAX = 4096

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


def create(settings: Settings, clock: Clock) -> FastAPI:
    book = common.open_book(settings.book, TABLES)
    settings.book.chmod(0o600)
    app = common.create_app("Sign-in for staff and partners (simulator)", book)
    key = signing_key(book)
    told = Clients.model_validate(tomllib.loads(settings.clients.read_text()))
    clients = {client.client_id: client for client in told.clients}
    issuer = settings.issuer or f"http://127.0.0.1:{settings.port}"

    @app.get("/.well-known/openid-configuration")
    async def configuration() -> dict[str, Any]:
        return {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/jwks",
            "token_endpoint": f"{issuer}/token",
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    @app.get("/jwks")
    async def jwks() -> dict[str, Any]:
        return {"keys": [{**key.as_dict(private=False), "use": "sig", "alg": "ES256"}]}

    @app.post("/token")
    async def token(request: Request) -> JSONResponse:
        body = await request.body()
        if len(body) > FORM_BYTES_MAX:
            return refuse("invalid_request", 400)
        form = {name: values[0] for name, values in parse_qs(body.decode("ascii", "replace")).items()}
        if form.get("grant_type") != "client_credentials":
            return refuse("unsupported_grant_type", 400)
        client = clients.get(form.get("client_id", ""))
        secret = form.get("client_secret", "").encode()
        if client is None or not hmac.compare_digest(client.client_secret.encode(), secret):
            return refuse("invalid_client", 401)
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
