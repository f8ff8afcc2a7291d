"""The client outlives the services it talks to; the history is appended to and never rewritten."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from deploy.demo.client import WIDTH, Answer, Client, History, Unexpected, Unreachable, each

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NOW = datetime(2020, 4, 11, 10, tzinfo=UTC)


@pytest.fixture
async def served() -> AsyncIterator[Callable[[Handler], Awaitable[str]]]:
    """Serve one handler under every path; gives its address."""
    runners: list[web.AppRunner] = []

    async def serve(handler: Handler) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
        host, port = runner.addresses[0][:2]
        return f"http://{host}:{port}"

    yield serve
    for runner in runners:
        await runner.cleanup()


Serve = Callable[[Handler], Awaitable[str]]


async def test_busy_is_asked_again_after_the_pause_it_named(served: Serve) -> None:
    times: list[float] = []

    async def handler(request: web.Request) -> web.Response:
        times.append(time.monotonic())
        if len(times) == 1:
            return web.Response(status=503, headers={"Retry-After": "1"})
        return web.json_response({"ok": True}, status=201)

    async with Client() as client:
        answer = await client.call("POST", await served(handler), {"registration_id": "a"})
    assert answer == Answer(201, {"ok": True}, repeated=True)  # a store that was away may have kept it
    assert times[1] - times[0] >= 1


async def test_a_broken_connection_is_asked_again_with_the_same_body_and_told_as_repeated(served: Serve) -> None:
    bodies: list[bytes] = []

    async def handler(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        if len(bodies) == 1:
            assert request.transport
            request.transport.abort()
        return web.json_response({"errors": [{"code": "already-applied"}]}, status=409)

    async with Client() as client:
        answer = await client.call("POST", await served(handler), {"wave": 1})
    assert answer.repeated
    assert answer.code == "already-applied"
    assert bodies[0] == bodies[1] == b'{"wave":1}'


async def test_a_refusal_is_an_answer_and_not_asked_again(served: Serve) -> None:
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        problem = {"detail_en": "The wave is not open.", "errors": [{"code": "wave-not-open"}]}
        return web.json_response(problem, status=409)

    async with Client() as client:
        address = await served(handler)
        answer = await client.call("POST", address, {})
        with pytest.raises(Unexpected, match="409 wave-not-open The wave is not open"):
            await client.post(address, {})
    assert not answer.ok
    assert len(asked) == 2


async def test_patience_ends() -> None:
    async with Client(patience_seconds=0.2) as client:
        with pytest.raises(Unreachable, match=r"GET http://127\.0\.0\.1:9/"):
            await client.call("GET", "http://127.0.0.1:9/")


async def test_a_glance_has_no_patience_and_raises_nothing(served: Serve) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"quiet": True}) if request.path == "/quiet" else web.Response(status=503)

    async with Client() as client:
        address = await served(handler)
        assert await client.glance(address + "/quiet") == {"quiet": True}
        assert await client.glance(address + "/busy") is None
        assert await client.glance("http://127.0.0.1:9/") is None


async def test_each_does_every_item_and_never_more_than_width_at_once() -> None:
    under_way, most, done = 0, 0, []

    async def work(item: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        done.append(item)

    await each(range(500), work)
    assert sorted(done) == list(range(500))
    assert most == WIDTH


async def test_the_first_failure_ends_the_rest() -> None:
    done = []

    async def work(item: int) -> None:
        await asyncio.sleep(0)
        if item == 3:
            raise LookupError("no code")
        done.append(item)

    with pytest.raises(ExceptionGroup) as raised:
        await each(range(10_000), work, width=4)
    assert raised.group_contains(LookupError)
    assert len(done) < 100


def test_the_history_is_appended_to_across_openings(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "acknowledged.jsonl"
    for application in ("a", "b"):
        history = History(path, NOW)
        history.add("joined", application_id=application, wave=1)
        history.add("registered", citizen_id="c")
        history.close()
    history = History(path, NOW)
    assert [line["application_id"] for line in history.read("joined")] == ["a", "b"]
    assert len(history.read("joined", "registered")) == 4
    assert history.read("joined")[0]["at"] == NOW.isoformat()
    history.close()
