"""A client is stopped whatever happens, and how it stops is not the end of whoever used it."""

import asyncio
from typing import Any

import pytest

from libs.events.kafka import started


class Client:
    """Stops as told: with the cancellation of a task of its own, as aiokafka does, or slowly."""

    def __init__(self, *, fails: bool = False, slow: bool = False) -> None:
        self.fails, self.slow, self.stopped = fails, slow, False

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True
        if self.fails:
            raise asyncio.CancelledError
        if self.slow:
            await asyncio.sleep(60)


async def test_a_client_that_raises_its_own_cancellation_ends_nobody_else() -> None:
    client: Any = Client(fails=True)
    async with started(client):
        pass
    assert client.stopped


async def test_trouble_inside_is_what_is_told() -> None:
    with pytest.raises(ValueError, match="inside"):
        async with started(Client(fails=True)):
            raise ValueError("inside")


async def test_who_is_really_cancelled_ends() -> None:
    async def use() -> None:
        async with started(Client(slow=True)):
            pass

    task = asyncio.create_task(use())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
