"""What is struck, how and when: a pure function of the seed, and a file that anyone can replay.

Strikes come in volleys: whatever a volley names falls together, so that outages overlap. Fault points come round in
turn, in an order the seed decides, so that a long run meets each of them at each group that passes it. Between them
processes die at instants, sleep until others have taken their place, or are restarted; relays get a twin, and lanes are
shuffled.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Final

from tests.fault.cast import GROUPS, LARGE, SMALL

KILLS_SHORT: Final = 100
"""A run of so many kills is a short one, with fewer processes and citizens."""
PAUSE_SECONDS: Final = (0.5, 2.0)
"""Between one volley and the next, in real seconds. Whoever is to be struck has come back by then, or is waited for."""
TOGETHER_SECONDS: Final = 0.05
VOLLEY_MAX: Final = 3
POINT_SHARE: Final = 0.55
SERVER_SHARE: Final = 0.1
SLEEP_SHARE: Final = 0.1
RESTART_SHARE: Final = 0.04
TWINS_SHARE: Final = 0.05
SHUFFLE_SHARE: Final = 0.05
TIMES_MAX: Final = 2


class Blow(StrEnum):
    KILL = "kill"  # SIGKILL at an instant
    POINT = "point"  # SIGKILL at a fault point, when it is reached for the given time
    SLEEP = "sleep"  # SIGSTOP until long after the others have given it up, then SIGCONT
    RESTART = "restart"  # an orderly stop and start: lanes are handed over
    TWINS = "twins"  # the sending relay is declared dead while it is well: the next one takes over, and two are alive
    SHUFFLE = "shuffle"  # a stranger joins the workers, holds some of their lanes for a while, and leaves


@dataclass(frozen=True, slots=True)
class Strike:
    """One blow. `wait_seconds` after the one before; `member` chooses among the processes of the group."""

    wait_seconds: float
    blow: Blow
    group: str
    member: int
    point: str = ""
    times: int = 1


def make(seed: str, kills: int) -> list[Strike]:
    """A schedule that kills `kills` times, and lets processes sleep or restart in between."""
    random = Random(f"gelombang chaos {seed}")
    cast = SMALL if kills <= KILLS_SHORT else LARGE
    points = _points(random, cast)
    strikes: list[Strike] = []
    killed = left = 0
    while killed < kills:
        wait = TOGETHER_SECONDS if left else round(random.uniform(*PAUSE_SECONDS), 2)
        left = (left or random.randint(1, VOLLEY_MAX)) - 1
        strikes.append(_strike(random, wait, cast, points))
        killed += strikes[-1].blow in (Blow.KILL, Blow.POINT)
    return strikes


def _strike(random: Random, wait: float, cast: Sequence[str], points: Iterator[tuple[str, str]]) -> Strike:
    drawn, member = random.random(), random.randrange(2)
    groups = [name for name in cast if GROUPS[name].points]
    of = {kind: [name for name in groups if GROUPS[name].kind == kind] for kind in ("relay", "worker")}
    for share, blow, names in (
        (SLEEP_SHARE, Blow.SLEEP, [*groups, "kafka"]),
        (RESTART_SHARE, Blow.RESTART, groups),
        (TWINS_SHARE, Blow.TWINS, of["relay"]),
        (SHUFFLE_SHARE, Blow.SHUFFLE, of["worker"]),
        (SERVER_SHARE, Blow.KILL, ["postgres", "kafka"]),
    ):
        if drawn < share:
            return Strike(wait, blow, random.choice(names), member)
        drawn -= share
    if random.random() < POINT_SHARE:
        name, point = next(points)
        return Strike(wait, Blow.POINT, name, member, point, random.randint(1, TIMES_MAX))
    return Strike(wait, Blow.KILL, random.choice(groups), member)


def _points(random: Random, cast: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every group with every point of its own, again and again, each round in another order."""
    pairs = [(name, point) for name in cast for point in GROUPS[name].points]
    while True:
        random.shuffle(pairs)
        yield from pairs


def write(path: Path, seed: str, strikes: Sequence[Strike]) -> None:
    """Keep a schedule beside its summary."""
    path.write_text(json.dumps({"seed": seed, "strikes": [asdict(strike) for strike in strikes]}, indent=1) + "\n")


def read(path: Path) -> tuple[str, list[Strike]]:
    """Seed and strikes of a kept schedule. Raises ValueError on a group or a point that does not exist."""
    told = json.loads(path.read_text())
    strikes = [Strike(**{**entry, "blow": Blow(entry["blow"])}) for entry in told["strikes"]]
    for strike in strikes:
        if strike.group not in GROUPS:
            raise ValueError(f"{path}: there is no group {strike.group!r}; there are: {', '.join(GROUPS)}")
        if strike.blow is Blow.POINT and strike.point not in GROUPS[strike.group].points:
            raise ValueError(f"{path}: {strike.group} does not pass {strike.point!r}")
    return str(told["seed"]), strikes
