"""Reading on while something else is at work on what was read: one step ahead, and only where more is waiting."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

What = TypeVar("What")


@contextlib.asynccontextmanager
async def reading(fetch: Callable[[], Awaitable[tuple[What, bool]]]) -> AsyncIterator[Callable[[], Awaitable[What]]]:
    """A function that gives what `fetch` brings, call by call. Where `fetch` says that more is waiting, the next call
    is under way as soon as the first has ended; otherwise what arrives meanwhile is better taken together."""
    ahead: asyncio.Task[tuple[What, bool]] | None = None

    async def fetched() -> tuple[What, bool]:
        return await fetch()

    async def read() -> What:
        nonlocal ahead
        found, more = await (ahead or fetched())
        ahead = asyncio.create_task(fetched()) if more else None
        return found

    try:
        yield read
    finally:
        if ahead:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
