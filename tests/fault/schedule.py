"""What is struck, how and when: a pure function of the seed, and a file that anyone can replay.

Fault points come round in turn, in an order the seed decides, so that a long run meets each of them at each group that
passes it. Between them processes die at instants, sleep until others have taken their place, or are restarted.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Final

from tests.fault.cast import GROUPS

PAUSE_SECONDS: Final = (0.3, 2.5)
"""Between one strike and the next, in real seconds. A process needs longer to come back, so outages overlap."""
POINT_SHARE: Final = 0.55
SERVER_SHARE: Final = 0.1
SLEEP_SHARE: Final = 0.12
RESTART_SHARE: Final = 0.04
TIMES_MAX: Final = 2


class Blow(StrEnum):
    KILL = "kill"  # SIGKILL at an instant
    POINT = "point"  # SIGKILL at a fault point, when it is reached for the given time
    SLEEP = "sleep"  # SIGSTOP until long after the others have given it up, then SIGCONT
    RESTART = "restart"  # an orderly stop and start: lanes are handed over


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
    points, groups = _points(random), [name for name, group in GROUPS.items() if group.points]
    strikes: list[Strike] = []
    killed = 0
    while killed < kills:
        wait = round(random.uniform(*PAUSE_SECONDS), 2)
        drawn, member = random.random(), random.randrange(2)
        if drawn < SLEEP_SHARE:
            name = random.choice([*groups, "kafka"])
            strikes.append(Strike(wait, Blow.SLEEP, name, member))
        elif drawn < SLEEP_SHARE + RESTART_SHARE:
            strikes.append(Strike(wait, Blow.RESTART, random.choice(groups), member))
        elif drawn < SLEEP_SHARE + RESTART_SHARE + SERVER_SHARE:
            strikes.append(Strike(wait, Blow.KILL, random.choice(("postgres", "kafka")), member))
        elif random.random() < POINT_SHARE:
            name, point = next(points)
            strikes.append(Strike(wait, Blow.POINT, name, member, point, random.randint(1, TIMES_MAX)))
        else:
            strikes.append(Strike(wait, Blow.KILL, random.choice(groups), member))
        killed += strikes[-1].blow in (Blow.KILL, Blow.POINT)
    return strikes


def _points(random: Random) -> Iterator[tuple[str, str]]:
    """Every group with every point of its own, again and again, each round in another order."""
    pairs = [(name, point) for name, group in GROUPS.items() for point in group.points]
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
