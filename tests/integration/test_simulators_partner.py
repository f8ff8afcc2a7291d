"""The training platform as a process: it signs in, works, and after a kill in the middle says the same things again."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from libs.events.access import open_access
from libs.events.refusal import Refused
from tests.integration.simulators import NOON, Simulator, free_port, simulator

CLIENTS = '[[clients]]\nclient_id = "partner-a"\nclient_secret = "s"\nperson = "person-9"\nroles = ["partner"]\n'
STARTS, ENDS = NOON, NOON + timedelta(days=1, hours=3)


class Training:
    """Stands for services/training: knows who calls by the programme's access, and notes every report it gets."""

    def __init__(self, issuer: Simulator, folder: Path) -> None:
        url = str(issuer.http.base_url)
        self._access = open_access(url, f"{url}/jwks", folder / "none", issuer.clock)
        self.reports: list[tuple[str, Any]] = []
        self.before_answer: Callable[[str], None] = lambda _: None

    async def answer(self, request: web.Request) -> web.Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        try:
            await self._access.staff_of(token, "partner")
        except Refused as refused:
            raise web.HTTPUnauthorized(text=refused.refusals[0].code) from None
        items, path = await request.json(), request.match_info["path"]
        done = {"redemptions": "claimed", "attendances": "recorded", "certificates": "completed"}[path]
        for item in items:
            report = (path, item.get("sequence"))
            self.reports.append(report)
        self.before_answer(path)
        session = {"session_starts_at": STARTS.isoformat(), "session_ends_at": ENDS.isoformat()}
        return web.json_response([{**item, **session, "status": done} for item in items])


@asynccontextmanager
async def listening(training: Training, port: int) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_post("/v1/partner/{path}", training.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def quiet(platform: Simulator) -> dict[str, int]:
    """Wait until the platform has nothing to do at this programme time; then how many learners are in each state."""
    await asyncio.to_thread(platform.eventually, lambda: platform.http.get("/pending").json() == {"pending": 0})
    book = await asyncio.to_thread(platform.http.get, "/v1/book")
    return dict(book.json()["by_state"])


async def test_a_platform_killed_before_it_heard_the_answer_reports_again_and_finishes(tmp_path: Path) -> None:
    (tmp_path / "clients.toml").write_text(CLIENTS)
    port = free_port()
    with simulator("oidc", tmp_path, clients=tmp_path / "clients.toml") as issuer:
        training = Training(issuer, tmp_path)
        own = {"training_url": f"http://127.0.0.1:{port}", "issuer": issuer.http.base_url, "client_secret": "s"}
        with simulator("partner", tmp_path, **own) as platform:
            learners = [{"redeem_code": "c1", "diligence": "finishes"}]

            def kill(path: str) -> None:
                if path == "attendances":
                    platform.stop(signal.SIGKILL)
                    training.before_answer = lambda _: None

            training.before_answer = kill
            await asyncio.to_thread(platform.http.post, "/learners", json=learners)
            async with listening(training, port):  # it was not there at first: the platform waits for it
                while platform.process is not None and platform.process.poll() is None:  # noqa: ASYNC110 - until killed
                    await asyncio.sleep(0.02)
                await asyncio.to_thread(platform.start)
                assert await quiet(platform) == {"learning": 1}
                assert training.reports == [("redemptions", None), ("attendances", 1), ("attendances", 1)]
                platform.clock.set(ENDS)  # a day later: the first token has ended, the second day and the test are due
                assert await quiet(platform) == {"completed": 1}
    assert training.reports[3:] == [("attendances", 2), ("attendances", 999), ("certificates", None)]
