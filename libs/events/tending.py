"""Looking after parked events from the command line: `python -m services.NAME parked | redrive | drop ID ...`."""

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from libs.events import parking
from libs.events.contracts import Event
from libs.events.database import open_database
from libs.events.ordering import Reaction

WORDS: Final = ("parked", "redrive", "drop")


async def tend(dsn: str, reactions: Mapping[type[Event], Reaction], words: Sequence[str]) -> None:
    """List what is parked; before that try it again (`redrive`) or give some of it up for good (`drop`)."""
    async with open_database(dsn) as database:
        if words[0] == "drop":
            if not words[1:] or not all(word.isdecimal() for word in words[1:]):
                sys.exit("drop needs the ids of parked records, as `parked` lists them: drop 12 13")
            dropped = await parking.drop(database, [int(word) for word in words[1:]])
            print(f"{dropped} of {len(words) - 1} dropped")
        if words[0] == "redrive":
            applied, left = await parking.redrive(database, reactions)
            print(f"{applied} applied, {left} still parked")
        for row in await parking.listed(database):
            print("  ".join(f"{name}={value}" for name, value in row.items()))
