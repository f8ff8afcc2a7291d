"""The run as a whole: start a stack, replay the year, gather the evidence, judge it, report."""

import asyncio
import gc
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from deploy.demo import checks, evidence, figures, population
from deploy.demo.calendar import BEFORE, NUDGE, YEAR_END, Action, Replay, Step
from deploy.demo.chaos import Chaos, plan
from deploy.demo.checks import Check, Evidence
from deploy.demo.citizens import Crowd
from deploy.demo.client import Client, History
from deploy.demo.draws import Draws
from deploy.demo.figures import PROGRAMME, Figures
from deploy.demo.members import Members
from deploy.demo.officers import Officers
from deploy.demo.screen import Screen
from deploy.demo.world import World
from deploy.local.stack import ClockPlan, Stack
from libs.events.clock import FileClock
from libs.events.programme import load_programmes

FAULTS: Final[Mapping[str, Mapping[str, str]]] = {
    "civil-registry": {"UNAVAILABLE_PERCENT": "5"},
    "ewallet": {"TIMEOUT_PERCENT": "2", "HANG_SECONDS": "1"},
    "bank": {"TIMEOUT_PERCENT": "2", "HANG_SECONDS": "1"},
}
"""How unreliable the outside is in the replay, beside what the simulators do by themselves (late, twice, never)."""
SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {"registration": {"CITIZEN_TOKEN_DAYS": "400"}}
"""A year of programme time passes in minutes: without this every citizen would sign in again each month of it."""
CROWDED: Final = ("registration",)
"""Everybody comes in there, and one process is one core: its API gets two."""
PARTNER: Final = {"account": "9000000001", "nik": "0" * 16, "name": "partner-a", "behaviour": "good"}


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    scale: int
    seed: str
    var: Path
    keep_up: bool = False
    kill: tuple[str, ...] = ()


@dataclass(slots=True)
class Outcome:
    """Everything the report tells."""

    options: Options
    figures: Figures
    checks: Sequence[Check]
    evidence: Evidence
    crowd: Crowd
    members: Members
    killed: Sequence[str]
    seconds: float
    requests: int
    retries: int
    story: Sequence[Mapping[str, str]]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


async def run(options: Options, screen: Screen) -> Outcome:
    """Replay and judge. Raises Problem where the stack can not start, the client's errors where the script breaks."""
    started = time.monotonic()
    stack = Stack(options.var, step=screen.start_step)
    await asyncio.to_thread(_fresh, stack, options.var)
    told = figures.load(options.scale)
    try:
        wish = {"seed": options.seed, "faults": FAULTS, "settings": SETTINGS, "doubled": CROWDED}
        await asyncio.to_thread(stack.up, clock=ClockPlan(BEFORE - timedelta(hours=1)), **wish)
        people = population.make(told, options.seed)
        gc.freeze()  # forty thousand people who stay: not to be walked through again and again
        async with Client() as client:
            return await _replay(options, screen, stack, client, told, people, started)
    finally:
        if not options.keep_up:
            screen.show("Stopping")
            await asyncio.to_thread(stack.down)


def _fresh(stack: Stack, var: Path) -> None:
    """End an earlier demo and clear its folder: a replay starts from nothing."""
    stack.down()
    shutil.rmtree(var, ignore_errors=True)


async def _replay(
    options: Options,
    screen: Screen,
    stack: Stack,
    client: Client,
    told: Figures,
    people: Sequence[population.Person],
    started: float,
) -> Outcome:
    clock = FileClock(stack.layout.clock)
    facts = stack.facts().told
    world = World(
        client=client,
        clock=clock,
        history=History(options.var / "acknowledged.jsonl", clock.now()),
        services=facts["services"],
        simulators={name.removeprefix("simulator-"): url for name, url in facts["simulators"].items()},
        credentials=Path(facts["staff"]["clients"]),
        show=screen.show,
    )
    crowd, members = Crowd(world, told, people, options.seed), Members(world, told, options.seed)
    officers, draws = Officers(world), Draws(world, options.var / "bundles")
    replay = Replay(world, told, load_programmes()[PROGRAMME], crowd, members, officers, draws)
    steps = replay.script()
    names = [process.name for process in stack.processes()]
    chaos = Chaos(stack, plan(options.kill, names, len(steps), options.seed), options.seed)
    await client.post(world.simulator("bank", "/accounts"), [PARTNER])
    screen.begin(len(steps))
    for number, step in enumerate(steps):
        screen.step(number, step.at, step.title, world.history.counts)
        if step.at == YEAR_END:
            before_year_end = evidence.six(await officers.ledger())
        async with asyncio.TaskGroup() as group:
            group.create_task(chaos.strike(number))
            group.create_task(_take(world, step))
    gathered = await evidence.gather(
        world, stack.facts().cluster(), crowd, draws, officers, stack.layout.logs, before_year_end
    )
    screen.show("Judging")
    outcome = Outcome(
        options=options,
        figures=told,
        checks=checks.judge(gathered),
        evidence=gathered,
        crowd=crowd,
        members=members,
        killed=chaos.done,
        seconds=time.monotonic() - started,
        requests=sum(client.requests.values()),
        retries=client.retries,
        story=await crowd.story(),
    )
    world.history.close()
    return outcome


async def _take(world: World, step: Step) -> None:
    world.turn_to(step.at)
    await _act(step.alongside)
    await world.settle()
    if step.nudged:
        await world.step_to(step.at + NUDGE)
    if step.actions:
        await _act(step.actions)
        await world.settle()


async def _act(actions: Sequence[Action]) -> None:
    """All of them side by side. The first failure ends the others."""

    async def one(action: Action) -> None:
        await action()

    async with asyncio.TaskGroup() as group:
        for action in actions:
            group.create_task(one(action))
