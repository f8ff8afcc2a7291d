"""`python -m tests.fault --seed S --kills K`, which is `make chaos SEED=S KILLS=K`."""

import argparse
import asyncio
import sys
from pathlib import Path

from rich.console import Console

from deploy.local.problem import Problem
from tests.fault import schedule, summary
from tests.fault.run import Options, run


def main() -> int:
    """0 when nothing was lost, doubled, out of order or stuck; 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault", description="Kill a running programme under load.")
    parser.add_argument("--seed", default="1", help="decides the blows and the load")
    parser.add_argument("--kills", type=int, default=1000, help="how many processes die")
    parser.add_argument("--schedule", type=Path, help="replay this schedule.json instead")
    parser.add_argument("--var", type=Path, default=Path("var/chaos"), help="the stack's folder; it is cleared first")
    parser.add_argument("--keep-up", action="store_true", help="leave the stack running afterwards")
    told = parser.parse_args()
    screen = Console(highlight=False, markup=False, soft_wrap=True)
    seed, strikes = schedule.read(told.schedule) if told.schedule else (told.seed, None)
    options = Options(seed, told.kills, told.var, strikes, told.keep_up, lambda words: screen.print(f"· {words}"))
    try:
        result = asyncio.run(run(options))
    except Problem as problem:
        screen.print(f"{problem.what}\n{problem.remedy}")
        return 2
    for line in summary.page(result):
        screen.print(line)
    screen.print(f"Kept in {told.var}: summary.json, schedule.json, acknowledged.jsonl, logs/")
    return int(bool(result["findings"]))


if __name__ == "__main__":
    sys.exit(main())
