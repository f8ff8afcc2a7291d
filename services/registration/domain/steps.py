"""Many steps of many timelines, as columns: events come in thousands, and each is only copied."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.events.contracts import Event
from services.registration.domain.timeline import KEPT


@dataclass(frozen=True, slots=True)
class Steps:
    """Entries as columns; `data` as JSON."""

    citizens: Sequence[str]
    entries: Sequence[str]
    at: Sequence[datetime]
    whats: Sequence[str]
    data: Sequence[str]


def steps_of(events: Sequence[Event]) -> Steps:
    """Events of one type about citizens, as steps: `entry_of` each, without an object for each."""
    if not events:
        return Steps((), (), (), (), ())
    kind = type(events[0])
    kept, to_json = set(KEPT[kind.TYPE]), kind.__pydantic_serializer__.to_json
    return Steps(
        [event.citizen_id for event in events],  # type: ignore[attr-defined]  # all that is kept is about a citizen
        kind.event_ids(events),
        [event.at for event in events],
        [kind.TYPE] * len(events),
        [to_json(event, include=kept).decode() for event in events],
    )
