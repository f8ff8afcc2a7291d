"""A process of a service keeps room in the outbox by itself, whatever its roles are and however programme time goes."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from libs.events.api import new_api
from libs.events.runtime import Runtime, Service
from tests.integration.conftest import Party
from tests.integration.test_events_path import rated, say
from tests.support import NOON

NEXT_TO_FULL = "SELECT setval(pg_get_serial_sequence('outbox', 'position'), 9999990)"
"""The outbox is born with room for ten million rows."""


async def test_a_process_without_a_relay_makes_room_while_programme_time_stands_still(
    party: Callable[[str], Awaitable[Party]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.events.outbox.ROOM_SECONDS", 0.05)
    training = await party("training")
    training.clock.at = NOON
    settings = training.settings.model_copy(update={"http_port": 0})
    api = new_api("training", "A test")
    process = Runtime(
        Service(name="training", settings=settings, clock=training.clock, api=api, reactions={}), ["worker"]
    )
    running = asyncio.create_task(process.run())
    owner = await asyncpg.connect(training.owner_url)

    async def more_room() -> bool:
        count: int = await owner.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'outbox'::regclass")
        return count > 2

    try:
        await owner.execute(NEXT_TO_FULL)
        await training.until(more_room)
        await say(training, *(rated(worker, 1) for worker in range(20)))
    finally:
        await owner.close()
        process.stopping.set()
        await asyncio.wait_for(running, 20)
