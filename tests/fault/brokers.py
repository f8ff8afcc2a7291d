"""Brokers lose their disks under load: `python -m tests.fault.brokers --rounds 3`, a part of `make chaos`.

Three brokers keep three copies and acknowledge what two of them have. Each in turn is killed with -9, its folder is
wiped, and it starts again empty: nothing may be missing and everybody goes on meanwhile. Then all three lose everything
at once, topics and offsets too: relays send again what the outbox holds, under the old numbers, and no effect repeats.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from deploy.local.bus import Cluster
from deploy.local.kafka import LocalKafka, broker_names
from deploy.local.plan import Plan, Wish
from deploy.local.stack import Stack
from libs.events import places, relay
from tests.fault.path import Path, open_path, own_servers
from tests.fault.published import leave

BROKERS: Final = 3
CITIZENS, WRITERS = 600, 3
AWAY_SECONDS: Final = 2.0
"""How long a broker stays away: long enough for its leaderships to move and for load to arrive meanwhile."""
AHEAD_MAX: Final = 3_000
"""So many events wait for the readers at most: a slow machine has no more to send again than a fast one."""
LOOK_SECONDS: Final = 2.0
"""Instead of the half-minute and the minute after which relay and worker look at a topic at rest."""
REST_SECONDS_MAX: Final = 240.0
ANSWER_SECONDS: Final = 10


@dataclass
class Disks:
    """The brokers of a stack, and ways to lose what they keep."""

    stack: Stack
    plan: Plan
    names: list[str]

    @classmethod
    def of(cls, stack: Stack, brokers: int) -> "Disks":
        plan = stack._plan(Wish(services=[], simulators=[], brokers=brokers))
        return cls(stack, plan, broker_names(brokers))

    def broker(self, name: str) -> LocalKafka:
        return next(one for one in self.plan.own if isinstance(one, LocalKafka) and one.name == name)

    def lose(self, names: list[str]) -> None:
        """Freeze, wipe and kill: a process that still ran would write its last state back."""
        pids = [self.stack.supervisor.process(name).pid for name in names]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        for name in names:
            self.broker(name).lose()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for name in names:
            self.stack.supervisor.stop(name)

    def come_back(self, names: list[str]) -> None:
        """Start them empty."""
        for name in names:
            self.broker(name).prepare()
        for name in names:
            self.stack.supervisor.start(name)
        LocalKafka.wait_for(self.plan.place.cluster, self.stack.layout)

    def establish(self) -> None:
        """Topics, users and rights, where nothing is left of them."""
        self.plan.establish()

    def wait_copied(self, seconds_max: float = REST_SECONDS_MAX) -> None:
        """Return once every partition has all its copies again."""
        deadline = time.monotonic() + seconds_max
        while missing := _missing_copies(self.plan.place.cluster, len(self.names)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{missing} partitions still lack a copy after {seconds_max:.0f} s")
            time.sleep(0.5)


def _missing_copies(cluster: Cluster, copies: int) -> int:
    topics = cluster.admin().list_topics(timeout=ANSWER_SECONDS).topics
    partitions = [partition for topic in topics.values() for partition in topic.partitions.values()]
    return sum(len(partition.isrs) < copies for partition in partitions)


async def write(path: Path, writer: int, seed: str) -> None:
    """Small transactions without end, about citizens of this writer's own; none while much is not yet applied."""
    luck = Random(f"brokers {seed} {writer}")
    while not path.over.is_set():
        if path.total - await path.applied() < AHEAD_MAX:
            await path.say(luck.sample(range(writer, CITIZENS, WRITERS), 60))
        await asyncio.sleep(0.1)


async def run(disks: Disks, path: Path, seed: str, rounds: int, everything_rounds: int) -> dict[str, Any]:
    """The load, the blows, and what became of every event."""
    began, moved = time.monotonic(), list[int]()
    names = disks.names
    luck = Random(f"brokers {seed}")
    async with AsyncExitStack() as at_work:
        await at_work.enter_async_context(path.relaying())
        for _ in range(2):
            await at_work.enter_async_context(path.working())
        writers = [asyncio.create_task(write(path, writer, seed)) for writer in range(WRITERS)]
        try:
            await path.until_applied(1, REST_SECONDS_MAX)
            for number in range(rounds):
                moved.append(await _one(disks, path, names[(number + luck.randrange(len(names))) % len(names)]))
            for _ in range(everything_rounds):
                await _all(disks, path)
            await asyncio.sleep(AWAY_SECONDS)
        finally:
            path.over.set()
            await asyncio.gather(*writers)
        await path.until_applied(path.total, REST_SECONDS_MAX)
    return {
        "seed": seed, "one_disk": rounds, "all_disks": everything_rounds, "events": path.total,
        "applied_while_one_was_away": moved, **await path.findings(), "topic": await path.on_topic(),
        "roles_started_again_after": dict(path.ends), "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


async def _one(disks: Disks, path: Path, name: str) -> int:
    """One broker loses its disk and comes back. Gives how many events were applied while it was away."""
    await asyncio.to_thread(disks.lose, [name])
    before = await path.applied()
    await asyncio.sleep(AWAY_SECONDS)
    await path.until_applied(before + 1, REST_SECONDS_MAX)
    moved = await path.applied() - before
    await asyncio.to_thread(disks.come_back, [name])
    await asyncio.to_thread(disks.wait_copied)
    return moved


async def _all(disks: Disks, path: Path) -> None:
    await asyncio.to_thread(disks.lose, disks.names)
    await asyncio.sleep(AWAY_SECONDS)
    await asyncio.to_thread(disks.come_back, disks.names)
    await asyncio.to_thread(disks.establish)
    await path.until_applied(path.total, REST_SECONDS_MAX)


async def whole(seed: str, rounds: int, everything_rounds: int, brokers: int = BROKERS) -> dict[str, Any]:
    """A run on servers of its own. Rounds of one broker need two others; a single one can only lose everything."""
    patience = relay.LOOK_SECONDS, places.PROVE_SECONDS
    relay.LOOK_SECONDS = places.PROVE_SECONDS = LOOK_SECONDS
    try:
        with own_servers(brokers) as (servers, make):
            assert servers.stack
            async with open_path(make, servers.kafka) as path:
                disks = Disks.of(servers.stack, brokers)
                result = await run(disks, path, seed, rounds, everything_rounds)
            disks.lose(disks.names)  # nobody needs them any more, and an orderly end takes half a minute
            return result
    finally:
        relay.LOOK_SECONDS, places.PROVE_SECONDS = patience


def main() -> int:
    """0 when nothing was lost, doubled or out of order."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.brokers", description="Wipe brokers under load.")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--rounds", type=int, default=6, help="how often one broker loses its disk")
    parser.add_argument("--all", type=int, default=3, help="how often all of them do")
    told = parser.parse_args()
    result = asyncio.run(whole(told.seed, told.rounds, told.all))
    leave("brokers", result)
    return int(bool(result["lost"] or result["doubled"] or result["out_of_order"]))


if __name__ == "__main__":
    sys.exit(main())
