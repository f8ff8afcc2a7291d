"""HTTP of the ceremony: officials hand in what they commit to, and reveal it in time."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from pydantic import BaseModel, ConfigDict, StringConstraints

from libs.events.access import Access, Staff
from libs.events.api import Now, Tx
from libs.events.programme import OfficeName, Programme
from services.selection import ceremony
from services.selection.page_parts import ProgrammeName, WaveNumber
from services.selection.store import Store

Bytes32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class HandInBody(BaseModel):
    """The name of an office of the programme; its title is published, the person is not. docs/draw.md, section 6."""

    model_config = ConfigDict(extra="forbid")

    office: OfficeName
    secret_commitment: Bytes32


class RevealBody(BaseModel):
    """Published at once."""

    model_config = ConfigDict(extra="forbid")

    secret: Bytes32


def add_ceremony(api: FastAPI, store: Store, programmes: Mapping[str, Programme], access: Access) -> None:
    """The routes of officials, who have the role `office:NAME` for an office of the programme."""
    official = Annotated[Staff, Depends(access.staff("maker", "checker", "auditor", "official"))]

    @api.post(
        "/v1/waves/{programme}/{wave}/ceremony",
        status_code=201,
        tags=["officers"],
        summary="Commit to a secret before the intake closes",
    )
    async def hand_in(
        programme: ProgrammeName, wave: WaveNumber, body: HandInBody, tx: Tx, now: Now, person: official
    ) -> dict[str, Any]:
        official = await ceremony.hand_in(
            tx, store, programmes, programme, wave, office=body.office,
            secret_commitment=bytes.fromhex(body.secret_commitment), staff=person, now=now,
        )  # fmt: skip
        return {"office": official.office}

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
