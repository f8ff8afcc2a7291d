"""The public pages of selection: every wave, one wave with "was my number in?", the winners' numbers, where seats came
from, how to contest an exclusion, how to check."""

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, FastAPI, Query, Request, Response

from libs.events.access import Access
from libs.events.api import Now, Tx
from libs.events.programme import Programme
from libs.events.refusal import Refusal, Refused
from libs.pages.look import HEADERS, Look, answer
from services.selection import store_appeals, store_ceremony, store_changes, views, views_due, web_officers
from services.selection.commands import UNKNOWN_WAVE
from services.selection.domain.quotas import Province
from services.selection.domain.wave import SEATS_MAX, State
from services.selection.page_parts import (
    ProgrammeName,
    WaveNumber,
    appeal_until,
    by_province,
    ceremony_parts,
    due,
    entry_parts,
    plain,
    steps,
    title,
)
from services.selection.page_store import PageStore
from services.selection.store import Store

HERE: Final = Path(__file__).parent
WAVES_MAX: Final = 1_000
WINNERS_ON_A_PAGE: Final = 100
SEATS_ON_A_PAGE: Final = 100
BUNDLE_BYTES_PER_ENTRY: Final = 110
APPLICATION_ID: Final = re.compile(r"[0-9a-f]{32}")
FIRST_DIGITS: Final = re.compile(r"[0-9a-f]{0,32}")
NO_WINNERS_YET: Final = Refusal(
    "not-published",
    409,
    "Hasil gelombang ini belum diumumkan. Nomor yang terpilih ada di sini setelah pengumuman.",
    "The result of this wave is not published yet. The selected numbers are here once it is.",
)

Asked = Annotated[str, Query(max_length=100)]
After = Annotated[int, Query(ge=0, le=SEATS_MAX)]


def add_pages(
    api: FastAPI, store: Store, programmes: Mapping[str, Programme], provinces: Sequence[Province], access: Access,
    signing_key: bytes,
) -> None:  # fmt: skip
    """Add every page of selection to its API."""
    look = Look(HERE / "pages")
    router = look.routes()
    _add_waves(router, look, store, programmes, provinces)
    _add_winners(router, look, store, programmes)
    _add_seats(router, look, store, programmes, provinces)
    _add_appeals(router, look, store, programmes)
    _add_checking(router, look, signing_key)
    web_officers.add_officers(router, look, store, programmes, provinces, access)
    api.include_router(router)


def _add_waves(
    router: APIRouter, look: Look, store: Store, programmes: Mapping[str, Programme], provinces: Sequence[Province]
) -> None:
    pages = PageStore()
    names = {place.code: place.name for place in provinces}

    @router.get("/")
    async def waves(request: Request, tx: Tx) -> Response:
        rows = await store.listed(tx, WAVES_MAX, announced=True)
        by_programme: dict[str, list[Mapping[str, Any]]] = {}
        for row in reversed(rows):
            by_programme.setdefault(title(request, programmes, row["programme"]), []).append(row)
        return look.page(request, "waves.html", programmes=by_programme.items())

    @router.get("/gelombang/{programme}/{wave}")
    async def wave(
        request: Request, tx: Tx, now: Now, programme: ProgrammeName, wave: WaveNumber, nomor: Asked = ""
    ) -> Response:
        view = await _public(store, tx, programme, wave)
        quotas = await store.quotas(tx, view["wave_id"])
        strata = await store.strata(tx, view["wave_id"]) if view["state"] == State.PUBLISHED else []
        asked = plain(nomor)
        return look.page(
            request,
            "wave.html",
            title=title(request, programmes, programme),
            view=view,
            result_is_public=views.result_is_public(view),
            promise=json.loads(view["commitment"] or "null"),
            due=due(request, view),
            steps=steps(view),
            changes=await store_changes.changes(tx, programme, wave),
            legal=views_due.steps(view, now),
            set_aside=await store_changes.attempts(tx, programme, wave),
            provinces=by_province(quotas, strata, names),
            seats=sum(seats for seats, _ in quotas.values()),
            seats_max=max((seats for seats, _ in quotas.values()), default=1),
            recycled=sum(recycled for _, recycled in quotas.values()),
            appealed=sum(row["seats"] for row in await store_appeals.seats_of(tx, view["wave_id"])),
            ceremony=ceremony_parts(await store_ceremony.officials(tx, view["wave_id"]), view),
            **await _asked(pages, tx, view, asked),
            appeal_until=appeal_until(view, programmes.get(programme)),
            now=now,
            bundle_megabytes=max(1, (view["intake_count"] or 0) * BUNDLE_BYTES_PER_ENTRY // 1_000_000),
        )


def _add_winners(router: APIRouter, look: Look, store: Store, programmes: Mapping[str, Programme]) -> None:
    pages = PageStore()

    @router.get("/gelombang/{programme}/{wave}/terpilih")
    async def winners(
        request: Request, tx: Tx, programme: ProgrammeName, wave: WaveNumber, dari: Asked = ""
    ) -> Response:
        view = await _public(store, tx, programme, wave)
        if view["state"] != State.PUBLISHED:
            raise Refused(NO_WINNERS_YET)
        asked = plain(dari)
        right = FIRST_DIGITS.fullmatch(asked) is not None
        start = asked.ljust(32, "0") if right else "0" * 32
        found = await pages.winners(tx, view["wave_id"], start, WINNERS_ON_A_PAGE + 1)
        return look.page(
            request,
            "winners.html",
            title=title(request, programmes, programme),
            view=view,
            asked=asked,
            start_wrong=not right,
            winners=found[:WINNERS_ON_A_PAGE],
            following=found[WINNERS_ON_A_PAGE] if len(found) > WINNERS_ON_A_PAGE else None,
        )


def _add_seats(
    router: APIRouter, look: Look, store: Store, programmes: Mapping[str, Programme], provinces: Sequence[Province]
) -> None:
    names = {place.code: place.name for place in provinces}

    @router.get("/gelombang/{programme}/{wave}/kursi")
    async def seats(
        request: Request, tx: Tx, programme: ProgrammeName, wave: WaveNumber, sesudah: After = 0
    ) -> Response:
        view = await _public(store, tx, programme, wave)
        wave_id = view["wave_id"]
        rows = await store.recycled_seats(tx, wave_id, sesudah, SEATS_ON_A_PAGE + 1)
        quotas = await store.quotas(tx, wave_id)
        return look.page(
            request,
            "seats.html",
            title=title(request, programmes, programme),
            view=view,
            names=names,
            seats=sum(seats for seats, _ in quotas.values()),
            recycled=sum(recycled for _, recycled in quotas.values()),
            rows=[views.recycled_seat(row) | {"at": row["freed_at"]} for row in rows[:SEATS_ON_A_PAGE]],
            following=rows[SEATS_ON_A_PAGE - 1]["number"] if len(rows) > SEATS_ON_A_PAGE else None,
            after=sesudah,
            appealed=await store_appeals.seats_of(tx, wave_id),
        )


def _add_appeals(router: APIRouter, look: Look, store: Store, programmes: Mapping[str, Programme]) -> None:
    pages = PageStore()

    @router.get("/gelombang/{programme}/{wave}/banding")
    async def contest(
        request: Request, tx: Tx, now: Now, programme: ProgrammeName, wave: WaveNumber, nomor: Asked = ""
    ) -> Response:
        view = await _public(store, tx, programme, wave)
        rules = programmes.get(programme)
        return look.page(
            request,
            "appeal.html",
            title=title(request, programmes, programme),
            view=view,
            **await _asked(pages, tx, view, plain(nomor)),
            days=rules.draw.appeal_days if rules else 0,
            appeal_until=appeal_until(view, rules),
            now=now,
        )


async def _asked(pages: PageStore, tx: Tx, view: Mapping[str, Any], asked: str) -> dict[str, Any]:
    """What a page says about the number somebody asked for. Never why it was left out: the number may be another's."""
    right = APPLICATION_ID.fullmatch(asked) is not None
    entry = await pages.entry(tx, view["wave_id"], asked) if right and view["pool_count"] is not None else None
    return {"asked": asked, "number_wrong": bool(asked) and not right, "entry": entry_parts(entry)}


async def _public(store: Store, tx: Tx, programme: str, wave: int) -> Mapping[str, Any]:
    """A wave that was announced; a proposal is nobody's business yet."""
    view = await store.view(tx, programme, wave)
    if view is None or view["approved_at"] is None:
        raise Refused(UNKNOWN_WAVE)
    return view


def _add_checking(router: APIRouter, look: Look, signing_key: bytes) -> None:
    verifier = (HERE / "pages" / "verify.html").read_bytes()
    secret = (HERE / "pages" / "secret.html").read_bytes()
    program = (HERE / "verify_draw.py").read_bytes()

    @router.get("/periksa")
    async def how(request: Request) -> Response:
        return look.page(request, "check.html", verifier_kilobytes=-(-len(verifier) // 1000), key=signing_key.hex())

    for name, page in (("pemeriksa.html", verifier), ("rahasia.html", secret)):
        headers = HEADERS | {"content-security-policy": _policy(page)}
        router.add_api_route(f"/periksa/{name}", partial(_one_file, page, headers), methods=["GET"])

    @router.get("/periksa/verify_draw.py")
    async def source(request: Request) -> Response:
        return answer(request, program, "text/x-python", HEADERS)


async def _one_file(page: bytes, headers: dict[str, str], request: Request) -> Response:
    return answer(request, page, "text/html", headers)


def _policy(page: bytes) -> str:
    """Of a page that is one file and also works without us: only the script and the style that stand in it may run."""
    allowed = [f"{kind}-src 'sha256-{b64encode(_hash(page, kind)).decode()}'" for kind in ("script", "style")]
    return "; ".join(
        ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'none'", *allowed]
    )


def _hash(page: bytes, element: str) -> bytes:
    """Of what stands between the tags of the page's one such element."""
    inside = page.partition(f"<{element}>".encode())[2].partition(f"</{element}>".encode())[0]
    return sha256(inside).digest()
