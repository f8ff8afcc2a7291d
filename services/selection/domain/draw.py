"""The draw: lowest tickets within each stratum, and a spill-over that wastes no seat. See docs/draw.md, section 8.

1. In ascending ticket order each application stays while its household has places; the others leave: household-cap.
2. Each stratum's seats go to its lowest tickets. Nobody competes in two strata: who loses here can only be reached by
   the spill-over.
3. A province's unfilled seats of one tier go to the lowest remaining tickets of the other tier of that province.
4. All seats still unfilled go to the lowest remaining tickets of the whole country.

So the winners of a stratum are always its lowest tickets, and one cut-off per stratum tells them apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.selection.domain.pool import Pool
from services.selection.domain.quotas import TIERS, Stratum
from services.selection.domain.tickets import tickets_of


@dataclass(frozen=True, slots=True)
class StratumResult:
    """What became of one stratum. `cutoff` is the highest winning ticket of its applicants; None where nobody won."""

    seats: int
    applicants: int
    winners: int
    cutoff: bytes | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The draw as columns, in the order of the pool."""

    tickets: Sequence[bytes]
    ranks: Sequence[int | None]
    """The place within the own stratum, from 1, of those who stayed; None: the household had no place left."""
    seats: Sequence[Stratum | None]
    """The stratum whose seat was won, which after a spill-over is not the winner's own; None: no seat."""
    strata: Mapping[Stratum, StratumResult]

    @property
    def winners(self) -> int:
        return sum(result.winners for result in self.strata.values())


def draw(pool: Pool, quotas: Mapping[Stratum, int], seed: bytes) -> Outcome:
    """Run the draw. A pure function of the frozen pool, the quotas and the seed."""
    tickets = tickets_of(seed, pool.ids)
    # The sort is stable and the pool ascends by id: equal tickets, should they ever occur, go by the lower id.
    order = sorted(range(len(pool)), key=tickets.__getitem__)
    queues: dict[Stratum, list[int]] = {stratum: [] for stratum in quotas}
    ranks = _stay(pool, order, queues)
    seats: list[Stratum | None] = [None] * len(pool)
    unfilled = _fill_own(queues, quotas, seats)
    _spill_within_provinces(queues, unfilled, seats)
    _spill_over_the_country(order, ranks, unfilled, seats)
    return Outcome(tickets, ranks, seats, _summary(queues, quotas, seats, tickets))


def _stay(pool: Pool, order: Sequence[int], queues: dict[Stratum, list[int]]) -> list[int | None]:
    """Apply the household cap, queue those who stay by stratum in ticket order, and give their ranks."""
    taken: dict[int, int] = {}
    ranks: list[int | None] = [None] * len(pool)
    for at in order:
        group = pool.groups[at]
        before = taken.get(group, 0)
        if before >= pool.places[at]:
            continue
        taken[group] = before + 1
        queue = queues.setdefault(pool.strata[at], [])
        queue.append(at)
        ranks[at] = len(queue)
    return ranks


def _fill_own(
    queues: Mapping[Stratum, Sequence[int]], quotas: Mapping[Stratum, int], seats: list[Stratum | None]
) -> dict[Stratum, int]:
    """Seat each stratum's lowest tickets; what is left over by stratum."""
    unfilled = {}
    for stratum, quota in sorted(quotas.items()):
        winners = queues[stratum][:quota]
        for at in winners:
            seats[at] = stratum
        unfilled[stratum] = quota - len(winners)
    return unfilled


def _spill_within_provinces(
    queues: Mapping[Stratum, Sequence[int]], unfilled: dict[Stratum, int], seats: list[Stratum | None]
) -> None:
    for stratum, free in unfilled.items():
        if not free:
            continue
        other = Stratum(stratum.province, TIERS[1 - TIERS.index(stratum.tier)])
        waiting = (at for at in queues.get(other, ()) if seats[at] is None)
        for _, at in zip(range(free), waiting, strict=False):
            seats[at] = stratum
            unfilled[stratum] -= 1


def _spill_over_the_country(
    order: Sequence[int], ranks: Sequence[int | None], unfilled: Mapping[Stratum, int], seats: list[Stratum | None]
) -> None:
    """Seats in the order of their strata meet the remaining applications in the order of their tickets."""
    free = (stratum for stratum in sorted(unfilled) for _ in range(unfilled[stratum]))
    waiting = (at for at in order if ranks[at] is not None and seats[at] is None)
    for stratum, at in zip(free, waiting, strict=False):
        seats[at] = stratum


def _summary(
    queues: Mapping[Stratum, Sequence[int]],
    quotas: Mapping[Stratum, int],
    seats: Sequence[Stratum | None],
    tickets: Sequence[bytes],
) -> dict[Stratum, StratumResult]:
    found = {}
    for stratum, queue in sorted(queues.items()):
        winners = [at for at in queue if seats[at] is not None]
        cutoff = tickets[winners[-1]] if winners else None
        found[stratum] = StratumResult(quotas.get(stratum, 0), len(queue), len(winners), cutoff)
    return found
