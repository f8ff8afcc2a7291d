"""What time asks: work that is due by programme time, done by one process at a time.

When a job is due next stands in the database, so a restart forgets nothing and a clock that leaps by a month makes
everything due at once. A job runs again and again until it has nothing left to do; then its next date is stored.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from libs.events import faults, metrics
from libs.events.clock import Clock
from libs.events.database import QUERIES, Database, Transaction
from libs.events.logs import get_logger

IDLE_SECONDS = 0.05
LOOK_SECONDS = 1.0
FAILURE_SECONDS_MAX = 30.0
ROUNDS_MAX = 10_000

log = get_logger()


class Work(Protocol):
    async def __call__(self, *, tx: Transaction, now: datetime) -> int: ...


class Outside(Protocol):
    async def __call__(self, *, database: Database, now: datetime) -> int: ...


@dataclass(frozen=True, kw_only=True)
class _Rhythm:
    """The name of a job, and how long after one run it is due again, in programme time."""

    name: str
    hours: float = 0
    minutes: float = 0
    seconds: float = 0

    @property
    def rhythm(self) -> timedelta:
        return timedelta(hours=self.hours, minutes=self.minutes, seconds=self.seconds)


@dataclass(frozen=True, kw_only=True)
class Every(_Rhythm):
    """Work in one transaction per round. `run(tx=, now=)` returns how much it did; 0 means that nothing is left."""

    run: Work

    async def once(self, database: Database, now: datetime) -> int:
        async with database.transaction() as tx:
            return await self.run(tx=tx, now=now)


@dataclass(frozen=True, kw_only=True)
class Errand(_Rhythm):
    """Work that calls outside systems between transactions of its own: `run(database=, now=)`, same rules."""

    run: Outside

    async def once(self, database: Database, now: datetime) -> int:
        return await self.run(database=database, now=now)


Job = Every | Errand


class Jobs:
    """Runs the jobs of one service. Any number of processes may; a lock sees to it that each job runs in one."""

    def __init__(self, database: Database, jobs: Sequence[Job], clock: Clock) -> None:
        self.database, self.clock = database, clock
        self.jobs: Mapping[str, Job] = {job.name: job for job in jobs}
        self.stopping = asyncio.Event()
        self.running: dict[str, asyncio.Task[None]] = {}
        self.resting: dict[str, tuple[float, float]] = {}
        # Dates change rarely, so the store is asked when one has come, and now and then for what others have changed.
        self.next_due, self.look_again = datetime.min.replace(tzinfo=UTC), 0.0

    async def run(self) -> None:
        """Work until `stopping` is set. A job that fails is logged, rests for a while, and is tried again."""
        async with self.database.transaction() as tx:
            await QUERIES.job_open(tx, names=sorted(self.jobs), now=self.clock.now())
        # One connection holds the locks of all jobs, so that many jobs can not use up the pool before they begin.
        async with self.database.pool.acquire() as holder:
            try:
                while not self.stopping.is_set():
                    await self._start_due(holder)
                    if self.running:
                        await asyncio.wait(self.running.values(), timeout=IDLE_SECONDS)
                    else:
                        await asyncio.sleep(IDLE_SECONDS)
                    await self._clear_done(holder)
            finally:
                await asyncio.gather(*self.running.values(), return_exceptions=True)
                holder.terminate()  # and with the connection end all its locks

    async def _start_due(self, holder: Transaction) -> None:
        """Start what is due, unless it runs already, rests after a failure, or another process has it."""
        wall, now = asyncio.get_running_loop().time(), self.clock.now()
        if now < self.next_due and wall < self.look_again:
            return
        rows = await QUERIES.job_dates(holder, names=list(self.jobs))
        self.next_due = min((row["due_at"] for row in rows), default=now)
        self.look_again = wall + LOOK_SECONDS
        for name in [row["name"] for row in rows if row["due_at"] <= now]:
            if name in self.running or self.resting.get(name, (0.0, 0.0))[0] > wall:
                continue
            if await QUERIES.job_try(holder, name=name):
                self.running[name] = asyncio.create_task(self._run_one(self.jobs[name]))
            else:
                self.resting[name] = (wall + IDLE_SECONDS, 0.0)

    async def _clear_done(self, holder: Transaction) -> None:
        for name in [name for name, task in self.running.items() if task.done()]:
            await self.running.pop(name)
            self.look_again = 0.0
            await QUERIES.job_leave(holder, name=name)

    async def _run_one(self, job: Job) -> None:
        """Run one job until nothing is left and set its next date; after a failure leave it alone for a while."""
        try:
            await self._until_done(job)
            self.resting.pop(job.name, None)
        except Exception as error:
            metrics.job_failures.labels(job.name).inc()
            pause = min(max(self.resting.get(job.name, (0.0, 0.0))[1] * 2, 0.5), FAILURE_SECONDS_MAX)
            self.resting[job.name] = (asyncio.get_running_loop().time() + pause, pause)
            log.warning("a job failed and will be tried again", job=job.name, again_in_seconds=pause, exc_info=error)

    async def _until_done(self, job: Job) -> None:
        now = self.clock.now()
        for _ in range(ROUNDS_MAX):
            if self.stopping.is_set():
                return
            if not await job.once(self.database, now):
                break
            metrics.job_runs.labels(job.name).inc()
        faults.point("job.done")
        async with self.database.transaction() as tx:
            await QUERIES.job_done(tx, name=job.name, due_at=now + job.rhythm)
