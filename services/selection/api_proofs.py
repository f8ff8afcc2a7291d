"""HTTP of what people keep of a draw: the key, the commitment, and the bundle that runs it again."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from libs.events.api import Tx
from libs.events.refusal import Refusal, Refused
from services.selection import bundle, views
from services.selection.commands import UNKNOWN_WAVE
from services.selection.domain.wave import State
from services.selection.page_parts import ProgrammeName, WaveNumber
from services.selection.pool_store import PoolStore
from services.selection.store import Store

Attempt = Annotated[int | None, Query(ge=1, le=1_000)]
FOREVER: Final = "public, max-age=31536000, immutable"
"""A bundle is public when its draw is over, and then never changes: whatever stands before us may keep it."""

NOT_PUBLISHED: Final = Refusal(
    "not-published",
    409,
    "Gelombang ini belum diumumkan hasilnya; berkas undian tersedia setelah pengumuman.",
    "This wave is not published yet; the bundle is there once it is.",
)
NEVER_DRAWN: Final = Refusal(
    "never-drawn",
    409,
    "Undian ini dibatalkan sebelum dijalankan, jadi tidak ada hasil dan berkasnya. Janjinya, bila sudah dibuat, tetap "
    "dapat diunduh.",
    "This draw was given up before it ran, so it has no result and no bundle. Its commitment, if it was made, can "
    "still be had.",
)
NOT_COMMITTED: Final = Refusal(
    "not-committed",
    409,
    "Daftar peserta gelombang ini belum dikunci, jadi belum ada janji yang ditandatangani.",
    "The pool of this wave is not frozen yet, so no commitment was signed.",
)


def add_proofs(api: FastAPI, store: Store, pools: PoolStore, signing_key: bytes) -> None:
    """What people keep, to check a draw with it later."""

    @api.get("/v1/signing-key", tags=["public"], summary="The key that signs commitments here")
    async def key() -> dict[str, str]:
        return {"algorithm": "Ed25519", "signing_key": signing_key.hex()}

    @api.get(
        "/v1/waves/{programme}/{wave}/commitment",
        tags=["public"],
        summary="The signed commitment as one text, to be kept before the draw",
    )
    async def commitment(
        programme: ProgrammeName, wave: WaveNumber, tx: Tx, answer: Response, attempt: Attempt = None
    ) -> dict[str, str]:
        view = await store.view(tx, programme, wave, attempt)
        if view is None or view["approved_at"] is None:
            raise Refused(UNKNOWN_WAVE)
        if view["commitment"] is None:
            raise Refused(NOT_COMMITTED)
        answer.headers["content-disposition"] = _kept_as(view, attempt, "commitment.json")
        return bundle.promise(view)

    @api.get(
        "/v1/waves/{programme}/{wave}/bundle",
        tags=["public"],
        summary="Everything needed to run the draw again (JSON Lines)",
        response_class=StreamingResponse,
    )
    async def public_bundle(
        programme: ProgrammeName, wave: WaveNumber, tx: Tx, request: Request, attempt: Attempt = None,
        if_none_match: Annotated[str, Header(max_length=1_000)] = "",
    ) -> Response:  # fmt: skip
        view = await store.view(tx, programme, wave, attempt)
        if view is None or view["approved_at"] is None:
            raise Refused(UNKNOWN_WAVE)
        # A draw that was set aside or voided can be run again too: what was given up is not hidden.
        if not views.result_is_public(view):
            raise Refused(NEVER_DRAWN if view["state"] == State.VOIDED else NOT_PUBLISHED)
        mark = f'"{sha256(bundle.lines([bundle.header(view)])).hexdigest()}"'
        headers = {"cache-control": FOREVER, "etag": mark}
        if mark in if_none_match:
            return Response(status_code=304, headers=headers)
        return StreamingResponse(
            bundle.write(request.app.state.database, pools, view),
            media_type="application/jsonl",
            headers=headers | {"content-disposition": _kept_as(view, attempt, "draw.jsonl")},
        )


def _kept_as(view: Mapping[str, Any], asked: int | None, ending: str) -> str:
    """The name of a file that people keep; those of two attempts are never the same."""
    attempt = f"-attempt-{view['attempt']}" if asked or view["attempt"] > 1 else ""
    return f'attachment; filename="{view["programme"]}-{view["wave"]}{attempt}.{ending}"'
