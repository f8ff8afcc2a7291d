"""An answer is sent when it has become true: after the commit. Limits hold for whoever sends too much, or goes away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI, Request
from prometheus_client import REGISTRY
from starlette.requests import ClientDisconnect

from deploy.local.databases import ServiceDatabase
from libs.events import problems
from libs.events.api import BODY_BYTES_MAX, Now, Tx, new_api
from libs.events.clock import FixedClock
from libs.events.database import open_database
from libs.events.refusal import Refusal, Refused
from tests.support import NOON

Message = dict[str, Any]


class SlowToCommit:
    """A store whose commits wait until they are let through, and that notes what happens, in order."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.committing, self.let_through = asyncio.Event(), asyncio.Event()
        self.fails = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[str]:
        self.notes.append("begin")
        try:
            yield "tx"
        except BaseException as error:
            self.notes.append(f"rollback: {type(error).__name__}")
            raise
        self.committing.set()
        await self.let_through.wait()
        if self.fails:
            raise asyncpg.ConnectionDoesNotExistError("the server went away at COMMIT")
        self.notes.append("commit")


def api_with(database: Any) -> FastAPI:
    api = new_api("Test", "A test")
    api.state.database, api.state.clock = database, FixedClock(NOON)

    @api.post("/write")
    async def write(tx: Tx, now: Now) -> dict[str, str]:
        return {"at": now.isoformat()}

    @api.post("/refuse")
    async def refuse(tx: Tx) -> None:
        raise Refused(Refusal("full", 409, "Penuh.", "Full."))

    @api.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    return api


async def ask(
    api: FastAPI,
    path: str,
    *parts: Message,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    heard: Callable[[Message], None] = lambda message: None,
) -> list[Message]:
    """Speak ASGI to an API: the messages of the body go in, the messages of the answer come out."""
    waiting = list(parts) or [{"type": "http.request", "body": b"", "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        heard(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": path,
        "raw_path": path.encode(), "query_string": b"", "headers": list(headers), "scheme": "http",
        "server": ("test", 80), "client": ("test", 1), "root_path": "", "app": api,
    }  # fmt: skip
    await api(scope, receive, send)  # type: ignore[arg-type]
    return sent


async def test_nobody_is_answered_before_the_commit() -> None:
    store = SlowToCommit()
    heard: list[Message] = []
    asking = asyncio.create_task(ask(api_with(store), "/write", heard=heard.append))
    await asyncio.wait_for(store.committing.wait(), 5)
    await asyncio.sleep(0.05)
    assert (heard, store.notes) == ([], ["begin"])
    store.let_through.set()
    await asyncio.wait_for(asking, 5)
    assert store.notes == ["begin", "commit"]
    assert heard[0]["status"] == 200
    assert NOON.isoformat().encode() in heard[1]["body"]


async def test_not_even_the_first_byte_leaves_before_the_commit() -> None:
    store = SlowToCommit()
    store.let_through.set()
    await ask(api_with(store), "/write", heard=lambda message: store.notes.append(message["type"]))
    assert store.notes == ["begin", "commit", "http.response.start", "http.response.body"]


async def test_a_commit_that_fails_is_never_answered_as_success() -> None:
    store = SlowToCommit()
    store.fails = True
    store.let_through.set()
    heard: list[Message] = []
    await ask(api_with(store), "/write", heard=heard.append)
    assert heard[0]["status"] == 503
    assert problems.AWAY.id.encode() in heard[1]["body"]


async def test_a_refusal_rolls_back() -> None:
    store = SlowToCommit()
    sent = await ask(api_with(store), "/refuse")
    assert sent[0]["status"] == 409
    assert store.notes == ["begin", "rollback: Refused"]


async def test_a_client_that_goes_away_is_committed_or_rolled_back_but_not_half(
    database: Callable[[str], ServiceDatabase],
) -> None:
    """The server cancels nobody; should it do so while the work is under way, PostgreSQL keeps nothing of it."""
    made = database("probe")
    async with open_database(made.app_url) as opened:
        api = api_with(opened)
        under_way = asyncio.Event()

        @api.post("/slow")
        async def slow(tx: Tx) -> None:
            await tx.execute("INSERT INTO job (name, due_at) VALUES ('half', $1)", NOON)
            under_way.set()
            await asyncio.sleep(0.1)

        gone = {"type": "http.disconnect"}
        await ask(api, "/slow", {"type": "http.request", "body": b"", "more_body": False}, gone)
        async with opened.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM job") == 1, "who only stopped listening is served"
            await connection.execute("UPDATE job SET name = 'whole'")

        under_way.clear()
        asking = asyncio.create_task(ask(api, "/slow"))
        await asyncio.wait_for(under_way.wait(), 5)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        async with opened.connection() as connection:
            assert [row["name"] for row in await connection.fetch("SELECT name FROM job")] == ["whole"]


@pytest.mark.parametrize(("length", "status"), [(BODY_BYTES_MAX, 200), (BODY_BYTES_MAX + 1, 413)])
async def test_a_body_that_is_announced_as_too_large_is_refused_unread(length: int, status: int) -> None:
    headers = ((b"content-length", str(length).encode()),)
    body = {"type": "http.request", "body": b"x", "more_body": False}
    sent = await ask(api_with(None), "/read", body, headers=headers)
    assert sent[0]["status"] == status
    if status == 413:
        assert b"Bagi menjadi beberapa bagian" in sent[1]["body"]


async def test_a_body_of_exactly_the_limit_is_read_whole() -> None:
    half = {"type": "http.request", "body": b"x" * (BODY_BYTES_MAX // 2), "more_body": True}
    sent = await ask(api_with(None), "/read", half, half | {"more_body": False})
    assert (sent[0]["status"], sent[1]["body"]) == (200, str(BODY_BYTES_MAX).encode())


ENDLESS = {"type": "http.request", "body": b"x" * BODY_BYTES_MAX, "more_body": True}


async def test_a_body_that_grows_beyond_the_limit_is_not_taken() -> None:
    sent = await _ask_or_nothing(ENDLESS, ENDLESS, ENDLESS)
    assert not sent or sent[0]["status"] >= 400


async def test_who_sends_too_much_in_pieces_is_told_so() -> None:
    sent = await _ask_or_nothing(ENDLESS, ENDLESS, ENDLESS)
    assert sent[0]["status"] == 413


async def test_what_the_edge_itself_answers_has_its_headers_and_is_counted() -> None:
    held, broken = api_with(None), api_with(None)
    held.state.held = "the topics know more"

    @broken.post("/broken")
    async def fail() -> None:
        raise ValueError

    announced = ((b"content-length", str(BODY_BYTES_MAX + 1).encode()),)
    answers: dict[tuple[int, str], Callable[[], Awaitable[list[Message]]]] = {
        (413, "unknown"): lambda: ask(api_with(None), "/read", headers=announced),
        (503, "unknown"): lambda: ask(held, "/read"),
        (413, "/read"): lambda: ask(api_with(None), "/read", ENDLESS, ENDLESS),
        (500, "/broken"): lambda: ask(broken, "/broken"),
    }
    for (status, route), answer in answers.items():
        before = counted(route, status)
        start, *rest = await answer()
        assert (start["status"], [message["type"] for message in rest]) == (status, ["http.response.body"])
        headers = dict(start["headers"])
        assert (headers[b"x-content-type-options"], headers[b"cache-control"]) == (b"nosniff", b"no-store")
        assert counted(route, status) == before + 1


def counted(route: str, status: int) -> float:
    labels = {"method": "POST", "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("gelombang_http_requests_total", labels) or 0


async def _ask_or_nothing(*parts: Message) -> list[Message]:
    sent: list[Message] = []
    with suppress(ClientDisconnect):
        sent += await ask(api_with(None), "/read", *parts)
    return sent


async def test_every_answer_of_a_route_forbids_guessing_and_keeping() -> None:
    sent = await ask(api_with(None), "/read")
    headers = dict(sent[0]["headers"])
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"cache-control"] == b"no-store"


async def test_health_says_which_role_has_stopped() -> None:
    api = api_with(None)
    told = {"ready": False, "store": "answers", "roles": {"relay": "stopped: older than its topics"}}

    async def ready() -> dict[str, Any]:
        return told

    api.state.health = SimpleNamespace(ready=ready)
    route = next(route for route in api.routes if getattr(route, "path", "") == "/health/ready")
    answer = await route.endpoint(SimpleNamespace(app=api))  # type: ignore[attr-defined]
    assert answer.status_code == 503
    assert b"older than its topics" in answer.body
