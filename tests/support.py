"""Small things many tests use."""

from dataclasses import dataclass
from datetime import datetime

from libs.events.clock import JAKARTA


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
