"""One run: a stack of its own, load, blows, rest, questions, and the answer."""

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.demo import figures, population
from deploy.demo.calendar import BEFORE
from deploy.demo.client import Client, History
from deploy.demo.population import Person, Reach
from deploy.demo.world import World
from libs.events.clock import FileClock
from tests.fault import schedule, summary
from tests.fault.cast import parts_for
from tests.fault.checker import judge
from tests.fault.gather import gather
from tests.fault.load import Load
from tests.fault.rest import come_to_rest
from tests.fault.schedule import Strike
from tests.fault.stage import Stage
from tests.fault.striker import Striker
from tests.fault.town import Town
from tests.fault.watch import Eyes

PATIENCE_SECONDS: Final = 25.0
SCALE_SHORT, SCALE_LONG = 20_000, 1_000
WARM_SECONDS: Final = 4.0
"""Load before the first blow, so that there is something to lose."""

Show = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for. `strikes`: a schedule to replay in place of the seed's own."""

    seed: str
    kills: int
    var: Path
    strikes: Sequence[Strike] | None = None
    keep_up: bool = False
    show: Show = lambda words: None


async def run(options: Options) -> dict[str, Any]:
    """The summary of a run, also written to `summary.json`. Raises Problem where the stack can not start."""
    began = time.monotonic()
    strikes = options.strikes if options.strikes is not None else schedule.make(options.seed, options.kills)
    stage = Stage(options.var, parts=parts_for({strike.group for strike in strikes}))
    await asyncio.to_thread(fresh, stage, options.var)
    schedule.write(options.var / "schedule.json", options.seed, strikes)
    try:
        options.show("Starting servers, simulators and services")
        await asyncio.to_thread(stage.begin, BEFORE, options.seed)
        async with Client(PATIENCE_SECONDS) as client:
            town = town_of(stage, client, options)
            told = await _strike_and_ask(options, stage, town, strikes, began)
        summary.write(options.var / "summary.json", told)
        return told
    except ExceptionGroup as group:
        raise first(group) from group
    finally:
        if not options.keep_up:
            options.show("Stopping")
            await asyncio.to_thread(stage.down)


def first(error: BaseException) -> BaseException:
    """The failure that ended everything else that went on beside it."""
    return first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def fresh(stage: Stage, var: Path) -> None:
    stage.down()
    shutil.rmtree(var, ignore_errors=True)
    var.mkdir(parents=True)


def town_of(stage: Stage, client: Client, options: Options) -> Town:
    clock, facts = FileClock(stage.layout.clock), stage.facts().told
    return Town(
        World(
            client=client,
            clock=clock,
            history=History(options.var / "acknowledged.jsonl", clock.now()),
            services=facts["services"],
            simulators={name.removeprefix("simulator-"): url for name, url in facts["simulators"].items()},
            credentials=Path(facts["staff"]["clients"]),
        ),
        options.seed,
    )


async def _strike_and_ask(
    options: Options, stage: Stage, town: Town, strikes: Sequence[Strike], began: float
) -> dict[str, Any]:
    load = load_of(stage, town, options)
    striker = Striker(stage, options.show, load.excuse)
    phases = {"start": time.monotonic() - began}
    await load.prepare()
    async with asyncio.TaskGroup() as group:
        group.create_task(load.work())
        try:
            await asyncio.sleep(WARM_SECONDS)
            await striker.run(strikes)
            await asyncio.sleep(WARM_SECONDS)
        finally:
            load.end()
    phases["load"] = time.monotonic() - began
    options.show("Waiting for the system to come to rest")
    stuck = await come_to_rest(load)
    phases["rest"] = time.monotonic() - began
    options.show("Asking rails, topics and services what became of everything")
    evidence = await gather(load, stage.facts().cluster(), stuck)
    strange = dict(town.strange) | {f"a life ended: {words}": 1 for words in load.lost_lives}
    town.world.history.close()
    phases["questions"] = time.monotonic() - began
    told = summary.summary(options.seed, striker.struck, evidence, judge(evidence), strange, phases, stage.layout.logs)
    return {**told, **summary.watched(load.watch)}


def load_of(stage: Stage, town: Town, options: Options) -> Load:
    server, databases = stage.facts().server(), stage.facts().databases()
    stores = {name: server.url(databases[name].name) for name in town.world.services}
    return Load(town, people(options), Eyes(stage.facts().cluster(), stores))


def people(options: Options) -> list[Person]:
    """Synthetic citizens whom no rule bars, as many as the run can use."""
    strikes = len(options.strikes) if options.strikes is not None else options.kills
    scale = SCALE_SHORT if strikes <= schedule.KILLS_SHORT else SCALE_LONG
    everybody = population.make(figures.load(scale), options.seed)
    return [person for person in everybody if person.reach is Reach.VERIFIED and not person.barred]
