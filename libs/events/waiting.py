"""The keys that wait behind something parked, as a worker knows them, so that it need not ask with every poll.

Each lane has a mark in its position row, which changes with what is parked in the lane; whoever changes that holds the
row locked. What a worker knows is true while the mark is still the one it saw.
"""

import secrets
from collections.abc import Mapping
from typing import Final

from libs.events.numbering import Lane
from libs.events.records import Held

NEVER_PARKED: Final = 0
"""The mark of a lane in which nothing has ever been parked."""


KNOWN_MAX: Final = 500_000
"""Keys that are remembered, at about 150 bytes each. With more, all is forgotten, and asked for again."""


def new_mark() -> int:
    """One that no lane ever had, not even in a state of the store that a restore took back."""
    return secrets.randbits(62) | 1


class Waiting:
    """By lane: a mark, and the keys that waited when the lane had it."""

    def __init__(self) -> None:
        self._known: dict[Lane, tuple[int, set[str]]] = {}

    def take(self, marks: Mapping[Lane, int]) -> tuple[Held, list[Lane]]:
        """What is known of the lanes with these marks, given away until it is kept again, since a transaction that
        fails leaves it spoilt; and the lanes of which nothing is known."""
        held: Held = {}
        for lane, mark in marks.items():
            seen, keys = self._known.pop(lane, (NEVER_PARKED, set[str]()))
            if seen == mark:
                held[lane] = keys
        return held, sorted(marks.keys() - held.keys())

    def keep(self, marks: Mapping[Lane, int], held: Held) -> None:
        """These lanes have these marks, committed, and these keys wait in them."""
        for lane, mark in marks.items():
            self._known[lane] = mark, held.get(lane, set())
        if sum(len(keys) for _, keys in self._known.values()) > KNOWN_MAX:
            self._known.clear()
