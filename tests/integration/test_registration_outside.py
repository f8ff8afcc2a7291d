"""The errands against the real simulators of the civil registry and the message gateway, over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
from aiohttp import ClientSession
from fastapi import FastAPI

from deploy.local.databases import ServiceDatabase
from deploy.simulators import civil_registry, common, messages
from libs.events.clock import FixedClock
from services.registration.outside import CivilRegistry, Gateway, Unavailable
from services.registration.store_due import Check
from tests.integration.registration_desk import MONDAY, Desk, open_desk
from tests.unit.registration_examples import claim, numbered, registration


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The address of a simulator that runs in this process."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
            await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await running


@pytest.fixture
async def desk(database: Callable[[str], ServiceDatabase]) -> AsyncIterator[Desk]:
    async with open_desk(database("registration")) as opened:
        yield opened


@asynccontextmanager
async def registry_with(folder: Path, desk: Desk, unavailable_percent: float = 0) -> AsyncIterator[CivilRegistry]:
    settings = civil_registry.Settings(
        port=0, book=folder / "registry.sqlite3", unavailable_percent=unavailable_percent
    )
    async with served(civil_registry.create(settings, FixedClock(MONDAY))) as url:
        people = [
            {"nik": told.nik, "kk": told.kk, "name": told.name.upper(), "birth_date": told.birth_date.isoformat(),
             "laid_off_listed": True} for told in (numbered(1), numbered(2))
        ]  # fmt: skip
        async with ClientSession() as session:
            await session.post(f"{url}/people", json=people)
        system = CivilRegistry(url)
        await system.start(desk.database, FixedClock(MONDAY))
        yield system
        await system.close()


async def test_the_registry_answers_for_those_it_knows(desk: Desk, tmp_path: Path) -> None:
    found = await desk.citizens(3, check=False)
    async with registry_with(tmp_path, desk) as registry:
        desk.registry = registry  # type: ignore[assignment]
        assert await desk.check() == 3
    assert [(await desk.me(one))["identity"] for one in found] == ["verified", "verified", "not-found"]
    assert await desk.value("SELECT count(*) FROM identity WHERE laid_off_listed") == 2


async def test_a_registry_that_is_often_away_answers_in_the_end(desk: Desk, tmp_path: Path) -> None:
    found = await desk.citizens(2, check=False)
    async with registry_with(tmp_path, desk, unavailable_percent=60) as registry:
        desk.registry = registry  # type: ignore[assignment]
        for _ in range(50):
            await desk.check()
            desk.now += timedelta(hours=1)
    assert [(await desk.me(one))["identity"] for one in found] == ["verified", "verified"]


async def test_messages_arrive_once(desk: Desk, tmp_path: Path) -> None:
    (citizen,) = await desk.register(registration(1))
    app = messages.create(common.Settings(port=0, book=tmp_path / "messages.sqlite3"), FixedClock(MONDAY))
    async with served(app) as url:
        gateway = Gateway(url)
        await gateway.start(desk.database, FixedClock(MONDAY))
        desk.gateway = gateway  # type: ignore[assignment]
        assert await desk.send() == 1
        assert await desk.send() == 0
        async with ClientSession() as session, session.get(f"{url}/v1/inbox?to=warga1@contoh.id") as answer:
            (letter,) = await answer.json()
        await gateway.close()
    assert letter["channel"] == "e-mail"
    assert await desk.confirm((str(citizen), letter["text"][-6:])) == ["confirmed"]


async def test_a_system_that_is_not_there_is_named_and_nobody_asked_about_is(desk: Desk) -> None:
    registry = CivilRegistry("http://127.0.0.1:1")
    await registry.start(desk.database, FixedClock(MONDAY))
    with pytest.raises(Unavailable) as error:
        await registry.check([Check("a" * 32, claim())])
    await registry.close()
    assert str(error.value) == "the civil registry does not answer: ClientConnectorError"
