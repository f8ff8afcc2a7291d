"""The draw of docs/draw.md, sections 7 and 8, over columns: ten million applications in seconds, integers only.

A test holds it to another program, written by the letter of the specification. Order never rests on how a library
sorts equals: every sort here is of keys that differ.

1. In ascending ticket order each application stays while its household has places; the others leave: household-cap.
2. Each stratum's seats go to its lowest tickets. Nobody competes in two strata: who loses here can only be reached by
   the spill-over.
3. A province's unfilled seats of one tier go to the lowest remaining tickets of the other tier of that province.
4. All seats still unfilled go to the lowest remaining tickets of the whole country.

So the winners of a stratum are always its lowest tickets, and one cut-off per stratum tells them apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from services.selection.domain.bulk_sha256 import HASH_BYTES, SLAB_ROWS, Bytes, sha256_of
from services.selection.domain.tickets import TICKET_TAG

ID_BYTES: Final = 16
NO_SEAT: Final = -1
ROWS_MAX: Final = 2**31 - 1

Index: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class PoolColumns:
    """A frozen pool in canonical order. Cell = 2 x area, + 1 for public: ascending as strata do."""

    ids: Bytes  # (n, 16)
    cells: NDArray[np.uint16]
    groups: NDArray[np.uint32]
    places: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeColumns:
    """The draw in the order of the pool."""

    tickets: Bytes  # (n, 32)
    ranks: NDArray[np.uint32]
    """The place within the own cell, from 1; 0: the household had no place left."""
    seats: NDArray[np.int16]
    """The cell whose seat was won; NO_SEAT where none was."""

    @property
    def winners(self) -> int:
        return int((self.seats != NO_SEAT).sum())


@dataclass(frozen=True, slots=True)
class CellResult:
    """What became of one stratum. `cutoff` is the highest winning ticket of its applicants; None where nobody won."""

    cell: int
    seats: int
    applicants: int
    winners: int
    cutoff: bytes | None


def results_of(pool: PoolColumns, outcome: OutcomeColumns, quotas: Mapping[int, int]) -> list[CellResult]:
    """The result of every cell that has a quota or somebody who stayed, ascending."""
    won = outcome.seats != NO_SEAT
    count = 1 + max([-1, *quotas, *([int(pool.cells.max())] if len(pool) else [])])
    stayed = np.bincount(pool.cells[outcome.ranks > 0], minlength=count)
    winners = np.bincount(pool.cells[won], minlength=count)
    # The winners of a stratum are its lowest ranks, so the last of them has the rank of their number.
    last = np.flatnonzero(won & (outcome.ranks == winners[pool.cells]))
    cutoffs = {int(cell): outcome.tickets[leaf].tobytes() for cell, leaf in zip(pool.cells[last], last, strict=True)}
    return [
        CellResult(cell, quotas.get(cell, 0), int(stayed[cell]), int(winners[cell]), cutoffs.get(cell))
        for cell in range(count)
        if cell in quotas or stayed[cell]
    ]


def draw_columns(pool: PoolColumns, quotas: NDArray[np.int64], seed: bytes) -> OutcomeColumns:
    """Run the draw. `quotas` has the seats of every cell, in even number: each area has both tiers."""
    if len(quotas) % 2 or len(pool) > ROWS_MAX or (len(pool) and int(pool.cells.max()) >= len(quotas)):
        raise ValueError("quotas must name both tiers of every area of the pool, and the pool be below 2^31")
    tickets = tickets_of(seed, pool.ids)
    staying = _stay(pool, ticket_order(tickets))
    ranks, queues, starts = _rank(staying, pool.cells, len(quotas))
    seats = np.full(len(pool), NO_SEAT, np.int16)
    taken, unfilled = _fill(queues, starts, quotas, seats)
    _spill_within_areas(queues, starts, taken, unfilled, seats)
    waiting = staying[seats[staying] == NO_SEAT] if unfilled.any() else staying[:0]
    free = np.repeat(np.arange(len(quotas), dtype=np.int16), unfilled)[: len(waiting)]
    seats[waiting[: len(free)]] = free
    return OutcomeColumns(tickets, ranks, seats)


def tickets_of(seed: bytes, ids: Bytes) -> Bytes:
    """The tickets of applications, in their order: (n, 32) bytes."""
    prefix = np.frombuffer(TICKET_TAG + seed, np.uint8)
    tickets = np.empty((len(ids), HASH_BYTES), np.uint8)
    messages = np.empty((min(len(ids), SLAB_ROWS), len(prefix) + ID_BYTES), np.uint8)
    messages[:, : len(prefix)] = prefix
    for first in range(0, len(ids), SLAB_ROWS):
        part = ids[first : first + SLAB_ROWS]
        messages[: len(part), len(prefix) :] = part
        tickets[first : first + len(part)] = sha256_of(messages[: len(part)])
    return tickets


def ticket_order(tickets: Bytes) -> Index:
    """The leaves by ascending ticket, then leaf.

    One sort of whole numbers: the first bits of the ticket, and the leaf in the bits below. Tickets that begin alike
    come out by their leaf and are then put right by all 32 bytes.
    """
    order, alike = _sorted_with_place(tickets[:, :8].copy().view(">u8").ravel().astype(np.uint64))
    for first, last in alike:
        run = sorted(order[first:last].tolist(), key=lambda leaf: (tickets[leaf].tobytes(), leaf))
        order[first:last] = run
    return order


def _sorted_with_place(keys: NDArray[np.uint64]) -> tuple[Index, list[tuple[int, int]]]:
    """The places of the keys in ascending order, and the runs whose leading bits are equal."""
    bits = np.uint64(max(1, (len(keys) - 1).bit_length()))
    packed = keys >> bits << bits
    packed |= np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    heads = packed >> bits
    same = np.flatnonzero(heads[1:] == heads[:-1])
    packed &= (np.uint64(1) << bits) - np.uint64(1)
    runs: list[tuple[int, int]] = []
    for at in same.tolist():
        if runs and runs[-1][1] == at + 1:
            runs[-1] = (runs[-1][0], at + 2)
        else:
            runs.append((at, at + 2))
    return packed.view(np.int64), runs


def _by_value(values: NDArray[np.unsignedinteger]) -> Index:
    """The places of the values in ascending order, equal ones in the order in which they stand."""
    packed = values.astype(np.uint64)
    packed <<= np.uint64(32)
    packed |= np.arange(len(values), dtype=np.uint64)
    packed.sort()
    packed &= np.uint64(2**32 - 1)
    return packed.view(np.int64)


def _stay(pool: PoolColumns, order: Index) -> Index:
    """Those who stay after the household cap, in ticket order. Only crowded households need a look."""
    if not len(pool):
        return order
    crowded = np.bincount(pool.groups)[pool.groups] > pool.places
    if not crowded.any():
        return order
    at = np.flatnonzero(crowded[order])
    groups = pool.groups[order[at]]
    by_group = _by_value(groups)
    sorted_groups = groups[by_group]
    heads = np.flatnonzero(np.r_[True, sorted_groups[1:] != sorted_groups[:-1]])
    before = np.arange(len(at)) - np.repeat(heads, np.diff(np.r_[heads, len(at)]))
    leaving = by_group[before >= pool.places[order[at[by_group]]]]
    stays = np.ones(len(order), np.bool_)
    stays[at[leaving]] = False
    return order[stays]


def _rank(staying: Index, cells: NDArray[np.uint16], count: int) -> tuple[NDArray[np.uint32], Index, Index]:
    """Ranks by leaf; all queues, one cell after the other; and where each begins, with the end of the last."""
    own = cells[staying]
    queues = staying[_by_value(own)]
    sizes = np.bincount(own, minlength=count)
    starts = np.r_[0, np.cumsum(sizes)]
    ranks = np.zeros(len(cells), np.uint32)
    ranks[queues] = np.arange(1, len(queues) + 1) - np.repeat(starts[:-1], sizes)
    return ranks, queues, starts


def _fill(queues: Index, starts: Index, quotas: NDArray[np.int64], seats: NDArray[np.int16]) -> tuple[Index, Index]:
    """Seat each cell's lowest tickets; how many of each queue have a seat now, and how many seats each has left."""
    taken = np.minimum(quotas, np.diff(starts))
    for cell, (first, count) in enumerate(zip(starts.tolist(), taken.tolist(), strict=False)):
        seats[queues[first : first + count]] = cell
    return taken, quotas - taken


def _spill_within_areas(queues: Index, starts: Index, taken: Index, unfilled: Index, seats: NDArray[np.int16]) -> None:
    for cell in np.flatnonzero(unfilled).tolist():
        other = cell ^ 1
        first = int(starts[other] + taken[other])
        winners = queues[first : min(first + int(unfilled[cell]), int(starts[other + 1]))]
        seats[winners] = cell
        taken[other] += len(winners)
        unfilled[cell] -= len(winners)
