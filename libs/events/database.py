"""Access to a service's own PostgreSQL store: a pool, transactions, and named queries.

Durability is never traded: `synchronous_commit` must be on, and the pool refuses a server where it is not. Ids travel
as 32 hexadecimal digits and are stored as `uuid`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import aiosql
import asyncpg
from aiosql.adapters.asyncpg import AsyncPGAdapter
from asyncpg.pool import PoolConnectionProxy

if TYPE_CHECKING:
    Transaction: TypeAlias = asyncpg.Connection[Any] | PoolConnectionProxy[Any]
else:
    Transaction = asyncpg.Connection
"""A connection inside a transaction that somebody else commits. Application code never commits."""


class UnsafeDatabase(Exception):
    """The server would acknowledge what it may lose."""


class Spoken:
    """Counts what this process has written into an outbox, so that only a commit with news wakes the relay."""

    events = 0


class Database:
    """A pool of connections to one store. `committed` is set after a commit with news, to wake this process's relay."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self.pool = pool
        self.committed = asyncio.Event()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One transaction: commits at the end of the block, rolls back on any exception."""
        before = Spoken.events
        async with self.pool.acquire() as connection, connection.transaction():
            yield connection
        if Spoken.events != before:
            self.committed.set()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Transaction]:
        """A connection for single reads; each statement stands alone."""
        async with self.pool.acquire() as connection:
            yield connection

    @asynccontextmanager
    async def by_index(self) -> AsyncIterator[Transaction]:
        """The same, and what an index gives in the order that is asked for is never sorted instead."""
        async with self.pool.acquire() as connection:
            await QUERIES.read_by_index(connection)
            try:
                yield connection
            finally:
                with suppress(Exception):  # it is gone, and whatever was set with it
                    await asyncio.shield(QUERIES.read_as_usual(connection))


async def prepare(connection: Transaction) -> None:
    """Make a fresh connection speak in our types: uuid as 32 hexadecimal digits."""
    await connection.set_type_codec(
        "uuid",
        schema="pg_catalog",
        encoder=bytes.fromhex,
        decoder=bytes.hex,
        format="binary",
    )


async def leave_as_is(_: Transaction) -> None:
    """What a connection needs on its way back to the pool, beside the roll-back that asyncpg does by itself: nothing.

    Nothing that is set here outlives its transaction or its block, so asyncpg's question after every single one
    (RESET ALL) is spared.
    """


@asynccontextmanager
async def open_database(dsn: str, *, min_size: int = 1, max_size: int = 10) -> AsyncIterator[Database]:
    """Open the pool of a service. Raises UnsafeDatabase when commits would not be durable."""
    async with asyncpg.create_pool(dsn, min_size=min_size, max_size=max_size, init=prepare, reset=leave_as_is) as pool:
        for setting in ("synchronous_commit", "fsync"):
            value = await pool.fetchval("SELECT current_setting($1)", setting)
            if value == "off":
                raise UnsafeDatabase(
                    f"{setting} is off: acknowledged data could be lost. Set {setting} = on and start again."
                )
        yield Database(pool)


PASSING = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,  # the server went away in the middle of an answer
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed when it is tried again: the server was away, or two transactions collided."""
    if isinstance(error, PASSING):
        return True
    # The client library says "connection is closed" as InterfaceError, "wrong type of argument" as a subclass of it.
    return isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)


class _Lists(AsyncPGAdapter):
    """aiosql's adapter, leaner: rows come as one list instead of one `await` each, and a connection is taken as given
    (the original looks through all its attributes at every call, to find out whether it is a pool)."""

    is_aio_driver = False  # its generated methods then return what we return: one awaitable

    async def select(self, conn: Any, query_name: str, sql: str, parameters: Any, record_class: Any = None) -> Any:
        return await conn.fetch(sql, *self._ordered(query_name, parameters))

    async def select_one(self, conn: Any, query_name: str, sql: str, parameters: Any, record_class: Any = None) -> Any:
        return await conn.fetchrow(sql, *self._ordered(query_name, parameters))

    async def select_value(self, conn: Any, query_name: str, sql: str, parameters: Any) -> Any:
        return await conn.fetchval(sql, *self._ordered(query_name, parameters))

    async def insert_update_delete(self, conn: Any, query_name: str, sql: str, parameters: Any) -> Any:
        return await conn.execute(sql, *self._ordered(query_name, parameters))

    def _ordered(self, query_name: str, parameters: Any) -> Any:
        return self.maybe_order_params(query_name, parameters)  # type: ignore[no-untyped-call]


def load_queries(path: Path) -> Any:
    """The named queries of one `queries.sql`, as methods: `rows = await QUERIES.members_due(tx, now=now, limit=10)`.

    The suffix of the name says what comes back: none a list of rows, `^` one row or None, `$` one value, `!` the
    command's tag such as `UPDATE 3`.
    """
    return aiosql.from_path(path, _Lists, mandatory_parameters=False)  # type: ignore[arg-type]


QUERIES = load_queries(Path(__file__).with_name("queries.sql"))
"""The SQL of the event path itself."""
