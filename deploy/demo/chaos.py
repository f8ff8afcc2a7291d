"""Kills processes with -9 in the middle of the replay. Their supervisor starts them again; nothing may be lost."""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from deploy.local.problem import Problem
from deploy.local.stack import Stack

RANDOM: Final = "random"
PAUSE_SECONDS_MAX: Final = 1.5
ATTEMPTS: Final = 100
ATTEMPT_SECONDS: Final = 0.1


def plan(wanted: Sequence[str], known: Sequence[str], steps: int, seed: str) -> dict[int, list[str]]:
    """Which processes to kill at which step: spread evenly over the middle of the script; `random` is drawn by seed."""
    random = Random(f"gelombang demo kills {seed}")
    killed: dict[int, list[str]] = {}
    for index, name in enumerate(wanted):
        if name != RANDOM and name not in known:
            raise Problem(f"There is no process {name} to kill.", f"Choose from: {', '.join(known)}, or {RANDOM}.")
        step = (index + 1) * steps // (len(wanted) + 1)
        killed.setdefault(step, []).append(random.choice(sorted(known)) if name == RANDOM else name)
    return killed


class Chaos:
    """Carries out a plan while the steps go on."""

    def __init__(self, stack: Stack, killed: Mapping[int, Sequence[str]], seed: str) -> None:
        self._stack, self._killed = stack, killed
        self._random = Random(f"gelombang demo moments {seed}")
        self.done: list[str] = []

    async def strike(self, step: int) -> None:
        """Kill what the plan names for this step, at some moment within it."""
        for name in self._killed.get(step, ()):
            await asyncio.sleep(self._random.uniform(0, PAUSE_SECONDS_MAX))
            await self._kill(name)
            self.done.append(name)

    async def _kill(self, name: str) -> None:
        """Kill it; one that is just being started again, after another kill, is waited for."""
        for _ in range(ATTEMPTS):
            if self._stack.supervisor.process(name).pid:
                break
            await asyncio.sleep(ATTEMPT_SECONDS)
        await asyncio.to_thread(self._stack.kill, name)
