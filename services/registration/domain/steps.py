"""Many steps of many timelines, as columns: events come in thousands, and each is only copied."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from libs.events.contracts import Event
from services.registration.domain.timeline import KEPT


@dataclass(frozen=True, slots=True)
class Steps:
    """Entries as columns. `data` is one JSON list of all their data."""

    citizens: Sequence[str]
    entries: Sequence[str]
    at: Sequence[datetime]
    whats: Sequence[str]
    data: str


def steps_of(events: Sequence[Event]) -> Steps:
    """Events of one type about citizens, as steps: `entry_of` each, without an object for each."""
    if not events:
        return Steps((), (), (), (), "[]")
    kind = type(events[0])
    kept = {"__all__": set(KEPT[kind.TYPE])}
    return Steps(
        [event.citizen_id for event in events],  # type: ignore[attr-defined]  # all that is kept is about a citizen
        [event.event_id() for event in events],
        [event.at for event in events],
        [kind.TYPE] * len(events),
        _list_of(kind).dump_json(list(events), include=kept).decode(),
    )


@functools.cache
def _list_of(kind: type[Event]) -> TypeAdapter[Any]:
    return TypeAdapter(list[kind])  # type: ignore[valid-type]
