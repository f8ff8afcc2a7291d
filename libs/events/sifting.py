"""What is news among records that are looked at one by one, and what of it may be parked already: pure decisions."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final, TypeAlias

from libs.events.codec import Poison
from libs.events.numbering import Lane
from libs.events.position import Position, Seen, Verdict, sort_out
from libs.events.records import Read
from libs.events.waiting import Mark

OLD_EPOCH: Final = "old-epoch"

Standing: TypeAlias = tuple[Lane, int, bytes]
"""A record by where it stands and what it holds."""


@dataclass(slots=True)
class Sifted:
    """The verdicts on some lanes, and what is news in them. Strays stand among the news, to be parked."""

    verdicts: dict[Lane, Verdict]
    news: list[Read]
    strays: list[Read]

    def perhaps_parked(self, marks: Mapping[Lane, Mark]) -> list[Read]:
        """The strays that stand where something was parked before: no number tells that one is read again."""
        return [read for read in self.strays if read.offset <= marks[read.lane].furthest]

    def news_without(self, parked: Set[Standing]) -> list[Read]:
        """The news, but for those that are parked already."""
        if not parked:
            return self.news
        return [read for read in self.news if (read.lane, read.offset, read.value) not in parked]


def sift(
    positions: Mapping[Lane, Position],
    records: Sequence[Read],
    mixed: Sequence[Read] = (),
    sort_out: Callable[[Position, Sequence[Seen]], Verdict] = sort_out,
) -> Sifted:
    """Tell the news of these records, which come lane by lane. `mixed` are news already; a stray among them may be
    parked already, like any other."""
    verdicts = dict[Lane, Verdict]()
    news, strays = list(mixed), [read for read in mixed if read.number is None]
    for lane, reads in groupby(records, key=attrgetter("lane")):
        run = list(reads)
        verdicts[lane] = verdict = sort_out(positions[lane], run)
        for stray in (run[index] for index in verdict.strays):
            if stray.number is not None:
                stray.poison = Poison(OLD_EPOCH, "sent by a relay of an older epoch")
            strays.append(stray)
        news += [run[index] for index in sorted([*verdict.news, *verdict.strays])]
    return Sifted(verdicts, news, strays)
