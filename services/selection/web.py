"""The public pages of selection: every wave, one wave with "was my number in?", the winners' numbers, how to check."""

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, FastAPI, Query, Request, Response

from libs.events.access import Access
from libs.events.api import Tx
from libs.events.programme import Programme
from libs.events.refusal import Refusal, Refused
from libs.pages.look import HEADERS, Look, answer
from services.selection import store_changes, web_officers
from services.selection.commands import UNKNOWN_WAVE
from services.selection.domain.quotas import Province
from services.selection.domain.wave import State
from services.selection.page_parts import ProgrammeName, WaveNumber, by_province, due, entry_parts, plain, steps, title
from services.selection.page_store import PageStore
from services.selection.store import Store

HERE: Final = Path(__file__).parent
WAVES_MAX: Final = 1_000
WINNERS_ON_A_PAGE: Final = 100
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


def add_pages(
    api: FastAPI, store: Store, programmes: Mapping[str, Programme], provinces: Sequence[Province], access: Access
) -> None:
    """Add every page of selection to its API."""
    look = Look(HERE / "pages")
    router = look.routes()
    _add_waves(router, look, store, programmes, provinces)
    _add_winners(router, look, store, programmes)
    _add_checking(router, look)
    web_officers.add_officers(router, look, store, programmes, provinces, access)
    api.include_router(router)


def _add_waves(
    router: APIRouter, look: Look, store: Store, programmes: Mapping[str, Programme], provinces: Sequence[Province]
) -> None:
    pages = PageStore()
    names = {place.code: place.name for place in provinces}

    @router.get("/")
    async def waves(request: Request, tx: Tx) -> Response:
        rows = [row for row in await store.listed(tx, WAVES_MAX) if row["state"] != State.PROPOSED]
        by_programme: dict[str, list[Mapping[str, Any]]] = {}
        for row in reversed(rows):
            by_programme.setdefault(title(request, programmes, row["programme"]), []).append(row)
        return look.page(request, "waves.html", programmes=by_programme.items())

    @router.get("/gelombang/{programme}/{wave}")
    async def wave(request: Request, tx: Tx, programme: ProgrammeName, wave: WaveNumber, nomor: Asked = "") -> Response:
        view = await _public(store, tx, programme, wave)
        quotas = await store.quotas(tx, view["wave_id"])
        published = view["state"] == State.PUBLISHED
        strata = await store.strata(tx, view["wave_id"]) if published else []
        asked = plain(nomor)
        known = APPLICATION_ID.fullmatch(asked) and view["pool_count"] is not None
        entry = await pages.entry(tx, view["wave_id"], asked) if known else None
        return look.page(
            request,
            "wave.html",
            title=title(request, programmes, programme),
            view=view,
            promise=json.loads(view["commitment"] or "null"),
            due=due(request, view),
            steps=steps(view),
            changes=await store_changes.changes(tx, programme, wave),
            set_aside=await store_changes.attempts(tx, programme, wave),
            provinces=by_province(quotas, strata, names),
            seats=sum(seats for seats, _ in quotas.values()),
            seats_max=max((seats for seats, _ in quotas.values()), default=1),
            recycled=sum(recycled for _, recycled in quotas.values()),
            asked=asked,
            number_wrong=bool(asked) and not APPLICATION_ID.fullmatch(asked),
            entry=entry_parts(entry),
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


async def _public(store: Store, tx: Tx, programme: str, wave: int) -> Mapping[str, Any]:
    """A wave that was announced; a proposal is nobody's business yet."""
    view = await store.view(tx, programme, wave)
    if view is None or view["approved_at"] is None:
        raise Refused(UNKNOWN_WAVE)
    return view


def _add_checking(router: APIRouter, look: Look) -> None:
    verifier = (HERE / "pages" / "verify.html").read_bytes()
    program = (HERE / "verify_draw.py").read_bytes()
    # The verifier is one file that also works without us, so its script and style stand in it; only these two may run.
    policy = "; ".join(
        ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'none'"]
        + [
            f"{kind}-src 'sha256-{b64encode(sha256(_inside(verifier, kind)).digest()).decode()}'"
            for kind in ("script", "style")
        ]
    )

    @router.get("/periksa")
    async def how(request: Request) -> Response:
        return look.page(request, "check.html", verifier_kilobytes=-(-len(verifier) // 1000))

    @router.get("/periksa/pemeriksa.html")
    async def page(request: Request) -> Response:
        return answer(request, verifier, "text/html", HEADERS | {"content-security-policy": policy})

    @router.get("/periksa/verify_draw.py")
    async def source(request: Request) -> Response:
        return answer(request, program, "text/x-python", HEADERS)


def _inside(page: bytes, element: str) -> bytes:
    """What stands between the tags of the page's one such element."""
    return page.partition(f"<{element}>".encode())[2].partition(f"</{element}>".encode())[0]
