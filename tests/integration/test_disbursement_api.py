"""The API as citizens, officers and auditors see it: real tokens, a real store, the composed service."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from prometheus_client import REGISTRY
from structlog.testing import CapturingLogger

from libs.events import ids
from libs.events.access import CITIZEN_AUDIENCE, LEEWAY_SECONDS
from libs.events.citizen_tokens import CitizenTokens
from libs.events.clock import FileClock
from services.disbursement.main import service
from services.disbursement.settings import Settings
from services.registration.seal import LIFETIME, Sealer
from tests.conftest import MakeDatabase
from tests.integration.disbursement import TOTAL, World, jakarta, open_world
from tests.integration.disbursement_people import Person, person
from tests.integration.disbursement_reading import PROGRAMME

AMI, BUDI = person("Ami"), person("Budi")


class Desk:
    """The composed service behind its HTTP API, and the world it works in."""

    def __init__(self, world: World, api: httpx.AsyncClient, clock: FileClock, staff: ECKey, tokens: CitizenTokens):
        self.world, self.api, self._clock, self._staff, self._tokens = world, api, clock, staff, tokens

    def staff(self, role: str, name: str = "") -> dict[str, str]:
        claims = {
            "iss": "http://oidc",
            "aud": "gelombang",
            "sub": f"account-{name or role}",
            "person": f"person-{name or role}",
            "roles": [role],
            "exp": int((self._clock.now() + timedelta(hours=1)).timestamp()),
        }
        return {"Authorization": "Bearer " + jwt.encode({"alg": "ES256", "kid": "staff"}, claims, self._staff)}

    def citizen(self, one: Person) -> dict[str, str]:
        return {"Authorization": "Bearer " + self._tokens.issue(one.citizen_id, timedelta(hours=1))}

    async def post(self, path: str, body: object, who: dict[str, str], status: int = 200) -> Any:
        answer = await self.api.post(path, json=body, headers=who)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def get(self, path: str, who: dict[str, str], status: int = 200) -> Any:
        answer = await self.api.get(path, headers=who)
        assert answer.status_code == status, answer.text
        return answer.json()

    def account(self, one: Person, **changed: Any) -> dict[str, Any]:
        return {
            "rail": "bank",
            "provider": "bni",
            "account_number": f"10{one.nik[-8:]}",
            "identity_token": self.world.token(one),
        } | changed


@pytest.fixture
async def desk(database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Desk]:
    made = database("disbursement")
    staff = ECKey.generate_key("P-256", {"kid": "staff"}, private=True)
    (tmp_path / "staff.json").write_text(json.dumps({"keys": [staff.as_dict(private=False)]}))
    clock = FileClock(tmp_path / "clock.json")
    clock.set(jakarta("2020-05-01 09:00"))
    async with open_world(made, tmp_path, at=clock.now()) as world:
        (tmp_path / "private.json").write_text(json.dumps(world.registration.as_dict(private=True)))
        built = service(
            Settings(
                database_url=made.app_url,
                kafka_servers="127.0.0.1:1",
                clock=str(clock.path),
                staff_issuer="http://oidc",
                staff_jwks=str(tmp_path / "staff.json"),
                citizen_jwks=str(tmp_path / "citizens.json"),
                identity_jwk_file=tmp_path / "identity.json",
                account_keys_file=tmp_path / "keys.json",
                bank_url=world.urls["bank"],
                ewallet_url=world.urls["e-wallet"],
                debtor_name="Gelombang",
                debtor_account="999080000000001",
                debtor_bank="bni",
            )
        )
        built.api.state.database, built.api.state.clock = world.database, clock
        for resource in built.resources:
            started = resource.start(world.database, clock)
            if started is not None:
                await started
        transport = httpx.ASGITransport(app=built.api)
        async with httpx.AsyncClient(transport=transport, base_url="http://disbursement") as api:
            yield Desk(world, api, clock, staff, CitizenTokens(tmp_path / "private.json", clock))
        for resource in built.resources:
            await resource.close()


async def granted(desk: Desk, rupiah: int = 10 * TOTAL) -> None:
    body = {"programme": PROGRAMME, "amount_rupiah": rupiah, "reference": "DIPA 999.08"}
    made = await desk.post("/v1/appropriations", body, desk.staff("maker"), 201)
    (waiting,) = await desk.get(f"/v1/appropriations/{PROGRAMME}", desk.staff("checker"))
    assert (waiting["reference"], waiting["amount_rupiah"], waiting["state"]) == ("DIPA 999.08", rupiah, "proposed")
    await desk.post(f"/v1/appropriations/{made['appropriation_id']}/approval", {}, desk.staff("checker"))


async def test_money_from_the_grant_to_the_account_over_http(desk: Desk) -> None:
    await granted(desk)
    world = desk.world
    await world.open_account(AMI)
    await world.select([AMI])
    await world.complete([AMI])
    await world.rate([AMI])
    account = await desk.get("/v1/me/account", desk.citizen(AMI))
    assert (account["state"], account["masked"]) == ("none", None)
    (first, *_) = await desk.get("/v1/me/payouts", desk.citizen(AMI))
    assert (first["milestone"], first["state"]) == ("incentive-1", "scheduled")
    assert first["next_step"]["en"] == "Link a bank account or e-wallet in your own name."
    assert account["next_step"] == first["next_step"]
    assert await desk.post("/v1/me/account", desk.account(AMI), desk.citizen(AMI), 202) == {"state": "checking"}
    await world.check()
    account = await desk.get("/v1/me/account", desk.citizen(AMI))
    assert (account["state"], account["masked"]) == ("valid", f"•••• {AMI.nik[-3:]}")
    assert "can be used" in account["next_step"]["en"]

    proposal = {"programme": PROGRAMME, "rail": "bank"}
    batch = await desk.post("/v1/batches", proposal, desk.staff("maker"), 201)
    assert (batch["payouts"], batch["total_rupiah"], batch["state"]) == (2, 1_000_000, "proposed")
    nothing = await desk.post("/v1/batches", proposal, desk.staff("maker"), 200)
    assert nothing["batch_id"] is None
    lines = f"/v1/batches/{batch['batch_id']}/payouts"
    first, second = await desk.get(lines, desk.staff("checker"))
    assert first["amount_rupiah"] + second["amount_rupiah"] == batch["total_rupiah"]
    assert {first["partner_id"], second["partner_id"]} == {"partner-a", None}
    assert AMI.citizen_id not in str(first) + str(second)
    assert await desk.get(f"{lines}?after={first['key']}", desk.staff("checker")) == [second]
    assert await desk.get(f"{lines}?after={second['key']}", desk.staff("checker")) == []
    await desk.get(f"/v1/batches/{'0' * 32}/payouts", desk.staff("checker"), 404)
    await desk.get(lines, desk.citizen(AMI), 401)
    totals = {"payouts": 2, "total_rupiah": 1_000_000}
    approval = f"/v1/batches/{batch['batch_id']}/approval"
    assert (await desk.post(approval, totals, desk.staff("checker")))["state"] == "approved"
    await world.send()
    world.clock.at = jakarta("2020-05-01 12:00")
    await world.settle()
    (first, *_) = await desk.get("/v1/me/payouts", desk.citizen(AMI))
    assert first["state"] == "paid"
    ledger = await desk.get(f"/v1/ledger/{PROGRAMME}", desk.staff("auditor"))
    assert ledger["paid"] == 1_000_000
    assert ledger["appropriation"] == 10 * TOTAL
    assert all(ledger["checks"].values())
    (newest,) = await desk.get("/v1/batches", desk.staff("auditor"))
    assert newest["state"] == "sent"


async def test_maker_and_checker_are_told_apart_by_person_and_by_role(desk: Desk) -> None:
    body = {"programme": PROGRAMME, "amount_rupiah": 5, "reference": "DIPA"}
    await desk.post("/v1/appropriations", body, desk.staff("checker"), 403)
    made = await desk.post("/v1/appropriations", body, desk.staff("maker", "ani"), 201)
    approval = f"/v1/appropriations/{made['appropriation_id']}/approval"
    refused = await desk.post(approval, {}, desk.staff("checker", "ani"), 403)
    assert refused["errors"][0]["code"] == "same-person"
    await desk.post(approval, {}, {}, 401)
    assert (await desk.post(approval, {}, desk.staff("checker", "budi")))["state"] == "approved"
    await desk.post(f"/v1/appropriations/{ids.derive('none')}/approval", {}, desk.staff("checker"), 404)


async def test_every_wrong_field_is_named_at_once_and_nothing_typed_is_repeated(desk: Desk) -> None:
    wrong = {"rail": "cash", "provider": "B N I!", "account_number": "12\u000034-secret", "identity_token": ""}
    answer = await desk.api.post("/v1/me/account", json=wrong, headers=desk.citizen(AMI))
    assert answer.status_code == 422
    told = answer.json()
    assert {error["field"] for error in told["errors"]} == {"rail", "provider", "account_number", "identity_token"}
    assert all(error["id"] and error["en"] for error in told["errors"])
    assert "secret" not in answer.text
    assert (await desk.get("/v1/me/account", desk.citizen(AMI)))["state"] == "none"


async def test_an_identity_token_counts_for_its_citizen_its_audience_and_its_time(desk: Desk) -> None:
    for changed, code in (
        ({"sub": BUDI.citizen_id}, "identity-token-refused"),
        ({"aud": "training"}, "identity-token-refused"),
        ({"aud": CITIZEN_AUDIENCE}, "identity-token-refused"),
        ({"iss": "http://oidc"}, "identity-token-refused"),
        ({"nik": 1}, "identity-token-refused"),
        ({"exp": int(desk.world.now.timestamp()) - LEEWAY_SECONDS - 1}, "identity-token-expired"),
    ):
        body = desk.account(AMI, identity_token=desk.world.token(AMI, **changed))
        told = await desk.post("/v1/me/account", body, desk.citizen(AMI), 422)
        assert told["errors"][0]["code"] == code
    sealed, _, tag = desk.world.token(AMI).rpartition(".")
    for token in ("x", "a.b.c.d.e", f"{sealed}.{'A' * len(tag)}"):
        body = desk.account(AMI, identity_token=token)
        told = await desk.post("/v1/me/account", body, desk.citizen(AMI), 422)
        assert told["errors"][0]["code"] == "identity-token-refused"


async def test_an_identity_that_registration_did_not_sign_is_refused(desk: Desk) -> None:
    """Anybody can seal to a public key, so a citizen could name somebody else's NIK beside their own id."""
    world, strangers = desk.world, ECKey.generate_key("P-256", private=True)
    claims = world.claims(AMI, nik=BUDI.nik, name=BUDI.name)
    sign_in = desk._tokens.issue(AMI.citizen_id, timedelta(hours=1))
    for forged in (
        world.seal(json.dumps(claims)),
        world.seal(world.sign(claims, strangers)),
        world.seal(jwt.encode({"alg": "ES256", "kid": "strangers"}, claims, strangers)),
        world.seal(sign_in),
        world.seal(world.sign(claims), cty="text"),
        world.sign(claims),
    ):
        body = desk.account(AMI, identity_token=forged)
        told = await desk.post("/v1/me/account", body, desk.citizen(AMI), 422)
        assert told["errors"][0]["code"] == "identity-token-refused"
    assert (await desk.get("/v1/me/account", desk.citizen(AMI)))["state"] == "none"
    await desk.post("/v1/me/account", desk.account(AMI), desk.citizen(AMI), 202)


async def test_a_signed_identity_does_not_sign_in(desk: Desk) -> None:
    signed = desk.world.sign(desk.world.claims(AMI))
    told = await desk.get("/v1/me/account", {"Authorization": f"Bearer {signed}"}, 401)
    assert told["errors"][0]["code"] == "token-refused"


async def test_what_registration_seals_opens_here(desk: Desk, tmp_path: Path) -> None:
    """The two services' own code, one against the other."""
    sealer = Sealer("disbursement", tmp_path / "identity.json")
    signed = desk._tokens.sign(sealer.audience, AMI.citizen_id, LIFETIME, nik=AMI.nik, name=AMI.name, phone=AMI.phone)
    body = desk.account(AMI, identity_token=sealer.seal(signed))
    await desk.post("/v1/me/account", body, desk.citizen(AMI), 202)
    told = await desk.post("/v1/me/account", body, desk.citizen(BUDI), 422)
    assert told["errors"][0]["code"] == "identity-token-refused"


async def test_while_the_signing_keys_can_not_be_loaded_nobody_is_taken_for_a_forger(
    desk: Desk, tmp_path: Path
) -> None:
    citizen, body = desk.citizen(AMI), desk.account(AMI)
    await desk.get("/v1/me/account", citizen)  # the keys that sign-in is checked with are known from here on
    (tmp_path / "citizens.json").unlink()
    told = await desk.post("/v1/me/account", body, citizen, 503)
    assert told["errors"][0]["code"] == "sign-in-unavailable"


async def test_an_e_wallet_must_carry_the_registered_phone_number(desk: Desk) -> None:
    body = desk.account(AMI, rail="e-wallet", provider="ovo", account_number="081299990000")
    told = await desk.post("/v1/me/account", body, desk.citizen(AMI), 422)
    assert told["errors"][0]["code"] == "phone-differs"
    body["account_number"] = "+62" + AMI.phone[1:]
    await desk.post("/v1/me/account", body, desk.citizen(AMI), 202)


async def test_one_account_serves_one_citizen(desk: Desk) -> None:
    await granted(desk)
    world = desk.world
    await world.open_account(AMI)
    for one in (AMI, BUDI):
        await world.link(one, number=f"10{AMI.nik[-8:]}")
    await world.check()
    assert (await desk.get("/v1/me/account", desk.citizen(AMI)))["state"] == "valid"
    assert (await desk.get("/v1/me/account", desk.citizen(BUDI)))["state"] == "identity-mismatch"
    told = {"account": f"10{AMI.nik[-8:]}", "nik": BUDI.nik, "name": "both"}
    await world.post("bank", "/accounts", [told])
    world.clock.at = jakarta("2020-05-05 09:00")
    await world.check()
    account = await desk.get("/v1/me/account", desk.citizen(BUDI))
    assert account["state"] == "in-use"
    assert account["next_step"]["en"].endswith("Link a bank account or e-wallet in your own name.")


async def test_the_same_account_again_changes_nothing(desk: Desk) -> None:
    await desk.world.open_account(AMI)
    for _ in range(2):
        await desk.post("/v1/me/account", desk.account(AMI), desk.citizen(AMI), 202)
    await desk.world.check()
    again = await desk.post("/v1/me/account", desk.account(AMI), desk.citizen(AMI), 202)
    assert again == {"state": "valid"}
    assert len(await desk.world.fetch("SELECT account_id FROM payee_account")) == 1


async def test_a_rail_that_does_not_answer_leaves_the_account_being_checked(desk: Desk) -> None:
    world = desk.world
    await world.open_account(AMI)
    await world.link(AMI)
    url, world.rails["bank"]._url = world.rails["bank"]._url, "http://127.0.0.1:9"
    assert await world.check() == 0
    assert (await desk.get("/v1/me/account", desk.citizen(AMI)))["state"] == "checking"
    world.rails["bank"]._url = url
    world.clock.at = world.now + timedelta(minutes=5)
    await world.check()
    assert (await desk.get("/v1/me/account", desk.citizen(AMI)))["state"] == "valid"


async def test_linking_ends_with_the_last_day_for_members_and_surveys_with_it(desk: Desk) -> None:
    await granted(desk)
    await desk.world.select([AMI])
    desk._clock.set(jakarta("2021-03-05 00:00"))
    desk.world.clock.at = desk._clock.now()
    told = await desk.post("/v1/me/account", desk.account(AMI), desk.citizen(AMI), 409)
    assert told["errors"][0]["code"] == "link-too-late"
    body = {"programme": PROGRAMME, "answers": {"q": "a"}}
    told = await desk.post("/v1/me/surveys/1", body, desk.citizen(AMI), 409)
    assert told["errors"][0]["code"] == "survey-too-late"
    told = await desk.post("/v1/me/surveys/1", body | {"answers": {}}, desk.citizen(AMI), 422)
    assert told["errors"][0]["code"] == "answers"
    told = await desk.post("/v1/me/surveys/1", body, desk.citizen(BUDI), 409)
    assert told["errors"][0]["code"] == "not-a-member"


async def test_a_year_closes_after_the_last_payment_day_by_two_people(desk: Desk) -> None:
    await granted(desk)
    body = {"programme": PROGRAMME}
    told = await desk.post("/v1/year-end", body, desk.staff("maker"), 409)
    assert told["errors"][0]["code"] == "too-early-to-close"
    await desk.post(f"/v1/year-end/{PROGRAMME}/approval", {}, desk.staff("checker"), 404)
    await desk.get(f"/v1/year-end/{PROGRAMME}", desk.staff("checker"), 404)
    desk._clock.set(jakarta("2021-03-06 00:00"))
    assert await desk.post("/v1/year-end", body, desk.staff("maker", "ani"), 201) == {"state": "proposed"}
    shown = await desk.get(f"/v1/year-end/{PROGRAMME}", desk.staff("checker"))
    assert (shown["state"], shown["to_return_rupiah"], shown["returns"]) == ("proposed", 10 * TOTAL, 0)
    told = await desk.post(f"/v1/year-end/{PROGRAMME}/approval", {}, desk.staff("checker", "ani"), 403)
    closed = await desk.post(f"/v1/year-end/{PROGRAMME}/approval", {}, desk.staff("checker", "budi"))
    assert closed == {"state": "approved"}
    grant = {"programme": PROGRAMME, "amount_rupiah": 5, "reference": "late"}
    told = await desk.post("/v1/appropriations", grant, desk.staff("maker"), 409)
    assert told["errors"][0]["code"] == "year-closing"


async def test_a_hold_is_seen_in_the_ledger_and_lifted_with_a_finding(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.disbursement.domain.settlement import Contradiction
    from services.disbursement.settling import hold

    raised, lifted = CapturingLogger(), CapturingLogger()
    monkeypatch.setattr("services.disbursement.settling.log", raised)
    monkeypatch.setattr("services.disbursement.commands.log", lifted)
    for _ in range(2):  # noticed again and again, it is one hold and one line
        async with desk.world.database.transaction() as tx:
            await hold(tx, desk.world.store, [Contradiction("unknown-line", "stray")] * 2, desk.world.now)
    told = {"holds": 1, "reasons": ["unknown-line"]}
    assert raised.calls == [("error", ("sending is held until a person has looked",), told)]
    await desk.world.send()
    assert REGISTRY.get_sample_value("gelombang_disbursement_sending_holds") == 1
    ledger = await desk.get(f"/v1/ledger/{PROGRAMME}", desk.staff("auditor"))
    (held,) = ledger["sending_held"]
    assert (held["reason"], held["reference"]) == ("unknown-line", "stray")
    lifting = f"/v1/holds/{held['hold_id']}/lifting"
    await desk.post(lifting, {"finding": "A test transfer."}, desk.staff("maker"), 403)
    await desk.post(lifting, {"finding": ""}, desk.staff("checker"), 422)
    await desk.post(lifting, {"finding": "A test transfer."}, desk.staff("checker"), 204)
    told = {"hold_id": held["hold_id"], "holds": 0}
    assert lifted.calls == [("error", ("a hold on sending was lifted",), told)]
    await desk.world.send()
    assert REGISTRY.get_sample_value("gelombang_disbursement_sending_holds") == 0
    await desk.post(lifting, {"finding": "Again."}, desk.staff("checker"), 404)
    assert (await desk.get(f"/v1/ledger/{PROGRAMME}", desk.staff("auditor")))["sending_held"] == []
    await desk.get("/v1/ledger/none", desk.staff("auditor"), 404)


async def test_an_address_that_names_no_programme_is_refused_at_the_edge(desk: Desk) -> None:
    for strange in ("%00", "PRAKERJA", "x" * 41):
        told = await desk.get(f"/v1/ledger/{strange}", desk.staff("auditor"), 422)
        assert [error["field"] for error in told["errors"]] == ["programme"]
        await desk.post(f"/v1/year-end/{strange}/approval", {}, desk.staff("checker"), 422)
