"""The striker does what its schedule says, and counts what really happened."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from deploy.local.layout import Layout
from deploy.local.problem import Problem
from tests.fault import striker as module
from tests.fault.run import first
from tests.fault.schedule import Blow, Strike
from tests.fault.stage import Stage
from tests.fault.striker import Striker


class Puppets:
    """Processes that come back under the next pid as soon as they die. `reaches`: who dies at an armed point."""

    def __init__(self, reaches: Sequence[str] = ()) -> None:
        self.layout = Layout.at(Path("nowhere"))
        self.reaches = reaches
        self.pids: dict[str, int] = {}
        self.armed: dict[str, str] = {}
        self.sent: list[tuple[int, signal.Signals]] = []

    def pid(self, name: str) -> int:
        return self.pids.setdefault(name, 1000 * (1 + len(self.pids)))

    def arm(self, name: str, point: str, times: int) -> None:
        self.armed[name] = f"{point}:{times}"
        if name in self.reaches:
            self.pids[name] += 1

    def disarm(self, name: str) -> None:
        del self.armed[name]

    def signal(self, pid: int, number: signal.Signals) -> bool:
        self.sent.append((pid, number))
        if number is signal.SIGKILL:
            self.pids = {name: known + (known == pid) for name, known in self.pids.items()}
        return True

    async def sending(self, names: Sequence[str]) -> str:
        return names[-1]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POINT_SECONDS_MAX", 0.2)
    monkeypatch.setattr(module, "SLEEP_SECONDS", 0.05)
    monkeypatch.setattr(module, "UP_SECONDS_MAX", 0.2)


async def strike(puppets: Puppets, *strikes: Strike) -> Striker:
    striker = Striker(cast(Stage, puppets))
    await striker.run(strikes)
    return striker


async def test_whoever_reaches_the_point_first_dies_there_and_the_other_is_disarmed() -> None:
    puppets = Puppets(reaches=["registration-second-relay"])
    done = await strike(puppets, Strike(0, Blow.POINT, "registration relay", 0, "relay.sent", 2))
    assert puppets.sent == []
    assert puppets.armed == {"registration-second-relay": "relay.sent:2"}
    assert done.struck.points == {"relay.sent": 1}
    assert done.struck.targets == {"relay": 1}


async def test_a_point_that_nobody_reaches_becomes_a_kill_and_is_told() -> None:
    puppets = Puppets()
    done = await strike(puppets, Strike(0, Blow.POINT, "training", 1, "job.done"))
    assert [number for _, number in puppets.sent] == [signal.SIGKILL]
    assert puppets.armed == {}
    assert done.struck.points == {}
    assert done.struck.not_reached == {"training: job.done": 1}
    assert done.struck.kills == 1


async def test_it_is_the_sending_relay_that_sleeps_and_it_wakes_up_again() -> None:
    puppets = Puppets()
    done = await strike(puppets, Strike(0, Blow.SLEEP, "disbursement relay", 0))
    pid = puppets.pids["disbursement-second-relay"]
    assert puppets.sent == [(pid, signal.SIGSTOP), (pid, signal.SIGCONT)]
    assert done.struck.sleeps == {"relay": 1}
    assert done.struck.kills == 0


async def test_a_process_that_stays_away_ends_the_run() -> None:
    puppets = Puppets()
    puppets.pids["finance"] = 0
    with pytest.raises(ExceptionGroup) as failed:
        await strike(puppets, Strike(0, Blow.KILL, "finance", 0))
    assert isinstance(first(failed.value), Problem)
