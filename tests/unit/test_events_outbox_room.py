"""The outbox never runs out of room, and stays bounded: partitions come and go in machine time, beside all work."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from deploy.local.databases import ServiceDatabase
from libs.events import outbox
from libs.events.database import QUERIES, Database, open_database
from tests.unit.test_events_codec import RATED


@pytest.fixture
def made(database: Callable[[str], ServiceDatabase]) -> ServiceDatabase:
    return database("probe")


@pytest.fixture
async def store(made: ServiceDatabase) -> AsyncIterator[Database]:
    async with open_database(made.app_url) as opened:
        yield opened


# The outbox: partitions of 1,000 rows here. Positions are moved on instead of writing so many.

SIZE = 1_000


@pytest.fixture
async def owner(made: ServiceDatabase) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(made.owner_url)
    await connection.execute(
        "DROP TABLE outbox_0, outbox_1;"
        "CREATE TABLE outbox_0 PARTITION OF outbox FOR VALUES FROM (MINVALUE) TO (1000);"
        "CREATE TABLE outbox_1000 PARTITION OF outbox FOR VALUES FROM (1000) TO (2000);"
    )
    yield connection
    await connection.close()


async def write_at(store: Database, owner: Any, position: int) -> None:
    await owner.execute("SELECT setval(pg_get_serial_sequence('outbox', 'position'), $1, false)", position)
    async with store.transaction() as tx:
        await outbox.add(tx, [RATED])


async def send_everything(store: Database) -> None:
    async with store.transaction() as tx:
        await tx.execute("UPDATE relay SET xid = (SELECT max(xid) FROM outbox), position = 9223372036854775807")


async def rotate(store: Database, keep: int) -> int:
    async with store.connection() as connection:
        row = await QUERIES.outbox_rotate(connection, size=SIZE, keep=keep)
    return int(row["created"] + row["dropped"])


async def ends(owner: Any) -> list[int]:
    names = await owner.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'outbox'::regclass"
    )
    return sorted(int(row["name"].split("_")[1]) for row in names)


async def test_there_is_always_an_empty_partition_ahead(store: Database, owner: Any) -> None:
    await write_at(store, owner, 1_500)
    assert await rotate(store, 10**9) == 1
    assert await ends(owner) == [0, 1000, 2000]
    assert await rotate(store, 10**9) == 0, "nothing is left, so the job ends"
    await write_at(store, owner, 2_999)


async def test_a_partition_leaves_when_it_is_sent_and_out_of_reach(store: Database, owner: Any) -> None:
    await write_at(store, owner, 1)
    await write_at(store, owner, 1_500)
    await send_everything(store)
    assert await rotate(store, keep=501) == 1  # made one ahead, dropped none: 1,000 > 1,500 - 501
    assert await rotate(store, keep=500) == 1
    assert await ends(owner) == [1000, 2000]


async def test_unsent_rows_keep_their_partition_whatever_the_age(store: Database, owner: Any) -> None:
    await write_at(store, owner, 1)
    await write_at(store, owner, 1_500)
    await rotate(store, keep=0)
    assert 0 in await ends(owner)
    async with store.connection() as connection:
        assert await QUERIES.outbox_unsent(connection) == 2


async def test_the_outbox_stays_bounded_over_many_rounds(store: Database, owner: Any) -> None:
    most = 0
    for position in range(1, 12_000, 700):
        await write_at(store, owner, position)
        await send_everything(store)
        while await rotate(store, keep=2_000):
            pass
        most = max(most, len(await ends(owner)))
    assert most <= 5


async def test_a_transaction_that_is_still_open_keeps_its_partition(store: Database, owner: Any) -> None:
    await owner.execute("CREATE TABLE outbox_2000 PARTITION OF outbox FOR VALUES FROM (2000) TO (3000)")
    async with store.pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await outbox.add(slow, [RATED])  # position 1, not committed
        await owner.execute("SELECT setval(pg_get_serial_sequence('outbox', 'position'), 1500)")
        rotating = asyncio.create_task(rotate(store, keep=0))
        await asyncio.sleep(0.5)
        await transaction.commit()
        await asyncio.wait_for(rotating, 10)
    async with store.connection() as connection:
        assert await QUERIES.outbox_unsent(connection) == 1


async def test_the_runtime_role_may_ask_for_rotation_and_for_nothing_more(store: Database) -> None:
    async with store.connection() as connection:
        for statement in ("DROP TABLE outbox_0", "DELETE FROM outbox", "UPDATE outbox SET key = ''", "TRUNCATE outbox"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


@asynccontextmanager
async def writing(store: Database) -> AsyncIterator[Any]:
    """Somebody else's transaction that has written, and is not over yet."""
    async with store.pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await outbox.add(slow, [RATED])
        yield slow
        await transaction.commit()


async def test_room_is_made_while_a_transaction_is_open_and_nobody_waits(store: Database, owner: Any) -> None:
    await write_at(store, owner, 1_500)
    async with writing(store) as slow:
        assert await asyncio.wait_for(rotate(store, 10**9), 5) == 1
        await outbox.add(slow, [RATED])
    await write_at(store, owner, 2_999)


async def test_a_partition_that_somebody_holds_goes_another_time_and_room_is_made_all_the_same(
    store: Database, owner: Any
) -> None:
    await write_at(store, owner, 1)
    await send_everything(store)
    await owner.execute("SELECT setval(pg_get_serial_sequence('outbox', 'position'), 1500)")
    async with writing(store):
        assert await asyncio.wait_for(rotate(store, keep=0), 5) == 1
        assert await ends(owner) == [0, 1000, 2000]
    await send_everything(store)
    assert await rotate(store, keep=0) == 1
    assert await ends(owner) == [1000, 2000]


async def test_of_two_who_ask_at_once_one_does_it(store: Database, owner: Any) -> None:
    await write_at(store, owner, 1_500)
    assert sum(await asyncio.gather(*(rotate(store, 10**9) for _ in range(8)))) == 1


async def test_writers_never_run_out_of_room_while_it_is_kept(
    store: Database, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times the room that the outbox was born with, while programme time stands still and no relay is there."""
    monkeypatch.setattr(outbox, "ROOM_SECONDS", 0.01)
    keeping = asyncio.create_task(outbox.keep_room(store, SIZE, lambda: 10**9))
    for written in range(0, 20_000, 100):
        async with asyncio.timeout(10):  # how fast writers are is the machine's; that room follows them is ours
            while max(await ends(owner)) + SIZE < written + 200:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        async with store.transaction() as tx:
            await outbox.add(tx, [RATED] * 100)
    keeping.cancel()
    assert await owner.fetchval("SELECT count(*) FROM outbox") == 20_000


async def test_room_is_kept_after_a_failure(store: Database, owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "ROOM_SECONDS", 0.01)
    await owner.execute("ALTER FUNCTION outbox_rotate RENAME TO gone")  # as for a moment while a backup is restored
    keeping = asyncio.create_task(outbox.keep_room(store, SIZE, lambda: 10**9))
    await asyncio.sleep(0.1)
    await owner.execute("ALTER FUNCTION gone RENAME TO outbox_rotate")
    await write_at(store, owner, 1_500)
    async with asyncio.timeout(10):
        while len(await ends(owner)) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    keeping.cancel()
