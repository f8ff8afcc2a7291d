"""Refusals as RFC 9457 problems: what happened, why, and what to do; Indonesian first, English second.

Nothing a person typed is ever repeated, neither in the answer nor in a log.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from libs.events.database import is_transient
from libs.events.logs import get_logger
from libs.events.refusal import Refusal, Refused

TITLES: Final[Mapping[int, str]] = {
    400: "Permintaan tidak dapat dibaca",
    401: "Anda belum masuk",
    403: "Tidak berwenang",
    404: "Tidak ditemukan",
    409: "Tidak dapat dilakukan sekarang",
    413: "Terlalu besar",
    422: "Ada isian yang perlu diperbaiki",
    429: "Terlalu sering",
    500: "Ada gangguan di sistem kami",
    503: "Belum dapat dilayani sekarang",
}

# What to do about each kind of error that pydantic finds, where the service has not said it better.
REMEDIES: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("Isian ini wajib diisi.", "This field is required; fill it in."),
    "string_too_short": (
        "Isian ini terlalu pendek; lengkapi.",
        "This is too short; complete it.",
    ),
    "string_too_long": (
        "Isian ini terlalu panjang; persingkat.",
        "This is too long; shorten it.",
    ),
    "string_pattern_mismatch": (
        "Bentuk isian ini salah; periksa contohnya.",
        "This has the wrong form; look at the example.",
    ),
    "too_long": (
        "Terlalu banyak baris; kirim sebagian dahulu.",
        "Too many items; send fewer at a time.",
    ),
    "too_short": (
        "Daftar ini kosong; isi setidaknya satu.",
        "The list is too short; give at least one item.",
    ),
    "json_invalid": (
        "Badan permintaan bukan JSON yang sah.",
        "The body is not valid JSON.",
    ),
    "extra_forbidden": (
        "Isian ini tidak dikenal; hapus.",
        "This field is unknown; remove it.",
    ),
    "literal_error": (
        "Pilih salah satu nilai yang tersedia.",
        "Choose one of the values offered.",
    ),
    "enum": (
        "Pilih salah satu nilai yang tersedia.",
        "Choose one of the values offered.",
    ),
    "date_from_datetime_parsing": (
        "Tulis tanggal sebagai TTTT-BB-HH.",
        "Write the date as YYYY-MM-DD.",
    ),
    "date_parsing": (
        "Tulis tanggal sebagai TTTT-BB-HH.",
        "Write the date as YYYY-MM-DD.",
    ),
    "int_parsing": ("Isi dengan bilangan bulat.", "Give a whole number."),
    "bool_parsing": ("Jawab ya atau tidak (true/false).", "Answer true or false."),
}
OTHERWISE: Final = (
    "Isian ini salah; periksa dan kirim lagi.",
    "This is not right; check it and send it again.",
)

BROKEN: Final = Refusal(
    "broken",
    500,
    "Ada gangguan di sistem kami dan permintaan ini tidak disimpan. Coba lagi; kami sudah mencatat gangguannya.",
    "Something broke on our side and this request was not saved. Try again; we have recorded the fault.",
)
AWAY: Final = Refusal(
    "store-unavailable",
    503,
    "Kami tidak dapat memastikan permintaan Anda tersimpan. Ulangi permintaan yang sama sebentar lagi.",
    "We can not tell whether your request was saved. Repeat the same request in a moment.",
)

log = get_logger()


def problem(refusals: Sequence[Refusal], retry_after_seconds: int | None = None) -> Response:
    """The answer for one or more refusals; the first one decides the status."""
    first = refusals[0]
    body = {
        "type": f"urn:gelombang:problem:{first.code}",
        "title": TITLES.get(first.status, TITLES[400]),
        "status": first.status,
        "detail": first.id,
        "detail_en": first.en,
        "errors": [{"code": r.code, "field": r.field, "id": r.id, "en": r.en} for r in refusals],
    }
    headers = {"Retry-After": str(retry_after_seconds or 2)} if first.status in (429, 503) else {}
    if first.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    content = json.dumps(body, ensure_ascii=False).encode()
    return Response(content, first.status, headers, "application/problem+json")


def refusals_of(errors: Sequence[Mapping[str, Any]]) -> list[Refusal]:
    """pydantic's errors as refusals, one for each wrong field; what was typed is left out."""
    found = []
    for error in errors:
        spoken = error.get("ctx", {})
        indonesian, english = REMEDIES.get(error["type"], OTHERWISE)
        if "id" in spoken:  # the service's own validators carry both sentences
            indonesian, english = str(spoken["id"]), str(error["msg"])
        where = [str(part) for part in error["loc"] if part not in ("body", "query", "path", "header")]
        if error["type"] == "extra_forbidden":
            where.pop()  # its name was typed, too
        found.append(Refusal(str(error["type"]), 422, indonesian, english, ".".join(where) or None))
    return found


def of_failure(error: Exception) -> Response:
    """The answer to a request that failed for a reason of ours; the log gets the reason, without what was typed."""
    if is_transient(error):
        log.warning("the store did not answer a request", exc_info=error)
        return problem([AWAY])
    log.error("a request failed", exc_info=error)
    return problem([BROKEN])


def install(api: FastAPI) -> None:
    """Make every refusal of this API a problem a person can act on; `Edge` answers for what fails."""

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return problem(error.refusals, error.retry_after_seconds)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem(refusals_of(error.errors()))

    async def http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        sentence = TITLES.get(error.status_code, TITLES[400])
        return problem(
            [
                Refusal(
                    "http",
                    error.status_code,
                    f"{sentence}. Periksa alamatnya.",
                    "Check the address and the method.",
                )
            ]
        )

    api.add_exception_handler(Refused, refused)
    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(HTTPException, http)
