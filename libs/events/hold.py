"""Holds all processes of a service still while its relay must not send, whichever process that relay runs in.

The process whose relay found out writes the reason into the relay's row, and the first relay that may send again takes
it out. Every process looks there when it starts and once a second. A database that may not speak must not act either.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from libs.events.database import QUERIES, Database

LOOK_SECONDS: Final = 1.0


class Hold:
    """What one process knows of it. `why` is empty while all may work."""

    def __init__(self, database: Database, changed: Callable[[str], None]) -> None:
        """`changed` is told the reason when the hold begins, and an empty one when it ends."""
        self.database, self._changed = database, changed
        self.why = ""
        self._found: str | None = None

    def found(self, why: str) -> None:
        """What the relay of this process found: why nobody may act, or nothing: then all may."""
        self._found = why
        if why:
            self._is(why)

    async def look(self) -> None:
        """Write down what this process found, then go by what is written. A look that fails changes nothing."""
        try:
            async with self.database.connection() as connection:
                if (found := self._found) is not None:
                    await QUERIES.relay_hold(connection, why=found)
                    self._found = None if self._found == found else self._found
                why = await QUERIES.relay_held(connection) or ""
        except Exception:  # away, or dropped and being restored at this very moment: the roles say so, this looks again
            return
        if self._found is None:  # else the relay has just found something newer
            self._is(why)

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def _is(self, why: str) -> None:
        if why != self.why:
            self.why = why
            self._changed(why)
