"""The whole programme year at a small scale, with a process killed on the way, as one command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.demo.checks import CHECKS
from deploy.local.layout import ROOT


@pytest.mark.slow
def test_a_small_replay_with_a_kill_ends_with_every_check_green(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.demo", "--scale", "10000", "--kill", "random", "--seed", "acceptance"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    report = json.loads((tmp_path / "var/demo/report.json").read_text())
    assert report["checks"] == {name: True for name, *_ in CHECKS}
    assert report["figures"]["run"]["killed"]
    assert (tmp_path / "var/demo/report.html").read_text().startswith("<!doctype html>")
