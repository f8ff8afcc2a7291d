"""What makers and checkers read before they decide: grants, the close of a year, and the payouts of a batch."""

from typing import Annotated, Final

from fastapi import Depends, FastAPI, Query

from libs.events.access import Access, Staff
from libs.events.api import Tx
from libs.events.contracts import Id
from libs.events.refusal import Refused
from services.disbursement.domain.batches import NO_SUCH_BATCH
from services.disbursement.domain.books import NO_YEAR_END
from services.disbursement.shapes import BatchLineShown, GrantRead, ProgrammeName, YearEndShown
from services.disbursement.store import Store

LINES_PER_PAGE: Final = 1_000
GRANTS_MAX: Final = 500
Key = Annotated[str, Query(pattern=r"^([0-9a-f]{32}[0-9]{3})?$")]


def add_reading(api: FastAPI, store: Store, access: Access) -> None:
    """Nothing here changes anything, and nothing says who a citizen is."""
    reader = Annotated[Staff, Depends(access.staff("maker", "checker", "auditor"))]

    @api.get("/v1/appropriations/{programme}", tags=["money"], summary="Grants, booked or waiting for a checker")
    async def grants(programme: ProgrammeName, tx: Tx, staff: reader) -> list[GrantRead]:
        return [GrantRead(**grant) for grant in await store.appropriations(tx, programme, GRANTS_MAX)]

    @api.get("/v1/year-end/{programme}", tags=["money"], summary="The close of a year, and what it would give back")
    async def year_end(programme: ProgrammeName, tx: Tx, staff: reader) -> YearEndShown:
        shown = await store.year_end_shown(tx, programme)
        if shown is None:
            raise Refused(NO_YEAR_END)
        return YearEndShown(**shown)

    @api.get("/v1/batches/{batch_id}/payouts", tags=["batches"], summary="A batch payout by payout, page by page")
    async def lines(batch_id: Id, tx: Tx, staff: reader, after: Key = "") -> list[BatchLineShown]:
        rows = await store.batch_lines(tx, batch_id, after, LINES_PER_PAGE)
        if not rows and not after:
            raise Refused(NO_SUCH_BATCH)
        return [BatchLineShown(**row) for row in rows]
