"""HTTP for citizens: parse, call, answer."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI

from libs.events.access import Access, Citizen
from libs.events.api import Now, Tx, new_api
from libs.events.citizen_tokens import CitizenTokens
from libs.events.programme import Programme
from services.registration import commands, forms, views
from services.registration.codes import Confirmation, SignIn
from services.registration.commands import Join, Registration, Submission
from services.registration.domain import words
from services.registration.domain.person import Claim, Contact
from services.registration.erasure import erase
from services.registration.hot import Hot
from services.registration.seal import Sealer, identity_token
from services.registration.store import Store
from services.registration.store_erasure import ErasureStore
from services.registration.vault import Vault


def create_api(
    store: Store,
    vault: Vault,
    hot: Hot,
    access: Access,
    tokens: CitizenTokens,
    sealer: Sealer,
    programmes: Mapping[str, Programme],
    token_lifetime: timedelta,
) -> FastAPI:
    """The routes of registration."""
    api = new_api("registration", "Register, prove who you are, join waves, and follow everything that happens to you.")
    _add_doors(api, hot, tokens, token_lifetime)
    _add_identity(api, hot, access)
    _add_identity_token(api, store, vault, access, tokens, sealer)
    _add_applications(api, store, hot, access)
    _add_views(api, vault, access, programmes)
    _add_erasure(api, ErasureStore(), access)
    return api


def _add_doors(api: FastAPI, hot: Hot, tokens: CitizenTokens, lifetime: timedelta) -> None:
    def signed_in(citizen_id: str) -> forms.SignedIn:
        return forms.SignedIn(citizen_id=citizen_id, token=tokens.issue(citizen_id, lifetime))

    @api.post("/v1/registrations", status_code=201, summary="Register; the same registration_id gives the same answer")
    async def register(body: forms.RegistrationForm) -> forms.SignedIn:
        contact = Contact(body.email, body.phone)
        return signed_in(await hot.register.submit(Registration(body.registration_id, contact)))

    @api.post("/v1/tokens", status_code=202, summary="Ask for a sign-in code by SMS; the answer never tells who exists")
    async def request_sign_in(body: forms.TokenForm) -> forms.Status:
        await hot.request_sign_in.submit(body.phone)
        return forms.Status(status="sent-if-registered")

    @api.post("/v1/tokens/exchange", summary="Sign in with the code")
    async def sign_in(body: forms.ExchangeForm) -> forms.SignedIn:
        return signed_in(await hot.sign_in.submit(SignIn(body.phone, body.otp)))


def _add_identity(api: FastAPI, hot: Hot, access: Access) -> None:
    @api.post("/v1/me/email-confirmation", summary="Confirm the e-mail address with the code sent there")
    async def confirm_email(
        body: forms.ConfirmationForm, citizen: Annotated[Citizen, Depends(access.citizen)]
    ) -> forms.Status:
        return forms.Status(status=await hot.confirm.submit(Confirmation(citizen.citizen_id, body.code)))

    @api.post("/v1/me/identity", status_code=202, summary="Say who you are; the civil registry checks it")
    async def submit_identity(
        body: forms.IdentityForm, citizen: Annotated[Citizen, Depends(access.citizen)]
    ) -> forms.Submitted:
        claim = Claim(body.nik, body.kk, body.name, body.birth_date)
        submission = Submission(citizen.citizen_id, claim, body.province, body.occupation, body.in_education)
        done = await hot.submit.submit(submission)
        id, en = words.NIK_DISAGREES
        warnings = [forms.Notice(code="nik-birth-date", id=id, en=en)] if done.nik_disagrees else []
        return forms.Submitted(status="checking", warnings=warnings)


def _add_identity_token(
    api: FastAPI, store: Store, vault: Vault, access: Access, tokens: CitizenTokens, sealer: Sealer
) -> None:
    @api.post("/v1/me/identity-token", summary="A signed and sealed identity to hand to one other service")
    async def seal_identity(
        body: forms.IdentityTokenForm, tx: Tx, citizen: Annotated[Citizen, Depends(access.citizen)]
    ) -> forms.IdentityToken:
        sealed = await identity_token(tx, store, vault, tokens, sealer, citizen.citizen_id)
        return forms.IdentityToken(identity_token=sealed)


def _add_applications(api: FastAPI, store: Store, hot: Hot, access: Access) -> None:
    @api.post("/v1/me/applications", status_code=201, summary="Join a wave that is open")
    async def join(body: forms.ApplicationForm, citizen: Annotated[Citizen, Depends(access.citizen)]) -> forms.Joined:
        event = await hot.join.submit(Join(citizen.citizen_id, body.programme, body.wave))
        return forms.Joined(application_id=event.application_id, state="applied")

    @api.delete("/v1/me/applications/{programme}/{wave}", summary="Leave a wave while its intake is open")
    async def withdraw(
        programme: forms.ProgrammeName,
        wave: forms.WaveNumber,
        tx: Tx,
        now: Now,
        citizen: Annotated[Citizen, Depends(access.citizen)],
    ) -> forms.Withdrawn:
        state = await commands.withdraw(tx, store, Join(citizen.citizen_id, programme, wave), now)
        return forms.Withdrawn(state=state)


def _add_views(api: FastAPI, vault: Vault, access: Access, programmes: Mapping[str, Programme]) -> None:
    @api.get("/v1/me", response_model=forms.Me, summary="Where you stand, and the next step")
    async def me(tx: Tx, now: Now, citizen: Annotated[Citizen, Depends(access.citizen)]) -> dict[str, Any]:
        return await views.me(tx, vault, programmes, citizen.citizen_id, now)

    @api.get("/v1/me/timeline", response_model=list[forms.Step], summary="Everything that happened to you, newest last")
    async def timeline(tx: Tx, citizen: Annotated[Citizen, Depends(access.citizen)]) -> list[dict[str, Any]]:
        return await views.timeline(tx, programmes, citizen.citizen_id)

    @api.get("/v1/waves", response_model=list[forms.WaveState], summary="The waves")
    async def waves(tx: Tx) -> list[dict[str, Any]]:
        return await views.waves(tx)


def _add_erasure(api: FastAPI, store: ErasureStore, access: Access) -> None:
    @api.post("/v1/me/erasure", summary="Be forgotten, for ever; who was ever selected is not")
    async def forget(
        body: forms.ErasureForm, tx: Tx, now: Now, citizen: Annotated[Citizen, Depends(access.citizen)]
    ) -> forms.Status:
        await erase(tx, store, citizen.citizen_id, now)
        return forms.Status(status="erased")
