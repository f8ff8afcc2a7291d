"""What auditors and makers may read. Nothing can be changed here: the books follow events alone."""

from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Path, Query, Request
from fastapi.responses import StreamingResponse

from libs.events.access import Access
from libs.events.api import Tx, new_api
from libs.events.refusal import Refusal, Refused
from services.finance.domain.windows import WINDOWS_KEPT
from services.finance.export import exported
from services.finance.store import Store
from services.finance.views import Book, book_of
from services.finance.windows_client import WindowsClient

ALARMS_MAX: Final = 50

ProgrammeName = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,40}$")]

NO_BOOK: Final = Refusal(
    "no-book",
    404,
    "Belum ada buku untuk program ini: belum ada satu pun kejadian keuangannya. Periksa nama programnya.",
    "There is no book for this programme: no event about its money has arrived yet. Check the programme's name.",
    field="programme",
)


def create_api(store: Store, access: Access, windows: WindowsClient) -> FastAPI:
    """The routes of finance; each is for auditors and makers."""
    api = new_api("finance", "The books of the finance department, kept from events alone")
    reader = [Depends(access.staff("auditor", "maker"))]

    @api.get("/v1/books/{programme}", dependencies=reader, tags=["books"], summary="Balances, proof, totals and alarms")
    async def read_book(programme: ProgrammeName, tx: Tx) -> Book:
        await store.one_snapshot(tx)
        book = await store.book(tx, programme)
        if book is None:
            raise Refused(NO_BOOK)
        totals, alarms = await store.totals(tx, programme), await store.alarms(tx, programme, ALARMS_MAX)
        return book_of(book, totals, alarms, await store.parked_events(tx))

    @api.get(
        "/v1/exports/{programme}.csv",
        dependencies=reader,
        tags=["books"],
        summary="Every event as CSV, in the order of booking",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/csv": {}}, "description": "RFC 4180 with a header, sent in chunks"}},
    )
    async def export(programme: ProgrammeName, request: Request) -> StreamingResponse:
        database = request.app.state.database
        async with database.connection() as connection:
            upto = await store.last_entry(connection, programme)
        if not upto:
            raise Refused(NO_BOOK)
        return StreamingResponse(
            exported(database, store, programme, upto),
            media_type="text/csv; charset=utf-8; header=present",
            # A fixed name: what came in with the address is not repeated in a header.
            headers={"Content-Disposition": 'attachment; filename="entries.csv"'},
        )

    @api.get("/v1/windows", dependencies=reader, tags=["windows"], summary="Live totals per minute, province and rail")
    async def live_windows(last: Annotated[int, Query(ge=1, le=WINDOWS_KEPT)] = 10) -> dict[str, Any]:
        return await windows.windows(last)

    return api
