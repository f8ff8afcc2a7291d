"""What production did not withstand once: the fault, the decision it took then, and that both are still told apart."""

from dataclasses import replace

import pytest

from tests.model.decisions import PRODUCTION, Decisions
from tests.model.mutants import highest_is_complete, last_is_highest
from tests.model.schedules import play, search
from tests.model.world import Faults, Step, Violation

SEEDS = 1_000

MENDED = {
    "a lock got after the transaction's xid": (Faults(late_locks=True), replace(PRODUCTION, stamped_when_added=False)),
    "a log lost, and a relay replaced while it still compares": (
        Faults(disturbed_checks=True, sudden_loss=True),
        replace(PRODUCTION, rewind_fenced=False),
    ),
    "a log lost while everybody goes on, and a relay that believes the highest number": (
        Faults(sudden_loss=True),
        replace(PRODUCTION, prove=highest_is_complete),
    ),
    "a log lost while everybody goes on, and workers that believe their offset": (
        Faults(sudden_loss=True),
        replace(PRODUCTION, place_proven=False),
    ),
}

# Seldom enough to be written down. Two relays: the first has a batch in hand when the second takes over and sends it
# too; a backup is made, the second sends one event more, the first wakes up and repeats its batch, so that the lane
# ends with the number that the backup holds. And a worker: it has applied event 1 when its store goes back to before;
# the next record it reads is a stranger's, which opens no gap, and moves the place past event 1. And a lost log that a
# relay from before has filled up to the stored number: nothing is missing there, but the place that is stored with the
# number is one of the log before, and every new relay took the first acknowledgement below it for another loss.
RARE: dict[str, tuple[Faults, Decisions, list[Step]]] = {
    "a source restored while a repeat is the last record": (
        Faults(restored_after_repeats=True),
        replace(PRODUCTION, prove=last_is_highest),
        [
            ("write", 2, 46), ("start_relay", 11, 18), ("start_relay", 2, 9), ("start_relay", 1, 38),
            ("commit", 9, 31), ("move_relay", 8, 55), ("backup_source", 9, 7), ("write", 10, 14),
            ("move_relay", 7, 17), ("move_relay", 5, 34), ("commit", 7, 56), ("move_relay", 8, 8),
            ("move_relay", 2, 47), ("move_relay", 12, 32), ("move_relay", 6, 34), ("restore_source", 4, 58),
        ],
    ),
    "a worker that lives through a restore and meets a stranger": (
        Faults(live_restore=True),
        PRODUCTION,
        [
            ("backup_sink", 9, 42), ("start_worker", 3, 41), ("write", 2, 12), ("start_relay", 9, 18),
            ("move_relay", 1, 4), ("commit", 8, 20), ("move_relay", 2, 37), ("move_worker", 3, 23),
            ("stranger", 2, 54), ("restore_sink", 11, 50),
        ],
    ),
    "a log lost between acknowledgement and store, and filled by a relay that woke up": (
        Faults(late_locks=True, disturbed_checks=True, sudden_loss=True, restored_after_repeats=True),
        PRODUCTION,
        [
            ("write", 1, 27), ("write", 2, 44), ("commit", 6, 52), ("write", 10, 31), ("start_relay", 2, 26),
            ("commit", 8, 52), ("start_relay", 6, 4), ("move_relay", 6, 39), ("commit", 5, 24), ("move_relay", 1, 52),
            ("move_relay", 6, 43), ("start_relay", 11, 16), ("write", 4, 59), ("move_relay", 1, 37),
            ("move_relay", 3, 4),
            ("move_relay", 4, 34), ("commit", 10, 2), ("move_relay", 1, 49), ("kill_relay", 6, 57), ("write", 0, 30),
            ("move_relay", 2, 14), ("commit", 3, 19), ("start_relay", 1, 23), ("write", 11, 23), ("move_relay", 9, 24),
            ("move_relay", 7, 39), ("move_relay", 1, 44), ("lose_log", 6, 30),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MENDED)
def test_what_was_mended_stays_mended_and_would_be_found(name: str) -> None:
    faults, before = MENDED[name]
    failure = search(range(SEEDS), PRODUCTION, faults)
    assert failure is None, str(failure)
    assert search(range(SEEDS), before, faults) is not None


@pytest.mark.parametrize("name", RARE)
def test_production_withstands_what_is_rare(name: str) -> None:
    faults, _, steps = RARE[name]
    play(steps, PRODUCTION, faults)


def test_the_rare_repeat_would_be_found() -> None:
    faults, before, steps = RARE["a source restored while a repeat is the last record"]
    with pytest.raises(Violation):
        play(steps, before, faults)
