"""The model of the event path (tests/model) as a detector: it runs production's own pure functions, bug and all."""

from tests.model.decisions import PRODUCTION
from tests.model.schedules import NO_FAULTS, search
from tests.model.world import Faults


def search_for(name: str, seeds: range) -> tuple[int, str] | None:
    """`model`: the faults of every world; `model-lost-logs`: a log may be lost while everybody goes on."""
    faults = Faults(sudden_loss=True) if name == "model-lost-logs" else NO_FAULTS
    failure = search(seeds, PRODUCTION, faults)
    return (failure.seed, failure.why) if failure else None
