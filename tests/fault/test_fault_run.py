"""A short crash run on real servers: nothing acknowledged is lost, nothing is done twice, nothing stays stuck."""

from pathlib import Path

from libs.events import faults
from tests.conftest import stack_folder
from tests.fault import schedule
from tests.fault.cast import GROUPS
from tests.fault.run import Options, run
from tests.fault.schedule import Blow

SEED, KILLS = "64", 50


def test_the_short_schedule_meets_both_servers_every_part_of_the_path_and_both_zombies() -> None:
    """Otherwise the run below would prove little."""
    strikes = schedule.make(SEED, KILLS)
    assert {"postgres", "kafka"} <= {strike.group for strike in strikes if strike.blow is Blow.KILL}
    assert {"api", "relay", "worker", "jobs", "service"} <= {GROUPS[strike.group].kind for strike in strikes}
    assert {"relay", "worker"} <= {GROUPS[strike.group].kind for strike in strikes if strike.blow is Blow.SLEEP}
    assert {Blow.TWINS, Blow.SHUFFLE, Blow.RESTART} <= {strike.blow for strike in strikes}
    assert {strike.point for strike in strikes if strike.point} == set(faults.POINTS)


async def test_fifty_kills_lose_nothing_and_do_nothing_twice() -> None:
    with stack_folder() as folder:
        told = await run(Options(SEED, KILLS, Path(folder) / "chaos"))
    assert told["findings"] == []
    assert told["kills"] >= KILLS
    # A run without load would find nothing either.
    assert min(told["acknowledged_by_kind"][kind] for kind in ("registered", "joined", "bought", "rated")) > 0
    assert told["payments"] > 0
