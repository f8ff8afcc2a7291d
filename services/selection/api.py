"""HTTP of selection: officers run waves, the public looks at them, citizens see their own part in a draw."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from libs.events.access import Access, Citizen, Staff
from libs.events.api import Now, Tx, new_api
from libs.events.programme import Programme
from libs.events.refusal import Refused
from services.selection import changes, commands, store_appeals, store_ceremony, store_changes, views, web
from services.selection.api_appeals import add_appeals
from services.selection.api_ceremony import add_ceremony
from services.selection.api_proofs import add_proofs
from services.selection.commands import UNKNOWN_WAVE
from services.selection.domain.quotas import Province
from services.selection.domain.wave import REASON_CHARACTERS_MIN, SEATS_MAX, State
from services.selection.officer_forms import QuotaTable
from services.selection.page_parts import PROGRAMME_PATTERN, ProgrammeName, WaveNumber
from services.selection.pool_store import PoolStore
from services.selection.store import Store

WAVES_MAX: Final = 1_000
DRAWS_MAX: Final = 100
SEATS_PER_PAGE: Final = 1_000

ChangeId = Annotated[int, Path(ge=1, le=2**62)]
After = Annotated[int, Query(ge=0, le=SEATS_MAX)]


class _Times(BaseModel):
    model_config = ConfigDict(extra="forbid")

    opens_at: AwareDatetime | None = None
    closes_at: AwareDatetime | None = None
    draws_at: AwareDatetime | None = None

    def times(self) -> tuple[datetime | None, datetime | None, datetime | None]:
        return self.opens_at, self.closes_at, self.draws_at


class ProposeBody(_Times):
    """What is left out comes from the programme file; without a table, seats are split by population."""

    programme: Annotated[str, StringConstraints(pattern=PROGRAMME_PATTERN)]
    wave: Annotated[int, Field(ge=1, le=1_000_000)]
    seats: Annotated[int, Field(ge=0, le=SEATS_MAX)] | None = None
    quotas: QuotaTable | None = None
    recycle: bool = False


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


class TimesBody(_Times):
    """Other times for an announced wave; what is left out stays. A time that has passed means: at once."""

    reason: Reason


def create_api(
    store: Store, pools: PoolStore, programmes: Mapping[str, Programme], provinces: Sequence[Province], access: Access,
    signing_key: bytes,
) -> FastAPI:  # fmt: skip
    """The API; the runtime gives it database and clock. `signing_key`: the public one that signs commitments here."""
    api = new_api("selection", "Waves and draws that anybody can run again.")
    _add_officers(api, store, programmes, provinces, access)
    _add_changes(api, store, access)
    add_appeals(api, programmes, access)
    add_ceremony(api, store, programmes, access)
    _add_public(api, store, {place.code: place for place in provinces}, access)
    add_proofs(api, store, pools, signing_key)
    _add_citizens(api, pools, access)
    web.add_pages(api, store, programmes, provinces, access, signing_key)
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
            recycle=body.recycle, times=body.times(), decreed=body.quotas, person=maker.person, now=now,
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
        change_id = await changes.ask_times(tx, store, programme, wave, body.times(), body.reason, maker.person, now)
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


def _add_public(api: FastAPI, store: Store, provinces: Mapping[str, Province], access: Access) -> None:
    officer = access.staff("maker", "checker", "auditor")

    @api.get("/v1/waves", tags=["public"], summary="Every wave that was announced")
    async def waves(tx: Tx) -> list[dict[str, Any]]:
        return [views.listed(row) for row in await store.listed(tx, WAVES_MAX, announced=True)]

    @api.get("/v1/waves/{programme}/{wave}", tags=["public"], summary="One wave: times, quotas, commitment, result")
    async def wave(programme: ProgrammeName, wave: WaveNumber, tx: Tx, now: Now, request: Request) -> dict[str, Any]:
        view = await store.view(tx, programme, wave)
        if view is None or (view["approved_at"] is None and "authorization" not in request.headers):
            raise Refused(UNKNOWN_WAVE)
        if view["approved_at"] is None:  # a proposal is nobody's business yet but the officers'
            await officer(request)
        wave_id = view["wave_id"]
        quotas, strata = await store.quotas(tx, wave_id), await store.strata(tx, wave_id)
        sources = await store.sources_of_recycled_seats(tx, wave_id)
        told = views.wave(view, quotas, strata, sources, provinces, now)
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
        if view is None or view["approved_at"] is None:
            raise Refused(UNKNOWN_WAVE)
        rows = await store.recycled_seats(tx, view["wave_id"], after, SEATS_PER_PAGE)
        return [views.recycled_seat(row) for row in rows]


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
