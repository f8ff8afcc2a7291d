"""Kafka loses what it acknowledged while relay and workers go on: it is sent again, and has no second effect."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest

from deploy.local.bus import Cluster
from libs.events import codec, outbox
from libs.events import kafka as clients
from libs.events.consumer import Consumer
from libs.events.contracts import TrainingRated
from libs.events.database import QUERIES
from libs.events.relay import Relay
from libs.events.restore import read_tails
from tests.integration.conftest import Party, renew_topics
from tests.integration.test_events_path import Effects, caught_up, counted, rated, records, say

Join = Callable[[str], Any]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.events.relay.LOOK_SECONDS", 0.5)
    monkeypatch.setattr("libs.events.places.PROVE_SECONDS", 0.5)


@contextlib.asynccontextmanager
async def restarting(party: Party) -> AsyncIterator[list[str]]:
    """A relay that begins again after every failure, as the runtime has it. Gives what it failed of."""
    ends: list[str] = []
    running: list[Relay] = []

    async def keep() -> None:
        while True:
            producer, reader = clients.producer(party.settings, party.name), clients.reader(party.settings, party.name)
            running[:] = [Relay(party.database, producer, party.name)]
            try:
                await producer.start()
                await reader.start()
                await running[0].run(reader)
                return
            except Exception as error:
                ends.append(type(error).__name__)
                await asyncio.sleep(0.2)
            finally:
                await producer.stop()
                await reader.stop()

    task = asyncio.create_task(keep())
    try:
        yield ends
        running[0].stopping.set()
        await asyncio.wait_for(task, 20)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def has_failed(ends: list[str]) -> bool:
    return "TopicTooShort" in ends


async def test_a_relay_at_rest_notices_that_its_topics_are_gone_and_fills_them_again(party: Join, bus: Cluster) -> None:
    training = await party("training")
    await say(training, *(rated(who, 1) for who in range(200)))
    async with restarting(training) as ends:
        await training.until(lambda: sent(training, 200))
        renew_topics(bus)
        await training.until(lambda: has_failed(ends), 60)
        await training.until(lambda: sent(training, 200), 60)


async def sent(party: Party, count: int) -> bool:
    """Whether the topics hold so many numbers without a gap."""
    reader = clients.reader(party.settings, "test")
    await reader.start()
    try:
        tails = await read_tails(reader, party.name, {})
    finally:
        await reader.stop()
    return sum(tail.number for tail in tails.values() if tail) == count


async def test_logs_lost_while_everybody_goes_on_cost_nothing_and_repeat_no_effect(party: Join, bus: Cluster) -> None:
    training, reader, effects = await party("training"), await party("selection"), Effects()
    await effects.prepare(reader)
    async with restarting(training), reader.consuming({TrainingRated: effects.on_rated}):
        for stars in (1, 2, 3):
            await say(training, *(rated(who, stars, stars) for who in range(200)))
            await reader.until(lambda stars=stars: counted(reader, effects, 200 * stars), 60)
            renew_topics(bus)
        await say(training, *(rated(who, 4, 4) for who in range(200)))
        await reader.until(lambda: counted(reader, effects, 800), 60)
        await reader.until(lambda: sent(training, 800), 60)
        await reader.until(lambda: caught_up(reader), 60)
    assert await effects.of(reader) == {f"{who:032x}": [1, 2, 3, 4] for who in range(200)}


async def test_a_worker_finds_what_was_sent_before_its_place_in_a_log_that_was_filled_again(
    party: Join, bus: Cluster
) -> None:
    """Its offsets run ahead of the numbers, so the new log ends just behind its place, and nothing follows."""
    training, reader, effects = await party("training"), await party("selection"), Effects()
    await effects.prepare(reader)
    await say(training, *(rated(1, course) for course in range(40)))
    await training.relay()
    async with training.database.transaction() as tx:  # everything is sent twice
        await tx.execute("UPDATE relay SET xid = '0', position = 0")
        await tx.execute("UPDATE relay_number SET number = 0")
    await training.relay()
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: caught_up(reader))
        await reader.until(lambda: behind(reader, 80))
    renew_topics(bus)
    await say(training, *(rated(1, course) for course in range(40, 80)))
    await training.relay()
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: counted(reader, effects, 80))
    assert await effects.count(reader) == 80


async def test_what_the_outbox_no_longer_holds_does_not_keep_the_relay_from_going_on(party: Join, bus: Cluster) -> None:
    """Who has everything reads on. Who lacks something finds the gap, and applies nothing behind it."""
    training, reader, late = await party("training"), await party("selection"), await party("disbursement")
    effects, none = Effects(), Effects()
    await effects.prepare(reader)
    await none.prepare(late)
    await say(training, *(rated(7, course) for course in range(100)))
    await training.relay()
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: counted(reader, effects, 100))
        owner = await asyncpg.connect(training.owner_url)
        await owner.execute("DELETE FROM outbox")
        await owner.close()
        renew_topics(bus)
        await say(training, *(rated(7, course) for course in range(100, 103)))
        async with restarting(training) as ends:
            await reader.until(lambda: counted(reader, effects, 103))
            await say(training, rated(7, 103))
            await reader.until(lambda: counted(reader, effects, 104))
        assert ends == []
    await training.relay()  # another start finds the log that it now knows
    async with late.consuming({TrainingRated: none.on_rated}) as consumer:
        await late.until(lambda: waits(consumer))
    assert await none.count(late) == 0


async def waits(consumer: Consumer) -> bool:
    return bool(consumer.places.gaps)


async def behind(party: Party, offset: int) -> bool:
    async with party.database.connection() as connection:
        return any(row["next_offset"] == offset for row in await QUERIES.position_all(connection))


async def test_a_relay_that_compares_for_long_gives_signs_of_life(party: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.events.relay.BEAT_SECONDS", 0.1)
    training = await party("training")
    compared = asyncio.Event()

    async def slow(*_: Any) -> tuple[dict[Any, int], dict[Any, int]]:
        await compared.wait()
        return {}, {}

    monkeypatch.setattr("libs.events.relay.check_restore", slow)
    async with training.relaying() as first:
        await training.until(lambda: beats(training, 5))
        async with training.database.connection() as connection:
            assert (await QUERIES.relay_state(connection))["owner"] == first.owner
        compared.set()


async def beats(party: Party, count: int) -> bool:
    async with party.database.connection() as connection:
        return bool((await QUERIES.relay_state(connection))["beat"] >= count)


async def test_an_event_that_no_reader_would_take_is_refused_and_the_largest_one_passes(party: Join) -> None:
    training = await party("training")
    small = rated(1, 1).model_copy(update={"programme": ""})
    too_large = small.model_copy(update={"programme": "p" * outbox.BYTES_MAX})
    with pytest.raises(outbox.EventTooLarge, match=f"a training-rated has {len(codec.encode(too_large))} bytes"):
        await say(training, small, too_large)
    async with training.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM outbox") == 0
    room = outbox.BYTES_MAX - len(codec.encode(small))
    largest = small.model_copy(update={"programme": "p" * room})
    await say(training, largest, rated(1, 2))
    await training.relay()
    assert [len(event["data"]["programme"]) for _, _, _, event in await records(training)] == [room, 13]
