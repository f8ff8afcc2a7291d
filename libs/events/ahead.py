"""Reading on while something else is at work on what was read: one step ahead, and only where more is waiting."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

What = TypeVar("What")
Fetch: TypeAlias = Callable[[], Coroutine[Any, Any, tuple[What, bool]]]


@contextlib.asynccontextmanager
async def reading(fetch: Fetch[What]) -> AsyncIterator[Callable[[], Awaitable[What]]]:
    """A function that gives what `fetch` brings, call by call. Where `fetch` says that more is waiting, the next call
    is under way as soon as the first has ended; otherwise what arrives meanwhile is better taken together."""
    ahead: asyncio.Task[tuple[What, bool]] | None = None

    async def read() -> What:
        nonlocal ahead
        found, more = await (ahead or fetch())
        ahead = asyncio.create_task(fetch()) if more else None
        return found

    try:
        yield read
    finally:
        if ahead:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
