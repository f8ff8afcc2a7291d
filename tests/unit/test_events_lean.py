"""The short way and the general way say the same: what a request may be, who may ask, and what is answered."""

from collections.abc import Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from libs.events.access import TOKEN_REFUSED, Caller, Citizen
from libs.events.api import most_asked_first, new_api
from libs.events.lean import LeanRoute
from libs.events.refusal import Refusal, Refused

FULL = Refusal("full", 409, "Penuh.", "Full.")


class Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=2)
    seats: int = Field(gt=0)


class Granted(BaseModel):
    citizen_id: str
    name: str
    note: str | None = None


async def _who(token: str) -> Citizen:
    if token != "good":
        raise Refused(TOKEN_REFUSED)
    return Citizen("c1")


def _api(route_class: type[APIRoute]) -> FastAPI:
    api = new_api("Test", "A test")
    api.router.route_class = route_class

    @api.post("/v1/wishes", status_code=201, summary="Wish")
    async def wish(body: Wish, citizen: Annotated[Citizen, Depends(Caller(_who))]) -> Granted:
        if body.seats > 100:
            raise Refused(FULL)
        if body.name == "broken":
            raise RuntimeError(body.name)
        return Granted(citizen_id=citizen.citizen_id, name=body.name)

    @api.post("/v1/open", status_code=202, summary="Wish without saying who")
    async def open_wish(body: Wish) -> Granted:
        return Granted(citizen_id="", name=body.name)

    return most_asked_first(api)


GOOD = {"authorization": "Bearer good", "content-type": "application/json"}
BODY = b'{"name":"Siti","seats":3}'
CASES: dict[str, tuple[str, str, dict[str, str], bytes]] = {
    "well-formed": ("POST", "/v1/wishes", GOOD, BODY),
    "nobody need ask": ("POST", "/v1/open", {"content-type": "application/json"}, BODY),
    "another content type of JSON": ("POST", "/v1/wishes", GOOD | {"content-type": "application/ld+json"}, BODY),
    "JSON with a charset": ("POST", "/v1/wishes", GOOD | {"content-type": "application/json; charset=utf-8"}, BODY),
    "no JSON by its type": ("POST", "/v1/wishes", GOOD | {"content-type": "text/plain"}, BODY),
    "no content type": ("POST", "/v1/wishes", {"authorization": "Bearer good"}, BODY),
    "broken JSON": ("POST", "/v1/wishes", GOOD, BODY[:-1]),
    "no body": ("POST", "/v1/wishes", GOOD, b""),
    "a list": ("POST", "/v1/wishes", GOOD, b"[1]"),
    "not UTF-8": ("POST", "/v1/wishes", GOOD, b'{"name":"\xff\xff","seats":3}'),
    "half a pair": ("POST", "/v1/wishes", GOOD, b'{"name":"\\ud800x","seats":3}'),
    "a key twice": ("POST", "/v1/wishes", GOOD, b'{"name":"Siti","name":"S","seats":3}'),
    "several wrong fields": ("POST", "/v1/wishes", GOOD, b'{"name":"S","seats":0,"x":1}'),
    "a number as text": ("POST", "/v1/wishes", GOOD, b'{"name":"Siti","seats":"3"}'),
    "no number at all": ("POST", "/v1/wishes", GOOD, b'{"name":"Siti","seats":NaN}'),
    "without a token": ("POST", "/v1/wishes", {"content-type": "application/json"}, BODY),
    "a wrong token": ("POST", "/v1/wishes", GOOD | {"authorization": "Bearer bad"}, BODY),
    "another scheme": ("POST", "/v1/wishes", GOOD | {"authorization": "Basic good"}, BODY),
    "a wrong token and a wrong body": ("POST", "/v1/wishes", GOOD | {"authorization": "Bearer bad"}, b"{}"),
    "another method": ("PUT", "/v1/wishes", GOOD, BODY),
    "refused by a rule": ("POST", "/v1/wishes", GOOD, b'{"name":"Siti","seats":101}'),
    "a fault of ours": ("POST", "/v1/wishes", GOOD, b'{"name":"broken","seats":1}'),
}


def _client(route_class: type[APIRoute]) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(_api(route_class), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


@pytest.mark.parametrize("case", CASES)
async def test_both_ways_answer_alike(case: str) -> None:
    method, path, headers, body = CASES[case]
    short, general = [
        await _client(kind).request(method, path, headers=headers, content=body) for kind in (LeanRoute, APIRoute)
    ]
    assert (short.status_code, short.content) == (general.status_code, general.content)
    assert dict(short.headers) == dict(general.headers)


async def test_both_ways_are_documented_alike() -> None:
    short, general = [(await _client(kind).get("/openapi.json")).json() for kind in (LeanRoute, APIRoute)]
    assert short == general


async def test_only_a_well_formed_request_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async def general(*_: object) -> None:
        raise Refused(FULL)

    monkeypatch.setattr(APIRoute, "handle", general)
    told = await _client(LeanRoute).post("/v1/wishes", headers=GOOD, content=BODY)
    assert told.status_code == 201
    assert told.json() == {"citizen_id": "c1", "name": "Siti", "note": None}
    told = await _client(LeanRoute).post("/v1/wishes", headers=GOOD, content=b"{}")
    assert told.status_code == 409


def _endpoints() -> dict[str, Callable[..., Any]]:
    async def two_bodies(one: Wish, two: Wish) -> Granted: ...  # type: ignore[empty-body]
    async def with_a_number(body: Wish, wave: int) -> Granted: ...  # type: ignore[empty-body]
    async def another_dependency(body: Wish, other: Annotated[str, Depends(_who)]) -> Granted: ...  # type: ignore[empty-body]
    async def no_body(citizen: Annotated[Citizen, Depends(Caller(_who))]) -> Granted: ...  # type: ignore[empty-body]
    async def a_list(body: Wish) -> list[Granted]: ...  # type: ignore[empty-body]
    async def untold(body): ...  # type: ignore[no-untyped-def]

    return {one.__name__: one for one in (two_bodies, with_a_number, another_dependency, no_body, a_list, untold)}


@pytest.mark.parametrize("name", _endpoints())
def test_whatever_takes_or_gives_more_goes_the_general_way(name: str) -> None:
    assert LeanRoute("/x", _endpoints()[name], response_model=None).lean is None
