"""The officers' pages: who runs waves proposes, approves and voids here. Every form is checked for its own session."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from libs.events import problems
from libs.events.access import ROLE_MISSING, Access
from libs.events.api import TOO_LARGE, Now, Tx
from libs.events.database import Transaction
from libs.events.programme import Programme
from libs.events.refusal import Refusal, Refused
from libs.pages.look import Look
from services.selection import commands, sign_in, store_changes
from services.selection.commands import UNKNOWN_WAVE
from services.selection.domain.quotas import Province
from services.selection.domain.wave import legal
from services.selection.officer_forms import Form, ProposalForm, Work, filled, step_of
from services.selection.page_parts import ProgrammeName, WaveNumber, due, steps, title
from services.selection.sign_in import FOLDER, Session
from services.selection.store import Store

WAVES_MAX: Final = 1_000
FORM_BYTES_MAX: Final = 16_384


def add_officers(
    router: APIRouter,
    look: Look,
    store: Store,
    programmes: Mapping[str, Programme],
    provinces: Sequence[Province],
    access: Access,
) -> None:
    """Add sign-in and the officers' pages."""

    async def signed_in(request: Request) -> Session | None:
        return await sign_in.session_of(request, access)

    who = Annotated[Session | None, Depends(signed_in)]
    _add_sign_in(router, access, who)
    _add_list(router, look, store, programmes, who)
    _add_wave(router, look, store, programmes, who)
    _add_proposal(router, look, store, programmes, provinces, who)


def _add_sign_in(router: APIRouter, access: Access, who: Any) -> None:
    @router.get(f"{FOLDER}/masuk")
    async def start(request: Request) -> Response:
        return await sign_in.start(request, access.staff_issuer)

    @router.get(f"{FOLDER}/masuk/kembali")
    async def finish(request: Request, code: str = "", state: str = "") -> Response:
        return await sign_in.finish(request, access.staff_issuer, access, code, state)

    @router.post(f"{FOLDER}/keluar")
    async def leave(request: Request, session: who) -> Response:
        sign_in.checked(session, (await _form(request)).get("proof", ""))
        return sign_in.end()


def _add_list(router: APIRouter, look: Look, store: Store, programmes: Mapping[str, Programme], who: Any) -> None:
    @router.get(FOLDER)
    async def waves(request: Request, tx: Tx, session: who) -> Response:
        if session is None:
            return look.page(request, "officers/sign_in.html")
        rows = [
            (title(request, programmes, row["programme"]), row) for row in reversed(await store.listed(tx, WAVES_MAX))
        ]
        return look.page(request, "officers/waves.html", private=True, session=session, rows=rows)


def _add_wave(router: APIRouter, look: Look, store: Store, programmes: Mapping[str, Programme], who: Any) -> None:
    async def show(
        request: Request, tx: Transaction, session: Session, programme: str, wave: int, told: Mapping[str, Any]
    ) -> Response:
        view = await store.view(tx, programme, wave)
        if view is None:
            raise Refused(UNKNOWN_WAVE)
        quotas = await store.quotas(tx, view["wave_id"])
        refusals: Sequence[Refusal] = told.get("refusals", ())
        return look.page(
            request,
            "officers/wave.html",
            refusals[0].status if refusals else 200,
            private=True,
            session=session,
            title=title(request, programmes, programme),
            view=view,
            due=due(request, view),
            steps=steps(view),
            seats=sum(seats for seats, _ in quotas.values()),
            recycled=sum(recycled for _, recycled in quotas.values()),
            refusals=refusals,
            form=told.get("form", {}),
            change=await store_changes.waiting(tx, view["wave_id"]),
            legal=legal(view["state"]),
            done=told.get("done", ""),
        )

    @router.get(FOLDER + "/{programme}/{wave}")
    async def one(
        request: Request, tx: Tx, session: who, programme: ProgrammeName, wave: WaveNumber, selesai: str = ""
    ) -> Response:
        if session is None:
            return RedirectResponse(FOLDER, 303)
        return await show(request, tx, session, programme, wave, {"done": selesai})

    @router.post(FOLDER + "/{programme}/{wave}/{step}")
    async def take(
        request: Request, session: who, now: Now, programme: ProgrammeName, wave: WaveNumber, step: str
    ) -> Response:
        form = await _form(request)
        officer = sign_in.checked(session, form.get("proof", ""))
        role, work = step_of(request, store, programme, wave, step, form, officer.staff.person, now)
        refusals = await _do(request, officer, role, work)
        if not refusals:
            return RedirectResponse(f"{FOLDER}/{programme}/{wave}?selesai={step}", 303)
        async with request.app.state.database.transaction() as tx:
            told = {"refusals": refusals, "form": form | {"step": step}}
            return await show(request, tx, officer, programme, wave, told)


def _add_proposal(
    router: APIRouter,
    look: Look,
    store: Store,
    programmes: Mapping[str, Programme],
    provinces: Sequence[Province],
    who: Any,
) -> None:
    def show(request: Request, session: Session, form: Form, refusals: Sequence[Refusal]) -> Response:
        names = {name: title(request, programmes, name) for name in programmes}
        status = refusals[0].status if refusals else 200
        told = {"session": session, "programmes": names, "form": form, "refusals": refusals}
        return look.page(request, "officers/proposal.html", status, private=True, **told)

    @router.get(f"{FOLDER}/usul")
    async def empty(request: Request, session: who) -> Response:
        return show(request, session, {}, ()) if session else RedirectResponse(FOLDER, 303)

    @router.post(f"{FOLDER}/usul")
    async def propose(request: Request, session: who, now: Now) -> Response:
        form = await _form(request)
        officer = sign_in.checked(session, form.get("proof", ""))

        async def work(tx: Transaction) -> None:
            told = ProposalForm.model_validate(filled(form))
            await commands.propose(
                tx, store, programmes, provinces, programme=told.programme, number=told.wave, seats=told.seats,
                recycle=told.recycle, times=told.times(request), person=officer.staff.person, now=now,
            )  # fmt: skip

        if refusals := await _do(request, officer, "maker", work):
            return show(request, officer, form, refusals)
        return RedirectResponse(f"{FOLDER}/{form['programme']}/{int(form['wave'])}?selesai=proposal", 303)


async def _do(request: Request, officer: Session, role: str, work: Work) -> Sequence[Refusal]:
    """Do it in one transaction; what was refused, if anything, with the transaction rolled back."""
    if role not in officer.staff.roles:
        return [ROLE_MISSING]
    try:
        async with request.app.state.database.transaction() as tx:
            await work(tx)
    except Refused as refused:
        return refused.refusals
    except ValidationError as error:
        return problems.refusals_of(error.errors())
    return []


async def _form(request: Request) -> dict[str, str]:
    """The fields of a sent form. Raises Refused when it is larger than any of ours."""
    body = await request.body()
    if len(body) > FORM_BYTES_MAX:
        raise Refused(TOO_LARGE)
    told = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in told.items()}
