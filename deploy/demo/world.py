"""The running stack as the driver sees it from outside: addresses, the clock, the history, and whether all is quiet."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from deploy.demo.client import Client, History
from libs.events.clock import FileClock

POLL_SECONDS_MIN, POLL_SECONDS_MAX = 0.03, 0.15
"""Between two looks at those who are at work. What takes long is asked less often: the question is work, too."""
QUIET_SECONDS_MAX: Final = 180
"""A step that is not quiet by then will never be: something is stuck, and the sentence says what."""
SHOWN_AFTER_SECONDS: Final = 2

Show = Callable[[str], None]
Looks = dict[str, dict[str, Any] | None]
"""What each process said of itself; None where it did not answer."""


class NotQuiet(Exception):
    """The system did not come to rest; the message names who is still at work and with what."""


@dataclass(slots=True)
class World:
    """Everything a step needs. `show` says what is happening now."""

    client: Client
    clock: FileClock
    history: History
    services: Mapping[str, str]
    simulators: Mapping[str, str]
    credentials: Path
    show: Show = lambda words: None
    settled: int = 0
    settling_seconds: float = 0.0

    def now(self) -> datetime:
        return self.clock.now()

    def service(self, name: str, path: str) -> str:
        return self.services[name] + path

    def simulator(self, name: str, path: str) -> str:
        return self.simulators[name] + path

    def turn_to(self, at: datetime) -> None:
        """Move programme time forward to `at`."""
        if at > self.now():
            self.clock.set(at)
            self.history.at = at

    async def step_to(self, at: datetime) -> None:
        """Move programme time forward to `at`, and wait until everything that fell due is done."""
        self.turn_to(at)
        await self.settle()

    async def settle(self) -> None:
        """Return once every process has been quiet twice in a row without having moved in between.

        While some are at work only they are asked again: the question itself costs a service some milliseconds.
        """
        started = time.monotonic()
        before: list[Any] | None = None
        while True:
            told = await self._look(self._names())
            if _busy(told):
                before = None
                await self._outwait(told, started)
                continue
            moved = [entry and entry["moved"] for entry in told.values()]
            if moved == before:
                break
            before = moved
        self.settled += 1
        self.settling_seconds += time.monotonic() - started

    async def _outwait(self, told: Looks, started: float) -> None:
        """Return once each of those at work has been quiet. Raises NotQuiet when the patience of the step ends."""
        pause = POLL_SECONDS_MIN
        while busy := _busy(told):
            waited = time.monotonic() - started
            if waited > QUIET_SECONDS_MAX:
                raise NotQuiet(
                    f"The system did not come to rest within {QUIET_SECONDS_MAX} s. Still at work: {_described(busy)}. "
                    "Look into the logs of the processes named."
                )
            if waited > SHOWN_AFTER_SECONDS:
                self.show(f"Waiting for {_described(busy)}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.2, POLL_SECONDS_MAX)
            told = await self._look(list(busy))

    def _names(self) -> list[str]:
        return [*self.services, *(["partner"] if "partner" in self.simulators else [])]

    async def _look(self, names: Sequence[str]) -> Looks:
        looks = [
            self._partner() if name == "partner" else self.client.glance(self.services[name] + "/health/quiet")
            for name in names
        ]
        return dict(zip(names, await asyncio.gather(*looks), strict=True))

    async def _partner(self) -> dict[str, Any] | None:
        told = await self.client.glance(self.simulator("partner", "/pending"))
        return told and {"quiet": told["pending"] == 0, "moved": None, "pending": told["pending"]}


def _busy(told: Looks) -> Looks:
    """Those who are not quiet, or do not answer."""
    return {name: entry for name, entry in told.items() if not (entry and entry["quiet"])}


def _described(busy: Looks) -> str:
    return ", ".join(f"{name} ({_work(entry) if entry else 'does not answer'})" for name, entry in busy.items())


def _work(entry: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in entry.items() if key not in ("quiet", "moved") and value)
