"""The path of an event over a real PostgreSQL and a real Kafka: numbered, applied exactly once, and losses noticed."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from deploy.local.bus import Cluster
from libs.events import codec, ids, outbox, parking
from libs.events import kafka as clients
from libs.events.consumer import NearlyAllPoison
from libs.events.contracts import Event, MembershipRevoked, TrainingRated
from libs.events.database import QUERIES, Transaction
from libs.events.relay import Fenced, Relay
from libs.events.restore import OlderThanTopics, read_tails
from libs.events.topics import TOPICS
from tests.integration.conftest import Party, renew_topics
from tests.support import NOON

Join = Callable[[str], Any]
TOPIC = "training-completed"


def rated(who: int, course: int, stars: int = 5) -> TrainingRated:
    citizen = f"{who:032x}"
    return TrainingRated(
        at=NOON,
        enrolment_id=ids.derive(citizen, str(course)),
        citizen_id=citizen,
        programme="prakerja-2020",
        wave=1,
        course_id=ids.derive(str(course)),
        stars=stars,
    )


def revoked(who: int) -> MembershipRevoked:
    return MembershipRevoked(
        at=NOON, citizen_id=f"{who:032x}", programme="prakerja-2020", wave=1, province="32", tier="public",
        reason="no-purchase-in-time", released_rupiah=1_000_000,
    )  # fmt: skip


async def say(party: Party, *events: Event) -> None:
    async with party.database.transaction() as tx:
        await outbox.add(tx, events)


async def records(party: Party) -> list[Any]:
    """Everything on the topic, lane by lane in order, as plain JSON with key and lane."""
    reader = clients.reader(party.settings, "test")
    await reader.start()
    try:
        partitions = [TopicPartition(TOPIC, lane) for lane in range(TOPICS[TOPIC].partitions)]
        reader.assign(partitions)
        ends = await reader.end_offsets(partitions)
        for partition in partitions:
            reader.seek(partition, 0)
        found = []
        tails = {p for p in partitions if ends[p] > 0}
        while tails:
            for partition, got in (await reader.getmany(timeout_ms=500)).items():
                found += [(partition.partition, r.offset, r.key, json.loads(r.value)) for r in got]
                if got[-1].offset + 1 >= ends[partition]:
                    tails.discard(partition)
        return sorted(found, key=lambda record: record[:2])
    finally:
        await reader.stop()


class Effects:
    """A reaction that writes one row per event into a table that knows no uniqueness, so a double effect would show."""

    def __init__(self) -> None:
        self.broken: set[str] = set()

    async def prepare(self, party: Party) -> None:
        owner = await asyncpg.connect(party.owner_url)
        await owner.execute(
            "CREATE TABLE IF NOT EXISTS effect (n bigint GENERATED ALWAYS AS IDENTITY, citizen uuid, stars integer);"
            "GRANT SELECT, INSERT ON effect TO probe_app"
        )
        await owner.close()

    async def on_rated(self, *, tx: Transaction, events: Sequence[TrainingRated]) -> None:
        if broken := [event for event in events if event.citizen_id in self.broken]:
            raise codec.Poison("contradiction", f"{len(broken)} of these contradict what is known")
        await tx.execute(
            "INSERT INTO effect (citizen, stars) SELECT * FROM unnest($1::uuid[], $2::integer[])",
            [event.citizen_id for event in events],
            [event.stars for event in events],
        )

    async def of(self, party: Party) -> dict[str, list[int]]:
        """What each citizen's effects were, in order."""
        found = defaultdict(list)
        async with party.database.connection() as connection:
            for row in await connection.fetch("SELECT citizen, stars FROM effect ORDER BY n"):
                found[row["citizen"]].append(row["stars"])
        return dict(found)

    async def count(self, party: Party) -> int:
        async with party.database.connection() as connection:
            return int(await connection.fetchval("SELECT count(*) FROM effect"))


@pytest.fixture
async def effects() -> Effects:
    return Effects()


async def send_raw(bus: Cluster, value: bytes, key: bytes | None, lane: int) -> None:
    async with AIOKafkaProducer(**bus.aiokafka()) as producer:
        await producer.send_and_wait(TOPIC, value, key=key, partition=lane)


async def test_every_lane_is_numbered_without_gap_and_a_relay_that_starts_again_goes_on(party: Join) -> None:
    training = await party("training")
    await say(training, *(rated(who, course) for course in range(3) for who in range(100)))
    await training.relay()
    await say(training, *(rated(who, 3) for who in range(100)))
    await training.relay()

    numbers = defaultdict(list)
    for lane, _, key, event in await records(training):
        numbers[lane].append(int(event["sequence"]))
        assert TOPICS[TOPIC].lane(event["data"]["citizen_id"]) == lane
        assert key.decode() == event["data"]["citizen_id"]
    assert sum(map(len, numbers.values())) == 400
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


async def test_effects_are_exactly_once_and_in_order_when_the_relay_repeats_itself(
    party: Join, effects: Effects
) -> None:
    training, reader = await party("training"), await party("selection")
    await effects.prepare(reader)
    await say(training, *(rated(who, course, stars=course % 5 + 1) for course in range(5) for who in range(40)))
    await training.relay()
    # A crash between Kafka's acknowledgement and the stored cursor: everything is sent a second time.
    async with training.database.transaction() as tx:
        await tx.execute("UPDATE relay SET xid = '0', position = 0")
        await tx.execute("UPDATE relay_number SET number = 0")
    await training.relay()
    assert len(await records(training)) == 400

    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: caught_up(reader))
    assert await effects.of(reader) == {f"{who:032x}": [1, 2, 3, 4, 5] for who in range(40)}


async def caught_up(party: Party) -> bool:
    """Whether the numbers of the topic are all applied."""
    reader = clients.reader(party.settings, "test")
    await reader.start()
    try:
        tails = await read_tails(reader, "training", {})
    finally:
        await reader.stop()
    async with party.database.connection() as connection:
        at = {(row["topic"], row["lane"]): row["number"] for row in await QUERIES.position_all(connection)}
    return all(at.get(lane, 0) >= (tail.number if tail else 0) for lane, tail in tails.items())


async def test_two_workers_and_a_forgotten_kafka_offset_make_no_second_effect(party: Join, effects: Effects) -> None:
    training, reader = await party("training"), await party("selection")
    await effects.prepare(reader)
    await say(training, *(rated(who, 1) for who in range(500)))
    await training.relay()
    async with reader.consuming({TrainingRated: effects.on_rated}), reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: caught_up(reader))
        await say(training, *(rated(who, 2) for who in range(500)))
        await training.relay()
        await reader.until(lambda: caught_up(reader))
    assert await effects.count(reader) == 1000

    async with reader.database.transaction() as tx:  # the store forgets its offsets, not its numbers
        await tx.execute("UPDATE position SET next_offset = 0")
    async with reader.consuming({TrainingRated: effects.on_rated}) as consumer:
        await reader.until(lambda: has_read(consumer, 1000))
    assert await effects.count(reader) == 1000


async def has_read(consumer: Any, records_min: int) -> bool:
    positions = [await consumer.kafka.position(partition) for partition in consumer.kafka.assignment()]
    return bool(sum(positions) >= records_min)


async def test_a_slow_transaction_is_waited_for_and_never_skipped(party: Join) -> None:
    training = await party("training")
    slow = await asyncpg.connect(training.settings.database_url.get_secret_value())
    transaction = slow.transaction()
    await transaction.start()
    await outbox.add(slow, [rated(1, 1)])
    await say(training, rated(2, 1))  # commits first, with the younger xid
    async with training.relaying():
        await asyncio.sleep(0.5)
        assert await records(training) == [], "nothing may overtake a transaction that is still running"
        await transaction.commit()
        await training.until(lambda: arrived(training, 2))
    await slow.close()


async def arrived(party: Party, count: int) -> bool:
    return len(await records(party)) >= count


async def test_the_second_relay_stands_by_and_the_first_is_fenced_when_it_gives_no_sign_of_life(
    party: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.events.relay.BEAT_SECONDS", 0.2)
    training = await party("training")
    async with training.relaying() as first:
        await training.until(lambda: owns(training, first))
        with pytest.raises(TimeoutError):
            async with training.database.pool.acquire() as connection, asyncio.timeout(2.5):
                await Relay(training.database, None, "training", silent_seconds=1.0).take_over(connection)
    with pytest.raises(Fenced):
        await lose_the_relay(training)


async def lose_the_relay(party: Party) -> None:
    """Somebody else takes over while the first relay is at work."""
    async with party.relaying() as first:
        await party.until(lambda: owns(party, first))
        async with party.database.transaction() as tx:
            await tx.execute("UPDATE relay SET owner = gen_random_uuid()")
        await say(party, rated(1, 1))
        await asyncio.sleep(1.0)


async def owns(party: Party, relay: Relay) -> bool:
    async with party.database.connection() as connection:
        return bool((await QUERIES.relay_state(connection))["owner"] == relay.owner)


async def test_a_missing_number_stops_the_lane_alone_and_heals_when_it_arrives(
    party: Join, bus: Cluster, effects: Effects
) -> None:
    reader = await party("selection")
    await effects.prepare(reader)
    lane = TOPICS[TOPIC].lane(f"{7:032x}")
    values = [codec.numbered(codec.encode(rated(7, course, course)), course, 1) for course in (1, 2, 3, 4)]
    key = f"{7:032x}".encode()
    for value in (values[0], values[2], values[3]):
        await send_raw(bus, value, key, lane)
    other = next(who for who in range(8, 99) if TOPICS[TOPIC].lane(f"{who:032x}") != lane)
    await send_raw(bus, codec.numbered(codec.encode(rated(other, 1, 5)), 1, 1), f"{other:032x}".encode(),
                   TOPICS[TOPIC].lane(f"{other:032x}"))  # fmt: skip
    async with reader.consuming({TrainingRated: effects.on_rated}) as consumer:
        await reader.until(lambda: counted(reader, effects, 2))
        await asyncio.sleep(0.5)
        assert await effects.of(reader) == {f"{7:032x}": [1], f"{other:032x}": [5]}
        assert consumer.places.gaps[TOPIC, lane].first == 2
        for value in values[1:]:
            await send_raw(bus, value, key, lane)
        await reader.until(lambda: counted(reader, effects, 5))
    assert await effects.of(reader) == {f"{7:032x}": [1, 2, 3, 4], f"{other:032x}": [5]}


async def counted(party: Party, effects: Effects, count: int) -> bool:
    return await effects.count(party) >= count


HOSTILE = {
    "bad-json": (b'{"specversion":', b"k1"),
    "no-key": (codec.encode(rated(201, 1)), None),
    "not-a-cloud-event": (b'{"hello": 1}', b"k2"),
    "wrong-source": (codec.encode(rated(202, 1)).replace(b'"source":"training"', b'"source":"finance"'), b"k3"),
    "unknown-type": (codec.encode(rated(203, 1)).replace(b"training-rated", b"training-undone"), b"k4"),
    "unknown-version": (codec.encode(rated(204, 1)).replace(b"rated:1", b"rated:9"), b"k5"),
    "bad-data": (codec.encode(rated(205, 1)).replace(b'"stars":5', b'"stars":"many"'), b"k6"),
    "nul": (codec.encode(rated(206, 1)).replace(b"prakerja-2020", b"prakerja\\u0000"), b"k7"),
    "empty": (b"", b"k8"),
    "too-large": (b'{"x":"' + b"y" * 300_000 + b'"}', b"k9"),
    "no-number": (codec.encode(rated(207, 1)), f"{207:032x}".encode()),
}


async def test_poison_is_parked_with_its_reason_while_everything_else_goes_on(
    party: Join, bus: Cluster, effects: Effects
) -> None:
    training, reader = await party("training"), await party("selection")
    await effects.prepare(reader)
    for lane, (value, key) in enumerate(HOSTILE.values()):
        await send_raw(bus, value, key, lane)
    await say(training, *(rated(who, 1) for who in range(100)))
    await training.relay()
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: counted(reader, effects, 100))
        await reader.until(lambda: parked(reader, len(HOSTILE)))
    reasons = {str(row["reason"]) for row in await parking.listed(reader.database)}
    assert reasons == set(HOSTILE)


async def parked(party: Party, count: int) -> bool:
    return len(await parking.listed(party.database)) >= count


async def test_a_contradiction_parks_its_key_and_redrive_gives_each_event_one_effect_in_order(
    party: Join, effects: Effects
) -> None:
    training, reader = await party("training"), await party("selection")
    await effects.prepare(reader)
    bad = f"{13:032x}"
    effects.broken.add(bad)
    await say(training, *(rated(who, course, course) for course in (1, 2, 3) for who in range(60)), revoked(13))
    await training.relay()
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: counted(reader, effects, 59 * 3))
        await reader.until(lambda: parked(reader, 4))
    assert bad not in await effects.of(reader)

    assert await parking.redrive(reader.database, {TrainingRated: effects.on_rated}) == (0, 4)
    effects.broken.clear()
    assert await parking.redrive(reader.database, {TrainingRated: effects.on_rated}) == (4, 0)
    assert (await effects.of(reader))[bad] == [1, 2, 3]


async def test_when_nearly_everything_is_poison_the_consumer_stops_and_loses_nothing(
    party: Join, effects: Effects
) -> None:
    training, reader = await party("training"), await party("selection")
    await effects.prepare(reader)
    effects.broken.update(f"{who:032x}" for who in range(400))
    await say(training, *(rated(who, 1) for who in range(400)))
    await training.relay()
    with pytest.raises(NearlyAllPoison):
        await consume_poison(reader, effects)
    effects.broken.clear()
    await parking.redrive(reader.database, {TrainingRated: effects.on_rated})
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: counted(reader, effects, 400))
    assert await effects.count(reader) == 400


async def consume_poison(reader: Party, effects: Effects) -> None:
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: parked(reader, 10_000))


async def test_topics_that_lost_their_log_are_filled_again_and_numbers_tell_repeats_from_news(
    party: Join, bus: Cluster, effects: Effects
) -> None:
    training, reader = await party("training"), await party("selection")
    await effects.prepare(reader)
    await say(training, *(rated(who, 1) for who in range(200)))
    await training.relay()
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: caught_up(reader))
    renew_topics(bus)
    await say(training, *(rated(who, 2) for who in range(200)))
    await training.relay()
    assert len(await records(training)) == 400
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: counted(reader, effects, 400))
        await reader.until(lambda: caught_up(reader))
    assert await effects.count(reader) == 400


async def test_a_log_that_was_filled_again_is_searched_for_what_stands_before_our_place(
    party: Join, bus: Cluster, effects: Effects
) -> None:
    training, reader = await party("training"), await party("selection")
    await effects.prepare(reader)
    await say(training, *(rated(1, course) for course in range(40)))
    await training.relay()
    async with training.database.transaction() as tx:  # everything is sent twice, so offsets run ahead of numbers
        await tx.execute("UPDATE relay SET xid = '0', position = 0")
        await tx.execute("UPDATE relay_number SET number = 0")
    await training.relay()
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: caught_up(reader))
    renew_topics(bus)
    await say(training, *(rated(1, course) for course in range(40, 100)))
    await training.relay()
    async with reader.consuming({TrainingRated: effects.on_rated}):
        await reader.until(lambda: caught_up(reader))
    assert await effects.count(reader) == 100


async def test_a_database_older_than_its_topics_refuses_to_send_and_says_what_it_lacks(party: Join) -> None:
    training = await party("training")
    await say(training, *(rated(1, course) for course in range(5)))
    await training.relay()
    async with training.database.transaction() as tx:  # what a restored backup looks like: numbers and rows are older
        await tx.execute("UPDATE relay SET xid = '0', position = 0")
        await tx.execute("UPDATE relay_number SET number = 2")
    owner = await asyncpg.connect(training.owner_url)
    await owner.execute("DELETE FROM outbox")
    await owner.close()
    with pytest.raises(OlderThanTopics, match="numbers 3 to 5"):
        await training.relay()
