"""Each service's database in turn goes back to an older backup: `python -m tests.fault.restores`.

A whole programme runs; while citizens and officers use it, every database is dumped; it goes on, and comes to rest.
Then, service by service and by the words of docs/runbooks/restore.md, the old dump takes the place of the database.
Finance writes no topic: it must read on from its own positions, to the same books, and so it must from nothing, without
any backup. The other four must refuse to run, name exactly the numbers that the topics hold and they do not, run again
at once on the newer database, and on the old one after `new-epoch`, with every lane read to its end.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from deploy.demo.calendar import BEFORE
from deploy.demo.client import Client
from deploy.local.problem import Problem
from deploy.local.programs import SERVICES
from libs.events.numbering import Lane
from libs.events.topics import written_by
from tests.fault.drill import LOOK_SECONDS, OLDER, Drill, State
from tests.fault.load import Load
from tests.fault.published import leave
from tests.fault.rest import settle
from tests.fault.run import PATIENCE_SECONDS, Options, fresh, load_of, town_of
from tests.fault.stage import Stage

WARM_SECONDS: Final = 15.0
MOVED_SECONDS_MAX: Final = 300.0

Show = Callable[[str], None]


async def only_reads(drill: Drill, service: str, old: Path, before: State) -> dict[str, Any]:
    """Nothing to do: its positions are as old as its data. Nor is there where it has lost all."""
    wrong: list[str] = []
    said = await asyncio.to_thread(drill.put_back, service, old)
    after = await _comes_to_the_same(drill, service, said, before, wrong)
    await asyncio.to_thread(drill.drop, service)
    said = await asyncio.to_thread(drill.up)
    anew = await _comes_to_the_same(drill, service, said, before, wrong)
    return {"rows": [before.rows, after.rows, anew.rows], "wrong": wrong}


async def _comes_to_the_same(drill: Drill, service: str, said: str, before: State, wrong: list[str]) -> State:
    """Wait until it has read everything; `said` is why it does not start, if it does not."""
    if said:
        wrong.append(f"it does not start: {said}")
    after = await drill.until_read(service, before)
    if (after.digest, after.parked) != (before.digest, before.parked):
        wrong.append(f"it ends with {after.rows} rows of another digest than the {before.rows} before")
    wrong += _differences(before, after)
    return after


async def writes(drill: Drill, service: str, old: Path, before: State) -> dict[str, Any]:
    """Refuses on the old one, runs on the newer one, refuses again, and goes on in a new epoch."""
    wrong: list[str] = []
    sent = await drill.sent(service)
    newer = await asyncio.to_thread(drill.back_up, service, "newer")
    lost = await _refuses(drill, service, old, sent, wrong)
    if said := await asyncio.to_thread(drill.put_back, service, newer):
        wrong.append(f"the newer database does not run: {said}")
    await _refuses(drill, service, old, await drill.sent(service), wrong)
    await asyncio.to_thread(drill.stage.stop, service)
    code, told = await asyncio.to_thread(drill.new_epoch, service)
    if code == 0 or "Nothing was done" not in told:
        wrong.append(f"new-epoch without --yes ended with {code}")
    wrong += [f"new-epoch does not name {topic}/{lane}" for topic, lane in lost if f"{topic}/{lane} holds" not in told]
    code, told = await asyncio.to_thread(drill.new_epoch, service, "--yes")
    if code or "Done. Start the service now." not in told:
        wrong.append(f"new-epoch --yes ended with {code}: {told.strip().splitlines()[-1:]}")
    try:
        await asyncio.to_thread(drill.stage.start, service)
    except Problem as problem:
        wrong.append(f"it does not run in the new epoch: {problem.what}")
    after = await drill.until_read(service, before)
    return {
        "rows": [before.rows, after.rows],
        "parked": after.parked,
        "lanes_lost": len(lost),
        "wrong": [*wrong, *_differences(before, after)],
    }


async def _refuses(drill: Drill, service: str, old: Path, sent: Mapping[Lane, int], wrong: list[str]) -> list[Lane]:
    """Put the old one in, and hold what the service says against what was really lost. Gives the lanes.

    What the backup knows is counted before the service starts: until its relay has looked, it may write more.
    """
    await asyncio.to_thread(drill.restore, service, old)
    known, unsent = await drill.sent(service), await drill.unsent(service)
    said = await asyncio.to_thread(drill.up)
    said = await asyncio.to_thread(drill.why_it_refuses, service, said)
    lost = {
        lane: (known.get(lane, 0) + 1, number)
        for lane, number in sent.items()
        if known.get(lane, 0) + unsent.get(lane, 0) < number
    }
    if OLDER not in said:
        wrong.append("it runs on a database that is older than its topics")
    for (topic, lane), (first, last) in lost.items():
        if f"{topic}/{lane}: numbers {first} to {last}" not in said:
            wrong.append(f"it does not say that {topic}/{lane} holds {first} to {last}")
    return list(lost)


def _differences(before: State, after: State) -> list[str]:
    """What others built on a decision that a service has lost, it can not apply any more: that is parked, not lost."""
    behind = [lane for lane, number in before.read.items() if after.read.get(lane, 0) < number]
    found = [f"{len(behind)} lanes are not read to their end"] if behind else []
    if after.digest != before.digest and after.rows + after.parked - before.parked < before.rows:
        found.append(
            f"its projection has {after.rows} rows and {after.parked} parked events instead of {before.rows} rows"
        )
    return found


async def whole(
    seed: str, var: Path, only: Sequence[str] = SERVICES, show: Show = lambda words: None
) -> dict[str, Any]:
    """A stack of its own in `var`, load, backups under load, more load, rest; then service after service."""
    began, options = time.monotonic(), Options(seed, 1, var)
    stage = Stage(var, parts={})
    await asyncio.to_thread(fresh, stage, var)
    try:
        show("Starting servers, simulators and services")
        await asyncio.to_thread(stage.begin, BEFORE, seed)
        drill = Drill(stage, seed)
        async with Client(PATIENCE_SECONDS) as client:
            old = await live(drill, load_of(stage, town_of(stage, client, options), options), show)
        found: dict[str, Any] = {}
        for service in only:
            show(f"{service} goes back to its backup")
            before = await drill.state(service)
            found[service] = await (writes if written_by(service) else only_reads)(drill, service, old[service], before)
            show(f"{service}: {found[service]}")
        parked = {service: (await drill.state(service)).parked for service in SERVICES}
        return {"seed": seed, "services": found, "parked": parked, "seconds": round(time.monotonic() - began)}
    finally:
        show("Stopping")
        await asyncio.to_thread(stage.down)


async def live(drill: Drill, load: Load, show: Show) -> dict[str, Path]:
    """Load, in the midst of which the backups are taken; afterwards everything is at rest. Gives the backups."""
    await load.prepare()
    async with asyncio.TaskGroup() as group:
        group.create_task(load.work())
        try:
            await asyncio.sleep(WARM_SECONDS)
            show("Backing up every database under load")
            old = {service: await asyncio.to_thread(drill.back_up, service, "old") for service in SERVICES}
            await _moved_on(drill)
        finally:
            load.end()
    if stuck := await settle(load, "after the load"):
        raise Problem(f"The programme did not come to rest: {stuck}", f"See {drill.stage.layout.logs}.")
    return old


async def _moved_on(drill: Drill) -> None:
    """Wait until every service that writes has said more than at the time of its backup."""
    writers = [service for service in SERVICES if written_by(service)]
    before = {service: sum((await drill.sent(service)).values()) for service in writers}
    deadline = time.monotonic() + MOVED_SECONDS_MAX
    while waiting := [name for name in writers if sum((await drill.sent(name)).values()) <= before[name] + 2]:
        if time.monotonic() > deadline:
            raise Problem(f"{', '.join(waiting)} said nothing new after the backup.", "Run it on a quieter machine.")
        await asyncio.sleep(LOOK_SECONDS)


def wrong(told: Mapping[str, Any]) -> list[str]:
    """Everything that must not be, with the service it concerns."""
    return [f"{service}: {words}" for service, found in told["services"].items() for words in found["wrong"]]


def _show(words: str) -> None:
    print(f"· {words}", flush=True)


def main() -> int:
    """0 when every service did what the runbook says."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.restores", description="Restore every service.")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--var", type=Path, default=Path("var/restores"), help="the stack's folder; cleared first")
    parser.add_argument("--only", action="append", choices=SERVICES, help="this service; may be given again")
    given = parser.parse_args()
    told = asyncio.run(
        whole(given.seed, given.var, given.only or SERVICES, lambda words: print(f"· {words}", flush=True))
    )
    leave("restores", told | {"wrong": wrong(told)})
    return int(bool(wrong(told)))


if __name__ == "__main__":
    sys.exit(main())
