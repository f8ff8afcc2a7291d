"""What is parked stays what it was: whatever key it has, whatever epoch comes, and when it was dropped for good."""

from collections.abc import Awaitable, Callable

import pytest

from deploy.local.bus import Cluster
from libs.events import codec, parking
from libs.events.contracts import TrainingRated
from libs.events.ordering import CanNotApply, as_poison
from libs.events.topics import TOPICS
from tests.integration.conftest import Party
from tests.integration.test_events_operators import ask, lose
from tests.integration.test_events_path import TOPIC, Effects, caught_up, counted, rated, say, send_raw

Join = Callable[[str], Awaitable[Party]]
KEY = f"{7:032x}"
LANE = TOPICS[TOPIC].lane(KEY)
NEIGHBOUR = next(who for who in range(8, 9999) if TOPICS[TOPIC].lane(f"{who:032x}") == LANE)


async def reasons(party: Party) -> list[object]:
    return [row["reason"] for row in await parking.listed(party.database)]


async def parked(party: Party, count: int) -> bool:
    return len(await reasons(party)) == count


async def one_said(party: Join) -> tuple[Party, Party, Effects]:
    """A source whose first event is on its topic, a reader, and what it writes down."""
    training, reader, effects = await party("training"), await party("selection"), Effects()
    await effects.prepare(reader)
    await say(training, rated(7, 1, 1))
    await training.relay()
    return training, reader, effects


async def test_a_record_under_a_key_that_no_index_takes_is_parked_like_any_other(party: Join, bus: Cluster) -> None:
    training, reader, effects = await party("training"), await party("selection"), Effects()
    await effects.prepare(reader)
    await send_raw(bus, b'{"hello":1}', bytes(range(1, 256)).hex().encode() * 20, 0)
    await say(training, *(rated(who, 1) for who in range(50)))
    await training.relay()
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: counted(reader, effects, 50))
        await reader.until(lambda: caught_up(reader))
    assert await reasons(reader) == ["no-key"]


async def test_a_strangers_megabyte_is_parked_by_its_digest_once_and_stays_what_it_is(
    party: Join, bus: Cluster
) -> None:
    training, reader, effects = await one_said(party)
    for fill in (b"x", b"y"):
        await send_raw(bus, codec.encode(rated(7, 9)) + fill * 900_000, KEY.encode(), LANE)
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: parked(reader, 2))
    async with reader.consuming({TrainingRated: effects.on_rated}):  # from the last number on, which stands before them
        await say(training, rated(NEIGHBOUR, 1, 1))
        await training.relay()
        await reader.until(lambda: counted(reader, effects, 2))
    told = await parking.listed(reader.database)
    assert await parking.redrive(reader.database, {TrainingRated: effects.on_rated}) == (0, 2)
    again = await parking.listed(reader.database)
    assert [(row["reason"], row["detail"]) for row in again] == [(row["reason"], row["detail"]) for row in told]
    assert [row["reason"] for row in told] == ["too-large"] * 2
    async with reader.database.connection() as connection:
        values = [row["value"] for row in await connection.fetch("SELECT value FROM parked")]
    assert len(set(values)) == 2
    assert max(map(len, values)) < 2_000


async def test_a_stray_that_was_dropped_is_not_parked_again_when_its_lane_is_read_again(
    party: Join, bus: Cluster
) -> None:
    training, reader, effects = await one_said(party)
    await send_raw(bus, codec.encode(rated(7, 9)), KEY.encode(), LANE)
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: parked(reader, 1))
    assert (
        await parking.drop(reader.database, [int(str(row["id"])) for row in await parking.listed(reader.database)]) == 1
    )
    assert await reasons(reader) == []
    async with reader.consuming({TrainingRated: effects.on_rated}):  # from the last number on, which stands before it
        await say(training, rated(7, 2, 2))
        await training.relay()
        await reader.until(lambda: counted(reader, effects, 2))
    assert await reasons(reader) == []


async def test_what_was_parked_before_a_new_epoch_is_redriven_in_it(party: Join) -> None:
    training, reader, effects = await party("training"), await party("selection"), Effects()
    await effects.prepare(reader)
    effects.broken.add(KEY)
    await say(training, rated(7, 1, 1), rated(NEIGHBOUR, 1, 1), rated(NEIGHBOUR, 2, 2))
    await training.relay()
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: counted(reader, effects, 2))
        await lose(training, 2)
        await ask(training, "new-epoch", yes=True)
        await say(training, rated(NEIGHBOUR, 3, 3))
        await training.relay()
        await reader.until(lambda: counted(reader, effects, 3))
    effects.broken.clear()
    assert await parking.redrive(reader.database, {TrainingRated: effects.on_rated}) == (1, 0)


@pytest.mark.parametrize("named", [1, 2])
def test_the_reason_of_a_lone_refused_event_is_kept(named: int) -> None:
    reason = codec.Poison("contradiction", "it contradicts what is known")
    told = as_poison(CanNotApply([(rated(who, 1), reason) for who in range(named)]))
    assert (told is reason) == (named == 1)
