"""The event path as a state machine: thousands of schedules of commits, crashes, zombies, rebalances and restores.

The model decides by production's own functions; only time, network and disk are imagined. After every schedule the
faults end, and then each committed event must have had its effect exactly once, in order per key, with no gap left.

`python -m tests.model --schedules 100000` plays that many; `--first 7 --schedules 1` one again, and says what happened.
"""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.decisions import PRODUCTION
from tests.model.schedules import (
    EVERY_FAULT,
    WEIGHTS,
    draw,
    play,
    search,
    unseen,
)  # fmt: skip
from tests.model.world import Faults, Step, Violation

SCHEDULES = 2_000

A_STEP = st.tuples(st.sampled_from(sorted(WEIGHTS)), st.integers(0, 11), st.integers(0, 59))


def test_every_event_has_its_effect_once_and_in_order_whatever_happens() -> None:
    seen = Counter[str]()
    failure = search(range(SCHEDULES), seen=seen)
    assert failure is None, str(failure)
    assert not unseen(seen), dict(seen)


def test_every_fault_of_the_model_together_breaks_no_promise() -> None:
    failure = search(range(SCHEDULES // 2), PRODUCTION, EVERY_FAULT)
    assert failure is None, str(failure)


@settings(max_examples=200)
@given(st.lists(A_STEP, max_size=60))
def test_schedules_that_hypothesis_makes_up(steps: list[Step]) -> None:
    play(steps)


def test_a_seed_is_one_schedule_and_one_outcome() -> None:
    assert draw(7) == draw(7) != draw(8)
    one, other = play(draw(7)), play(draw(7))
    assert one.seen == other.seen
    assert one.sink.effects == other.sink.effects != {}


def test_a_failure_tells_its_seed_and_steps_that_replay_it() -> None:
    late, early_stamps = Faults(late_locks=True), replace(PRODUCTION, stamped_when_added=False)
    failure = search(range(100), early_stamps, late)
    assert failure is not None
    assert f"seed {failure.seed} " in str(failure)
    assert all(repr(step) in str(failure) for step in failure.short)
    assert len(failure.short) < len(failure.steps) / 4
    for steps in (failure.steps, failure.short, draw(failure.seed)):
        with pytest.raises(Violation):
            play(steps, early_stamps, late)
