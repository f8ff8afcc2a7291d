"""The officers' pages of waves: who runs them proposes, approves and voids here, officials commit and reveal. Every
form is checked for its own session."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import RedirectResponse

from libs.events.access import Access, Staff
from libs.events.api import Now, Tx
from libs.events.database import Transaction
from libs.events.programme import Programme
from libs.events.refusal import Refusal, Refused
from libs.pages.look import Look
from services.selection import (
    commands,
    sign_in,
    store_appeals,
    store_ceremony,
    store_changes,
    views_due,
    web_officers_appeals,
)
from services.selection.commands import UNKNOWN_WAVE
from services.selection.domain.ceremony import offices_of
from services.selection.domain.quotas import Province
from services.selection.domain.wave import mark
from services.selection.officer_forms import MAKER, Asked, Form, ProposalForm, do, filled, form_of, step_of
from services.selection.page_parts import (
    ProgrammeName,
    WaveNumber,
    by_province,
    ceremony_parts,
    due,
    steps,
    title,
    waits,
)
from services.selection.page_store import PageStore
from services.selection.sign_in import FOLDER, Session
from services.selection.store import Store

WAVES_MAX: Final = 1_000
REQUESTS_MAX: Final = 100


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
    # Before the pages of waves, whose addresses would take these too.
    web_officers_appeals.add_appeals(router, look, programmes, who)
    _add_wave(router, look, store, programmes, provinces, who)
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
        sign_in.checked(session, (await form_of(request)).get("proof", ""))
        return sign_in.end()


def _add_list(router: APIRouter, look: Look, store: Store, programmes: Mapping[str, Programme], who: Any) -> None:
    pages = PageStore()

    @router.get(FOLDER)
    async def waves(request: Request, tx: Tx, now: Now, session: who) -> Response:
        if session is None:
            return look.page(request, "officers/sign_in.html")
        person = session.staff.person
        rows = reversed(await store.listed(tx, WAVES_MAX, announced=not session.officer))
        requests = await pages.requests(tx, REQUESTS_MAX)
        waiting = [row for row in requests if waits(row, person, now) and (session.officer or row["kind"] == "reveal")]
        offices = [
            (name, office)
            for name, rules in programmes.items()
            for office in offices_of(rules.draw.offices, session.staff.roles).values()
        ]
        waiting += await pages.hand_ins(tx, person, offices, now, REQUESTS_MAX)
        return look.page(
            request,
            "officers/waves.html",
            private=True,
            session=session,
            rows=[(title(request, programmes, row["programme"]), row) for row in rows],
            waiting=[(title(request, programmes, row["programme"]), row) for row in waiting],
            appeals=await pages.appeals_counted(tx) if session.officer else {"lodged": 0, "examined": 0},
        )


def _add_wave(
    router: APIRouter,
    look: Look,
    store: Store,
    programmes: Mapping[str, Programme],
    provinces: Sequence[Province],
    who: Any,
) -> None:
    pages, names = PageStore(), {place.code: place.name for place in provinces}

    async def show(
        request: Request, tx: Transaction, session: Session, programme: str, wave: int, told: Mapping[str, Any]
    ) -> Response:
        view = await store.view(tx, programme, wave)
        if view is None or (view["approved_at"] is None and not session.officer):
            raise Refused(UNKNOWN_WAVE)
        wave_id = view["wave_id"]
        quotas, people = await store.quotas(tx, wave_id), await pages.people(tx, wave_id)
        appealed, change = await store_appeals.seats_of(tx, wave_id), await store_changes.waiting(tx, wave_id)
        steps_now = views_due.steps(view, request.app.state.clock.now())
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
            appealed=sum(row["seats"] for row in appealed),
            provinces=by_province(quotas, [], names, appealed),
            refusals=refusals,
            form=told.get("form", {}),
            people=people,
            mark=mark(view),
            legal=steps_now,
            change=change if change and change.step in steps_now else None,
            **await _ceremony(tx, view, session.staff, programmes.get(programme)),
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
        form = await form_of(request)
        officer = sign_in.checked(session, form.get("proof", ""))
        roles, work = step_of(step, Asked(request, store, programmes, programme, wave, form, officer.staff, now))
        refusals = await do(request, officer, roles, work)
        if not refusals:
            return RedirectResponse(f"{FOLDER}/{programme}/{wave}?selesai={step}", 303)
        async with request.app.state.database.transaction() as tx:
            told = {"refusals": refusals, "form": form | {"step": step}}
            return await show(request, tx, officer, programme, wave, told)


async def _ceremony(tx: Transaction, view: Mapping[str, Any], staff: Staff, rules: Programme | None) -> dict[str, Any]:
    """What a page says of the officials' secrets, to one who may be such an official."""
    return {
        "ceremony": ceremony_parts(await store_ceremony.officials(tx, view["wave_id"]), view),
        "official": await store_ceremony.official(tx, view["wave_id"], staff.person),
        "offices": offices_of(rules.draw.offices, staff.roles) if rules else {},
    }


def _add_proposal(
    router: APIRouter,
    look: Look,
    store: Store,
    programmes: Mapping[str, Programme],
    provinces: Sequence[Province],
    who: Any,
) -> None:
    pages = PageStore()

    async def show(
        request: Request, tx: Transaction, session: Session, form: Form, refusals: Sequence[Refusal]
    ) -> Response:
        names = {name: title(request, programmes, name) for name in programmes}
        return look.page(
            request,
            "officers/proposal.html",
            refusals[0].status if refusals else 200,
            private=True,
            session=session,
            programmes=names,
            form=form,
            refusals=refusals,
            seats_free=[(names.get(name, name), seats) for name, seats in (await pages.seats_free(tx)).items()],
        )

    @router.get(f"{FOLDER}/usul")
    async def empty(request: Request, tx: Tx, session: who) -> Response:
        return await show(request, tx, session, {}, ()) if session else RedirectResponse(FOLDER, 303)

    @router.post(f"{FOLDER}/usul")
    async def propose(request: Request, session: who, now: Now) -> Response:
        form = await form_of(request)
        officer = sign_in.checked(session, form.get("proof", ""))
        page = ""

        async def work(tx: Transaction) -> None:
            nonlocal page
            told = ProposalForm.model_validate(filled(form))
            page = f"{FOLDER}/{told.programme}/{told.wave}?selesai=proposal"
            await commands.propose(
                tx, store, programmes, provinces, programme=told.programme, number=told.wave, seats=told.seats,
                recycle=told.recycle, times=told.times(request), decreed=told.quotas,
                person=officer.staff.person, now=now,
            )  # fmt: skip

        if refusals := await do(request, officer, MAKER, work):
            async with request.app.state.database.transaction() as tx:
                return await show(request, tx, officer, form, refusals)
        return RedirectResponse(page, 303)
