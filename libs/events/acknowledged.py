"""What a relay knows of the logs it writes: how far Kafka has acknowledged each of them, and that it is still the one.

Pure decisions, without I/O. The relay of production and that of the model ask the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from libs.events.numbering import Births, Lane, same_log

NONE_YET: Final = -1
"""The offset of the last acknowledged record where there is none in this log."""


class TopicTooShort(Exception):
    """Kafka no longer has an offset at which it acknowledged a record: the log was lost, and must be sent again."""


class TopicMoved(Exception):
    """Somebody has written since this relay compared. If it was a relay of an older epoch, its event bears the number
    that was just given to another: nothing may be stored before the comparison was made again."""


@dataclass(slots=True)
class Logs:
    """The logs of one relay, from its comparison of topics and database until it stops."""

    born: Mapping[Lane, int] = field(default_factory=dict)
    """The moment of the first record of each, in milliseconds, at the comparison; a log that was empty is missing."""
    ends: dict[Lane, int] = field(default_factory=dict)
    """Where the lanes ended at the comparison, for those that got nothing from this relay yet."""
    offsets: dict[Lane, int] = field(default_factory=dict)
    """Where the last acknowledged record of each lane stands."""

    def stored(self, places: Iterable[tuple[Lane, int, int | None]]) -> None:
        """Lane, offset and birth, as the database has them. Where it stood in a log that is lost says nothing about the
        one there is."""
        for lane, offset, born in places:
            self.offsets[lane] = offset if born == self.born.get(lane) else NONE_YET

    def acknowledge(self, lane: Lane, offset: int, records: int) -> None:
        """So many records now stand from this offset on. Raises TopicTooShort, TopicMoved."""
        if offset <= self.offsets.get(lane, NONE_YET):
            raise TopicTooShort(f"{lane[0]}/{lane[1]}")
        if offset != self.ends.pop(lane, offset):
            raise TopicMoved(f"{lane[0]}/{lane[1]}")
        self.offsets[lane] = offset + records - 1

    def look(self, births: Births, ends: Mapping[Lane, int]) -> None:
        """Raise TopicTooShort when a topic has lost what it acknowledged, by what Kafka says now."""
        for lane, offset in self.offsets.items():
            other = lane in self.born and not same_log(self.born[lane], births.get(lane))
            if other or ends[lane] <= offset:
                raise TopicTooShort(f"{lane[0]}/{lane[1]}")
