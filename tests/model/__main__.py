"""`python -m tests.model`: play many schedules of the event path, a part of `make chaos`.

Every seed is played twice: in the world as it is, and with every fault that the model knows at once. Exit code 1: a
schedule broke a promise (its seed and the steps it takes are printed), or something that should go wrong never did.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.fault.published import leave
from tests.model.decisions import PRODUCTION
from tests.model.schedules import EVERY_FAULT, NO_FAULTS, search, unseen
from tests.model.world import Faults

PIECE = 500
PROCESSES = 2
ENOUGH = 1_000
"""In fewer schedules some troubles may well never happen."""


def look(seeds: range, faults: Faults) -> tuple[str | None, Counter[str]]:
    """The first schedule of a piece that breaks a promise, in words, and how often what happened."""
    seen = Counter[str]()
    failure = search(seeds, PRODUCTION, faults, seen)
    return (str(failure) if failure else None), seen


def pieces(first: int, schedules: int) -> Iterator[tuple[range, Faults]]:
    """The work, in pieces of a few seconds."""
    for start in range(first, first + schedules, PIECE):
        seeds = range(start, min(start + PIECE, first + schedules))
        yield seeds, NO_FAULTS
        yield seeds, EVERY_FAULT


def play_all(first: int, schedules: int) -> tuple[list[str], Counter[str]]:
    """Every failure, in words, and what happened in all. Shows how far it is."""
    broken, seen, work = list[str](), Counter[str](), list(pieces(first, schedules))
    with ProcessPoolExecutor(PROCESSES) as pool:
        for done, (why, happened) in enumerate(pool.map(look, *zip(*work, strict=True)), 1):
            seen += happened
            broken += [why] if why else []
            print(f"\rPlayed {done:,} of {len(work):,} pieces, {len(broken)} broken", end="", file=sys.stderr)
    print(file=sys.stderr)
    return broken, seen


def main() -> int:
    """0 when no promise was broken although everything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description="Play schedules of the event path.")
    parser.add_argument("--schedules", type=int, default=100_000, help="so many seeds, each played twice")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed")
    given = parser.parse_args()
    began = time.monotonic()
    broken, seen = play_all(given.first, given.schedules)
    never = sorted(unseen(seen)) if given.schedules >= ENOUGH else []
    leave("model", {
        "seeds": f"{given.first} to {given.first + given.schedules - 1}", "schedules": 2 * given.schedules,
        "broken": broken, "never_happened": never, "happened": dict(seen.most_common()),
        "minutes": round((time.monotonic() - began) / 60, 1),
    })  # fmt: skip
    return int(bool(broken or never))


if __name__ == "__main__":
    sys.exit(main())
