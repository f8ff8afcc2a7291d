"""The API as citizens and partners see it: real tokens, a real store, one story from the offer to the rating."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from libs.events import ids
from libs.events.citizen_tokens import CitizenTokens
from libs.events.clock import FileClock
from libs.events.database import Database, open_database
from libs.events.runtime import Service
from services.training.main import service
from services.training.settings import Settings
from tests.conftest import MakeDatabase
from tests.unit.training_examples import jakarta, selection

COURSE = {
    "code": "barista",
    "title": "Barista pemula",
    "mode": "online",
    "hours": 18,
    "price_rupiah": 400_000,
    "seats": 2,
    "starts_at": "2020-05-04T09:00:00+07:00",
    "ends_at": "2020-05-04T17:00:00+07:00",
}


class World:
    """A composed service without its Kafka roles, a clock to set, and tokens for whoever calls."""

    def __init__(self, built: Service, clock: FileClock, staff_key: ECKey, tokens: CitizenTokens) -> None:
        self.service, self.clock, self._staff_key, self._tokens = built, clock, staff_key, tokens
        transport = httpx.ASGITransport(app=built.api)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://training")

    def partner(self, account: str = "partner-a", *roles: str) -> dict[str, str]:
        claims = {
            "iss": "http://oidc",
            "aud": "gelombang",
            "sub": account,
            "person": f"person of {account}",
            "roles": list(roles) or ["partner"],
            "exp": int((self.clock.now() + timedelta(hours=1)).timestamp()),
        }
        return {"Authorization": "Bearer " + jwt.encode({"alg": "ES256", "kid": "staff"}, claims, self._staff_key)}

    def citizen(self, citizen_id: str) -> dict[str, str]:
        return {"Authorization": "Bearer " + self._tokens.issue(citizen_id, timedelta(hours=1))}

    async def post(self, path: str, body: object, who: dict[str, str], status: int = 200) -> Any:
        answer = await self.client.post(path, json=body, headers=who)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def get(self, path: str, who: dict[str, str] | None = None, status: int = 200) -> Any:
        answer = await self.client.get(path, headers=who or {})
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
async def world(database: MakeDatabase, tmp_path: Path) -> AsyncIterator[World]:
    staff_key = ECKey.generate_key("P-256", {"kid": "staff"}, private=True)
    citizen_key = ECKey.generate_key("P-256", {"kid": "citizens"}, private=True)
    for name, key in (("staff", staff_key), ("citizens", citizen_key)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    (tmp_path / "private.json").write_text(json.dumps(citizen_key.as_dict(private=True)))
    clock = FileClock(tmp_path / "clock.json")
    clock.set(jakarta("2020-04-18"))
    built = service(
        Settings(
            database_url=database("training").app_url,
            kafka_servers="127.0.0.1:1",
            clock=str(clock.path),
            staff_issuer="http://oidc",
            staff_jwks=str(tmp_path / "staff.json"),
            citizen_jwks=str(tmp_path / "citizens.json"),
        )
    )
    async with open_database(built.settings.database_url.get_secret_value()) as store:
        await opened(built, store, clock)
        yield World(built, clock, staff_key, CitizenTokens(tmp_path / "private.json", clock))
        for resource in built.resources:
            await resource.close()


async def opened(built: Service, store: Database, clock: FileClock) -> None:
    built.api.state.database, built.api.state.clock = store, clock
    for resource in built.resources:
        resource.start(store, clock)
    [on_selected] = built.reactions.values()
    async with store.transaction() as tx:
        await on_selected(tx=tx, events=[selection("sari")])


SARI = selection("sari").citizen_id


async def test_one_story_from_the_offer_to_the_rating(world: World) -> None:
    course = await world.post("/v1/courses", COURSE, world.partner(), 201)
    assert (await world.post("/v1/courses", COURSE, world.partner(), 201)) == course
    [listed] = (await world.get("/v1/courses?programme=prakerja-2020"))["courses"]
    assert (listed["course_id"], listed["seats_left"]) == (course["course_id"], 2)

    wish = {"course_id": course["course_id"], "purchase_id": ids.derive("purchase")}
    receipt = await world.post("/v1/me/purchases", wish, world.citizen(SARI), 201)
    assert receipt["balance_rupiah"] == 600_000
    assert await world.post("/v1/me/purchases", wish, world.citizen(SARI), 201) == receipt
    code = {"redeem_code": receipt["redeem_code"]}

    [early] = await world.post("/v1/partner/redemptions", [code], world.partner())
    assert (early["status"], early["session_starts_at"]) == ("too-early", "2020-05-04T02:00:00Z")
    world.clock.set(jakarta("2020-05-04 09:00"))
    [other] = await world.post("/v1/partner/redemptions", [code], world.partner("partner-b"))
    assert (other["status"], other["enrolment_id"], other["session_starts_at"]) == ("other-partner", None, None)
    [claimed] = await world.post("/v1/partner/redemptions", [code], world.partner())
    assert (claimed["status"], claimed["enrolment_id"]) == ("claimed", receipt["enrolment_id"])
    [again] = await world.post("/v1/partner/redemptions", [code], world.partner())
    assert again["status"] == "already-claimed"

    lines = [code | {"sequence": sequence} for sequence in (1, 1, 2, 999)]
    told = await world.post("/v1/partner/attendances", lines, world.partner())
    assert [line["status"] for line in told] == ["recorded", "already-recorded", "refused", "recorded"]
    assert (told[2]["reason"], told[2]["sequence"]) == ("no-such-sequence", 2)

    [failed] = await world.post("/v1/partner/certificates", [code | {"score": 59}], world.partner())
    assert (failed["status"], failed["reason"], failed["certificate_id"]) == ("refused", "score-too-low", None)
    for status in ("completed", "already-completed"):
        [done] = await world.post("/v1/partner/certificates", [code | {"score": 88}], world.partner())
        assert (done["status"], done["reason"]) == (status, None)
        assert done["certificate_id"] == ids.derive("certificate", receipt["enrolment_id"])

    rating = {"enrolment_id": receipt["enrolment_id"], "stars": 5, "review": "Sangat membantu."}
    assert await world.post("/v1/me/ratings", rating, world.citizen(SARI)) == rating
    mine = await world.get("/v1/me/membership", world.citizen(SARI))
    assert (mine["state"], mine["balance_rupiah"], mine["purchase_due"]) == ("completed", 600_000, None)
    [enrolment] = mine["enrolments"]
    assert (enrolment["state"], enrolment["stars"], enrolment["score"]) == ("rated", 5, 88)
    assert (enrolment["attended"], enrolment["waiting_for"]) == ([1, 999], [])
    assert [line["amount_rupiah"] for line in mine["credit"]] == [1_000_000, -400_000]


async def test_a_refusal_is_a_problem_in_two_languages(world: World) -> None:
    wish = {"course_id": ids.derive("no such course"), "purchase_id": ids.derive("purchase")}
    problem = await world.post("/v1/me/purchases", wish, world.citizen(SARI), 404)
    assert problem["errors"][0]["code"] == "course-not-found"
    assert problem["detail"]
    assert problem["detail_en"]
    stranger = world.citizen(ids.derive("citizen", "stranger"))
    assert (await world.post("/v1/me/purchases", wish, stranger, 403))["errors"][0]["code"] == "not-a-member"
    assert (await world.get("/v1/me/membership", stranger))["state"] == "none"


async def test_every_wrong_field_of_an_offer_is_named(world: World) -> None:
    wrong = COURSE | {"hours": 1, "also_sold_at_rupiah": 1, "starts_at": "2020-04-01T09:00:00+07:00"}
    problem = await world.post("/v1/courses", wrong, world.partner(), 422)
    assert {error["field"] for error in problem["errors"]} == {"hours", "price_rupiah", "starts_at"}


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Barista\u0000"},
        {"title": " "},
        {"seats": 0},
        {"price_rupiah": 2**63},
        {"starts_at": "9999-12-31T23:59:59+00:00"},
        {"starts_at": "2020-05-04T09:00:00"},
        {"mode": "by-post"},
    ],
)
async def test_what_no_course_can_be_is_refused_at_the_edge(world: World, change: dict[str, object]) -> None:
    problem = await world.post("/v1/courses", COURSE | change, world.partner(), 422)
    assert [error["field"] for error in problem["errors"]] == list(change)


async def test_a_misspelt_field_is_refused_since_a_rule_would_be_skipped(world: World) -> None:
    for path, body, who in (
        ("/v1/courses", COURSE | {"also_sold_at_rupia": 1}, world.partner()),
        ("/v1/me/ratings", {"enrolment_id": "0" * 32, "stars": 5, "review": "x", "star": 1}, world.citizen(SARI)),
        ("/v1/partner/attendances", [{"redeem_code": "Z" * 16, "sequence": 1, "day": 1}], world.partner()),
    ):
        problem = await world.post(path, body, who, 422)
        assert [error["code"] for error in problem["errors"]] == ["extra_forbidden"]
    assert (await world.get("/v1/courses?programme=prakerja-2020"))["courses"] == []


async def test_the_price_elsewhere_is_shown_as_it_was_told(world: World) -> None:
    told = await world.post("/v1/courses", COURSE | {"also_sold_at_rupiah": 450_000}, world.partner(), 201)
    assert told["also_sold_at_rupiah"] == 450_000
    told = await world.post("/v1/courses", COURSE | {"code": "only-here"}, world.partner(), 201)
    assert told["also_sold_at_rupiah"] is None


async def test_a_cancelled_session_says_when_and_by_what(world: World) -> None:
    course = await world.post("/v1/courses", COURSE, world.partner(), 201)
    wish = {"course_id": course["course_id"], "purchase_id": ids.derive("purchase")}
    await world.post("/v1/me/purchases", wish, world.citizen(SARI), 201)
    [bought] = (await world.get("/v1/me/membership", world.citizen(SARI)))["enrolments"]
    assert (bought["cancelled_at"], bought["cancelled_by"]) == (None, None)
    world.clock.set(jakarta("2020-05-01 09:00"))
    await world.post(f"/v1/courses/{course['course_id']}/cancellation", {}, world.partner())
    [lost] = (await world.get("/v1/me/membership", world.citizen(SARI)))["enrolments"]
    assert (lost["state"], lost["cancelled_at"], lost["cancelled_by"]) == (
        "cancelled",
        "2020-05-01T02:00:00Z",
        "session",
    )


async def test_who_may_call_what(world: World) -> None:
    code = [{"redeem_code": "0" * 16}]
    await world.post("/v1/partner/redemptions", code, {}, 401)
    await world.post("/v1/partner/redemptions", code, world.citizen(SARI), 401)
    await world.post("/v1/partner/redemptions", code, world.partner("officer", "maker"), 403)
    await world.post("/v1/me/purchases", {}, world.partner(), 401)
    await world.get("/v1/me/membership", None, 401)
    await world.post("/v1/partner/redemptions", [], world.partner(), 422)
    await world.post("/v1/partner/redemptions", code * 1001, world.partner(), 422)


async def test_the_catalogue_pages_without_a_gap_and_leaves_out_what_can_not_be_bought(world: World) -> None:
    same_start = [COURSE | {"code": f"course-{number}"} for number in range(5)]
    too_dear = COURSE | {"code": "dear", "price_rupiah": 1_000_001, "hours": 20}
    gone = COURSE | {"code": "gone"}
    made = [await world.post("/v1/courses", body, world.partner(), 201) for body in [*same_start, too_dear, gone]]
    answer = await world.post(f"/v1/courses/{made[-1]['course_id']}/cancellation", {}, world.partner())
    assert answer == {"course_id": made[-1]["course_id"], "refunded": 0}

    seen: list[str] = []
    mark: str | None = ""
    while mark is not None:
        page = await world.get(f"/v1/courses?programme=prakerja-2020&limit=2{mark and f'&after={mark}'}")
        seen += [course["code"] for course in page["courses"]]
        mark = page["next"] and page["next"].replace("+", "%2B")
    assert sorted(seen) == [f"course-{number}" for number in range(5)]
    for_2023 = (await world.get("/v1/courses?programme=prakerja-2023"))["courses"]
    assert {course["code"] for course in for_2023} == {*seen, "dear"}
    for start in ("nonsense", "0001-01-01T00:00:00%2B07:00", "9999-12-31T23:59:59-07:00", "2020-05-04T09:00:00"):
        told = await world.get(f"/v1/courses?programme=prakerja-2020&after={start}_{'0' * 32}", None, 422)
        assert told["errors"][0]["code"] == "no-such-page"
    await world.get("/v1/courses?programme=prakerja-1999", None, 404)


async def test_a_voided_purchase_is_told_to_the_partner_and_the_citizen(world: World) -> None:
    course = await world.post("/v1/courses", COURSE, world.partner(), 201)
    wish = {"course_id": course["course_id"], "purchase_id": ids.derive("purchase")}
    receipt = await world.post("/v1/me/purchases", wish, world.citizen(SARI), 201)
    code = {"redeem_code": receipt["redeem_code"]}
    told = await world.post("/v1/partner/voids", [code, code, {"redeem_code": "Z" * 16}], world.partner())
    assert [line["status"] for line in told] == ["voided", "already-voided", "refused"]
    assert told[2]["reason"] == "not-found"
    world.clock.set(jakarta("2020-05-04 09:00"))
    [line] = await world.post("/v1/partner/redemptions", [code], world.partner())
    assert (line["status"], line["fault"]) == ("cancelled", "purchase-cancelled")
    mine = await world.get("/v1/me/membership", world.citizen(SARI))
    assert (mine["state"], mine["balance_rupiah"]) == ("selected", 1_000_000)
    [undone] = mine["enrolments"]
    assert (undone["cancelled_at"], undone["cancelled_by"]) == ("2020-04-17T17:00:00Z", "purchase")
    assert mine["purchase_due"] == "2020-05-18T16:59:59.999999Z"
