"""Fault points: armed by name, reached a given time, and free of charge otherwise."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from libs.events import faults

ROOT = Path(__file__).resolve().parents[2]


def test_names_and_times_are_read() -> None:
    assert faults.parse("") == {}
    assert faults.parse("relay.sent:3,consumer.read") == {"relay.sent": 3, "consumer.read": 1}


def test_a_point_that_does_not_exist_is_a_sentence_that_names_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"no fault point 'relay\.snet'; there are: .*relay\.sent"):
        faults.parse("relay.snet:3")


def test_every_point_is_reached_somewhere_and_nothing_else_is() -> None:
    code = "".join(path.read_text() for path in (ROOT / "libs").rglob("*.py"))
    assert {name for name in faults.POINTS if f'faults.point("{name}")' in code} == set(faults.POINTS)
    assert code.count('faults.point("') - 1 >= len(faults.POINTS)  # one of them is in a docstring


def test_unarmed_points_let_everybody_pass() -> None:
    for name in faults.POINTS:
        faults.point(name)


@pytest.mark.parametrize(("armed", "passes"), [("relay.sent:1", 0), ("relay.sent:3", 2), ("relay.read:1", 5)])
def test_an_armed_point_kills_when_it_is_reached_for_the_given_time(armed: str, passes: int) -> None:
    code = "from libs.events import faults\nfor n in range(5):\n    faults.point('relay.sent'); print(n, flush=True)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"GELOMBANG_FAULTS": armed}, cwd=ROOT, capture_output=True,
        check=False,
    )  # fmt: skip
    assert len(done.stdout.split()) == passes
    assert done.returncode == (0 if passes == 5 else -signal.SIGKILL)
