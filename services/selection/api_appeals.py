"""HTTP of appeals: citizens contest an exclusion and follow it, officers examine and decide."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, FastAPI, Path
from pydantic import BaseModel, ConfigDict, StringConstraints

from libs.events.access import Access, Citizen, Staff
from libs.events.api import Now, Tx
from libs.events.programme import Programme
from services.selection import appeals, store_appeals

APPEALS_MAX: Final = 1_000

AppealId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]


class LodgeBody(BaseModel):
    """Codes and no free text: papers are shown at an office, under the appeal's number."""

    model_config = ConfigDict(extra="forbid")

    application_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    ground: Literal["record-wrong", "not-me", "circumstances-changed"]


class FindingBody(BaseModel):
    """`record-wrong` upholds the appeal, the others dismiss it. A checker repeats the finding that they agree to."""

    model_config = ConfigDict(extra="forbid")

    finding: Literal["record-wrong", "record-right", "no-evidence"]


def add_appeals(api: FastAPI, programmes: Mapping[str, Programme], access: Access) -> None:
    """The routes of citizens and of officers."""
    citizen_only = Annotated[Citizen, Depends(access.citizen)]
    staff = Annotated[Staff, Depends(access.staff("maker", "checker", "auditor"))]
    maker_only = Annotated[Staff, Depends(access.staff("maker"))]
    checker_only = Annotated[Staff, Depends(access.staff("checker"))]

    @api.post("/v1/me/appeals", status_code=201, tags=["citizens"], summary="Contest why I was not in a draw")
    async def lodge(body: LodgeBody, tx: Tx, now: Now, citizen: citizen_only) -> dict[str, Any]:
        event = await appeals.lodge(tx, programmes, citizen.citizen_id, body.application_id, body.ground, now)
        return {"appeal_id": event.appeal_id, "contested": event.contested, "reason": event.reason}

    @api.get("/v1/me/appeals", tags=["citizens"], summary="My appeals: state, finding, the wave that gives the seat")
    async def mine(tx: Tx, citizen: citizen_only) -> list[dict[str, Any]]:
        return [_shown(row) for row in await store_appeals.of_citizen(tx, citizen.citizen_id, APPEALS_MAX)]

    @api.get("/v1/appeals", tags=["officers"], summary="Appeals that wait, the oldest first")
    async def waiting(tx: Tx, person: staff) -> list[dict[str, Any]]:
        return [_shown(row) for row in await store_appeals.waiting(tx, APPEALS_MAX)]

    @api.post("/v1/appeals/{appeal_id}/finding", status_code=202, tags=["officers"], summary="Say what was found")
    async def examine(appeal_id: AppealId, body: FindingBody, tx: Tx, now: Now, maker: maker_only) -> dict[str, Any]:
        return {"state": await appeals.examine(tx, programmes, appeal_id, body.finding, maker.person, now)}

    @api.post("/v1/appeals/{appeal_id}/finding/approval", tags=["officers"], summary="Agree to a finding: it decides")
    async def decide(appeal_id: AppealId, body: FindingBody, tx: Tx, now: Now, checker: checker_only) -> dict[str, Any]:
        return {"state": await appeals.decide(tx, programmes, appeal_id, body.finding, checker.person, now)}


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """An appeal, without a word about who it is of."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
