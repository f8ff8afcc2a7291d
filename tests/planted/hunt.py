"""Plants one bug in a copy of the tree and lets its detector look for it there, in a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.planted import bugs
from tests.planted.bugs import Bug

SECONDS_MAX: Final = 300
CONTROL_SEEDS: Final = 3
"""On the tree as it is; `test_planted.py` and the model's own tests spend more."""


@dataclass(frozen=True, slots=True)
class Hunted:
    """What became of one bug: the seed that found it, None where none did, and the sentence."""

    bug: Bug
    seed: int | None
    sentence: str
    seconds: float


def hunt(bug: Bug) -> Hunted:
    """Raises bugs.Rotten where the bug can not be planted any more."""
    began = time.monotonic()
    with TemporaryDirectory(prefix="gelombang-planted-") as folder:
        tree = Path(folder)
        bugs.copy(tree)
        bug.apply(tree)
        told = run(bug.detector, bug.seeds, tree)
    return Hunted(bug, told["seed"], told.get("sentence", ""), time.monotonic() - began)


def run(detector: str, seeds: int, tree: Path) -> dict[str, Any]:
    """What `tests.planted.detect` says in a tree. Raises RuntimeError where it could not look."""
    command = [sys.executable, "-m", "tests.planted.detect", detector, "--seeds", str(seeds)]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the detector {detector} could not look:\n{done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def control(detectors: Iterable[str], show: Callable[[str], None]) -> list[str]:
    """The detectors that find something where nothing was planted."""
    false = []
    for detector in detectors:
        told = run(detector, CONTROL_SEEDS, bugs.ROOT)
        if told["seed"] is not None:
            false.append(detector)
            show(f"{detector} finds something in the tree as it is, seed {told['seed']}: {told['sentence']}")
    return false
