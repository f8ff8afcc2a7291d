"""The officers' pages of appeals: what waits, one appeal with its finding, and another person's agreement to it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.responses import RedirectResponse

from libs.events.access import ROLE_MISSING
from libs.events.api import Now, Tx
from libs.events.database import Transaction
from libs.events.programme import Programme
from libs.events.refusal import Refusal, Refused
from libs.pages.look import Look
from services.selection import appeals, sign_in
from services.selection.appeals import once_per_lifetime
from services.selection.domain.appeal import NO_SUCH_APPEAL, AppealState
from services.selection.officer_forms import CHECKER, MAKER, UNKNOWN_STEP, FindingForm, do, form_of
from services.selection.page_parts import plain, title
from services.selection.page_store import PageStore
from services.selection.sign_in import FOLDER, Session

APPEALS_ON_A_PAGE: Final = 50
HEX: Final = r"^[0-9a-f]{32}$"

AppealId = Annotated[str, Path(pattern=HEX)]
After = Annotated[str | None, Query(pattern=HEX)]
Typed = Annotated[str, Query(max_length=100)]


def add_appeals(router: APIRouter, look: Look, programmes: Mapping[str, Programme], who: Any) -> None:
    """Add the list and the page of one appeal; `who` is the dependency that gives the session."""
    pages = PageStore()

    @router.get(f"{FOLDER}/banding")
    async def waiting(
        request: Request, tx: Tx, session: who, status: str = "", sesudah: After = None, nomor: Typed = ""
    ) -> Response:
        if session is None:
            return RedirectResponse(FOLDER, 303)
        _check(session)
        asked = plain(nomor)
        if len(asked) == 32 and await _found(pages, tx, asked):
            return RedirectResponse(f"{FOLDER}/banding/{asked}", 303)
        state = AppealState.EXAMINED if status == AppealState.EXAMINED else AppealState.LODGED
        rows = await pages.appeals(tx, state, sesudah, APPEALS_ON_A_PAGE + 1)
        return look.page(
            request,
            "officers/appeals.html",
            private=True,
            session=session,
            state=state,
            counted=await pages.appeals_counted(tx),
            rows=[(title(request, programmes, row["programme"]), row) for row in rows[:APPEALS_ON_A_PAGE]],
            following=rows[APPEALS_ON_A_PAGE - 1]["appeal_id"] if len(rows) > APPEALS_ON_A_PAGE else None,
            after=sesudah,
            asked=asked,
        )

    _add_one(router, look, programmes, who)


def _add_one(router: APIRouter, look: Look, programmes: Mapping[str, Programme], who: Any) -> None:
    pages, lifetime = PageStore(), once_per_lifetime(programmes)

    async def show(
        request: Request, tx: Transaction, session: Session, appeal_id: str, refusals: Sequence[Refusal], done: str
    ) -> Response:
        view = await pages.appeal(tx, appeal_id, lifetime)
        if view is None:
            raise Refused(NO_SUCH_APPEAL)
        return look.page(
            request,
            "officers/appeal.html",
            refusals[0].status if refusals else 200,
            private=True,
            session=session,
            title=title(request, programmes, view["programme"]),
            view=view,
            refusals=refusals,
            done=done,
        )

    @router.get(FOLDER + "/banding/{appeal_id}")
    async def one(request: Request, tx: Tx, session: who, appeal_id: AppealId, selesai: str = "") -> Response:
        if session is None:
            return RedirectResponse(FOLDER, 303)
        _check(session)
        return await show(request, tx, session, appeal_id, (), selesai)

    @router.post(FOLDER + "/banding/{appeal_id}/{step}")
    async def take(request: Request, session: who, now: Now, appeal_id: AppealId, step: str) -> Response:
        form = await form_of(request)
        officer = sign_in.checked(session, form.get("proof", ""))
        _check(officer)
        person = officer.staff.person

        async def work(tx: Transaction) -> None:
            finding = FindingForm.model_validate(form).finding
            if step == "finding":
                await appeals.examine(tx, programmes, appeal_id, finding, person, now)
            else:
                await appeals.decide(tx, programmes, appeal_id, finding, person, now)

        if step not in ("finding", "approval"):
            raise Refused(UNKNOWN_STEP)
        refusals = await do(request, officer, MAKER if step == "finding" else CHECKER, work)
        if not refusals:
            return RedirectResponse(f"{FOLDER}/banding/{appeal_id}?selesai={step}", 303)
        async with request.app.state.database.transaction() as tx:
            return await show(request, tx, officer, appeal_id, refusals, "")


def _check(session: Session) -> None:
    """Appeals are the officers' business. Raises Refused."""
    if not session.officer:
        raise Refused(ROLE_MISSING)


async def _found(pages: PageStore, tx: Transaction, asked: str) -> bool:
    return set(asked) <= set("0123456789abcdef") and await pages.appeal(tx, asked, ()) is not None
