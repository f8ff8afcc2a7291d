"""Programme time: one for all processes, at any speed, and never backwards."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from libs.events.clock import JAKARTA, FileClock, FixedClock, RealClock, end_of_day, open_clock

START = datetime(2020, 4, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "clock.json"


def test_a_clock_without_speed_stands_still(path: Path) -> None:
    clock = FileClock(path)
    clock.set(START)
    time.sleep(0.02)
    assert clock.now() == START


def test_a_clock_with_speed_runs_by_it(path: Path) -> None:
    clock = FileClock(path)
    began = time.time()
    clock.set(START, speed=86_400)
    time.sleep(0.05)
    passed, most = clock.now() - START, timedelta(days=time.time() - began)
    assert timedelta(days=0.05) <= passed <= most


def test_a_step_is_seen_by_whoever_has_the_clock_open(path: Path) -> None:
    driver, service = FileClock(path), FileClock(path)
    for days in range(100):
        driver.set(START + timedelta(days=days))
        assert service.now() == START + timedelta(days=days)


def test_two_processes_agree(path: Path) -> None:
    FileClock(path).set(datetime(2020, 4, 17, 9, 59, tzinfo=JAKARTA))
    program = "import sys; from libs.events.clock import open_clock; print(open_clock(sys.argv[1]).now().isoformat())"
    told = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert datetime.fromisoformat(told.stdout.strip()) == open_clock(str(path)).now()
    assert told.stdout.strip() == "2020-04-17T02:59:00+00:00"


def test_two_processes_agree_while_time_runs(path: Path) -> None:
    FileClock(path).set(START, speed=3_600)
    one, other = FileClock(path), FileClock(path)
    before = one.now()
    between = other.now()
    assert before <= between <= one.now()


@pytest.mark.parametrize("speed", [0.0, 1_000.0])
def test_a_clock_can_not_go_back(path: Path, speed: float) -> None:
    clock = FileClock(path)
    clock.set(START, speed)
    with pytest.raises(ValueError, match=r"stands at 2020-04-01T00:.* can not go back"):
        clock.set(START - timedelta(microseconds=1))
    assert clock.now() >= START


def test_setting_the_same_moment_again_is_no_step_back(path: Path) -> None:
    clock = FileClock(path)
    clock.set(START)
    clock.set(START)
    assert clock.now() == START


def test_a_clock_file_is_replaced_as_a_whole(path: Path) -> None:
    clock = FileClock(path)
    clock.set(START)
    clock.set(START + timedelta(days=1))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_clock_whose_file_is_missing_says_so(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileClock(path).now()


def test_every_clock_tells_aware_time_in_utc(path: Path) -> None:
    FileClock(path).set(datetime(2020, 4, 1, 7, tzinfo=JAKARTA))
    assert FileClock(path).now().tzinfo is UTC
    assert RealClock().now().tzinfo is UTC


def test_real_names_the_real_clock_and_anything_else_a_file(path: Path) -> None:
    assert isinstance(open_clock("real"), RealClock)
    clock = open_clock(str(path))
    assert isinstance(clock, FileClock)
    assert clock.path == path


def test_a_fixed_clock_is_moved_by_hand() -> None:
    clock = FixedClock(START)
    clock.at += timedelta(hours=1)
    assert clock.now() == START + timedelta(hours=1)


@pytest.mark.parametrize(
    ("moment", "days", "end"),
    [
        ("2020-04-17T10:00:00+07:00", 0, "2020-04-17T23:59:59.999999+07:00"),
        ("2020-04-17T10:00:00+07:00", 30, "2020-05-17T23:59:59.999999+07:00"),
        ("2020-04-17T16:59:59+00:00", 0, "2020-04-17T23:59:59.999999+07:00"),  # still the 17th in Jakarta
        ("2020-04-17T17:00:00+00:00", 0, "2020-04-18T23:59:59.999999+07:00"),  # midnight there: the 18th
        ("2020-12-31T10:00:00+07:00", 1, "2021-01-01T23:59:59.999999+07:00"),
    ],
)
def test_a_day_ends_at_midnight_in_jakarta(moment: str, days: int, end: str) -> None:
    assert end_of_day(datetime.fromisoformat(moment), days) == datetime.fromisoformat(end)
