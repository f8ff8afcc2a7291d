"""Ready means that the store answers and every role works; quiet means that nothing waits."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from deploy.local.databases import ServiceDatabase
from libs.events import outbox
from libs.events.clock import FixedClock
from libs.events.database import QUERIES, Database, open_database
from libs.events.health import Health
from libs.events.parking import columns
from libs.events.settings import ServiceSettings
from libs.events.topics import read_by
from tests.support import NOON
from tests.unit.test_events_codec import RATED

LANES = [(topic.producer, topic.name, lane) for topic in read_by("finance") for lane in range(topic.partitions)]


class Ends(Health):
    """Health that is told where the lanes end."""

    ends: dict[tuple[str, int], int]

    async def _ends(self) -> dict[tuple[str, int], int]:
        return self.ends


@pytest.fixture
async def health(database: Callable[[str], ServiceDatabase]) -> AsyncIterator[Ends]:
    made = database("probe")
    settings = ServiceSettings(database_url=SecretStr(made.app_url), kafka_servers="nowhere:1")
    async with open_database(made.app_url) as opened:
        health = Ends("finance", settings, opened, FixedClock(NOON), ["sweep"])
        health.ends = {(topic, lane): 0 for _, topic, lane in LANES}
        sources, topics, lanes = zip(*LANES, strict=True)
        async with opened.transaction() as tx:
            await QUERIES.position_open(tx, sources=sources, topics=topics, lanes=lanes)
        yield health


async def test_ready_when_the_store_answers_and_every_role_works(health: Ends) -> None:
    health.roles = {"api": "working", "relay": "working"}
    assert (await health.ready())["ready"]
    health.roles["relay"] = "stopped: this database is older than its topics"
    told = await health.ready()
    assert not told["ready"]
    assert told["roles"]["relay"].startswith("stopped")


async def test_a_store_that_is_away_is_said_and_its_words_are_not(health: Ends) -> None:
    class Away(Database):
        def connection(self) -> Any:
            raise OSError("password=hunter2")

    health.database = Away(health.database.pool)
    told = await health.ready()
    assert (told["ready"], told["store"]) == (False, "does not answer (OSError)")


async def test_quiet_until_something_waits(health: Ends) -> None:
    first = await health.quiet()
    assert first["quiet"]
    health.ends["incentive-paid", 3] = 2
    told = await health.quiet()
    assert (told["quiet"], told["behind"]) == (False, 2)
    async with health.database.transaction() as tx:
        await QUERIES.position_advance(
            tx,
            topics=["incentive-paid"],
            lanes=[3],
            offsets=[2],
            numbers=[2],
            epochs=[1],
            numbers_at=[1],
            marks=[0],
            furthest=[-1],
            now=NOON,
            **columns([]),
        )
    told = await health.quiet()
    assert told["quiet"]
    assert told["moved"] > first["moved"]


async def test_an_unsent_event_and_a_due_job_are_not_quiet(health: Ends) -> None:
    async with health.database.transaction() as tx:
        await outbox.add(tx, [RATED])
        await QUERIES.job_open(tx, names=["sweep", "another's"], now=NOON)
    told = await health.quiet()
    assert (told["quiet"], told["outbox_unsent"], told["jobs_due"]) == (False, 1, ["sweep"])
