"""Schedules from a seed: run one, and make a failing one short enough to be read."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from libs.events import faults as points
from tests.model.decisions import PRODUCTION, Decisions
from tests.model.healing import check, heal
from tests.model.world import Faults, Step, Violation, World

STEPS = 120
WEIGHTS = {
    "write": 14, "write_more": 4, "commit": 14, "roll_back": 2,
    "start_relay": 4, "move_relay": 30, "kill_relay": 4,
    "start_worker": 4, "move_worker": 30, "kill_worker": 3, "rebalance": 3,
    "stranger": 2, "break_event": 2, "repair": 1, "move_redrive": 5, "kill_redrive": 1,
    "backup_sink": 1, "restore_sink": 1, "backup_source": 1, "restore_source": 1, "lose_log": 1,
}  # fmt: skip
NO_FAULTS = Faults()
EVERY_FAULT = Faults(late_locks=True, disturbed_checks=True, sudden_loss=True, restored_after_repeats=True)
SEEN_MIN = 10
"""In a few thousand schedules each trouble happens hundreds of times."""


@dataclass
class Failure:
    """A schedule that breaks a promise, in full and made short, with everything needed to see it again."""

    seed: int
    faults: Faults
    why: str
    steps: list[Step]
    short: list[Step] = field(default_factory=list)

    def __str__(self) -> str:
        lines = "".join(f"    {step!r},\n" for step in self.short)
        return (
            f"seed {self.seed} of {len(self.steps)} steps breaks a promise: {self.why}\n"
            f"replay: python -m tests.model --first {self.seed} --schedules 1 (it broke where {self.faults})\n"
            f"the steps that it takes, for `play(steps, decisions, faults)`:\n[\n{lines}]"
        )


def draw(seed: int) -> list[Step]:
    """The schedule of a seed. A third of them let some kinds of step happen seldom or never, to reach odd corners."""
    luck = random.Random(seed)
    weights = dict(WEIGHTS)
    if seed % 3 == 0:
        for name in luck.sample(sorted(weights), 5):
            weights[name] = weights[name] // 4
    names = luck.choices(list(weights), list(weights.values()), k=STEPS)
    return [(name, luck.randrange(12), luck.randrange(60)) for name in names]


def play(steps: Sequence[Step], decisions: Decisions = PRODUCTION, faults: Faults = NO_FAULTS) -> World:
    """Run a schedule, let the world heal, and check every promise. Raises Violation."""
    world = World(decisions, faults)
    for step in steps:
        world.do(step)
    heal(world)
    check(world)
    return world


def broken(steps: Sequence[Step], decisions: Decisions, faults: Faults) -> str | None:
    """The promise that a schedule breaks, if it does."""
    try:
        play(steps, decisions, faults)
    except Violation as violation:
        return str(violation)
    return None


def search(
    seeds: Iterator[int] | range, decisions: Decisions = PRODUCTION, faults: Faults = NO_FAULTS,
    seen: Counter[str] | None = None,
) -> Failure | None:  # fmt: skip
    """The first seed that breaks a promise, with its schedule made short. `seen` counts what happened."""
    for seed in seeds:
        steps = draw(seed)
        try:
            world = play(steps, decisions, faults)
        except Violation as violation:
            return Failure(seed, faults, str(violation), steps, shorten(steps, decisions, faults))
        if seen is not None:
            seen.update(world.seen)
    return None


def unseen(seen: Counter[str]) -> set[str]:
    """What should have gone wrong and hardly ever did: a model in which nothing goes wrong proves nothing."""
    killed = {f"killed at {point}" for point in points.POINTS if point.startswith(("relay.", "consumer."))}
    troubles = {
        "repeats", "redriven", "refused", "rewound", "log lost", "ended: fenced", "ended: TopicMoved",
        "source restored", "sink restored",
        "parked: contradiction", "parked: unknown-version", "parked: no-number", "parked: behind",
        "left out", "refused by name", "refused without a name",
    }  # fmt: skip
    return {name for name in killed | troubles if seen[name] < SEEN_MIN}


def shorten(steps: Sequence[Step], decisions: Decisions, faults: Faults) -> list[Step]:
    """Leave out steps, many at a time and then one by one, as long as some promise is still broken."""
    short, size = list(steps), len(steps) // 2
    while size:
        start = 0
        while start < len(short):
            without = short[:start] + short[start + size :]
            if broken(without, decisions, faults):
                short = without
            else:
                start += size
        size //= 2
    return short
