"""Everything that was ever said is said once more, under new numbers: `python -m tests.fault.again`.

A restored database may hold events as unsent that its topics have already; after `new-epoch` they go out again, and no
reader can know them by their numbers. The worst case of that: a whole programme at rest, and source after source sends
its whole outbox again in a new epoch. Programme time stands still, so whatever then changes is a second effect.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from deploy.demo.calendar import BEFORE
from deploy.demo.client import Client
from deploy.local.problem import Problem
from deploy.local.programs import SERVICES
from libs.events.topics import TOPICS
from tests.fault.drill import LOOK_SECONDS, PATIENCE_SECONDS, Drill, Holding
from tests.fault.published import leave
from tests.fault.restores import Show, live
from tests.fault.run import PATIENCE_SECONDS as ANSWER_SECONDS
from tests.fault.run import Options, fresh, load_of, town_of
from tests.fault.stage import Stage

SOURCES: Final = ("disbursement", "training", "selection", "registration")
"""Against the stream: what a source's readers park is not read again because of another source."""


async def say_again(drill: Drill, source: str) -> dict[str, Any]:
    """Let a source repeat all of its outbox, and compare everybody before and after."""
    before = {service: await drill.holding(service) for service in SERVICES}
    await asyncio.to_thread(drill.stage.stop, source)
    events = await drill.forget_the_cursor(source)
    await asyncio.to_thread(drill.stage.start, source)
    await _until_read(drill, source)
    changed = {service: difference(before[service], await drill.holding(service)) for service in SERVICES}
    return {"events": events, "changed": {service: found for service, found in changed.items() if found}}


def difference(before: Holding, after: Holding) -> dict[str, Any]:
    """Rows that are there no more or new by table, events said since by type, and what was parked."""
    tables = {
        table: [(old - new).total(), (new - old).total()]
        for table, new in after.tables.items()
        if (old := before.tables.get(table, Counter())) != new
    }
    found = {"rows": tables, "said": dict(after.said - before.said), "parked": dict(after.parked - before.parked)}
    return {what: one for what, one in found.items() if one}


async def _until_read(drill: Drill, source: str) -> None:
    """Wait until the source has sent everything, every reader has read it, and nobody has anything left to send."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while waiting := await _waiting(drill, source):
        if time.monotonic() > deadline:
            raise Problem(f"{source} was not read to the end: {waiting}", f"See {drill.stage.layout.logs}.")
        await asyncio.sleep(LOOK_SECONDS)


async def _waiting(drill: Drill, source: str) -> list[str]:
    found = [service for service in SERVICES if await drill.unsent(service)]
    last = await drill.sent(source)
    for reader in SERVICES:
        read = (await drill.state(reader)).read
        lanes = [lane for lane, number in last.items() if reader in TOPICS[lane[0]].consumers]
        found += [reader] if any(read.get(lane, 0) < last[lane] for lane in lanes) else []
    return found


async def whole(seed: str, var: Path, show: Show = lambda words: None) -> dict[str, Any]:
    """A stack of its own in `var`, load, rest; then every source says everything again."""
    began, stage = time.monotonic(), Stage(var, parts={})
    await asyncio.to_thread(fresh, stage, var)
    try:
        show("Starting servers, simulators and services")
        await asyncio.to_thread(stage.begin, BEFORE, seed)
        drill, options = Drill(stage, seed), Options(seed, 1, var)
        async with Client(ANSWER_SECONDS) as client:
            await live(drill, load_of(stage, town_of(stage, client, options), options), show)
        found: dict[str, Any] = {}
        for source in SOURCES:
            show(f"{source} says everything again")
            found[source] = await say_again(drill, source)
            show(f"{source}: {found[source]}")
        return {"seed": seed, "sources": found, "seconds": round(time.monotonic() - began)}
    finally:
        show("Stopping")
        await asyncio.to_thread(stage.down)


def wrong(told: Mapping[str, Any]) -> list[str]:
    """Second effects: rows that changed and events that were said. What is only parked waits for a person."""
    return [
        f"{source} again: {service} has other {', '.join([*found.get('rows', ()), *found.get('said', ())])}"
        for source, one in told["sources"].items()
        for service, found in one["changed"].items()
        if found.keys() & {"rows", "said"}
    ]


def main() -> int:
    """0 when nothing had a second effect."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.again", description="Say everything twice.")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--var", type=Path, default=Path("var/again"), help="the stack's folder; cleared first")
    given = parser.parse_args()
    told = asyncio.run(whole(given.seed, given.var, lambda words: print(f"· {words}", flush=True)))
    leave("again", told | {"wrong": wrong(told)})
    return int(bool(wrong(told)))


if __name__ == "__main__":
    sys.exit(main())
