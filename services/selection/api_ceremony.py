"""HTTP of the ceremony: officials hand in what they commit to, and reveal it in time."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path
from pydantic import BaseModel, ConfigDict, StringConstraints

from libs.events.access import Access, Staff
from libs.events.api import Now, Tx
from services.selection import ceremony
from services.selection.domain.ceremony import Official
from services.selection.store import Store

ProgrammeName = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,40}$")]
WaveNumber = Annotated[int, Path(ge=1, le=1_000_000)]
OfficeName = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[ !#-\[\]-~]{1,80}$")]
"""ASCII without `"` and `\\`, as the commitment takes it; spaces around it are nobody's intention."""
Bytes32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class HandInBody(BaseModel):
    """The office is published, the person is not. How the commitment is made: docs/draw.md, section 6."""

    model_config = ConfigDict(extra="forbid")

    office: OfficeName
    secret_commitment: Bytes32


class RevealBody(BaseModel):
    """Published at once."""

    model_config = ConfigDict(extra="forbid")

    secret: Bytes32


def add_ceremony(api: FastAPI, store: Store, access: Access) -> None:
    """The routes of officials: whoever of the staff takes part."""
    official = Annotated[Staff, Depends(access.staff("maker", "checker", "auditor"))]

    @api.post(
        "/v1/waves/{programme}/{wave}/ceremony",
        status_code=201,
        tags=["officers"],
        summary="Commit to a secret before the intake closes",
    )
    async def hand_in(
        programme: ProgrammeName, wave: WaveNumber, body: HandInBody, tx: Tx, now: Now, person: official
    ) -> dict[str, Any]:
        told = Official(body.office, bytes.fromhex(body.secret_commitment))
        await ceremony.hand_in(tx, store, programme, wave, told, person.person, now)
        return {"office": told.office}

    @api.post(
        "/v1/waves/{programme}/{wave}/ceremony/reveal",
        tags=["officers"],
        summary="Reveal one's secret, for everybody to see",
    )
    async def reveal(
        programme: ProgrammeName, wave: WaveNumber, body: RevealBody, tx: Tx, now: Now, person: official
    ) -> dict[str, Any]:
        await ceremony.reveal(tx, store, programme, wave, bytes.fromhex(body.secret), person.person, now)
        return {"revealed": True}
