"""Who can be struck: the groups of processes of a stack under chaos, and the fault points each of them passes.

Disbursement runs every role in a process of its own, with a second worker and a second relay beside the first: lanes
move between workers, and a relay that wakes up finds another one in its place. So does registration in a long run. The
other services run all their roles together, as a small machine would.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

API: Final = ("outbox.added", "api.committed")
WORKER: Final = ("consumer.read", "consumer.applied", "consumer.committed")
RELAY: Final = ("relay.read", "relay.sent", "relay.acknowledged", "relay.stored")
JOBS: Final = ("job.done",)


@dataclass(frozen=True, slots=True)
class Group:
    """Processes that stand in for each other. `points` are those that the load makes them reach again and again."""

    name: str
    kind: str  # api, relay, worker, jobs, service, postgres, kafka: what the summary counts by
    programs: tuple[str, ...]
    points: tuple[str, ...] = ()


GROUPS: Final[Mapping[str, Group]] = {
    group.name: group
    for group in (
        Group("registration", "service", ("registration",), (*API, *WORKER, *RELAY, *JOBS)),
        Group("registration api", "api", ("registration",), API),
        Group(
            "registration worker", "worker", ("registration-worker", "registration-second-worker"), WORKER
        ),
        Group("registration relay", "relay", ("registration-relay", "registration-second-relay"), RELAY),
        Group("registration jobs", "jobs", ("registration-jobs",), JOBS),
        Group("disbursement api", "api", ("disbursement",), API[1:]),
        Group(
            "disbursement worker", "worker", ("disbursement-worker", "disbursement-second-worker"),
            (*WORKER, "outbox.added"),
        ),
        Group("disbursement relay", "relay", ("disbursement-relay", "disbursement-second-relay"), RELAY),
        Group("disbursement jobs", "jobs", ("disbursement-jobs",), (*JOBS, "outbox.added")),
        Group("selection", "service", ("selection",), (*WORKER, *RELAY, *JOBS, "outbox.added")),
        Group("training", "service", ("training",), (*API, *WORKER, *RELAY, *JOBS)),
        Group("finance", "service", ("finance",), (*WORKER, *JOBS)),
        Group("postgres", "postgres", ("postgres",)),
        Group("kafka", "kafka", ("kafka",)),
    )
}  # fmt: skip

SMALL: Final = tuple(name for name in GROUPS if not name.startswith("registration "))
LARGE: Final = tuple(name for name in GROUPS if name != "registration")
"""The groups of a short run and of a long one."""

Parts = Mapping[str, Mapping[str, tuple[str, ...]]]

PARTS: Final[Parts] = {
    "registration": {
        "registration": ("api",),
        "registration-worker": ("worker",),
        "registration-second-worker": ("worker",),
        "registration-relay": ("relay",),
        "registration-second-relay": ("relay",),
        "registration-jobs": ("jobs",),
    },
    "disbursement": {
        "disbursement": ("api",),
        "disbursement-worker": ("worker",),
        "disbursement-second-worker": ("worker",),
        "disbursement-relay": ("relay",),
        "disbursement-second-relay": ("relay",),
        "disbursement-jobs": ("jobs",),
    },
    "selection": {"selection": ()},
    "training": {"training": ()},
    "finance": {"finance": ()},
}
"""By service: its processes and the roles of each; none named are all."""

PARTS_SMALL: Final[Parts] = {**PARTS, "registration": {"registration": ()}}


def parts_for(groups: Collection[str]) -> Parts:
    """The processes that these groups need."""
    return PARTS_SMALL if set(groups) <= set(SMALL) else PARTS
