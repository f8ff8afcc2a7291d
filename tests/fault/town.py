"""The running programme as the load sees it: addresses, the moving clock, the inboxes, and one way to ask.

Nobody here takes "no" for an answer while a process is down: the same request is made again until a service answers it.
Only what a service has acknowledged goes into the outside history.
"""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from deploy.demo.client import Answer, Unexpected, Unreachable
from deploy.demo.world import World

TICK: Final = timedelta(minutes=30)
TICK_SECONDS: Final = 0.25
TICK_SECONDS_MAX: Final = 2.0
"""Programme time moves in ticks: a day takes twelve seconds, and up to a minute and a half while jobs are behind."""
AGAIN_SECONDS: Final = 1.0
WIDTH: Final = 24
DISOWNED: Final = (401, 404)
"""Answers to somebody with a valid token, about what was acknowledged to them, which say that it is not there."""
_CODE = re.compile(r"(\d{6})\D*$")


class Over(Exception):
    """The load has ended; whoever was under way stops here."""


@dataclass(slots=True)
class Town:
    """Shared by everybody who asks something. `over` ends the load; `still` is held while the clock must not move."""

    world: World
    seed: str
    over: asyncio.Event = field(default_factory=asyncio.Event)
    still: asyncio.Lock = field(default_factory=asyncio.Lock)
    codes: dict[str, str] = field(default_factory=dict)
    strange: Counter[str] = field(default_factory=Counter)  # answers that no outage explains
    disowned: list[str] = field(default_factory=list)  # whom a service does not know, though they were acknowledged
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WIDTH))
    _cursor: int = 0

    def now(self) -> datetime:
        return self.world.now()

    async def pause(self, seconds: float = AGAIN_SECONDS) -> None:
        """Wait, or raise Over as soon as the load ends."""
        try:
            await asyncio.wait_for(self.over.wait(), seconds)
        except TimeoutError:
            return
        raise Over

    async def call(self, method: str, url: str, body: Any = None, token: str | None = None) -> Answer:
        """One request, made until it is answered; 500 counts as strange and is asked again."""
        while True:
            try:
                async with self._gate:
                    answer = await self.world.client.call(method, url, body, token)
            except Unreachable as error:
                self.strange[f"unreachable: {str(error).rpartition(':')[2].strip()}"] += 1
            else:
                if answer.status < 500:
                    return answer
                self.strange[f"{answer.status} {answer.code} {method} {_route(url)}"] += 1
            await self.pause()

    async def done(
        self,
        method: str,
        url: str,
        body: Any = None,
        token: str | None = None,
        *,
        landed: Collection[str] = (),
        later: Collection[str] = (),
    ) -> Any:
        """Ask until it is done; the answer's body, or None where a refusal says that an earlier try had landed.

        `later`: refusals that pass with time. Raises Unexpected for any other.
        """
        while True:
            answer = await self.call(method, url, body, token)
            if answer.ok:
                return answer.body
            if answer.code in landed:
                return None
            if answer.code not in later:
                raise Unexpected(method, _route(url), answer)
            await self.pause()

    def puzzled(self, citizen_id: str, asked: str, answer: Answer) -> None:
        """A citizen was given an answer that nothing explains. That they or theirs are unknown is a loss."""
        words = f"{answer.status} {answer.code} {asked}"
        self.strange[words] += 1
        if answer.status in DISOWNED:
            self.disowned.append(f"{citizen_id}: {words}")

    def move(self, by: timedelta) -> None:
        """Step programme time on; it stands beside every line of the history."""
        self.world.history.at = self.now() + by
        self.world.clock.set(self.world.history.at)

    async def tick(self) -> None:
        """Move programme time on until the load is over.

        It waits for the services' jobs: waves are drawn one at a time, in several steps, and behind a clock that runs
        away from a slow machine they would only queue.
        """
        while not self.over.is_set():
            async with self.still:
                self.move(TICK)
            await asyncio.sleep(TICK_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS_MAX - TICK_SECONDS):
                    while await self._due():  # noqa: ASYNC110
                        await asyncio.sleep(TICK_SECONDS / 2)

    async def _due(self) -> bool:
        """Whether a service that is there has a job to do. Nobody waits for the dead."""
        looks = await asyncio.gather(
            *(self.world.client.glance(url + "/health/quiet") for url in self.world.services.values())
        )
        return any(look and look["jobs_due"] for look in looks)

    async def read_messages(self) -> None:
        """Keep the newest code of every inbox, until the load is over."""
        while not self.over.is_set():
            page = await self.world.client.glance(
                self.world.simulator("messages", f"/v1/inboxes?after={self._cursor}&limit=1000")
            )
            for message in (page or {}).get("messages", ()):
                if found := _CODE.search(message["text"]):
                    self.codes[message["to"]] = found[1]
            self._cursor = page["cursor"] if page else self._cursor
            await asyncio.sleep(TICK_SECONDS)


def _route(url: str) -> str:
    """The path without what tells one citizen from another."""
    path = "/" + url.split("/", 3)[3].partition("?")[0]
    return re.sub(r"[0-9a-f]{32}", "ID", path)
