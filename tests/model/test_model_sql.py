"""The SQL that the model imitates, on a real PostgreSQL: what the relay reads, stores and takes back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from deploy.local.databases import ServiceDatabase
from libs.events import outbox
from libs.events.contracts import TrainingRated
from libs.events.database import QUERIES, Database, Transaction, open_database
from libs.events.numbering import in_order
from libs.events.topics import TOPICS
from tests.support import NOON

OWNER, OTHER = "a" * 32, "b" * 32
NOON_MS = 1_588_309_200_000
TOPIC = "training-completed"


def rated(who: int, stars: int) -> TrainingRated:
    return TrainingRated(
        at=NOON, enrolment_id=f"{stars:032x}", citizen_id=f"{who:032x}", programme="prakerja-2020", wave=1,
        course_id=f"{stars:032x}", stars=stars,
    )  # fmt: skip


@pytest.fixture
async def store(database: Callable[[str], ServiceDatabase]) -> AsyncIterator[Database]:
    async with open_database(database("probe").app_url) as opened:
        async with opened.transaction() as tx:
            await tx.execute("UPDATE relay SET owner = $1", OWNER)
        yield opened


async def readable(store: Database, count: int) -> list[Any]:
    """The rows the relay reads, once there are so many: a transaction of any database of the server holds them up."""
    async with store.connection() as connection, asyncio.timeout(20):
        while len(rows := await read(connection)) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return rows


async def read(connection: Transaction) -> list[dict[str, Any]]:
    """The rows of all lanes, in outbox order."""
    columns = ("xid", "position", "key", "value")
    rows = [
        dict(zip(columns, row, strict=True)) | {"lane": lane}
        for _, lane, *arrays in map(in_order, await QUERIES.outbox_after(connection, xid=0, position=0, limit=100))
        for row in zip(*arrays, strict=True)
    ]
    return sorted(rows, key=lambda row: (row["xid"], row["position"]))


async def sent(store: Database, rows: list[Any]) -> tuple[int, int]:
    """Store cursor and numbers as after sending `rows`."""
    numbers: dict[int, int] = {}
    for row in rows:
        numbers[row["lane"]] = numbers.get(row["lane"], 0) + 1
    async with store.connection() as connection:
        await QUERIES.relay_store(
            connection, xid=rows[-1]["xid"], position=rows[-1]["position"], owner=OWNER,
            topics=[TOPIC] * len(numbers), lanes=list(numbers), numbers=list(numbers.values()),
            numbers_at=[number - 1 for number in numbers.values()], births=[NOON_MS] * len(numbers),
        )  # fmt: skip
    return rows[-1]["xid"], rows[-1]["position"]


async def state(store: Database) -> tuple[int, int, dict[int, int]]:
    async with store.connection() as connection:
        cursor = await QUERIES.relay_state(connection)
        numbers = {row["lane"]: row["number"] for row in await QUERIES.relay_numbers(connection)}
    return cursor["xid"], cursor["position"], numbers


async def write(store: Database, *events: TrainingRated) -> None:
    for event in events:
        async with store.transaction() as tx:
            await outbox.add(tx, [event])


async def test_nothing_is_read_past_a_transaction_that_is_still_open(store: Database) -> None:
    async with store.pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await outbox.add(slow, [rated(1, 1)])
        await write(store, rated(2, 2))
        async with store.connection() as connection:
            assert await QUERIES.outbox_after(connection, xid=0, position=0, limit=100) == []
        await transaction.commit()
    assert [row["key"] for row in await readable(store, 2)] == [f"{1:032x}", f"{2:032x}"]


async def test_a_lane_is_read_in_order_also_when_postgresql_sorts_to_group_it(store: Database) -> None:
    """A plan nobody expects: the order must not depend on the planner."""
    async with store.transaction() as tx:
        await outbox.add(tx, [rated(who, 1) for who in range(200)])
    await readable(store, 100)
    async with store.connection() as connection, connection.transaction():
        wanted: dict[int, list[str]] = {}
        for lane, key in await connection.fetch("SELECT lane, key FROM outbox ORDER BY xid, outbox.position"):
            wanted.setdefault(lane, []).append(key)
        await connection.execute("SET LOCAL enable_hashagg = off")
        lanes = map(in_order, await QUERIES.outbox_after(connection, xid=0, position=0, limit=1000))
        assert {lane: list(keys) for _, lane, _, _, keys, _ in lanes} == wanted


async def test_events_of_a_key_are_read_in_the_order_of_its_lock(store: Database) -> None:
    """A worker locks positions first and a citizen later; meanwhile a request changes that citizen, and commits."""
    async with store.pool.acquire() as worker:
        transaction = worker.transaction()
        await transaction.start()
        await QUERIES.position_open(worker, sources=["selection"], topics=["selected-in-batch"], lanes=[0])
        await write(store, rated(1, 1))  # the request: it has the lock of the citizen, and gives it back
        await outbox.add(worker, [rated(1, 2)])  # the worker waited for that lock, and decides after the request
        await transaction.commit()
    assert [b'"stars":%d' % stars in row["value"] for stars, row in enumerate(await readable(store, 2), start=1)] == [
        True,
        True,
    ]


async def test_only_the_owner_stores_and_cursor_and_numbers_move_together(store: Database) -> None:
    given = {
        "xid": 7,
        "position": 8,
        "topics": [TOPIC],
        "lanes": [3],
        "numbers": [9],
        "numbers_at": [8],
        "births": [None],
    }
    async with store.connection() as connection:
        assert await QUERIES.relay_store(connection, owner=OTHER, **given) == 0
        assert await state(store) == (0, 0, {})
        assert await QUERIES.relay_store(connection, owner=OWNER, **given) == 1
    assert await state(store) == (7, 8, {3: 9})


async def test_going_back_gives_every_lane_the_number_that_its_next_row_had(store: Database) -> None:
    await write(store, *(rated(who, stars) for stars in (1, 2, 3) for who in (1, 2)))
    rows = await readable(store, 6)
    cursor = await sent(store, rows)
    lane = rows[0]["lane"]
    count = sum(row["lane"] == lane for row in rows)
    async with store.connection() as connection:
        back = await QUERIES.outbox_lane_before(
            connection, xid=cursor[0], position=cursor[1], topic=TOPIC, lane=lane, count=count - 1
        )
        await QUERIES.relay_rewind(connection, xid=back["xid"], position=back["position"] - 1, owner=OWNER)
    xid, position, numbers = await state(store)
    again = [row for row in rows if (row["xid"], row["position"]) > (xid, position)]
    assert numbers[lane] == 1
    for each in {row["lane"] for row in rows}:
        total = sum(row["lane"] == each for row in rows)
        assert numbers[each] + sum(row["lane"] == each for row in again) == total


async def test_who_loses_the_relay_while_it_waits_to_go_back_takes_no_numbers_back(store: Database) -> None:
    await write(store, *(rated(1, stars) for stars in (1, 2, 3)))
    await sent(store, await readable(store, 3))
    before = await state(store)
    async with store.pool.acquire() as successor, store.pool.acquire() as waiting:
        async with successor.transaction():
            await QUERIES.relay_seize(successor, owner=OTHER)
            going_back = asyncio.create_task(QUERIES.relay_rewind(waiting, xid=0, position=0, owner=OWNER))
            async with asyncio.timeout(20):
                while not await waits_for_a_lock(store):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        await going_back
    assert await state(store) == before


async def waits_for_a_lock(store: Database) -> bool:
    async with store.connection() as connection:
        return bool(
            await connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock')"
            )
        )


async def test_who_lost_the_relay_can_not_take_numbers_back(store: Database) -> None:
    await write(store, *(rated(1, stars) for stars in (1, 2, 3)))
    await sent(store, await readable(store, 3))
    before = await state(store)
    async with store.connection() as connection:
        await QUERIES.relay_rewind(connection, xid=0, position=0, owner=OTHER)
    assert await state(store) == before
    assert before[2] == {TOPICS[TOPIC].lane(f"{1:032x}"): 3}
