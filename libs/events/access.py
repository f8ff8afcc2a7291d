"""Who is calling: staff and partners by the tokens of the programme's OIDC issuer, citizens by registration's own.

A service is composed with one `Access` and names what a route needs: `Annotated[Staff, Depends(access.staff("maker"))]`
or `Annotated[Citizen, Depends(access.citizen)]`. Tokens are JWTs (RFC 7519) signed with ES256 or Ed25519 and checked
against the programme clock. Nothing here repeats a token: not in an answer, an exception or a log.
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import aiohttp
from fastapi import Request
from fastapi.security import HTTPBearer
from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import ECKey, OKPKey
from joserfc.jws import CompactSignature

from libs.events.clock import Clock
from libs.events.refusal import Refusal, Refused

STAFF_AUDIENCE: Final = "gelombang"
CITIZEN_AUDIENCE: Final = "gelombang-citizen"
CITIZEN_ISSUER: Final = "gelombang-registration"

# "EdDSA" is the older name of "Ed25519" (RFC 9864); issuers still use both. Nothing symmetric, and never "none".
ALGORITHMS: Final = ("ES256", "EdDSA", "Ed25519")
LEEWAY_SECONDS: Final = 60
RETRY_SECONDS: Final = 2
TOKEN_CHARACTERS_MAX: Final = 8192
PROVEN_MAX: Final = 50_000  # tokens, some 600 bytes each

TOKEN_MISSING: Final = Refusal(
    "token-missing",
    401,
    "Anda belum masuk. Masuk dulu, lalu ulangi permintaan ini.",
    "You are not signed in. Sign in, then repeat this request.",
)
TOKEN_EXPIRED: Final = Refusal(
    "token-expired",
    401,
    "Sesi Anda sudah berakhir. Masuk lagi, lalu ulangi permintaan ini.",
    "Your session has ended. Sign in again, then repeat this request.",
)
TOKEN_REFUSED: Final = Refusal(
    "token-refused",
    401,
    "Tanda masuk Anda tidak berlaku di sini. Masuk lagi lewat situs resmi, lalu ulangi permintaan ini.",
    "Your sign-in is not valid here. Sign in again on the official site, then repeat this request.",
)
ROLE_MISSING: Final = Refusal(
    "role-missing",
    403,
    "Akun Anda tidak berwenang untuk tindakan ini. Mintalah rekan yang berwenang, atau minta wewenangnya.",
    "Your account has no authority for this action. Ask a colleague who has it, or ask to be given it.",
)
KEYS_UNAVAILABLE: Final = Refusal(
    "sign-in-unavailable",
    503,
    "Tanda masuk belum dapat diperiksa karena layanan masuk tidak menjawab. Coba lagi sebentar lagi.",
    "Your sign-in can not be checked yet because the sign-in service does not answer. Try again in a moment.",
)

Key = ECKey | OKPKey

_log = logging.getLogger(__name__)
_registry = jws.JWSRegistry(algorithms=list(ALGORITHMS))


@dataclass(frozen=True, slots=True)
class Staff:
    """An official or a partner's machine. Maker and checker are told apart by `person`, never by `account`."""

    account: str
    person: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Citizen:
    citizen_id: str


class Verifier:
    """Checks tokens of one issuer for one audience, with keys that it keeps and can go on using offline.

    `jwks` is a URL or a file. An unknown key id makes it look again, at most every `refresh_seconds` (sooner after a
    look that failed), so a stranger who invents key ids can not make it flood the issuer. Keys older than
    `stale_seconds` are renewed beside the requests, so that a withdrawn key is forgotten. No request waits longer than
    `timeout_seconds`. These are the machine's seconds: a programme clock that stands still must not stop them.
    """

    def __init__(
        self,
        issuer: str,
        jwks: str | Path,
        audience: str,
        clock: Clock,
        *,
        refresh_seconds: float = 30,
        stale_seconds: float = 3600,
        timeout_seconds: float = 2,
    ) -> None:
        self.issuer, self.audience = issuer, audience
        self._jwks, self._clock = str(jwks), clock
        self._file = None if self._jwks.startswith(("http://", "https://")) else Path(jwks)
        self._refresh_seconds, self._stale_seconds = refresh_seconds, stale_seconds
        self._limit = aiohttp.ClientTimeout(total=timeout_seconds)
        self._keys: dict[str, Key] = {}
        self._proven: dict[bytes, tuple[Key, dict[str, Any]]] = {}
        self._failed = False
        self._loaded_at = self._tried_at = float("-inf")
        self._loading: asyncio.Task[None] | None = None

    async def claims(self, token: str) -> Mapping[str, Any]:
        """What a valid token says. Raises Refused (401, or 503 where the keys could not be loaded) otherwise."""
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise Refused(TOKEN_REFUSED)
        mark = sha256(token.encode(errors="replace")).digest()
        proven = self._proven.get(mark)
        opened = None if proven else _open(token)
        kid = proven[0].kid if proven else _key_id(opened)
        key = await self._key(kid) if kid else None
        if kid and key is None and self._failed:
            raise Refused(KEYS_UNAVAILABLE, retry_after_seconds=RETRY_SECONDS)
        if key is None:
            raise Refused(TOKEN_REFUSED)
        if proven and proven[0] is key:
            # What this very key object has proven stays proven, and ends only with its time; when the keys are loaded
            # anew it is checked anew.
            if proven[1]["exp"] + LEEWAY_SECONDS <= self._clock.now().timestamp():
                raise Refused(TOKEN_EXPIRED)
            return proven[1]
        claims = self._check(opened or _open(token), key)
        if len(self._proven) >= PROVEN_MAX:
            self._proven.clear()
        self._proven[mark] = (key, claims)
        return claims

    def _check(self, opened: CompactSignature | None, key: Key) -> dict[str, Any]:
        """Signature first, then who issued it, for whom, and whether it is valid now. Raises Refused."""
        rules = jwt.JWTClaimsRegistry(
            now=int(self._clock.now().timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self.audience},
            sub={"essential": True},
            exp={"essential": True},
        )
        try:
            if opened is None or not jws.validate_compact(opened, key, registry=_registry):
                raise Refused(TOKEN_REFUSED)
            told: object = json.loads(opened.payload or b"")
            claims = told if isinstance(told, dict) else {}
            rules.validate(claims)
        except ExpiredTokenError:
            raise Refused(TOKEN_EXPIRED) from None
        except (JoseError, ValueError):
            raise Refused(TOKEN_REFUSED) from None
        return claims

    async def _key(self, kid: str) -> Key | None:
        now = asyncio.get_running_loop().time()
        wanted = kid not in self._keys or now - self._loaded_at > self._stale_seconds
        pause = min(RETRY_SECONDS, self._refresh_seconds) if self._failed else self._refresh_seconds
        if wanted and self._loading is None and now - self._tried_at >= pause:
            self._tried_at = now
            self._loading = asyncio.create_task(self._load())
        if kid not in self._keys and self._loading is not None:
            # Shielded: many requests wait for one look, and one that is given up must not end it for the others.
            await asyncio.shield(self._loading)
        return self._keys.get(kid)

    async def _load(self) -> None:
        """Replace the keys by what the issuer publishes now; where it does not answer properly, keep what there is."""
        try:
            told = self._file.read_bytes() if self._file else await self._fetch()
            self._keys = _usable_keys(json.loads(told))
            self._failed, self._loaded_at = False, asyncio.get_running_loop().time()
        except (OSError, TimeoutError, ValueError, aiohttp.ClientError):
            self._failed = True
            _log.warning("the signing keys of %s could not be loaded; those known before stay in use", self.issuer)
        finally:
            self._loading = None

    async def _fetch(self) -> bytes:
        async with (
            aiohttp.ClientSession(timeout=self._limit, raise_for_status=True) as session,
            session.get(self._jwks, allow_redirects=False) as answer,
        ):
            return await answer.read()


def _open(token: str) -> CompactSignature | None:
    """The parts of a token, unchecked; None for what is no token."""
    try:
        return jws.extract_compact(token.encode(), registry=_registry)
    except (JoseError, ValueError):
        return None


def _key_id(opened: CompactSignature | None) -> str | None:
    """The key id a token names; None where it asks for an algorithm that is not allowed."""
    header = opened.headers() if opened else {}
    # "crit" names extensions that must be understood (RFC 7515, section 4.1.11); none is understood here.
    kid = header.get("kid") if header.get("alg") in ALGORITHMS and "crit" not in header else None
    return kid if isinstance(kid, str) else None


def _usable_keys(document: object) -> dict[str, Key]:
    """The P-256 and Ed25519 keys of a key set by key id; keys of other kinds may stand beside them and are left out."""
    found: dict[str, Key] = {}
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise ValueError("not a JSON Web Key Set")
    for told in keys:
        match told:
            case {"kty": "EC", "crv": "P-256", "kid": str(kid)}:
                kind: type[Key] = ECKey
            case {"kty": "OKP", "crv": "Ed25519", "kid": str(kid)}:
                kind = OKPKey
            case _:
                continue
        try:
            found[kid] = kind.import_key(told)
        except JoseError:
            raise ValueError("a broken key in the JSON Web Key Set") from None
    return found


Who = TypeVar("Who")


class Caller(HTTPBearer, Generic[Who]):
    """Who calls, by the token of the request: one dependency, since each costs every request a little."""

    def __init__(self, who: Callable[[str], Awaitable[Who]]) -> None:
        told = "A token of the programme's sign-in service."
        super().__init__(scheme_name="HTTPBearer", description=told, auto_error=False)
        self._who = who

    async def __call__(self, request: Request) -> Who:  # type: ignore[override]
        """Raises Refused: 401 without a token, and what the token's check raises."""
        bearer = await super().__call__(request)
        if bearer is None:
            raise Refused(TOKEN_MISSING)
        return await self._who(bearer.credentials)


class Access:
    """The two questions a route may ask about its caller, as FastAPI dependencies."""

    def __init__(self, staff: Verifier, citizens: Verifier) -> None:
        self._staff, self._citizens = staff, citizens
        self.staff_issuer = staff.issuer

    def staff(self, *roles: str) -> Caller[Staff]:
        """A dependency that gives the calling member of staff, who must hold at least one of `roles`.

        Without roles every account of the issuer may call. Raises Refused: 401 who is it, 403 not allowed to.
        """
        return Caller(lambda token: self.staff_of(token, *roles))

    @property
    def citizen(self) -> Caller[Citizen]:
        """A dependency that gives the calling citizen. Raises Refused (401)."""
        return Caller(self.citizen_of)

    async def staff_of(self, token: str, *roles: str) -> Staff:
        """The member of staff a token speaks for, wherever the token came from. Raises Refused."""
        match await self._staff.claims(token):
            case {"sub": str(account), "person": str(person), "roles": list(held)} if account and person:
                staff = Staff(account, person, frozenset(str(role) for role in held))
            case _:
                raise Refused(TOKEN_REFUSED)
        if roles and not staff.roles.intersection(roles):
            raise Refused(ROLE_MISSING)
        return staff

    async def citizen_of(self, token: str) -> Citizen:
        """The citizen a token speaks for, wherever the token came from (a cookie, say). Raises Refused."""
        claims = await self._citizens.claims(token)
        if not re.fullmatch(r"[0-9a-f]{32}", str(claims["sub"])):
            raise Refused(TOKEN_REFUSED)
        return Citizen(claims["sub"])


def open_access(staff_issuer: str, staff_jwks: str | Path, citizen_jwks: str | Path, clock: Clock) -> Access:
    """The access of a service from its settings: the issuer of staff with its keys, and registration's public keys."""
    return Access(
        staff=Verifier(staff_issuer, staff_jwks, STAFF_AUDIENCE, clock),
        citizens=Verifier(CITIZEN_ISSUER, citizen_jwks, CITIZEN_AUDIENCE, clock),
    )
