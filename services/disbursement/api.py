"""HTTP: parse, call, render. Citizens link accounts and answer surveys, officers prepare and approve, auditors read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Path, Query, Response

from libs.events.access import Access, Citizen, Staff, Verifier
from libs.events.api import Now, Tx, new_api
from libs.events.batch import Batcher
from libs.events.contracts import Id
from libs.events.programme import Programme
from libs.events.refusal import Refused
from services.disbursement import commands, views
from services.disbursement.api_reading import add_reading
from services.disbursement.citizens import Link, Survey
from services.disbursement.domain.books import NO_SUCH_PROGRAMME, Appropriation
from services.disbursement.identity import identify
from services.disbursement.partners import Partners
from services.disbursement.shapes import (
    AccountBody,
    AccountShown,
    BatchBody,
    BatchShown,
    FindingBody,
    GrantBody,
    GrantShown,
    LedgerShown,
    PayoutShown,
    ProgrammeName,
    StateShown,
    SurveyBody,
    TotalsBody,
    WithdrawalBody,
    YearEndBody,
)
from services.disbursement.store import Store
from services.disbursement.vault import Vault


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes work with.

    `identities` checks what registration signed for this service. `links` and `surveys` commit before they answer.
    """

    store: Store
    vault: Vault
    rules: Mapping[str, Programme]
    partners: Partners
    access: Access
    identities: Verifier
    links: Batcher[Link, str]
    surveys: Batcher[Survey, None]


def create_api(parts: Parts) -> FastAPI:
    """The routes of disbursement."""
    api = new_api("pembayaran", "Accounts, surveys, payouts, batches for the rails, and the ledger")
    _add_citizens(api, parts)
    _add_grants(api, parts)
    _add_batches(api, parts)
    _add_ledger(api, parts)
    add_reading(api, parts.store, parts.access)
    return api


def _add_citizens(api: FastAPI, parts: Parts) -> None:
    store, vault = parts.store, parts.vault
    me = Depends(parts.access.citizen)

    @api.post("/v1/me/account", status_code=202, tags=["citizens"], summary="Link a bank account or an e-wallet")
    async def link(body: AccountBody, citizen: Annotated[Citizen, me]) -> StateShown:
        person = await identify(body.identity_token, citizen.citizen_id, vault, parts.identities)
        link = Link(citizen.citizen_id, person, body.rail, body.provider, body.account_number)
        return StateShown(state=await parts.links.submit(link))

    @api.get("/v1/me/account", tags=["citizens"], summary="The linked account, masked, and what to do about it")
    async def account(tx: Tx, citizen: Annotated[Citizen, me]) -> AccountShown:
        return await views.account(tx, store, vault, citizen.citizen_id)

    @api.post("/v1/me/surveys/{number}", tags=["citizens"], summary="Answer the next survey")
    async def survey(
        number: Annotated[int, Path(ge=1, le=99)], body: SurveyBody, citizen: Annotated[Citizen, me]
    ) -> StateShown:
        await parts.surveys.submit(Survey(citizen.citizen_id, body.programme, number, body.answers))
        return StateShown(state="answered")

    @api.get("/v1/me/payouts", tags=["citizens"], summary="What is owed and was paid, and what to do next")
    async def payouts(tx: Tx, citizen: Annotated[Citizen, me]) -> list[PayoutShown]:
        return await views.payouts(tx, store, citizen.citizen_id)


def _add_grants(api: FastAPI, parts: Parts) -> None:
    store, rules = parts.store, parts.rules
    maker, checker = Depends(parts.access.staff("maker")), Depends(parts.access.staff("checker"))

    @api.post("/v1/appropriations", status_code=201, tags=["money"], summary="Prepare the booking of a grant")
    async def propose(body: GrantBody, tx: Tx, now: Now, staff: Annotated[Staff, maker]) -> GrantShown:
        grant = await commands.propose_appropriation(
            tx,
            store,
            rules,
            programme=body.programme,
            amount_rupiah=body.amount_rupiah,
            reference=body.reference,
            person=staff.person,
            now=now,
        )
        return _grant(grant)

    @api.post("/v1/appropriations/{appropriation_id}/approval", tags=["money"], summary="Book a grant")
    async def approve(appropriation_id: Id, tx: Tx, now: Now, staff: Annotated[Staff, checker]) -> GrantShown:
        return _grant(await commands.approve_appropriation(tx, store, rules, appropriation_id, staff.person, now))

    @api.post("/v1/year-end", status_code=201, tags=["money"], summary="Prepare the close of a programme's year")
    async def close(body: YearEndBody, tx: Tx, now: Now, staff: Annotated[Staff, maker]) -> StateShown:
        closing = await commands.propose_year_end(tx, store, rules, body.programme, staff.person, now)
        return StateShown(state=closing.state)

    @api.post("/v1/year-end/{programme}/approval", tags=["money"], summary="Close a programme's year")
    async def approve_close(programme: ProgrammeName, tx: Tx, now: Now, staff: Annotated[Staff, checker]) -> StateShown:
        closing = await commands.approve_year_end(tx, store, programme, staff.person, now)
        return StateShown(state=closing.state)


def _add_batches(api: FastAPI, parts: Parts) -> None:
    store = parts.store
    maker, checker = Depends(parts.access.staff("maker")), Depends(parts.access.staff("checker"))
    reader = Depends(parts.access.staff("maker", "checker", "auditor"))

    @api.post(
        "/v1/batches",
        status_code=201,
        tags=["batches"],
        summary="Make a batch of every payout that is due",
        responses={200: {"model": BatchShown, "description": "Nothing is due: `batch_id` is null"}},
    )
    async def propose(
        body: BatchBody, tx: Tx, now: Now, staff: Annotated[Staff, maker], response: Response
    ) -> BatchShown:
        batch = await commands.propose_batch(
            tx,
            store,
            parts.rules,
            sorted(parts.partners),
            programme=body.programme,
            rail=body.rail,
            person=staff.person,
            now=now,
        )
        if batch is None:
            response.status_code = 200
            return BatchShown(batch_id=None, programme=body.programme, rail=body.rail)
        return BatchShown.of(batch)

    @api.post("/v1/batches/{batch_id}/approval", tags=["batches"], summary="Approve a batch by its control totals")
    async def approve(batch_id: Id, body: TotalsBody, tx: Tx, now: Now, staff: Annotated[Staff, checker]) -> BatchShown:
        batch = await commands.approve_batch(
            tx,
            store,
            batch_id,
            payouts=body.payouts,
            total_rupiah=body.total_rupiah,
            person=staff.person,
            now=now,
        )
        return BatchShown.of(batch)

    @api.post("/v1/batches/{batch_id}/withdrawals", tags=["batches"], summary="Take payouts out; voids the approval")
    async def withdraw(
        batch_id: Id, body: WithdrawalBody, tx: Tx, now: Now, staff: Annotated[Staff, maker]
    ) -> BatchShown:
        return BatchShown.of(await commands.withdraw(tx, store, batch_id, body.payout_ids, now))

    @api.get("/v1/batches", tags=["batches"], summary="The newest batches")
    async def batches(
        tx: Tx, staff: Annotated[Staff, reader], limit: Annotated[int, Query(ge=1, le=500)] = 100
    ) -> list[BatchShown]:
        return [BatchShown.of(batch) for batch in await store.batches(tx, limit)]


def _add_ledger(api: FastAPI, parts: Parts) -> None:
    store = parts.store
    reader = Depends(parts.access.staff("auditor", "maker", "checker"))

    @api.get("/v1/ledger/{programme}", tags=["money"], summary="The six accounts of a programme, added up again")
    async def ledger(programme: ProgrammeName, tx: Tx, staff: Annotated[Staff, reader]) -> LedgerShown:
        if programme not in parts.rules:
            raise Refused(NO_SUCH_PROGRAMME)
        return await views.ledger(tx, store, programme, sorted(parts.partners))

    @api.post(
        "/v1/holds/{hold_id}/lifting",
        status_code=204,
        tags=["money"],
        summary="Let sending go on past one contradiction, with what was found out about it",
    )
    async def lift(
        hold_id: Id,
        body: FindingBody,
        tx: Tx,
        now: Now,
        staff: Annotated[Staff, Depends(parts.access.staff("checker"))],
    ) -> None:
        await commands.lift_hold(tx, store, hold_id, body.finding, staff.person, now)


def _grant(grant: Appropriation) -> GrantShown:
    return GrantShown(
        appropriation_id=grant.appropriation_id,
        programme=grant.programme,
        amount_rupiah=grant.amount_rupiah,
        state="approved" if grant.approver_person else "proposed",
    )
