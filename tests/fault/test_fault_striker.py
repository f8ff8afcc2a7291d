"""The striker does what its schedule says, and counts what really happened."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from deploy.local.layout import Layout
from deploy.local.problem import Problem
from tests.fault import striker as module
from tests.fault.run import first
from tests.fault.schedule import TOGETHER_SECONDS, Blow, Strike
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
        self.confused: list[str] = []
        self.fallen_before_the_server_was_back = 0

    def pid(self, name: str) -> int:
        return self.pids.setdefault(name, 1000 * (1 + len(self.pids)))

    def ready(self, name: str) -> bool:
        return self.pid(name) != 0

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

    async def declare_dead(self, service: str) -> bool:
        self.confused.append(f"twins of {service}")
        return True

    async def crowd(self, service: str) -> bool:
        self.confused.append(f"a stranger at {service}")
        return False  # Kafka was away

    def wait_back(self, name: str, pid: int) -> None:
        """A server takes until somebody else has fallen, and longer."""
        deadline = time.monotonic() + 5
        while len(self.sent) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        self.fallen_before_the_server_was_back = len(self.sent)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POINT_SECONDS_MAX", 0.2)
    monkeypatch.setattr(module, "SLEEP_SECONDS", 0.05)
    monkeypatch.setattr(module, "UP_SECONDS_MAX", 0.2)
    monkeypatch.setattr(module, "READY_SECONDS_MAX", 0.1)


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


async def test_nobody_dies_of_a_twin_or_a_stranger_and_only_what_came_about_is_counted() -> None:
    puppets = Puppets()
    done = await strike(
        puppets, Strike(0, Blow.TWINS, "disbursement relay", 0), Strike(0, Blow.SHUFFLE, "disbursement worker", 0)
    )
    assert sorted(puppets.confused) == ["a stranger at disbursement", "twins of disbursement"]
    assert (done.struck.twins, done.struck.shuffles, done.struck.kills) == (1, 0, 0)
    assert puppets.sent == []


async def test_a_volley_falls_together_and_the_next_one_waits_for_the_server() -> None:
    puppets = Puppets()
    together, apart = TOGETHER_SECONDS, TOGETHER_SECONDS + 0.01
    await strike(
        puppets,
        Strike(0, Blow.KILL, "postgres", 0),
        Strike(together, Blow.KILL, "training", 0),
        Strike(apart, Blow.KILL, "finance", 0),
    )
    assert puppets.fallen_before_the_server_was_back == 2
    assert len(puppets.sent) == 3


async def test_a_process_that_stays_away_ends_the_run() -> None:
    puppets = Puppets()
    puppets.pids["finance"] = 0
    with pytest.raises(ExceptionGroup) as failed:
        await strike(puppets, Strike(0, Blow.KILL, "finance", 0))
    assert isinstance(first(failed.value), Problem)
