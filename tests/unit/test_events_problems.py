"""Refusals tell what to do, in two languages, and never repeat what a person typed."""

import json
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import asyncpg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from libs.events import problems
from libs.events.api import Edge
from libs.events.refusal import Refusal, Refused

SECRET = "3201010101010001"


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")

    nik: Annotated[str, StringConstraints(pattern="^[0-9]{16}$")]
    wave: int
    tier: Literal["priority", "public"] = "public"
    courses: Annotated[list[str], Field(min_length=1, max_length=2)] = ["one"]
    seats: Annotated[int, Field(gt=0, le=100)] = 1
    hours: Annotated[float, Field(ge=6, lt=19)] = 6
    title: Annotated[str, Field(min_length=3, max_length=20)] = "Barista"
    starts_at: Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC))] | None = None
    born: date | None = None
    open: bool = True
    answers: dict[str, str] = {}


@pytest.fixture
def client() -> TestClient:
    api = FastAPI()
    api.add_middleware(Edge)
    problems.install(api)

    @api.post("/forms")
    async def take(form: Form) -> str:
        return form.nik

    @api.get("/fail/{kind}")
    async def fail(kind: str) -> str:
        raise {
            "refused": Refused(
                Refusal("full", 409, "Penuh.", "Full."), Refusal("late", 409, "Terlambat.", "Late.", "wave")
            ),
            "busy": Refused(Refusal("busy", 503, "Ramai.", "Busy."), retry_after_seconds=7),
            "unknown": Refused(Refusal("who", 401, "Masuk dahulu.", "Sign in first.")),
            "broken": ValueError(f"can not digest {SECRET}"),
            "away": asyncpg.ConnectionDoesNotExistError(SECRET),
        }[kind]

    return TestClient(api, raise_server_exceptions=False)


GOOD: dict[str, Any] = {"nik": "3201010101010002", "wave": 1}


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        (GOOD | {"nik": SECRET + "x"}, "nik", "string_pattern_mismatch"),
        (GOOD | {"nik": [SECRET]}, "nik", "string_type"),
        (GOOD | {"wave": SECRET + "x"}, "wave", "int_parsing"),
        (GOOD | {"tier": SECRET}, "tier", "literal_error"),
        (GOOD | {"courses": [SECRET] * 3}, "courses", "too_long"),
        ({"nik": "3201010101010002"}, "wave", "missing"),
        ([SECRET], None, "model_attributes_type"),
        (GOOD | {"wave": [SECRET]}, "wave", "int_type"),
        (GOOD | {"wave": 1.5}, "wave", "int_from_float"),
        (GOOD | {"wave": SECRET * 300}, "wave", "int_parsing_size"),
        (GOOD | {"hours": [SECRET]}, "hours", "float_type"),
        (GOOD | {"hours": SECRET + "x"}, "hours", "float_parsing"),
        (GOOD | {"courses": SECRET}, "courses", "list_type"),
        (GOOD | {"courses": [1]}, "courses.0", "string_type"),
        (GOOD | {"answers": SECRET}, "answers", "dict_type"),
        (GOOD | {"open": SECRET}, "open", "bool_parsing"),
        (GOOD | {"open": [SECRET]}, "open", "bool_type"),
        (GOOD | {"born": SECRET + "x"}, "born", "date_from_datetime_parsing"),
        (GOOD | {"born": [SECRET]}, "born", "date_type"),
        (GOOD | {"starts_at": "2020-05-04T09:00:00"}, "starts_at", "timezone_aware"),
        (GOOD | {"starts_at": SECRET + "x"}, "starts_at", "datetime_from_date_parsing"),
        (GOOD | {"starts_at": [SECRET]}, "starts_at", "datetime_type"),
    ],
)
def test_each_wrong_field_is_named_with_what_to_do_and_without_what_was_typed(
    client: TestClient, body: Any, field: str | None, code: str
) -> None:
    answer = client.post("/forms", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    (error,) = told["errors"]
    assert (error["field"], error["code"]) == (field, code)
    assert error["id"] != error["en"]
    assert told["detail"] == error["id"]
    assert error["en"] != problems.OTHERWISE[1]
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("change", "bound"),
    [
        ({"seats": -7777}, "0"),
        ({"seats": 7777}, "100"),
        ({"hours": -7777}, "6"),
        ({"hours": 7777}, "19"),
        ({"title": "7"}, "3"),
        ({"title": "7777" * 6}, "20"),
        ({"courses": []}, "1"),
        ({"courses": ["7777"] * 77}, "2"),
        ({"starts_at": "1977-07-07T00:00:00+00:00"}, "2000-01-01T00:00:00Z"),
    ],
)
def test_a_bound_is_told_and_what_was_typed_is_not(client: TestClient, change: dict[str, Any], bound: str) -> None:
    answer = client.post("/forms", json=GOOD | change)
    (error,) = answer.json()["errors"]
    assert [error["field"]] == list(change)
    assert bound in error["id"]
    assert bound in error["en"]
    assert "77" not in answer.text
    assert "{" not in error["id"] + error["en"]


def test_what_is_no_json_is_not_repeated_either(client: TestClient) -> None:
    answer = client.post("/forms", content=f'{{"nik": {SECRET}, oops', headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert SECRET not in answer.text
    (error,) = answer.json()["errors"]
    assert (error["code"], error["field"]) == ("json_invalid", None)


def test_an_unknown_field_is_not_repeated(client: TestClient) -> None:
    answer = client.post("/forms", json=GOOD | {SECRET: "x"})
    (error,) = answer.json()["errors"]
    assert (error["code"], error["field"]) == ("extra_forbidden", None)
    assert SECRET not in answer.text


def test_the_first_refusal_decides_and_all_are_told(client: TestClient) -> None:
    answer = client.get("/fail/refused")
    told = answer.json()
    assert (answer.status_code, told["type"], told["detail_en"]) == (409, "urn:gelombang:problem:full", "Full.")
    assert [(error["code"], error["field"]) for error in told["errors"]] == [("full", None), ("late", "wave")]
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize(("kind", "status", "seconds"), [("busy", 503, "7"), ("away", 503, "2")])
def test_who_must_wait_is_told_how_long(client: TestClient, kind: str, status: int, seconds: str) -> None:
    answer = client.get(f"/fail/{kind}")
    assert (answer.status_code, answer.headers["retry-after"]) == (status, seconds)


def test_a_stranger_is_told_how_to_sign_in(client: TestClient) -> None:
    assert client.get("/fail/unknown").headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("kind", "code"), [("broken", "broken"), ("away", "store-unavailable")])
def test_our_own_faults_say_nothing_of_what_was_typed(
    client: TestClient, capsys: pytest.CaptureFixture[str], kind: str, code: str
) -> None:
    answer = client.get(f"/fail/{kind}")
    assert answer.json()["type"] == f"urn:gelombang:problem:{code}"
    assert SECRET not in answer.text
    assert SECRET not in capsys.readouterr().out


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("DELETE", "/forms", 405)])
def test_a_wrong_address_is_a_problem_too(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_service_may_say_better_what_is_wrong() -> None:
    errors: list[dict[str, Any]] = [
        {"type": "nik", "loc": ("body", "nik"), "msg": "A NIK has 16 digits.", "ctx": {"id": "NIK terdiri 16 angka."}},
        {"type": "missing", "loc": ("query", "people", 3, "wave"), "msg": "Field required"},
    ]
    first, second = problems.refusals_of(errors)
    assert (first.id, first.en, first.field) == ("NIK terdiri 16 angka.", "A NIK has 16 digits.", "nik")
    assert second.field == "people.3.wave"
    assert json.dumps(second.id) == json.dumps(problems.REMEDIES["missing"][0])


def test_the_documents_say_what_an_answer_holds() -> None:
    body = json.loads(bytes(problems.problem([problems.AWAY]).body))
    assert set(body) == set(problems.SCHEMA["required"]) == set(problems.SCHEMA["properties"])
    (error,) = body["errors"]
    assert set(error) == set(problems.SCHEMA["properties"]["errors"]["items"]["required"])
