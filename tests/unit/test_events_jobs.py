"""What time asks is done when it is due, by one process, until nothing is left."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from deploy.local.databases import ServiceDatabase
from libs.events import outbox
from libs.events.clock import FixedClock
from libs.events.database import QUERIES, Database, Transaction, open_database
from libs.events.jobs import Errand, Every, Jobs
from tests.support import NOON
from tests.unit.test_events_codec import RATED


@pytest.fixture
def made(database: Callable[[str], ServiceDatabase]) -> ServiceDatabase:
    return database("probe")


@pytest.fixture
async def store(made: ServiceDatabase) -> AsyncIterator[Database]:
    async with open_database(made.app_url) as opened:
        yield opened


class Sweep:
    """Work with a number of rounds left, that notes when it was asked."""

    def __init__(self, left: int = 0) -> None:
        self.left, self.asked = left, list[datetime]()
        self.fails = False

    async def __call__(self, *, tx: Transaction, now: datetime) -> int:
        self.asked.append(now)
        if self.fails:
            raise ValueError("it can not be done")
        self.left -= 1
        return max(0, self.left + 1)


async def due_at(store: Database, name: str) -> datetime | None:
    async with store.connection() as connection:
        found: datetime | None = await connection.fetchval("SELECT due_at FROM job WHERE name = $1", name)
    return found


async def run(jobs: Jobs, until: Callable[[], Any]) -> None:
    """Let the jobs run until something has happened, and stop them."""
    jobs.stopping.clear()
    running = asyncio.create_task(jobs.run())
    try:
        async with asyncio.timeout(20):
            while not await until():  # noqa: ASYNC110 -- what is waited for stands in the store
                await asyncio.sleep(0.01)
    finally:
        jobs.stopping.set()
        await running


def dated(store: Database, name: str, date: datetime) -> Callable[[], Any]:
    async def reached() -> bool:
        return await due_at(store, name) == date

    return reached


async def test_a_job_is_done_until_nothing_is_left_and_is_then_due_again(store: Database) -> None:
    sweep, clock = Sweep(left=3), FixedClock(NOON)
    jobs = Jobs(store, [Every(name="sweep", run=sweep, hours=2)], clock)
    await run(jobs, dated(store, "sweep", NOON + timedelta(hours=2)))
    assert sweep.asked == [NOON] * 4

    clock.at = NOON + timedelta(hours=2, seconds=-1)
    waited = asyncio.get_running_loop().time() + 0.5

    async def a_while() -> bool:
        return asyncio.get_running_loop().time() > waited

    await run(jobs, a_while)
    assert len(sweep.asked) == 4

    clock.at = NOON + timedelta(days=31)  # a clock that leaps makes everything due at once
    await run(jobs, dated(store, "sweep", clock.at + timedelta(hours=2)))
    assert sweep.asked[4:] == [clock.at]


async def test_a_restart_forgets_no_date(store: Database) -> None:
    job = Every(name="sweep", run=Sweep(), hours=2)
    date = NOON + timedelta(hours=2)
    await run(Jobs(store, [job], FixedClock(NOON)), dated(store, "sweep", date))
    other = Sweep()
    again = Jobs(store, [replace(job, run=other), Every(name="new", run=Sweep(), hours=1)], FixedClock(NOON))
    await run(again, dated(store, "new", NOON + timedelta(hours=1)))
    assert (other.asked, await due_at(store, "sweep")) == ([], date)


async def test_a_failing_job_rests_stays_due_and_is_done_later_while_others_go_on(
    store: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = Sweep(), Sweep()
    bad.fails = True
    jobs = Jobs(store, [Every(name="bad", run=bad, hours=1), Every(name="good", run=good, hours=1)], FixedClock(NOON))

    async def failed_twice() -> bool:
        return len(bad.asked) == 2 and jobs.resting.get("bad", (0, 0))[1] == 1.0

    await run(jobs, failed_twice)
    assert (await due_at(store, "bad"), await due_at(store, "good")) == (NOON, NOON + timedelta(hours=1))
    jobs.resting["bad"] = (0.0, 20.0)

    async def failed_again() -> bool:
        return jobs.resting["bad"][1] == 30.0

    await run(jobs, failed_again)
    bad.fails, jobs.resting["bad"] = False, (0.0, 30.0)
    await run(jobs, dated(store, "bad", NOON + timedelta(hours=1)))
    assert "bad" not in jobs.resting
    assert len(good.asked) == 1
    assert "it can not be done" not in capsys.readouterr().out


async def test_work_that_fails_leaves_nothing_behind(store: Database) -> None:
    async def half(*, tx: Transaction, now: datetime) -> int:
        await outbox.add(tx, [RATED])
        raise ValueError

    jobs = Jobs(store, [Every(name="half", run=half, hours=1)], FixedClock(NOON))

    async def failed() -> bool:
        return "half" in jobs.resting

    await run(jobs, failed)
    async with store.connection() as connection:
        assert await QUERIES.outbox_unsent(connection) == 0


async def test_one_process_at_a_time_runs_a_job(store: Database) -> None:
    inside, most, asked = 0, 0, 0

    async def errand(*, database: Database, now: datetime) -> int:
        nonlocal inside, most, asked
        asked, inside, most = asked + 1, inside + 1, max(most, inside + 1)
        await asyncio.sleep(0.5)
        inside -= 1
        return 0

    crowd = [Jobs(store, [Errand(name="errand", run=errand, hours=1)], FixedClock(NOON)) for _ in range(3)]
    done = dated(store, "errand", NOON + timedelta(hours=1))
    async with store.transaction() as tx:
        await QUERIES.job_open(tx, names=["errand"], now=NOON)
    await asyncio.gather(*(run(jobs, done) for jobs in crowd))
    assert most == 1
    assert asked >= 1


async def test_a_job_told_to_stop_stops_between_rounds_and_stays_due(store: Database) -> None:
    rounds = 0

    async def endless(*, tx: Transaction, now: datetime) -> int:
        nonlocal rounds
        rounds += 1
        return 1

    async def some() -> bool:
        return rounds > 3

    await run(Jobs(store, [Every(name="endless", run=endless, hours=1)], FixedClock(NOON)), some)
    assert await due_at(store, "endless") == NOON
