"""The training platform: what it does next after each answer of the partner API, and after none."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from deploy.simulators import common, partner
from libs.events.clock import FixedClock

STARTS = datetime(2020, 4, 20, 2, 0, tzinfo=UTC)  # 09:00 in Jakarta
ENDS = datetime(2020, 4, 22, 9, 0, tzinfo=UTC)  # two days later, 16:00
LEARNER = partner.Learner(
    redeem_code="c1",
    diligence="finishes",
    state="waiting",
    due_at=None,
    sequence=1,
    starts_at=STARTS,
    ends_at=ENDS,
    refusals=0,
    reason=None,
)


def reply(status: str, **more: Any) -> partner.Reply:
    return partner.Reply(redeem_code="c1", status=status, **more)


@pytest.mark.parametrize("status", ["claimed", "already-claimed"])
def test_a_claimed_code_leads_to_the_first_day_of_the_session(status: str) -> None:
    now = STARTS - timedelta(minutes=30)
    change = partner.redeemed(LEARNER, reply(status, session_starts_at=STARTS, session_ends_at=ENDS), now)
    assert change == {"state": "learning", "due_at": STARTS, "starts_at": STARTS, "ends_at": ENDS}


def test_a_code_shown_too_early_is_shown_again_one_hour_before_the_session() -> None:
    early = STARTS - timedelta(days=2)
    assert partner.redeemed(LEARNER, reply("too-early", session_starts_at=STARTS), early) == {
        "due_at": STARTS - timedelta(hours=1)
    }
    assert partner.redeemed(LEARNER, reply("too-early"), early) == {"due_at": early + timedelta(minutes=5)}


@pytest.mark.parametrize("status", ["not-found", "too-late", "other-partner", "cancelled"])
def test_a_refused_code_is_given_up(status: str) -> None:
    change = partner.redeemed(LEARNER, reply(status), STARTS)
    assert change == {"state": "refused", "due_at": None, "reason": status}


def test_attendance_is_reported_once_a_day_and_the_post_test_at_the_end() -> None:
    second = partner.attended(LEARNER, reply("recorded"), STARTS, stays_days=9)
    assert second == {"sequence": 2, "due_at": STARTS + timedelta(days=1)}
    last = LEARNER.model_copy(update={"sequence": 3})
    assert partner.attended(last, reply("already-recorded"), STARTS, stays_days=9) == {
        "state": "testing",
        "due_at": ENDS,
    }


def test_a_learner_who_drops_out_is_not_seen_again() -> None:
    quitter = LEARNER.model_copy(update={"diligence": "drops-out", "sequence": 2})
    assert partner.attended(quitter, reply("recorded"), STARTS, stays_days=2)["state"] == "dropped-out"
    assert partner.attended(quitter, reply("recorded"), STARTS, stays_days=3)["sequence"] == 3


def test_a_refusal_is_tried_again_the_next_day_three_times_in_all() -> None:
    assert partner.tested(LEARNER, reply("refused", reason="too-early"), STARTS) == {
        "refusals": 1,
        "due_at": STARTS + timedelta(days=1),
    }
    third = LEARNER.model_copy(update={"refusals": 2})
    assert partner.certified(third, reply("refused", reason="attendance-missing"), STARTS) == {
        "state": "refused",
        "due_at": None,
        "reason": "attendance-missing",
    }


@pytest.mark.parametrize(("ends", "days"), [(STARTS, 1), (ENDS, 3), (STARTS + timedelta(days=40), 10)])
def test_a_session_has_an_attendance_for_each_day_at_most_ten(ends: datetime, days: int) -> None:
    assert LEARNER.model_copy(update={"ends_at": ends}).attendances() == days


class Programme:
    """Stands for services/training and the sign-in service: it notes what it is asked, and can fail."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.asked: dict[str, list[Any]] = defaultdict(list)
        self.failures: list[int] = []
        self.tokens = 0

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert (form["client_id"], form["client_secret"]) == ("partner-a", "secret")
        self.tokens += 1
        return web.json_response({"access_token": f"token-{self.tokens}", "expires_in": 3600})

    def answer(self, path: str, make: Callable[[Any], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            if self.failures:
                raise web.HTTPUnauthorized() if self.failures.pop() == 401 else web.HTTPServiceUnavailable()
            assert request.headers["authorization"] == f"Bearer token-{self.tokens}"
            items = await request.json()
            self.asked[path].append(items)
            return web.json_response([make(item) for item in items])

        return handler

    def redeem(self, item: Any) -> dict[str, Any]:
        told = {"session_starts_at": STARTS.isoformat(), "session_ends_at": ENDS.isoformat()}
        opened = self.clock.now() >= STARTS - timedelta(hours=1)
        return {**item, "status": "claimed" if opened else "too-early", **told}

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/token", self.token)
        routes: dict[str, Callable[[Any], Any]] = {
            "redemptions": self.redeem,
            "attendances": lambda item: {**item, "status": "recorded"},
            "certificates": lambda item: {**item, "status": "completed"},
        }
        for path, make in routes.items():
            app.router.add_post(f"/v1/partner/{path}", self.answer(path, make))
        return app


@asynccontextmanager
async def running(folder: Path, clock: FixedClock) -> AsyncIterator[tuple[Programme, partner.Platform]]:
    programme = Programme(clock)
    runner = web.AppRunner(programme.application(), shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    settings = partner.Settings(port=0, book=folder / "book", training_url=url, issuer=url, client_secret="secret")
    book = common.open_book(settings.book, partner.TABLES)
    try:
        yield programme, partner.Platform(settings, clock, book)
    finally:
        await runner.cleanup()


def join(platform: partner.Platform, **learners: str) -> None:
    joining = [
        partner.Joining.model_validate({"redeem_code": code, "diligence": diligence.replace("_", "-")})
        for code, diligence in learners.items()
    ]
    platform.enrol(joining)


async def settle(platform: partner.Platform) -> None:
    """Work until nothing is left to do at this programme time."""
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        for _ in range(100):
            if not await platform.work(session):
                break
    assert platform.pending() == 0


async def test_learners_go_all_the_way_in_batches_as_programme_time_passes(tmp_path: Path) -> None:
    clock = FixedClock(STARTS - timedelta(days=1))
    async with running(tmp_path, clock) as (programme, platform):
        join(platform, c1="finishes", c2="finishes", c3="never_redeems")
        await settle(platform)
        assert platform.by_state() == {"waiting": 2, "never-redeems": 1}
        for at, sequences in ((STARTS - timedelta(hours=1), 0), (STARTS, 1), (STARTS + timedelta(days=1), 2)):
            clock.at = at
            await settle(platform)
            assert [items[0]["sequence"] for items in programme.asked["attendances"]] == list(range(1, sequences + 1))
        clock.at = ENDS
        await settle(platform)
        assert [items[0]["sequence"] for items in programme.asked["attendances"]] == [1, 2, 3, 999]
        assert all(len(items) == 2 for items in programme.asked["attendances"])
        (certificates,) = programme.asked["certificates"]
        assert {one["redeem_code"] for one in certificates} == {"c1", "c2"}
        assert all(70 <= one["score"] <= 100 for one in certificates)
        assert platform.by_state() == {"completed": 2, "never-redeems": 1}


async def test_the_same_code_twice_is_one_learner(tmp_path: Path) -> None:
    clock = FixedClock(STARTS)
    async with running(tmp_path, clock) as (programme, platform):
        join(platform, c1="finishes")
        await settle(platform)
        join(platform, c1="drops_out")
        await settle(platform)
        assert platform.by_state() == {"learning": 1}
        assert len(programme.asked["redemptions"]) == 1


async def test_a_failing_programme_is_asked_again_and_nothing_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partner, "PAUSE_SECONDS", 0.01)
    clock = FixedClock(STARTS)
    async with running(tmp_path, clock) as (programme, platform):
        programme.failures = [503, 401, 503]
        join(platform, c1="finishes")
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            working = asyncio.create_task(platform.run(session))
            async with asyncio.timeout(5):
                while platform.pending():  # noqa: ASYNC110 - the platform tells nobody when it is done
                    await asyncio.sleep(0.01)
            working.cancel()
            await asyncio.wait([working])
        assert platform.by_state() == {"learning": 1}
        assert programme.tokens == 4  # after every failure it signs in anew


async def test_a_token_is_renewed_before_it_ends_by_the_programme_clock(tmp_path: Path) -> None:
    clock = FixedClock(STARTS)
    async with running(tmp_path, clock) as (programme, platform):
        join(platform, c1="finishes")
        await settle(platform)
        assert programme.tokens == 1
        clock.at += timedelta(days=1)
        await settle(platform)
        assert programme.tokens == 2
