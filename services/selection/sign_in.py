"""Officers sign in at the programme's OpenID Connect issuer: authorization code with PKCE (RFC 7636), no secret here.

The session is the issuer's access token in a cookie that no script can read; it ends when the token does. Nothing about
a session is kept here.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from libs.events.access import TOKEN_MISSING, Access, Staff
from libs.events.refusal import Refusal, Refused

OFFICERS: Final = frozenset({"maker", "checker", "auditor"})
ROLES: Final = OFFICERS | {"official"}
"""Who may look in here: officers, and officials of other offices, who take part in ceremonies and see what is public.
What each may do is asked at every form."""

CLIENT_ID: Final = "gelombang-pages"
FOLDER: Final = "/petugas"
SESSION: Final = "gelombang_staff"
ATTEMPT: Final = "gelombang_sign_in"
ATTEMPT_SECONDS: Final = 600
ANSWER_SECONDS_MAX: Final = 5

AWAY: Final = Refusal(
    "sign-in-unavailable",
    503,
    "Layanan masuk tidak menjawab. Coba lagi sebentar lagi.",
    "The sign-in service does not answer. Try again in a moment.",
)
STALE: Final = Refusal(
    "sign-in-stale",
    400,
    "Proses masuk ini sudah kedaluwarsa atau bukan dimulai di sini. Mulai lagi dari halaman petugas.",
    "This sign-in has expired or was not started here. Start again from the officers' page.",
)
FORGED: Final = Refusal(
    "form-forged",
    403,
    "Formulir ini bukan dari halaman Anda yang sekarang, jadi tidak dijalankan. Muat ulang halamannya dan kirim lagi.",
    "This form is not from your present page, so nothing was done. Load the page again, then send it again.",
)


@dataclass(frozen=True, slots=True)
class Session:
    """A member of staff at their browser. `proof` stands in every form; nobody else can know it."""

    staff: Staff
    proof: str

    @property
    def officer(self) -> bool:
        """Whether they may see what is not public: proposals and appeals."""
        return not OFFICERS.isdisjoint(self.staff.roles)


async def session_of(request: Request, access: Access) -> Session | None:
    """Who is signed in; None where nobody is, or no longer. Raises Refused where it can not be told now."""
    token = request.cookies.get(SESSION)
    if not token:
        return None
    try:
        staff = await access.staff_of(token, *ROLES)
    except Refused as refused:
        if refused.refusals[0].status == 401:
            return None
        raise
    return Session(staff, hmac.new(token.encode(), b"gelombang form", sha256).hexdigest())


def checked(session: Session | None, proof: str) -> Session:
    """The session of somebody who sent a form from their own page. Raises Refused: SameSite cookies are the first
    guard against forged forms, this is the second."""
    if session is None:
        raise Refused(TOKEN_MISSING)
    if not hmac.compare_digest(session.proof.encode(), proof.encode()):
        raise Refused(FORGED)
    return session


async def start(request: Request, issuer: str) -> Response:
    """Send the browser to the issuer; what must come back with it is kept in a short-lived cookie."""
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    query = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": _callback(request),
        "scope": "openid",
        "state": state,
        "code_challenge": urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    known = await _ask("GET", f"{issuer}/.well-known/openid-configuration")
    response = RedirectResponse(f"{known['authorization_endpoint']}?{urlencode(query)}", 303)
    _set(request, response, ATTEMPT, f"{state}.{verifier}", ATTEMPT_SECONDS)
    return response


async def finish(request: Request, issuer: str, access: Access, code: str, state: str) -> Response:
    """Take the code the issuer gave the browser, fetch the token for it, and begin the session. Raises Refused."""
    kept, _, verifier = request.cookies.get(ATTEMPT, "").partition(".")
    if not code or not kept or not hmac.compare_digest(kept.encode(), state.encode()):
        raise Refused(STALE)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": CLIENT_ID,
        "redirect_uri": _callback(request),
        "code_verifier": verifier,
    }
    known = await _ask("GET", f"{issuer}/.well-known/openid-configuration")
    told = await _ask("POST", str(known["token_endpoint"]), form)
    token = str(told.get("access_token", ""))
    await access.staff_of(token, *ROLES)
    response = RedirectResponse(FOLDER, 303)
    _set(request, response, SESSION, token, int(told.get("expires_in", ATTEMPT_SECONDS)))
    response.delete_cookie(ATTEMPT, path=FOLDER)
    return response


def end() -> Response:
    """Forget the session in this browser; the token itself ends by its own time."""
    response = RedirectResponse(FOLDER, 303)
    response.delete_cookie(SESSION, path=FOLDER)
    return response


def _set(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    # Lax, not strict: the way back from the issuer is a link from another site, and must find its attempt.
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, seconds, path=FOLDER, httponly=True, samesite="lax", secure=secure)


def _callback(request: Request) -> str:
    return str(request.base_url).rstrip("/") + f"{FOLDER}/masuk/kembali"


async def _ask(method: str, url: str, form: dict[str, str] | None = None) -> dict[str, Any]:
    """What the issuer answers. Raises Refused."""
    limit = aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as client,
            client.request(method, url, data=form, allow_redirects=False) as answer,
        ):
            told = await answer.json()
            status = answer.status
    except (OSError, TimeoutError, ValueError, aiohttp.ClientError):
        raise Refused(AWAY) from None
    if status == 400:
        raise Refused(STALE)
    if status != 200 or not isinstance(told, dict):
        raise Refused(AWAY)
    return told
