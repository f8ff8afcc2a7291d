"""Hostile records against a real store: each is parked with its reason, once, and stops nobody."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from deploy.local.databases import ServiceDatabase
from libs.events import codec, parking, waiting
from libs.events.clock import FixedClock
from libs.events.consumer import Consumer
from libs.events.contracts import Event, TrainingRated
from libs.events.database import QUERIES, Transaction, open_database
from libs.events.ordering import Reaction
from libs.events.polls import read_poll
from tests.support import NOON
from tests.unit.test_events_codec import CITIZEN, GOOD, RATED, TOPIC, changed


class Heard:
    """A reaction that notes what it was given, and refuses some stars."""

    def __init__(self) -> None:
        self.stars: list[int] = []
        self.refuses = 1

    async def __call__(self, *, tx: Transaction, events: Any) -> None:
        if any(event.stars == self.refuses for event in events):
            raise ValueError("1 star contradicts what is known")
        self.stars += [event.stars for event in events]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def consumer(database: Callable[[str], ServiceDatabase], heard: Heard) -> AsyncIterator[Consumer]:
    async with open_database(database("probe").app_url) as opened:
        async with opened.transaction() as tx:
            await QUERIES.position_open(tx, sources=["training"], topics=[TOPIC], lanes=[3])
        reactions: dict[type[Event], Reaction] = {TrainingRated: heard}
        yield Consumer(opened, None, "selection", reactions, FixedClock(NOON))


def numbered(number: int, stars: int = 5, who: str = CITIZEN) -> tuple[bytes, bytes]:
    event = RATED.model_copy(update={"stars": stars, "citizen_id": who})
    return codec.numbered(codec.encode(event), number, 1), who.encode()


async def take(consumer: Consumer, *records: tuple[bytes | None, bytes | None], offset: int = 0, lane: int = 3) -> None:
    fetched = [
        SimpleNamespace(topic=TOPIC, partition=lane, offset=offset + index, key=key, value=value)
        for index, (value, key) in enumerate(records)
    ]
    runs, reads = await read_poll({TopicPartition(TOPIC, lane): fetched})
    await asyncio.wait_for(consumer.apply(reads, runs), 5)


async def reasons(consumer: Consumer) -> list[object]:
    return [row["reason"] for row in await parking.listed(consumer.database)]


async def test_a_refused_event_and_what_follows_of_its_key_wait_in_order(consumer: Consumer, heard: Heard) -> None:
    other = f"{8:032x}"
    await take(consumer, numbered(1, 4), numbered(2, 1), numbered(3, 3), numbered(4, 2, other))
    await take(consumer, numbered(5, 5), offset=4)
    assert sorted(heard.stars) == [2, 4]
    assert await reasons(consumer) == ["refused", "behind", "behind"]


async def test_what_another_worker_parks_or_lets_go_is_known(consumer: Consumer, heard: Heard) -> None:
    one, other = f"{7:032x}", f"{8:032x}"
    colleague = Consumer(consumer.database, None, "selection", consumer.reactions, consumer.clock)
    await take(colleague, numbered(1, 5, one))
    await take(consumer, numbered(2, 1, one), numbered(3, 1, other), offset=1)
    await take(colleague, numbered(4, 4, one), numbered(5, 3, f"{9:032x}"), offset=3)
    assert heard.stars == [5, 3]
    assert await reasons(consumer) == ["refused", "refused", "behind"]
    ids = [row["id"] for row in await parking.listed(consumer.database)]
    assert await parking.drop(consumer.database, ids[:2]) == 2  # type: ignore[arg-type]
    await take(colleague, numbered(6, 2, other), numbered(7, 4, one), offset=5)
    assert heard.stars == [5, 3, 2]
    assert await parking.redrive(consumer.database, consumer.reactions) == (2, 0)
    await take(colleague, numbered(8, 5, one), offset=7)
    assert heard.stars == [5, 3, 2, 4, 4, 5]


@pytest.mark.parametrize("all_max", [1, 2, 3])
async def test_however_much_is_parked_the_keys_at_hand_are_known(
    consumer: Consumer, heard: Heard, monkeypatch: pytest.MonkeyPatch, all_max: int
) -> None:
    one, other, free = (f"{who:032x}" for who in (7, 8, 9))
    await take(consumer, numbered(1, 1, one), numbered(2, 1, other))
    monkeypatch.setattr(parking, "ALL_MAX", all_max)
    colleague = Consumer(consumer.database, None, "selection", consumer.reactions, consumer.clock)
    await take(colleague, numbered(3, 2, one), numbered(4, 3, free), offset=2)
    await take(colleague, numbered(5, 3, other), numbered(6, 4, free), offset=4)
    assert heard.stars == [3, 4]
    assert await reasons(consumer) == ["refused", "refused", "behind", "behind"]


async def test_a_worker_that_remembers_too_much_forgets_and_asks_again(
    consumer: Consumer, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "KNOWN_MAX", 0)
    await take(consumer, numbered(1, 1))
    assert consumer.waiting.take({(TOPIC, 3): waiting.NEVER_PARKED}) == ({(TOPIC, 3): set()}, [])
    await take(consumer, numbered(2, 2), numbered(3, 3, f"{8:032x}"), offset=1)
    assert heard.stars == [3]


async def test_a_key_of_one_lane_holds_up_nobody_in_another(consumer: Consumer, heard: Heard) -> None:
    """Whoever can write to a topic can put anybody's key on any lane."""
    async with consumer.database.transaction() as tx:
        await QUERIES.position_open(tx, sources=["training"], topics=[TOPIC], lanes=[4])
    await take(consumer, (b"not JSON", CITIZEN.encode()), lane=4)
    await take(consumer, numbered(1, 3))
    assert heard.stars == [3]
    await take(consumer, numbered(2, 1), offset=1)
    heard.refuses = 0
    assert await parking.redrive(consumer.database, consumer.reactions) == (1, 1)
    assert heard.stars == [3, 1]


async def test_the_words_of_an_exception_are_not_kept(consumer: Consumer) -> None:
    await take(consumer, numbered(1, 1))
    (row,) = await parking.listed(consumer.database)
    assert (row["reason"], row["detail"]) == ("refused", "ValueError")


async def test_a_repeat_of_what_is_parked_is_not_parked_again(consumer: Consumer) -> None:
    await take(consumer, numbered(1, 1))
    await take(consumer, numbered(1, 1), numbered(1, 1), offset=1)
    assert await reasons(consumer) == ["refused"]


async def test_nine_hostile_records_are_parked_each_once_and_the_healthy_ones_go_on(
    consumer: Consumer, heard: Heard
) -> None:
    hostile: list[tuple[bytes | None, bytes | None]] = [
        (b"{", b"k1"), (b"", b"k2"), (None, b"k3"), (GOOD, None), (GOOD, b"\xff"), (b"[]", b"k4"),
        (b'{"x":"' + b"y" * 300_000 + b'"}', b"k5"), (codec.encode(RATED), b"k6"), (changed(source="x"), b"k7"),
    ]  # fmt: skip
    await take(consumer, *hostile[:5], numbered(1, 3), *hostile[5:], numbered(2, 4))
    assert heard.stars == [3, 4]
    assert await reasons(consumer) == [
        "bad-json", "empty", "empty", "no-key", "no-key", "not-a-cloud-event", "too-large", "wrong-key", "wrong-source",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (changed(sequence="1"), b"a\0b"),
        (json.dumps(json.loads(GOOD) | {"type": "a\0b", "sequence": "1"}).encode(), CITIZEN.encode()),
        (changed(sequence="1", epoch=2**40), CITIZEN.encode()),
    ],
    ids=["NUL in the key", "NUL in the type", "an epoch that no column holds"],
)
async def test_what_can_not_even_be_parked_as_it_is_does_not_stop_the_worker(
    consumer: Consumer, value: bytes, key: bytes
) -> None:
    await take(consumer, (value, key))
    assert len(await reasons(consumer)) <= 1


async def test_a_stranger_that_is_read_again_is_not_parked_again(consumer: Consumer) -> None:
    stranger = (codec.encode(RATED), CITIZEN.encode())
    await take(consumer, stranger, numbered(1, 3, f"{8:032x}"))
    await take(consumer, stranger, numbered(1, 3, f"{8:032x}"))  # the same offsets, as after a gap
    await take(Consumer(consumer.database, None, "selection", consumer.reactions, consumer.clock), stranger)
    assert await reasons(consumer) == ["no-number"]
    await take(consumer, stranger, offset=2)
    assert await reasons(consumer) == ["no-number", "no-number"], "the same further on is another one"
