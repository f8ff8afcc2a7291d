"""A training platform: its learners hand it their redeem codes, and it works through the programme's partner API.

It claims a code, reports attendance each programme day, then the post-test, then the certificate. Every call may be
repeated: after a kill it asks again, and takes "already" for an answer.
"""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import aiohttp
from fastapi import FastAPI
from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter

from deploy.simulators import common
from libs.events.clock import JAKARTA, Clock

BATCH_MAX = 500
ATTENDANCES_MAX = 10  # sequences 1..10 are attendances, 999 is the post-test
POST_TEST = 999
REFUSALS_MAX = 3
IDLE_SECONDS, PAUSE_SECONDS, TIMEOUT_SECONDS = 0.2, 1.0, 30.0

TABLES = """
CREATE TABLE IF NOT EXISTS learner (
    redeem_code TEXT PRIMARY KEY, diligence TEXT NOT NULL, state TEXT NOT NULL, due_at TEXT,
    sequence INTEGER NOT NULL DEFAULT 1, starts_at TEXT, ends_at TEXT, refusals INTEGER NOT NULL DEFAULT 0,
    reason TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS learner_due ON learner (state, due_at) WHERE due_at IS NOT NULL;
"""

ENROL = """
INSERT INTO learner (redeem_code, diligence, state, due_at)
SELECT value ->> 'redeem_code', value ->> 'diligence',
       iif(value ->> 'diligence' = 'never-redeems', 'never-redeems', 'waiting'),
       iif(value ->> 'diligence' = 'never-redeems', NULL, ?)
  FROM json_each(?) WHERE true ON CONFLICT (redeem_code) DO NOTHING
"""

DUE = """
SELECT redeem_code, diligence, state, due_at, sequence, starts_at, ends_at, refusals, reason
  FROM learner WHERE state = ? AND due_at <= ? ORDER BY due_at LIMIT ?
"""

SAVE = """
UPDATE learner SET state = :state, due_at = :due_at, sequence = :sequence, starts_at = :starts_at, ends_at = :ends_at,
       refusals = :refusals, reason = :reason
 WHERE redeem_code = :redeem_code
"""

COUNT = "SELECT state || coalesce(': ' || reason, '') AS state, count(*) AS n FROM learner GROUP BY 1"

_log = logging.getLogger(__name__)


class Settings(common.Settings):
    training_url: str  # of services/training
    issuer: str  # of the sign-in service, whose tokens are at .../token
    client_id: str = "partner-a"
    client_secret: str


class Joining(BaseModel):
    redeem_code: common.Reference
    diligence: Literal["finishes", "drops-out", "never-redeems"] = "finishes"


class Learner(BaseModel):
    """What the platform knows about one learner. `due_at` is when it must act next; None where nothing is left."""

    redeem_code: str
    diligence: str
    state: Literal["waiting", "learning", "testing", "certifying", "completed", "dropped-out", "refused"]
    due_at: AwareDatetime | None
    sequence: int
    starts_at: AwareDatetime | None
    ends_at: AwareDatetime | None
    refusals: int
    reason: str | None

    def attendances(self) -> int:
        """One for each day the session touches in Jakarta, at most ten."""
        if self.starts_at is None or self.ends_at is None:
            return 1
        days = (self.ends_at.astimezone(JAKARTA).date() - self.starts_at.astimezone(JAKARTA).date()).days + 1
        return max(1, min(ATTENDANCES_MAX, days))


class Reply(BaseModel):
    """One item of an answer of the partner API; each route fills its own fields."""

    redeem_code: str
    status: str
    reason: str | None = None
    session_starts_at: AwareDatetime | None = None
    session_ends_at: AwareDatetime | None = None


Change = dict[str, Any]


def redeemed(learner: Learner, reply: Reply, now: datetime) -> Change:
    """After trying to claim a code: it works from one hour before the session starts to one hour after."""
    if reply.status in ("claimed", "already-claimed"):
        starts = reply.session_starts_at or now
        return {"state": "learning", "due_at": starts, "starts_at": starts, "ends_at": reply.session_ends_at or starts}
    if reply.status == "too-early":
        opens = reply.session_starts_at - timedelta(hours=1) if reply.session_starts_at else now
        return {"due_at": max(opens, now + timedelta(minutes=5))}
    return {"state": "refused", "due_at": None, "reason": reply.status}


def attended(learner: Learner, reply: Reply, now: datetime, stays_days: int) -> Change:
    """After reporting an attendance: the next one is due a day later; after the last comes the post-test."""
    if reply.status == "refused":
        return refused(learner, reply, now)
    days = learner.attendances()
    if learner.diligence == "drops-out" and learner.sequence >= stays_days:
        return {"state": "dropped-out", "due_at": None}
    if learner.sequence >= days:
        return {"state": "testing", "due_at": learner.ends_at or now}
    next_due = (learner.starts_at or now) + timedelta(days=learner.sequence)
    return {"sequence": learner.sequence + 1, "due_at": next_due}


def tested(learner: Learner, reply: Reply, now: datetime) -> Change:
    return refused(learner, reply, now) if reply.status == "refused" else {"state": "certifying", "due_at": now}


def certified(learner: Learner, reply: Reply, now: datetime) -> Change:
    return refused(learner, reply, now) if reply.status == "refused" else {"state": "completed", "due_at": None}


def refused(learner: Learner, reply: Reply, now: datetime) -> Change:
    """Ask again the next day, a few times, as a person would; then give the learner up with the reason."""
    if learner.refusals + 1 >= REFUSALS_MAX:
        return {"state": "refused", "due_at": None, "reason": reply.reason or reply.status}
    return {"refusals": learner.refusals + 1, "due_at": now + timedelta(days=1)}


class Platform:
    """Works through the learners who are due, one batch, one call and one commit at a time."""

    def __init__(self, settings: Settings, clock: Clock, book: sqlite3.Connection) -> None:
        self._settings, self._clock, self._book = settings, clock, book
        self._fate = common.Fate(settings.seed, book)
        self._token, self._token_ends = "", clock.now()

    def enrol(self, learners: Sequence[Joining]) -> None:
        """Take learners in, in one commit; a code that is known stays as it is."""
        with self._book:
            self._book.execute(ENROL, (common.stamp(self._clock.now()), common.as_json(learners)))

    def due(self, state: str) -> list[Learner]:
        rows = self._book.execute(DUE, (state, common.stamp(self._clock.now()), BATCH_MAX))
        return [Learner(**row) for row in rows]

    def pending(self) -> int:
        """How many learners are due at this programme time."""
        now = common.stamp(self._clock.now())
        found = self._book.execute("SELECT count(*) AS n FROM learner WHERE due_at <= ?", (now,)).fetchone()
        return int(found["n"])

    def by_state(self) -> dict[str, int]:
        """How many learners are in each state; the refused ones by their reason."""
        return {row["state"]: row["n"] for row in self._book.execute(COUNT)}

    def stays_days(self, learner: Learner) -> int:
        """After how many attendances a learner who drops out is not seen again."""
        return 1 + self._fate.number("stays", learner.redeem_code) % learner.attendances()

    def score(self, learner: Learner) -> int:
        return 70 + self._fate.number("score", learner.redeem_code) % 31

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Work for ever. What fails is tried again after a pause; its learners stay due meanwhile."""
        while True:
            try:
                worked = await self.work(session)
                await asyncio.sleep(0 if worked else IDLE_SECONDS)
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
                self._token = ""
                _log.warning("the programme did not answer as agreed: %s", type(error).__name__)
                await asyncio.sleep(PAUSE_SECONDS)

    async def work(self, session: aiohttp.ClientSession) -> int:
        """One batch of every kind; returns how many learners moved on."""
        worked = 0
        for state in ("waiting", "learning", "testing", "certifying"):
            if learners := self.due(state):
                worked += self.save(learners, await self.ask(session, state, learners))
        return worked

    async def ask(self, session: aiohttp.ClientSession, state: str, learners: Sequence[Learner]) -> dict[str, Reply]:
        match state:
            case "waiting":
                path = "redemptions"
                items: list[dict[str, Any]] = [{"redeem_code": one.redeem_code} for one in learners]
            case "certifying":
                path = "certificates"
                items = [{"redeem_code": one.redeem_code, "score": self.score(one)} for one in learners]
            case _:
                path = "attendances"
                sequence = POST_TEST if state == "testing" else None
                items = [{"redeem_code": one.redeem_code, "sequence": sequence or one.sequence} for one in learners]
        headers = {"Authorization": f"Bearer {await self.token(session)}"}
        url = f"{self._settings.training_url}/v1/partner/{path}"
        async with session.post(url, json=items, headers=headers) as answer:
            replies = TypeAdapter(list[Reply]).validate_json(await answer.read())
        return {reply.redeem_code: reply for reply in replies}

    def save(self, learners: Sequence[Learner], replies: dict[str, Reply]) -> int:
        """Take every answer down, in one commit. A learner without an answer stays due."""
        now = self._clock.now()
        changed: list[dict[str, Any]] = []
        for learner in learners:
            reply = replies.get(learner.redeem_code)
            if reply is None:
                continue
            match learner.state:
                case "waiting":
                    change = redeemed(learner, reply, now)
                case "learning":
                    change = attended(learner, reply, now, self.stays_days(learner))
                case "testing":
                    change = tested(learner, reply, now)
                case _:
                    change = certified(learner, reply, now)
            kept = learner.model_dump() | change
            times = {
                name: common.stamp(kept[name]) if kept[name] else None for name in ("due_at", "starts_at", "ends_at")
            }
            changed.append(kept | times)
        with self._book:
            self._book.executemany(SAVE, changed)
        return len(changed)

    async def token(self, session: aiohttp.ClientSession) -> str:
        """The platform's own token, renewed a minute before it ends by the programme clock."""
        now = self._clock.now()
        if not self._token or now >= self._token_ends:
            form = {
                "grant_type": "client_credentials",
                "client_id": self._settings.client_id,
                "client_secret": self._settings.client_secret,
            }
            async with session.post(f"{self._settings.issuer}/token", data=form) as answer:
                told = await answer.json()
            self._token = str(told["access_token"])
            self._token_ends = now + timedelta(seconds=int(told["expires_in"]) - 60)
        return self._token


def create(settings: Settings, clock: Clock) -> FastAPI:
    book = common.open_book(settings.book, TABLES)
    platform = Platform(settings, clock, book)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        limit = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=limit, raise_for_status=True) as session:
            working = asyncio.create_task(platform.run(session))
            yield
            working.cancel()
            await asyncio.wait([working])

    app = common.create_app("Training platform (simulator)", book, lifespan)

    @app.post("/learners", status_code=202)
    async def learners(learners: Annotated[list[Joining], Field(max_length=100_000)]) -> common.Loaded:
        platform.enrol(learners)
        return common.Loaded(loaded=len(learners))

    @app.get("/v1/book")
    async def state() -> dict[str, Any]:
        by_state = platform.by_state()
        return {"learners": sum(by_state.values()), "by_state": by_state}

    @app.get("/pending")
    async def pending() -> dict[str, int]:
        return {"pending": platform.pending()}

    return app


if __name__ == "__main__":
    common.serve(Settings, create)
