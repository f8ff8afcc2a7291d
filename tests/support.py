"""Small things many tests use."""

from datetime import datetime

from libs.events.clock import JAKARTA


def jakarta(text: str) -> datetime:
    """A moment in Jakarta: `jakarta("2020-05-17 23:59:59")`, midnight when no time is given."""
    return datetime.fromisoformat(text).replace(tzinfo=JAKARTA)


NOON = jakarta("2020-05-01 12:00:00")
