"""The outside checks: what the registry says about a person, and how it fails."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient

from deploy.simulators import civil_registry
from libs.events.clock import FixedClock
from tests.unit.simulators import client

NIK = "3273010101900001"
PERSON = {"nik": NIK, "kk": "3273010101000001", "name": "Siti Aminah", "birth_date": "1990-01-01"}
MATCH = {
    "reference": "r1",
    "result": "match",
    "field": None,
    "blacklisted": False,
    "other_aid": False,
    "laid_off_listed": False,
}


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[AsyncClient]:
    settings = civil_registry.Settings(port=0, book=tmp_path / "book")
    async with client(civil_registry.create(settings, FixedClock(datetime(2020, 4, 1, tzinfo=UTC)))) as told:
        yield told


async def check(registry: AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await registry.post("/v1/checks", json=[{"reference": "r1", **PERSON, **changes}])
    assert answer.status_code == 200
    (finding,) = answer.json()
    return dict(finding)


async def load(registry: AsyncClient, **changes: Any) -> None:
    assert (await registry.post("/people", json=[PERSON | changes])).json() == {"loaded": 1}


async def test_a_person_who_is_what_they_say_matches_whatever_the_letter_case(registry: AsyncClient) -> None:
    await load(registry)
    assert await check(registry) == MATCH
    assert await check(registry, name="  SITI  aminah ") == MATCH


@pytest.mark.parametrize(
    ("field", "value"), [("kk", "3273010101000002"), ("name", "Siti Aminah B"), ("birth_date", "1990-01-02")]
)
async def test_a_mismatch_names_the_field_and_tells_nothing_else(registry: AsyncClient, field: str, value: str) -> None:
    await load(registry, blacklisted=True, other_aid=True, laid_off_listed=True)
    assert await check(registry, **{field: value}) == MATCH | {"result": "mismatch", "field": field}


async def test_what_the_lists_say_about_a_match(registry: AsyncClient) -> None:
    await load(registry, blacklisted=True, laid_off_listed=True)
    assert await check(registry) == MATCH | {"blacklisted": True, "laid_off_listed": True}


async def test_the_unknown_and_the_dead_are_not_found(registry: AsyncClient) -> None:
    assert await check(registry) == MATCH | {"result": "not-found"}
    await load(registry, alive=False)
    assert await check(registry) == MATCH | {"result": "not-found"}


async def test_loading_again_corrects(registry: AsyncClient) -> None:
    await load(registry)
    await load(registry, name="Siti Rahma")
    assert (await check(registry))["field"] == "name"


async def test_a_list_is_answered_in_its_order(registry: AsyncClient) -> None:
    people = [PERSON | {"nik": f"{n:016}"} for n in range(1000)]
    await registry.post("/people", json=people[:500])
    asked = [{"reference": f"r{n}", **people[n]} for n in reversed(range(1000))]
    findings = (await registry.post("/v1/checks", json=asked)).json()
    assert [finding["reference"] for finding in findings] == [one["reference"] for one in asked]
    assert [finding["result"] for finding in findings] == ["not-found"] * 500 + ["match"] * 500
    assert (await registry.post("/v1/checks", json=[*asked, asked[0]])).status_code == 422


async def test_an_unavailable_registry_says_when_to_ask_again_and_then_answers(tmp_path: Path) -> None:
    settings = civil_registry.Settings(port=0, book=tmp_path / "book", unavailable_percent=50)
    app = civil_registry.create(settings, FixedClock(datetime(2020, 4, 1, tzinfo=UTC)))
    async with client(app) as registry:
        answers = [await registry.post("/v1/checks", json=[{"reference": "r1", **PERSON}]) for _ in range(40)]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert 8 < len(refused) < 32
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
