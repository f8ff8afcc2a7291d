"""What a worker knows of what is parked, so that it need not ask with every poll: the keys that wait behind it.

Each lane has a mark in its position row, which changes with what is parked in the lane; whoever changes that holds the
row locked. What a worker knows is true while the mark is still the one it saw.
"""

import secrets
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from libs.events.numbering import Lane
from libs.events.records import Held


class Mark(NamedTuple):
    """What a position row says of what is parked in its lane."""

    drawn: int
    """Another one whenever that changes."""
    furthest: int
    """The last offset at which anything was ever parked: what stands further on can not be parked already."""


NEVER_PARKED: Final = Mark(0, -1)
"""The mark of a lane in which nothing has ever been parked."""

KNOWN_MAX: Final = 500_000
"""Keys that are remembered, at about 150 bytes each. With more, all is forgotten, and asked for again."""


def draw() -> int:
    """A number that no lane ever had, not even in a state of the store that a restore took back."""
    return secrets.randbits(62) | 1


def marks_after(marks: Mapping[Lane, Mark], parked: Iterable[tuple[Lane, int]]) -> dict[Lane, Mark]:
    """The marks once something is parked in these lanes, at these offsets."""
    drawn, furthest = draw(), dict[Lane, int]()
    for lane, offset in parked:
        furthest[lane] = max(offset, furthest.get(lane, -1))
    moved = {lane: Mark(drawn, max(offset, marks[lane].furthest)) for lane, offset in furthest.items()}
    return {**marks, **moved}


class Waiting:
    """By lane: a mark, and the keys that waited when the lane had it."""

    def __init__(self) -> None:
        self._known: dict[Lane, tuple[Mark, set[str]]] = {}

    def take(self, marks: Mapping[Lane, Mark]) -> tuple[Held, list[Lane]]:
        """What is known of the lanes with these marks, given away until it is kept again, since a transaction that
        fails leaves it spoilt; and the lanes of which nothing is known."""
        held: Held = {}
        for lane, mark in marks.items():
            seen, keys = self._known.pop(lane, (NEVER_PARKED, set[str]()))
            if seen == mark:
                held[lane] = keys
        return held, sorted(marks.keys() - held.keys())

    def keep(self, marks: Mapping[Lane, Mark], held: Held) -> None:
        """These lanes have these marks, committed, and these keys wait in them."""
        for lane, mark in marks.items():
            self._known[lane] = mark, held.get(lane, set())
        if sum(len(keys) for _, keys in self._known.values()) > KNOWN_MAX:
            self._known.clear()
