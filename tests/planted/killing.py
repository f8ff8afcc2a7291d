"""`python -m tests.planted.killing`: plant what real processes show, and let the crash harness hunt it.

Servers, load, blows and checker are those of `python -m tests.fault`, in a copy of the tree; only the bug is new. The
bugs are those with `kills` in bugs.toml. What stops a relay for good takes long to judge, and what idempotent
reactions make good again is not seen here: those have detectors of their own. A part of `make chaos`. Exit code 1: a
bug was not found.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console

from tests.fault.published import leave
from tests.planted import bugs
from tests.planted.bugs import Bug

SEEDS: Final = 2
SECONDS_MAX: Final = 1_800
NOT_FOUND: Final = "NOT FOUND"
HARM: Final = ("lost", "doubled", "out_of_order", "stuck")


def strike(bug: Bug, seed: int, show: Any) -> dict[str, Any]:
    """The summary of a run in a tree with this bug. Raises RuntimeError where the run could not be judged."""
    with TemporaryDirectory(prefix="gelombang-planted-") as folder:
        tree = Path(folder)
        bugs.copy(tree)
        bug.apply(tree)
        command = [sys.executable, "-m", "tests.fault", "--seed", str(seed), "--kills", str(bug.kills)]
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        with subprocess.Popen(
            command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run:
            try:
                said, _ = run.communicate(timeout=SECONDS_MAX)
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGINT)  # it stops its servers then
                said, _ = run.communicate()
        left = tree / "var" / "chaos" / "summary.json"
        if not left.exists():
            raise RuntimeError(f"{bug.name}, seed {seed}: the run did not come to an end\n{said[-3000:]}")
        told: dict[str, Any] = json.loads(left.read_text())
    show(f"{bug.name}, seed {seed}: {told['kills']} kills, {_harm(told) or 'nothing found'}")
    return told


def hunt(bug: Bug, show: Any) -> str | None:
    """What the harness said of this bug, with the seed that found it; None where none did."""
    for seed in range(1, SEEDS + 1):
        told = strike(bug, seed, show)
        if told["findings"]:
            return f"seed {seed}, {told['kills']} kills: {_harm(told)}; first: {told['findings'][0]}"
    return None


def _harm(told: dict[str, Any]) -> str:
    return ", ".join(f"{told[name]} {name.replace('_', ' ')}" for name in HARM if told[name])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.planted.killing", description="Hunt planted bugs by killing."
    )
    parser.add_argument("--only", action="append", help="the name of a bug; may be given again")
    given = parser.parse_args()
    screen = Console(highlight=False, markup=False, soft_wrap=True)
    chosen = [bug for bug in bugs.load() if bug.kills and (not given.only or bug.name in given.only)]
    found = {bug.name: hunt(bug, lambda words: screen.print(f"· {words}")) for bug in chosen}
    leave("planted", {name: said or f"{NOT_FOUND} with {SEEDS} seeds" for name, said in found.items()})
    return int(None in found.values())


if __name__ == "__main__":
    sys.exit(main())
