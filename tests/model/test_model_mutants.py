"""The model bites: each of these small mistakes is found within its budget of seeds."""

import pytest

from tests.model.decisions import PRODUCTION
from tests.model.mutants import MUTANTS
from tests.model.schedules import NO_FAULTS, broken, search


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name: str) -> None:
    mutant = MUTANTS[name]
    failure = search(range(mutant.seeds), mutant.decisions, mutant.faults)
    assert failure is not None, f"{name}: not found within {mutant.seeds} seeds"
    print(f"{name}: seed {failure.seed}, {len(failure.short)} steps: {failure.why}")
    if mutant.faults == NO_FAULTS:
        assert broken(failure.short, PRODUCTION, mutant.faults) is None, "the mistake, and nothing else, is the cause"
