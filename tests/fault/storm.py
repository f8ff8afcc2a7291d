"""Workers come and go without end: `python -m tests.fault.storm`, a part of `make chaos`.

A long queue stands on the topic. First two workers read from it alone: that is the steady rate. Then strangers of the
same service join and leave in turn, hundreds of times, spread evenly over the rest of the queue: every change takes
lanes from workers that are in the middle of a batch. Some leave in order, some are cut off within a transaction.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from random import Random
from typing import Any, Final

from libs.events import kafka as clients
from libs.events.clock import FixedClock
from libs.events.collector import collect_seldom
from libs.events.consumer import Consumer
from libs.events.contracts import TrainingRated
from tests.fault.path import READER, Path, open_path, own_servers
from tests.fault.published import leave
from tests.support import NOON

CITIZENS, TRANSACTION = 10_000, 2_000
RESIDENTS: Final = 2
GUESTS_MAX: Final = 4
STEADY_SHARE: Final = 0.2
"""Of the events of the storm: what is read beforehand, to know the rate of a quiet group."""
CUT_OFF_SHARE: Final = 0.3
WAIT_SECONDS_MAX: Final = 900.0


class Guest:
    """A worker that stays for a while."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._client = clients.consumer(path.settings, READER)
        reactions: Any = {TrainingRated: path.on_rated}
        self._worker = Consumer(path.reader, self._client, READER, reactions, FixedClock(NOON))
        self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        async with clients.started(self._client):
            await self._worker.run()

    async def leave(self, *, cut_off: bool) -> str:
        """Gives what it died of, if it did. Cut off, its transaction rolls back wherever it stood."""
        self._worker.stopping.set()
        if cut_off:
            self._task.cancel()
        (end,) = await asyncio.gather(self._task, return_exceptions=True)
        return type(end).__name__ if end and not isinstance(end, asyncio.CancelledError) else ""


async def fill(path: Path, events: int, writers: int = 2) -> None:
    """Say so many events, every citizen in turn. A writer has citizens of its own."""
    share = events // writers

    async def write(writer: int) -> None:
        own = range(writer, CITIZENS, writers)
        for begin in range(0, share, TRANSACTION):
            numbers = [own[place % len(own)] for place in range(begin, min(begin + TRANSACTION, share))]
            await path.say(numbers)

    async with path.relaying():
        await asyncio.gather(*(write(writer) for writer in range(writers)))


async def run(path: Path, seed: str, events: int, changes: int) -> dict[str, Any]:
    """Fill the topic, read a part in peace and the rest in the storm, and see what became of every event."""
    steady = int(events * STEADY_SHARE)
    await fill(path, steady + events)
    async with AsyncExitStack() as residents:
        for _ in range(RESIDENTS):
            await residents.enter_async_context(path.working())
        await path.until_applied(1, WAIT_SECONDS_MAX, 0.02)
        calm = await _rate(path, steady)
        here = await path.applied()
        told, seconds = await _storm(path, Random(f"storm {seed}"), here, changes)
    in_storm = path.total - here
    return {
        "seed": seed, "events": path.total, "changes": changes, **told, **await path.findings(),
        "steady_per_second": round(calm), "storm_per_second": round(in_storm / seconds),
        "ratio": round(in_storm / seconds / calm, 3), "storm_seconds": round(seconds, 1),
        "workers_started_again_after": dict(path.ends),
    }  # fmt: skip


async def _rate(path: Path, until: int) -> float:
    """Events a second from here until so many are applied, without anybody joining or leaving."""
    began, here = time.monotonic(), await path.applied()
    await path.until_applied(until, WAIT_SECONDS_MAX, 0.05)
    return (await path.applied() - here) / (time.monotonic() - began)


async def _storm(path: Path, luck: Random, here: int, changes: int) -> tuple[dict[str, Any], float]:
    """So many joins and leaves, one after each equal part of what is left to apply; and how long it all took.

    Nobody waits for one to be over: the next may fall into the same change of lanes.
    """
    began = time.monotonic()
    guests: list[Guest] = []
    leaving: list[asyncio.Task[str]] = []
    done = Counter[str]()
    step = (path.total - here) / (changes + 1)
    for number in range(1, changes + 1):
        await path.until_applied(int(here + number * step), WAIT_SECONDS_MAX, 0.05)
        done["while_events_were_left"] += await path.applied() < path.total
        if not guests or (len(guests) < GUESTS_MAX and luck.random() < 0.5):
            guests.append(Guest(path))
            done["joins"] += 1
        else:
            guest, cut_off = guests.pop(luck.randrange(len(guests))), luck.random() < CUT_OFF_SHARE
            leaving.append(asyncio.create_task(guest.leave(cut_off=cut_off)))
            done["leaves"] += 1
            done["cut_off"] += cut_off
    await path.until_applied(path.total, WAIT_SECONDS_MAX)
    seconds = time.monotonic() - began
    ends = await asyncio.gather(*leaving, *(guest.leave(cut_off=False) for guest in guests))
    return {**done, "guests_ended_by": dict(Counter(filter(None, ends)))}, seconds


async def whole(seed: str, events: int, changes: int) -> dict[str, Any]:
    """A run on servers of its own."""
    with own_servers() as (servers, make):
        async with open_path(make, servers.kafka) as path:
            return await run(path, seed, events, changes)


def main() -> int:
    """0 when every event has had its effect, once and in order."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.storm", description="Workers come and go under load.")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--changes", type=int, default=200, help="joins and leaves together")
    parser.add_argument("--at-least", type=float, default=0.0, help="of the steady rate")
    told = parser.parse_args()
    collect_seldom()
    result = asyncio.run(whole(told.seed, told.events, told.changes))
    found = [f"{result[name]} {name}" for name in ("lost", "doubled", "out_of_order") if result[name]]
    if result["ratio"] < told.at_least:
        found.append(f"the storm went at {result['ratio']} of the steady rate; {told.at_least} is asked for")
    leave("storm", result | {"wrong": found})
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
