"""What one relay reads and sends: batches that end before memory does, a batch that Kafka refuses, and records that
somebody else has written since it compared."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from aiokafka.errors import MessageSizeTooLargeError
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from deploy.local import bus as local_bus
from deploy.local.bus import Cluster
from libs.events import codec, outbox
from libs.events.acknowledged import TopicMoved
from libs.events.contracts import TrainingRated
from libs.events.database import QUERIES, Transaction
from libs.events.numbering import in_order
from libs.events.relay import Relay
from libs.events.restore import OlderThanTopics
from libs.events.topics import TOPICS
from tests.integration.conftest import Party
from tests.integration.test_events_operators import ask, lose
from tests.integration.test_events_path import TOPIC, Effects, counted, rated, records, say, send_raw
from tests.integration.test_events_path_lost import restarting

Join = Callable[[str], Any]
MIB = 2**20
REFUSED_BYTES = 20_000
COPY_THE_FIRST = """
INSERT INTO outbox (topic, lane, key, value)
SELECT topic, lane, key, value FROM outbox, generate_series(2, 5000)"""
COPY_ALL = """
INSERT INTO outbox (topic, lane, key, value)
SELECT topic, lane, key, value FROM outbox, generate_series(1, $1::integer)"""
READ = QUERIES.outbox_after.sql
CITIZEN = f"{7:032x}"
LANE = TOPICS[TOPIC].lane(CITIZEN)


def sized(size: int, course: int, stars: int = 5) -> TrainingRated:
    """An event of citizen 7 with so many bytes in the outbox."""
    small = rated(7, course, stars)
    room = size - len(codec.encode(small)) + len(small.programme)
    return small.model_copy(update={"programme": "p" * room})


async def test_a_batch_of_the_largest_events_ends_after_16_mib_and_loses_none(
    party: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    send = Relay.send

    async def noting(self: Relay, lanes: Any) -> Any:
        read.append(sum(len(value) for *_, values in lanes for value in values))
        return await send(self, lanes)

    monkeypatch.setattr(Relay, "send", noting)
    training = await party("training")
    largest = [sized(outbox.BYTES_MAX, course) for course in range(150)]
    await say(training, *(rated(who, 1) for who in range(100)), *largest, *(rated(who, 2) for who in range(100)))
    await training.relay()
    assert max(read) < 16 * MIB + outbox.BYTES_MAX
    assert sum(read) > 150 * outbox.BYTES_MAX
    sent = [event["data"]["course_id"] for _, _, key, event in await records(training) if key == CITIZEN.encode()]
    wanted = [event.course_id for event in [rated(7, 1), *largest, rated(7, 2)]]
    assert sent == wanted


async def test_a_relay_that_never_rests_looks_at_its_topics_too(party: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane that nobody writes to may be gone while the others keep the relay busy."""
    monkeypatch.setattr("libs.events.relay.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("libs.events.relay.BATCH_ROWS", 10)
    told: list[str] = []
    send, look = Relay.send, Relay._look

    async def sending(self: Relay, lanes: Any) -> Any:
        told.append("send")
        return await send(self, lanes)

    async def looking(self: Relay, reader: Any) -> None:
        told.append("look")
        await look(self, reader)

    monkeypatch.setattr(Relay, "send", sending)
    monkeypatch.setattr(Relay, "_look", looking)
    training = await party("training")
    await say(training, *(rated(who, 1) for who in range(50)))
    await training.relay()
    busy = told[told.index("send") : len(told) - told[::-1].index("send")]
    assert busy == ["send", "look"] * 4 + ["send"]


async def test_a_store_that_takes_long_is_made_seldom(party: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind an open snapshot: of twenty batches the first is stored, and the others together."""
    monkeypatch.setattr("libs.events.relay.STORE_SECONDS", 0.0)
    monkeypatch.setattr("libs.events.relay.BATCH_ROWS", 10)
    sent, stored = 0, list[int]()
    send, store = Relay.send, QUERIES.relay_store

    async def sending(self: Relay, lanes: Any) -> Any:
        nonlocal sent
        sent += 1
        return await send(self, lanes)

    async def storing(connection: Transaction, **given: Any) -> Any:
        stored.append(sent)
        await asyncio.sleep(0.1)
        return await store(connection, **given)

    monkeypatch.setattr(Relay, "send", sending)
    monkeypatch.setattr(QUERIES, "relay_store", storing)
    training = await party("training")
    await say(training, *(rated(who, 1) for who in range(200)))
    await training.relay()
    assert sent == 20
    assert len(stored) < 5
    assert stored[-1] == 20
    assert len(await records(training)) == 200


async def test_no_array_grows_past_what_postgresql_can_hold(party: Join) -> None:
    """5,000 of the largest events in one lane are 1.3 GB. The first is written; the others are copies of its row."""
    training = await party("training")
    await say(training, sized(outbox.BYTES_MAX, 1))
    async with training.database.connection() as connection:
        await connection.execute(COPY_THE_FIRST)

        async def read() -> list[Any]:
            return [*await QUERIES.outbox_after(connection, xid=0, position=0, limit=10_000)]

        async def readable() -> bool:
            return sum(len(row["keys"]) for row in await read()) == 5000

        await training.until(readable)
        assert [set(row["values"]) for row in await read()] == [{None}]
        [lane] = map(in_order, await QUERIES.outbox_after_large(connection, xid=0, position=0, limit=10_000))
    assert {len(value) for value in lane[5]} == {outbox.BYTES_MAX}
    assert 16 * MIB <= len(lane[5]) * outbox.BYTES_MAX < 16 * MIB + outbox.BYTES_MAX


async def rows_read(connection: Transaction, cursor: tuple[int, int], limit: int) -> int:
    """How many rows of the outbox one read of a relay looks at, by what PostgreSQL counts."""
    [plan] = json.loads(await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {READ}", *cursor, limit))
    nodes, rows = [plan["Plan"]], 0
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node.get("Relation Name", "").startswith("outbox"):
            rows += round(node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    return rows


async def test_a_batch_costs_the_same_however_many_rows_wait_that_the_planner_has_not_heard_of(party: Join) -> None:
    """What waits was written since the table was last analysed, so the planner takes it for one row or two."""
    training = await party("training")
    await say(training, *(rated(who, 1) for who in range(100)))
    owner = await asyncpg.connect(training.owner_url)
    for _ in range(2):
        await owner.execute(COPY_ALL, 10)
    await owner.execute("ANALYZE outbox")
    last = await owner.fetchrow("SELECT xid, position FROM outbox ORDER BY xid DESC, position DESC LIMIT 1")
    await owner.execute(COPY_ALL, 3)
    await owner.close()
    assert last
    async with training.database.by_index() as connection:
        assert await rows_read(connection, tuple(last), 400) <= 401
        assert await connection.fetchval("SHOW enable_sort") == "off"
    async with training.database.connection() as connection:
        assert await connection.fetchval("SHOW enable_sort") == "on"


def limit_topic(bus: Cluster) -> None:
    """Make the topic anew, so that it refuses a record that is not small."""
    admin, topic = bus.admin(), TOPICS[TOPIC]
    admin.delete_topics([TOPIC], operation_timeout=30)[TOPIC].result(30)
    deadline = time.monotonic() + 30
    while TOPIC in admin.list_topics(timeout=10).topics and time.monotonic() < deadline:
        time.sleep(0.05)
    config = local_bus.settings(topic, 1) | {"max.message.bytes": str(REFUSED_BYTES)}
    admin.create_topics([NewTopic(TOPIC, topic.partitions, 1, config=config)])[TOPIC].result(30)


def unlimit_topic(bus: Cluster) -> None:
    size = ConfigEntry("max.message.bytes", str(MIB), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, TOPIC, incremental_configs=[size])
    admin = bus.admin()  # held until the answers are there
    for answer in admin.incremental_alter_configs([resource]).values():
        answer.result(30)


async def numbers(party: Party) -> list[int]:
    """What stands on the lane of citizen 7, in the order of the log."""
    return [int(event["sequence"]) for lane, _, _, event in await records(party) if lane == LANE]


@pytest.mark.parametrize(
    ("known", "left"),
    [
        pytest.param([], [2], id="a producer new to the lane: what follows the refused batch is taken"),
        pytest.param([1], [1], id="a producer with a place in the lane: what follows is out of sequence"),
    ],
)
async def test_a_batch_that_kafka_refuses_while_the_next_one_is_on_its_way_has_its_effects_once_and_in_order(
    party: Join, bus: Cluster, monkeypatch: pytest.MonkeyPatch, known: list[int], left: list[int]
) -> None:
    monkeypatch.setattr("libs.events.relay.BATCH_ROWS", 1)
    limit_topic(bus)
    training, reader, effects = await party("training"), await party("selection"), Effects()
    await effects.prepare(reader)
    refused, following = len(known) + 1, len(known) + 2

    async def has_sent_what_is_known() -> bool:
        return await numbers(training) == known

    async def send_until_it_fails() -> None:
        async with training.relaying():
            for number in known:
                await say(training, rated(7, number, number))
            await training.until(has_sent_what_is_known)
            await say(training, sized(2 * REFUSED_BYTES, refused, refused), rated(7, following, following))
            await training.until(never)

    with pytest.raises(MessageSizeTooLargeError):
        await send_until_it_fails()
    assert await numbers(training) == left

    async with reader.consuming({TrainingRated: effects.on_rated}), restarting(training) as ends:
        await training.until(lambda: has_failed(ends))
        assert await effects.of(reader) == ({CITIZEN: known} if known else {})
        unlimit_topic(bus)
        await reader.until(lambda: counted(reader, effects, following))
    assert set(ends) == {"MessageSizeTooLargeError"}
    assert await effects.of(reader) == {CITIZEN: list(range(1, following + 1))}
    assert (await numbers(training))[-2:] == [refused, following]


async def never() -> bool:
    return False


async def has_failed(ends: list[str]) -> bool:
    return len(ends) >= 2


async def test_a_rewind_while_a_relay_starts_leaves_every_event_its_number(
    party: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cursor and numbers are read in one look, in the comparison and behind it: a rewind moves both."""
    training, reader, effects = await party("training"), await party("selection"), Effects()
    await effects.prepare(reader)
    await say(training, *(rated(7, course, 1) for course in range(5)))
    await training.relay()
    look, looks = QUERIES.relay_numbers, 0

    async def after_a_rewind(connection: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == 2:
            monkeypatch.setattr(QUERIES, "relay_numbers", look)
            await ask(training, "rewind", TOPIC, str(LANE), "1", yes=True)
        return await look(connection)

    monkeypatch.setattr(QUERIES, "relay_numbers", after_a_rewind)
    await say(training, *(rated(7, course, 1 + course // 5) for course in range(5, 15)))
    async with reader.consuming({TrainingRated: effects.on_rated}), restarting(training):
        await reader.until(lambda: counted(reader, effects, 15))
        await training.until(training._sent)
    assert looks == 2
    assert await effects.of(reader) == {CITIZEN: [1] * 5 + [2] * 5 + [3] * 5}


async def test_a_strangers_record_since_the_comparison_makes_the_relay_compare_again_and_no_more(
    party: Join, bus: Cluster
) -> None:
    training, reader, effects = await party("training"), await party("selection"), Effects()
    await effects.prepare(reader)
    await say(training, rated(7, 1, 1))
    await training.relay()
    async with reader.consuming({TrainingRated: effects.on_rated}), restarting(training) as ends:
        async with training.database.connection() as connection:
            await training.until(lambda: QUERIES.relay_works(connection))
            await training.until(lambda: looked(training))
        await send_raw(bus, b"{}", CITIZEN.encode()[::-1], LANE)
        for course in (2, 3):
            await say(training, rated(7, course, course))
            await reader.until(lambda course=course: counted(reader, effects, course))
            await training.until(training._sent)
    assert ends == ["TopicMoved"]
    assert await effects.of(reader) == {CITIZEN: [1, 2, 3]}


async def looked(party: Party) -> bool:
    async with party.database.connection() as connection:
        return bool((await QUERIES.relay_held(connection))["looked"])


@pytest.mark.parametrize(("said", "applied"), [([1], [1]), ([1, 2, 3], [2, 3, 1, 2, 3])])
async def test_an_event_whose_number_a_relay_of_an_older_epoch_has_used_is_not_lost(
    party: Join, bus: Cluster, said: list[int], applied: list[int]
) -> None:
    """Readers apply what stands there first, and take ours for a repeat. It is sent again in another epoch, with what
    followed it: there readers know it by its meaning alone, and this one does not look."""
    training, reader, effects = await party("training"), await party("selection"), Effects()
    await effects.prepare(reader)
    await say(training, *(rated(7, course, course) for course in range(1, 6)))
    await training.relay()
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: counted(reader, effects, 5))
        await lose(training, 3)
        await ask(training, "new-epoch", yes=True)
        with pytest.raises(TopicMoved):
            await send_behind_a_zombie(training, bus, said)
        with pytest.raises(OlderThanTopics, match=f"numbers 6 to {5 + len(said)}"):
            await training.relay()
        await ask(training, "new-epoch", yes=True)
        await training.relay()
        await reader.until(lambda: counted(reader, effects, 6 + len(applied)))
    assert await effects.of(reader) == {CITIZEN: [1, 2, 3, 4, 5, 4, *applied]}


async def send_behind_a_zombie(party: Party, bus: Cluster, said: list[int]) -> None:
    """The relay has compared and rests; then a batch of the first epoch arrives that was long under way."""
    async with party.relaying():
        await party.until(lambda: looked(party))
        await send_raw(bus, codec.numbered(codec.encode(rated(7, 66, 4)), 6, 1), CITIZEN.encode(), LANE)
        await say(party, *(rated(7, 70 + stars, stars) for stars in said))
        await party.until(never)
