"""A schedule is a function of its seed, says everything that a replay needs, and meets every fault point in time."""

import re
from pathlib import Path

import pytest

from libs.events import faults
from tests.fault import armed, schedule
from tests.fault.cast import GROUPS, LARGE, PARTS, PARTS_SMALL, SMALL, parts_for
from tests.fault.schedule import Blow

SCHEDULES = Path(schedule.__file__).with_name("schedules")
PAIRS = {(name, point) for name in LARGE for point in GROUPS[name].points}


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert schedule.make("7", 50) == schedule.make("7", 50)
    assert schedule.make("7", 50) != schedule.make("8", 50)


@pytest.mark.parametrize("kills", [1, 12, 50])
def test_it_kills_as_often_as_it_was_asked(kills: int) -> None:
    strikes = schedule.make("1", kills)
    assert sum(strike.blow in (Blow.KILL, Blow.POINT) for strike in strikes) == kills


def test_a_long_schedule_meets_every_point_of_every_group_and_every_kind_of_blow() -> None:
    strikes = schedule.make("1", 200)
    assert {(strike.group, strike.point) for strike in strikes if strike.blow is Blow.POINT} == PAIRS
    assert {strike.blow for strike in strikes} == set(Blow)
    assert {strike.group for strike in strikes} == set(LARGE)


def test_a_short_schedule_needs_few_processes_and_a_kept_one_gets_those_it_names() -> None:
    groups = {strike.group for strike in schedule.make("1", 50)}
    assert groups <= set(SMALL)
    assert parts_for(groups) is PARTS_SMALL
    assert parts_for({*groups, "registration relay"}) is PARTS


def test_strikes_of_a_volley_fall_together() -> None:
    waits = [strike.wait_seconds for strike in schedule.make("1", 200)]
    together = sum(wait == schedule.TOGETHER_SECONDS for wait in waits)
    assert len(waits) / 3 < together < len(waits) * 2 / 3


def test_every_fault_point_of_the_library_is_on_somebody_s_way() -> None:
    assert {point for _, point in PAIRS} == set(faults.POINTS)


def test_every_process_of_the_cast_can_be_struck() -> None:
    for cast, parts in ((LARGE, PARTS), (SMALL, PARTS_SMALL)):
        processes = {name for roles in parts.values() for name in roles}
        assert processes == {name for name in cast if GROUPS[name].points for name in GROUPS[name].programs}


def test_a_kept_schedule_can_be_replayed(tmp_path: Path) -> None:
    strikes = schedule.make("9", 30)
    schedule.write(tmp_path / "schedule.json", "9", strikes)
    assert schedule.read(tmp_path / "schedule.json") == ("9", strikes)


@pytest.mark.parametrize("path", sorted(SCHEDULES.glob("*.json")), ids=lambda path: path.stem)
def test_the_schedules_that_are_kept_can_still_be_replayed(path: Path) -> None:
    name, strikes = schedule.read(path)
    assert name == path.stem
    assert strikes


def test_a_schedule_that_names_a_stranger_is_refused(tmp_path: Path) -> None:
    schedule.write(tmp_path / "schedule.json", "9", schedule.make("9", 5))
    text = (tmp_path / "schedule.json").read_text()
    (tmp_path / "schedule.json").write_text(re.sub(r'"group": "[^"]*"', '"group": "nobody"', text, count=1))
    with pytest.raises(ValueError, match="nobody"):
        schedule.read(tmp_path / "schedule.json")


def test_a_file_arms_a_point_once_and_an_empty_one_takes_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table: dict[str, int] = {}
    monkeypatch.setattr(faults, "_armed", table)
    file = tmp_path / "registration-relay"
    file.write_text("relay.sent:3")
    assert armed.arm(file)
    assert table == {"relay.sent": 3}
    assert not file.exists()
    assert not armed.arm(file)
    file.write_text("")
    assert armed.arm(file)
    assert table == {}
