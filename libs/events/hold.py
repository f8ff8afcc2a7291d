"""Holds all processes of a service still while its relay must not send, whichever process that relay runs in.

Worker and jobs begin once a relay has held the topics against the database. One that was put back from a copy would
hear again what it had heard, and write what it had lost under the same ids: nobody could tell then that it was lost.
The process whose relay found out writes the reason into the relay's row, and the first relay that may send again takes
it out. Every process looks there when it starts and once a second. A database that may not speak must not act either.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from libs.events.database import QUERIES, Database

LOOK_SECONDS: Final = 1.0


class Hold:
    """What one process knows of it. `why` is empty while all may work, `looked` true once a relay may send."""

    def __init__(self, database: Database, changed: Callable[[str], None]) -> None:
        """`changed` is told the reason when the hold begins, and an empty one when it ends."""
        self.database, self._changed = database, changed
        self.why, self.looked = "", False
        self._found: str | None = None

    def found(self, why: str) -> None:
        """What the relay of this process found: why nobody may act, or nothing: then all may."""
        self._found = why
        if why:
            self._is(why)
        else:
            self.looked = True

    @property
    def unready(self) -> str:
        """Why worker and jobs must not begin."""
        return self.why or ("" if self.looked else "no relay has held the topics against this database yet")

    async def look(self) -> None:
        """Write down what this process found, then go by what is written. A look that fails changes nothing."""
        try:
            async with self.database.connection() as connection:
                if (found := self._found) is not None:
                    await QUERIES.relay_hold(connection, why=found)
                    self._found = None if self._found == found else self._found
                row = await QUERIES.relay_held(connection)
        except Exception:  # away, or dropped and being restored at this very moment: the roles say so, this looks again
            return
        self.looked = self.looked or row["looked"]
        if self._found is None:  # else the relay has just found something newer
            self._is(row["held"] or "")

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def _is(self, why: str) -> None:
        if why != self.why:
            self.why = why
            self._changed(why)
