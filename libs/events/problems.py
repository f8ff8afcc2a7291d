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

_DATE: Final = ("Tulis tanggal sebagai TTTT-BB-HH.", "Write the date as YYYY-MM-DD.")
_MOMENT: Final = (
    "Tulis waktu lengkap dengan zonanya, misalnya 2020-05-04T09:00:00+07:00.",
    "Write the time with its zone, for example 2020-05-04T09:00:00+07:00.",
)
_WHOLE: Final = ("Isi dengan bilangan bulat.", "Give a whole number.")
_NUMBER: Final = ("Isi dengan bilangan.", "Give a number.")
_TRUTH: Final = ("Jawab ya atau tidak (true/false).", "Answer true or false.")
_TEXT: Final = ("Isi dengan teks.", "Give a text.")
_LIST: Final = ("Isi dengan daftar.", "Give a list.")
_OBJECT: Final = ("Isi dengan objek JSON.", "Give a JSON object.")
_CHOICE: Final = ("Pilih salah satu nilai yang tersedia.", "Choose one of the values offered.")

# What to do about each kind of error that pydantic finds, where the service has not said it better. `{bound}` is the
# limit that the service sets, never what was typed.
REMEDIES: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("Isian ini wajib diisi.", "This field is required; fill it in."),
    "string_too_short": (
        "Isian ini terlalu pendek; isi setidaknya {bound} huruf.",
        "This is too short; its length must be at least {bound}.",
    ),
    "string_too_long": (
        "Isian ini terlalu panjang; isi paling banyak {bound} huruf.",
        "This is too long; its length must be at most {bound}.",
    ),
    "string_pattern_mismatch": (
        "Bentuk isian ini salah; periksa setiap tandanya.",
        "This has the wrong form; check every character.",
    ),
    "string_unicode": (
        "Isian ini memuat tanda yang bukan teks. Ketik ulang.",
        "This holds a character that is not text. Type it again.",
    ),
    "too_long": (
        "Terlalu banyak baris; kirim paling banyak {bound} sekaligus.",
        "Too many items; send at most {bound} at a time.",
    ),
    "too_short": (
        "Daftar ini terlalu pendek; isi setidaknya {bound}.",
        "The list is too short; give at least {bound}.",
    ),
    "greater_than": (
        "Isian ini di luar batas; harus di atas {bound}.",
        "This is out of bounds; it must be above {bound}.",
    ),
    "greater_than_equal": (
        "Isian ini di luar batas; harus setidaknya {bound}.",
        "This is out of bounds; it must be at least {bound}.",
    ),
    "less_than": (
        "Isian ini di luar batas; harus di bawah {bound}.",
        "This is out of bounds; it must be below {bound}.",
    ),
    "less_than_equal": (
        "Isian ini di luar batas; paling besar {bound}.",
        "This is out of bounds; it must be at most {bound}.",
    ),
    "json_invalid": (
        "Badan permintaan bukan JSON yang sah.",
        "The body is not valid JSON.",
    ),
    "extra_forbidden": (
        "Ada isian yang tidak dikenal; periksa ejaan namanya, atau hapus.",
        "There is a field that is not known; check the spelling of its name, or remove it.",
    ),
    "int_parsing_size": (
        "Bilangan ini terlalu besar; isi yang lebih kecil.",
        "This number is too large; give a smaller one.",
    ),
    **dict.fromkeys(("literal_error", "enum"), _CHOICE),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"), _DATE),
    **dict.fromkeys(
        (
            "timezone_aware",
            "datetime_type",
            "datetime_parsing",
            "datetime_from_date_parsing",
            "datetime_object_invalid",
        ),
        _MOMENT,
    ),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), _TRUTH),
    "string_type": _TEXT,
    "list_type": _LIST,
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), _OBJECT),
}
_BOUNDS: Final = ("min_length", "max_length", "gt", "ge", "lt", "le")
# The last part of their place says what was typed, or where in the text: neither is a field.
_PLACE_TYPED: Final = ("extra_forbidden", "json_invalid")
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


SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "RFC 9457, with every refusal in both languages. `field` is null where no single field is wrong.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "detail_en", "errors"],
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "detail", "detail_en")},
        "status": {"type": "integer"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "field", "id", "en"],
                "properties": {
                    **{name: {"type": "string"} for name in ("code", "id", "en")},
                    "field": {"type": ["string", "null"]},
                },
            },
        },
    },
}
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    "default": {
        "description": "Refused: 401 who are you, 403 not allowed, 404 not there, 409 not now, 422 not well-formed, "
        "503 try again",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
"""What every route can answer, besides what it says of itself."""


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
        bound = next((spoken[name] for name in _BOUNDS if name in spoken), "")
        indonesian, english = (said.format(bound=bound) for said in REMEDIES.get(error["type"], OTHERWISE))
        if "id" in spoken:  # the service's own validators carry both sentences
            indonesian, english = str(spoken["id"]), str(error["msg"])
        where = [str(part) for part in error["loc"] if part not in ("body", "query", "path", "header")]
        if error["type"] in _PLACE_TYPED:
            where = where[:-1]
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
