"""One process that draws, or commits to, a synthetic pool in turns with `np.argsort` over as many 64-bit keys.

    python -m tests.bench.draws draw|commit|letter APPLICANTS ROUNDS

Prints seconds by contestant and round, and the greatest memory the process ever had, as one line of JSON.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from services.selection.domain.bulk_draw import NO_SEAT, PoolColumns, draw_columns
from services.selection.domain.bulk_merkle import AREAS_MAX, leaf_hashes, levels_of
from services.selection.domain.bulk_pool import stratum_of
from tests.reference import draw_by_the_letter as letter

CELLS: Final = 514
SEATS_SHARE: Final = 20
"""One seat for so many applicants."""
SEED: Final = bytes(range(32))


def pool_of(count: int, cells: int) -> PoolColumns:
    """Cells of very different size, and households of which one in four has more applicants than places."""
    chance = np.random.default_rng(1)
    ids = chance.integers(0, 2**64, (count, 2), dtype=np.uint64)
    ids = ids[np.argsort(ids[:, 0])]  # 64 random bits: the order is right, and nothing here rests on it
    numbers = np.unique(chance.integers(0, max(1, count * 2 // 3), count, dtype=np.uint32), return_inverse=True)[1]
    free = chance.integers(0, 3, count, dtype=np.uint8)
    return PoolColumns(
        ids=ids.astype(">u8").view(np.uint8).reshape(count, 16),
        cells=(cells * chance.random(count, dtype=np.float32) ** 2).astype(np.uint16),
        groups=numbers.astype(np.uint32),
        places=free[numbers],
    )


def contestants(kind: str, count: int) -> dict[str, Callable[[], Any]]:
    keys = np.random.default_rng(2).integers(0, 2**64, count, dtype=np.uint64)
    if kind == "draw":
        pool = pool_of(count, CELLS)
        quotas = np.full(CELLS, count // SEATS_SHARE // CELLS, np.int64)
        quotas[0] += count // SEATS_SHARE - int(quotas.sum())

        def draw() -> None:
            winners = int((draw_columns(pool, quotas, SEED).seats >= 0).sum())
            assert winners == count // SEATS_SHARE, winners

        return {"ours": draw, "argsort": lambda: np.argsort(keys)}
    pool = pool_of(count, 2 * AREAS_MAX)
    salts = np.random.default_rng(3).integers(0, 256, (count, 16), dtype=np.uint8)
    return {"ours": lambda: levels_of(leaf_hashes(pool, salts)), "argsort": lambda: np.argsort(keys)}


def by_the_letter(count: int) -> dict[str, Any]:
    """Draw once by the service's code and once by the letter of the page. Raises AssertionError at a difference."""
    pool = pool_of(count, 2 * AREAS_MAX)
    quotas = np.full(2 * AREAS_MAX, count // SEATS_SHARE // (2 * AREAS_MAX), np.int64)
    begun = time.perf_counter()
    ours = draw_columns(pool, quotas, SEED)
    middle = time.perf_counter()
    names = [(stratum_of(cell).province, stratum_of(cell).tier) for cell in range(len(quotas))]
    rows = zip(pool.ids, pool.cells.tolist(), pool.groups.tolist(), pool.places.tolist(), strict=True)
    entries = [
        letter.Entry(own.tobytes(), names[cell][0], names[cell][1], group, places) for own, cell, group, places in rows
    ]
    theirs = letter.draw(entries, dict[tuple[str, str], int](zip(names, quotas.tolist(), strict=True)), SEED)
    ended = time.perf_counter()
    for leaf, result in enumerate(theirs):
        seat = None if ours.seats[leaf] == NO_SEAT else names[ours.seats[leaf]]
        mine = (ours.tickets[leaf].tobytes(), int(ours.ranks[leaf]) or None, seat)
        assert tuple(result) == mine, f"leaf {leaf}: {result} is not {mine}"
    return {"identical_results": count, "seconds": {"ours": [middle - begun], "by_the_letter": [ended - middle]}}


def main(kind: str, count: int, rounds: int) -> None:
    if kind == "letter":
        print(json.dumps(by_the_letter(count)), flush=True)
        return
    runs = contestants(kind, count)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begun)
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"seconds": seconds, "memory_mib": mebibytes}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
