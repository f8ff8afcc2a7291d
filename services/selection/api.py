"""HTTP of selection: officers run waves, the public looks at them, citizens see their own part in a draw."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from libs.events.access import Access, Citizen, Staff
from libs.events.api import Now, Tx, new_api
from libs.events.programme import Programme
from libs.events.refusal import Refusal, Refused
from services.selection import bundle, changes, commands, store_appeals, store_ceremony, store_changes, views, web
from services.selection.api_appeals import add_appeals
from services.selection.api_ceremony import add_ceremony
from services.selection.commands import UNKNOWN_WAVE
from services.selection.domain.quotas import Province
from services.selection.domain.wave import REASON_CHARACTERS_MIN, SEATS_MAX, State
from services.selection.pool_store import PoolStore
from services.selection.store import Store

WAVES_MAX: Final = 1_000
DRAWS_MAX: Final = 100
SEATS_PER_PAGE: Final = 1_000

PROGRAMME_PATTERN: Final = r"^[a-z0-9-]{1,40}$"
ProgrammeName = Annotated[str, Path(pattern=PROGRAMME_PATTERN)]
WaveNumber = Annotated[int, Path(ge=1, le=1_000_000)]
ChangeId = Annotated[int, Path(ge=1, le=2**62)]
After = Annotated[int, Query(ge=0, le=SEATS_MAX)]
Attempt = Annotated[int | None, Query(ge=1, le=1_000)]

NOT_PUBLISHED: Final = Refusal(
    "not-published",
    409,
    "Gelombang ini belum diumumkan hasilnya; berkas undian tersedia setelah pengumuman.",
    "This wave is not published yet; the bundle is there once it is.",
)


class ProposeBody(BaseModel):
    """What is left out comes from the programme file."""

    model_config = ConfigDict(extra="forbid")

    programme: Annotated[str, StringConstraints(pattern=PROGRAMME_PATTERN)]
    wave: Annotated[int, Field(ge=1, le=1_000_000)]
    seats: Annotated[int, Field(ge=0, le=SEATS_MAX)] | None = None
    recycle: bool = False
    opens_at: AwareDatetime | None = None
    closes_at: AwareDatetime | None = None
    draws_at: AwareDatetime | None = None

    def times(self) -> tuple[datetime | None, ...]:
        return self.opens_at, self.closes_at, self.draws_at


Reason = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=REASON_CHARACTERS_MIN, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
]
"""Published as it stands: one line of printable text."""


class VoidBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Reason


class ApprovalBody(BaseModel):
    """The `mark` of the wave as the checker has read it: what replaced that meanwhile is not approved by mistake."""

    model_config = ConfigDict(extra="forbid")

    mark: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class TimesBody(BaseModel):
    """Other times for an announced wave; what is left out stays. A time that has passed means: at once."""

    model_config = ConfigDict(extra="forbid")

    opens_at: AwareDatetime | None = None
    closes_at: AwareDatetime | None = None
    draws_at: AwareDatetime | None = None
    reason: Reason


def create_api(
    store: Store, pools: PoolStore, programmes: Mapping[str, Programme], provinces: Sequence[Province], access: Access
) -> FastAPI:
    """The API; the runtime gives it database and clock."""
    api = new_api("selection", "Waves and draws that anybody can run again.")
    _add_officers(api, store, programmes, provinces, access)
    _add_changes(api, store, access)
    add_appeals(api, programmes, access)
    add_ceremony(api, store, access)
    _add_public(api, store, pools, {place.code: place for place in provinces})
    _add_citizens(api, pools, access)
    web.add_pages(api, store, programmes, provinces, access)
    return api


def _add_officers(
    api: FastAPI, store: Store, programmes: Mapping[str, Programme], provinces: Sequence[Province], access: Access
) -> None:
    maker_only = Annotated[Staff, Depends(access.staff("maker"))]
    checker_only = Annotated[Staff, Depends(access.staff("checker"))]

    @api.post("/v1/waves", status_code=201, tags=["officers"], summary="Propose a wave, or replace a proposal")
    async def propose(body: ProposeBody, tx: Tx, now: Now, maker: maker_only) -> dict[str, Any]:
        split = await commands.propose(
            tx, store, programmes, provinces, programme=body.programme, number=body.wave, seats=body.seats,
            recycle=body.recycle, times=body.times(), person=maker.person, now=now,
        )  # fmt: skip
        quotas = [{"province": place, "tier": tier, "seats": seats} for (place, tier), seats in split.items()]
        return {
            "programme": body.programme,
            "wave": body.wave,
            "state": State.PROPOSED,
            "seats": sum(split.values()),
            "quotas": quotas,
        }

    @api.post("/v1/waves/{programme}/{wave}/approval", tags=["officers"], summary="Announce a proposed wave")
    async def approve(
        programme: ProgrammeName, wave: WaveNumber, body: ApprovalBody, tx: Tx, now: Now, checker: checker_only
    ) -> dict[str, Any]:
        return {"state": await commands.approve(tx, store, programme, wave, body.mark, checker.person, now)}

    @api.post("/v1/waves/{programme}/{wave}/void", status_code=202, tags=["officers"], summary="Ask to void a wave")
    async def ask_void(
        programme: ProgrammeName, wave: WaveNumber, body: VoidBody, tx: Tx, now: Now, maker: maker_only
    ) -> dict[str, Any]:
        state = await commands.ask_void(tx, store, programme, wave, body.reason, maker.person, now)
        return {"state": state, "void": "asked"}

    @api.post("/v1/waves/{programme}/{wave}/void/approval", tags=["officers"], summary="Void a wave, in public")
    async def approve_void(
        programme: ProgrammeName, wave: WaveNumber, body: ApprovalBody, tx: Tx, now: Now, checker: checker_only
    ) -> dict[str, Any]:
        return {"state": await commands.approve_void(tx, store, programme, wave, body.mark, checker.person, now)}


def _add_changes(api: FastAPI, store: Store, access: Access) -> None:
    maker_only = Annotated[Staff, Depends(access.staff("maker"))]
    checker_only = Annotated[Staff, Depends(access.staff("checker"))]

    @api.post(
        "/v1/waves/{programme}/{wave}/times",
        status_code=202,
        tags=["officers"],
        summary="Ask to open early, to close early or late, or to draw at another time",
    )
    async def ask_times(
        programme: ProgrammeName, wave: WaveNumber, body: TimesBody, tx: Tx, now: Now, maker: maker_only
    ) -> dict[str, Any]:
        times = body.opens_at, body.closes_at, body.draws_at
        change_id = await changes.ask_times(tx, store, programme, wave, times, body.reason, maker.person, now)
        return {"change_id": change_id}

    @api.post(
        "/v1/waves/{programme}/{wave}/redraw", status_code=202, tags=["officers"], summary="Ask to draw a wave anew"
    )
    async def ask_redraw(
        programme: ProgrammeName, wave: WaveNumber, body: VoidBody, tx: Tx, now: Now, maker: maker_only
    ) -> dict[str, Any]:
        return {"change_id": await changes.ask_redraw(tx, store, programme, wave, body.reason, maker.person, now)}

    @api.post(
        "/v1/waves/{programme}/{wave}/changes/{change_id}/approval",
        tags=["officers"],
        summary="Approve other times or another draw, in public",
    )
    async def approve_change(
        programme: ProgrammeName, wave: WaveNumber, change_id: ChangeId, tx: Tx, now: Now, checker: checker_only
    ) -> dict[str, Any]:
        return await changes.approve_change(tx, store, programme, wave, change_id, checker.person, now)


def _add_public(api: FastAPI, store: Store, pools: PoolStore, provinces: Mapping[str, Province]) -> None:
    @api.get("/v1/waves", tags=["public"], summary="Every wave")
    async def waves(tx: Tx) -> list[dict[str, Any]]:
        return [views.listed(row) for row in await store.listed(tx, WAVES_MAX)]

    @api.get("/v1/waves/{programme}/{wave}", tags=["public"], summary="One wave: times, quotas, commitment, result")
    async def wave(programme: ProgrammeName, wave: WaveNumber, tx: Tx) -> dict[str, Any]:
        view = await store.view(tx, programme, wave)
        if view is None:
            raise Refused(UNKNOWN_WAVE)
        wave_id = view["wave_id"]
        quotas, strata = await store.quotas(tx, wave_id), await store.strata(tx, wave_id)
        told = views.wave(view, quotas, strata, await store.sources_of_recycled_seats(tx, wave_id), provinces)
        return told | {
            "changes": views.changes(await store_changes.changes(tx, programme, wave)),
            "set_aside": views.set_aside(await store_changes.attempts(tx, programme, wave)),
            "ceremony": views.ceremony(await store_ceremony.officials(tx, wave_id), view),
            "appeal_seats": [dict(row) for row in await store_appeals.seats_of(tx, wave_id)],
        }

    @api.get(
        "/v1/waves/{programme}/{wave}/recycled-seats",
        tags=["public"],
        summary="The recycled seats of a wave one by one: where each came from",
    )
    async def recycled_seats(
        programme: ProgrammeName, wave: WaveNumber, tx: Tx, after: After = 0
    ) -> list[dict[str, Any]]:
        view = await store.view(tx, programme, wave)
        if view is None:
            raise Refused(UNKNOWN_WAVE)
        rows = await store.recycled_seats(tx, view["wave_id"], after, SEATS_PER_PAGE)
        return [views.recycled_seat(row, programme) for row in rows]

    @api.get(
        "/v1/waves/{programme}/{wave}/bundle",
        tags=["public"],
        summary="Everything needed to run the draw again (JSON Lines)",
        response_class=StreamingResponse,
    )
    async def public_bundle(
        programme: ProgrammeName, wave: WaveNumber, tx: Tx, request: Request, attempt: Attempt = None
    ) -> StreamingResponse:
        now, view = await store.view(tx, programme, wave), await store.view(tx, programme, wave, attempt)
        if now is None or view is None:
            raise Refused(UNKNOWN_WAVE)
        # A draw that was set aside can be run again too, once the one that counts is out.
        if now["state"] != State.PUBLISHED or view["drawn_at"] is None:
            raise Refused(NOT_PUBLISHED)
        return StreamingResponse(
            bundle.write(request.app.state.database, pools, view),
            media_type="application/jsonl",
            headers={"content-disposition": f'attachment; filename="{programme}-{wave}.draw.jsonl"'},
        )


def _add_citizens(api: FastAPI, pools: PoolStore, access: Access) -> None:
    caller = Annotated[Citizen, Depends(access.citizen)]

    @api.get("/v1/me/draws", tags=["citizens"], summary="My applications: proof, ticket, rank and cut-off")
    async def my_draws(tx: Tx, citizen: caller) -> list[dict[str, Any]]:
        found = []
        for row in await pools.draws_of(tx, citizen.citizen_id, DRAWS_MAX):
            in_pool = row["leaf"] is not None
            proof = await pools.proof(tx, row["wave_id"], row["leaf"], row["pool_count"]) if in_pool else None
            found.append(views.citizen_draw(row, proof))
        return found
