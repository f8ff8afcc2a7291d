"""A batch of mixed events as lists of one type, such that the events of each key keep their order."""

from collections.abc import Iterable
from typing import Any, Protocol

from libs.events.contracts import Event
from libs.events.database import Transaction


class Reaction(Protocol):
    """What a service does about a list of events of one type: set-based, inside the caller's transaction."""

    async def __call__(self, *, tx: Transaction, events: Any) -> None: ...


def in_order(events: Iterable[Event]) -> list[tuple[type[Event], list[Event]]]:
    """Group events by type. A key that changes its type goes into a later group, so nobody's order is broken.

    Events of different keys may change places: no order is promised between them.
    """
    events = list(events)
    if len(kinds := {type(event) for event in events}) == 1:
        return [(kinds.pop(), events)]
    last: dict[str, tuple[int, type[Event]]] = {}
    groups: dict[tuple[int, str], tuple[type[Event], list[Event]]] = {}
    for event in events:
        kind, key = type(event), event.key()
        step, before = last.get(key, (0, kind))
        if before is not kind:
            step += 1
        last[key] = (step, kind)
        groups.setdefault((step, kind.TYPE), (kind, []))[1].append(event)
    return [groups[name] for name in sorted(groups)]
