"""Carries a schedule out on a stage while the load goes on, and keeps what really happened."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from deploy.local.problem import Problem
from tests.fault.cast import GROUPS
from tests.fault.schedule import TOGETHER_SECONDS, Blow, Strike
from tests.fault.stage import SLEEP_SECONDS, Stage

POINT_SECONDS_MAX: Final = 6.0
"""A point that nobody reaches by then is not on the way of this load now: the process dies where it stands."""
UP_SECONDS_MAX: Final = 20.0
READY_SECONDS_MAX: Final = 8.0
"""Whoever is not at work by then is struck in the middle of its start."""
LOOK_SECONDS: Final = 0.05


@dataclass(slots=True)
class Struck:
    """What was done. `points` counts the kills at each fault point, `targets` all kills by kind of process."""

    targets: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)  # by group and point
    not_reached: Counter[str] = field(default_factory=Counter)
    sleeps: Counter[str] = field(default_factory=Counter)
    restarts: Counter[str] = field(default_factory=Counter)
    twins: int = 0
    shuffles: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return sum(self.targets.values())


class Striker:
    """`run` returns when the last blow has fallen and every sleeper is awake.

    `show` says what falls; `excuse` hears which group was struck, or has come back.
    """

    def __init__(
        self,
        stage: Stage,
        show: Callable[[str], None] = lambda words: None,
        excuse: Callable[[str], None] = lambda group: None,
    ) -> None:
        self._stage, self._show, self._excuse = stage, show, excuse
        self._began = time.monotonic()
        self._turns = {name: asyncio.Lock() for name in GROUPS}
        self.struck = Struck()

    async def run(self, strikes: Sequence[Strike]) -> None:
        """Blows fall in their turn; what takes a while goes on beside the next ones, one blow at a time for each group.

        A volley waits for the servers that fell in the one before: it would only hit processes that wait for them too.
        """
        async with asyncio.TaskGroup() as group:
            servers: list[asyncio.Task[None]] = []
            for number, strike in enumerate(strikes):
                if servers and strike.wait_seconds > TOGETHER_SECONDS:
                    await asyncio.wait(servers)
                    servers.clear()
                await asyncio.sleep(strike.wait_seconds)
                task = group.create_task(self._strike(number, strike))
                if strike.blow is Blow.KILL and not GROUPS[strike.group].points:
                    servers.append(task)

    async def _strike(self, number: int, strike: Strike) -> None:
        group = GROUPS[strike.group]
        async with self._turns[strike.group]:
            await self._at_work(group.programs)
            if strike.blow is Blow.POINT:
                await self._at_point(number, strike)
                return
            if strike.blow in (Blow.TWINS, Blow.SHUFFLE):
                await self._confuse(number, strike)
                return
            name = group.programs[strike.member % len(group.programs)]
            if strike.blow is Blow.SLEEP and group.kind == "relay":
                # The one that sends is worth putting to sleep: it wakes up with a batch in hand, and is fenced.
                name = await self._stage.sending(group.programs) or name
            pid = await self._up(name)
            match strike.blow:
                case Blow.KILL:
                    await self._kill(number, strike, name, pid)
                case Blow.SLEEP:
                    await self._sleep(number, strike, name, pid)
                case Blow.RESTART:
                    await self._restart(number, strike, name)

    async def _confuse(self, number: int, strike: Strike) -> None:
        """Nobody dies; two relays believe that they send, or lanes go from worker to worker."""
        service = strike.group.partition(" ")[0]
        self._note(number, strike, service)
        if strike.blow is Blow.TWINS:
            self.struck.twins += await self._stage.declare_dead(service)
        else:
            self.struck.shuffles += await self._stage.crowd(service)
        self._excuse(strike.group)

    async def _restart(self, number: int, strike: Strike, name: str) -> None:
        self.struck.restarts[GROUPS[strike.group].kind] += 1
        self._note(number, strike, name)
        await asyncio.to_thread(self._stage.stop, name)
        await asyncio.to_thread(self._stage.supervisor.start, name)

    async def _kill(self, number: int, strike: Strike, name: str, pid: int) -> None:
        if self._stage.signal(pid, signal.SIGKILL):
            self.struck.targets[GROUPS[strike.group].kind] += 1
            self._note(number, strike, name)
        if not GROUPS[strike.group].points:
            # A server: whatever comes after it would only wait for it. Half of what is worth seeing is its return.
            back = asyncio.create_task(asyncio.to_thread(self._stage.wait_back, name, pid))
            while not back.done():
                self._excuse(strike.group)  # on a busy machine it takes a minute, in which nobody can move
                await asyncio.wait([back], timeout=1)
            await back

    async def _at_point(self, number: int, strike: Strike) -> None:
        """Arm every process of the group; the first one that arrives dies there."""
        group = GROUPS[strike.group]
        before = {name: await self._up(name) for name in group.programs}
        for name in group.programs:
            self._stage.arm(name, strike.point, strike.times)
        fallen = await self._fallen(before)
        for name in set(group.programs) - set(fallen):
            self._stage.disarm(name)
        for name in fallen:
            self.struck.targets[group.kind] += 1
            self.struck.points[strike.point] += 1
            self.struck.reached[f"{strike.group}: {strike.point}"] += 1
            self._note(number, strike, name)
        if not fallen:
            self.struck.not_reached[f"{strike.group}: {strike.point}"] += 1
            name = group.programs[strike.member % len(group.programs)]
            await self._kill(number, strike, name, before[name])

    async def _fallen(self, before: dict[str, int]) -> list[str]:
        """Who has died of those that had these pids."""
        deadline = time.monotonic() + POINT_SECONDS_MAX
        while time.monotonic() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
            now = {name: await self._pid(name) for name in before}
            if fallen := [name for name, pid in now.items() if pid != before[name]]:
                return fallen
        return []

    async def _sleep(self, number: int, strike: Strike, name: str, pid: int) -> None:
        try:
            if self._stage.signal(pid, signal.SIGSTOP):
                self.struck.sleeps[GROUPS[strike.group].kind] += 1
                self._note(number, strike, name)
                await asyncio.sleep(SLEEP_SECONDS)
        finally:
            self._stage.signal(pid, signal.SIGCONT)
            self._excuse(strike.group)

    async def _at_work(self, names: Sequence[str]) -> None:
        """Return once these processes are ready: a blow at one that has not begun yet proves little."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        for name in names:
            while not await asyncio.to_thread(self._stage.ready, name) and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_SECONDS)

    async def _up(self, name: str) -> int:
        """The pid of a process that is to be struck, once it runs."""
        deadline = time.monotonic() + UP_SECONDS_MAX
        while True:
            pid = await self._pid(name)
            if pid:
                return pid
            if time.monotonic() > deadline:
                raise Problem(f"{name} does not come back.", f"See {self._stage.layout.logs / f'{name}.log'}.")
            await asyncio.sleep(LOOK_SECONDS)

    async def _pid(self, name: str) -> int:
        return await asyncio.to_thread(self._stage.pid, name)

    def _note(self, number: int, strike: Strike, name: str) -> None:
        seconds = round(time.monotonic() - self._began, 1)
        entry = {"number": number, "seconds": seconds, "blow": str(strike.blow), "process": name, "point": strike.point}
        self.struck.log.append(entry)
        self._excuse(strike.group)
        self._show(f"{number + 1}: {strike.blow} {name} {strike.point}".rstrip())
