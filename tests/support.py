"""Small things many tests use."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.events.clock import JAKARTA
from libs.events.numbering import Unsent


def jakarta(text: str) -> datetime:
    """A moment in Jakarta: `jakarta("2020-05-17 23:59:59")`, midnight when no time is given."""
    return datetime.fromisoformat(text).replace(tzinfo=JAKARTA)


@dataclass(frozen=True)
class Seen:
    """A record as `position.sort_out` looks at it."""

    offset: int
    number: int | None
    epoch: int = 0


NOON = jakarta("2020-05-01 12:00:00")


def by_lane(rows: Iterable[tuple[Any, ...]]) -> list[Unsent]:
    """Outbox rows `(xid, position, topic, lane, key, value)` as `outbox_after` gives them: lane by lane, in columns."""
    lanes: dict[Any, list[tuple[Any, ...]]] = {}
    for row in rows:
        lanes.setdefault(row[2:4], []).append((*row[:2], *row[4:]))
    return [(*lane, *zip(*found, strict=True)) for lane, found in lanes.items()]
