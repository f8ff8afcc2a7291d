"""Who reads a page: in which language, in which of the country's three zones. Kept in cookies, chosen by links."""

from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

LANGUAGES: Final = {"id": "Bahasa Indonesia", "en": "English"}
"""By code, with the name each calls itself; the first is what a new reader gets."""

ZONES: Final = {"WIB": ZoneInfo("Asia/Jakarta"), "WITA": ZoneInfo("Asia/Makassar"), "WIT": ZoneInfo("Asia/Jayapura")}
"""Waktu Indonesia Barat, Tengah, Timur: UTC+7, +8, +9, without summer time. The first is the default."""

COOKIE_SECONDS: Final = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Reader:
    """`language` is a key of LANGUAGES, `zone` of ZONES."""

    language: str = "id"
    zone: str = "WIB"


def reader_of(request: Request) -> Reader:
    """What the address says, else what the cookies say, else the defaults. Anything unknown counts as not said."""
    return Reader(_chosen(request, "lang", LANGUAGES), _chosen(request, "zone", ZONES))


def remember(request: Request, response: Response) -> None:
    """Keep a choice that the address has just made. Nothing else is kept about a reader."""
    for name, known in (("lang", LANGUAGES), ("zone", ZONES)):
        value = request.query_params.get(name)
        if value is not None and value in known:
            response.set_cookie(
                name, value, COOKIE_SECONDS, samesite="lax", httponly=True, secure=request.url.scheme == "https"
            )


def _chosen(request: Request, name: str, known: dict[str, str] | dict[str, ZoneInfo]) -> str:
    for value in (request.query_params.get(name), request.cookies.get(name)):
        if value is not None and value in known:
            return value
    return next(iter(known))
