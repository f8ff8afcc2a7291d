"""Officers give an announced wave other times: what they may still change, and who may."""

from dataclasses import replace
from datetime import timedelta

import pytest

from libs.events.refusal import Refusal
from services.selection.domain.lifecycle import MOVABLE, Change, approve, reschedule
from services.selection.domain.wave import Draw, State, Step, Times, legal, redraw
from tests.support import jakarta

TIMES = Times(jakarta("2020-04-11 17:00:00"), jakarta("2020-04-16 16:00:00"), jakarta("2020-04-17 10:00:00"))
NOW = jakarta("2020-04-11 09:00:00")
FIELDS = (("opens_at", TIMES.opens_at), ("closes_at", TIMES.closes_at), ("draws_at", TIMES.draws_at))
ASKED = Change(7, Step.RESCHEDULE, None, NOW, None, "Kantor tutup karena banjir", "ani")


def refused(decided: object) -> Refusal:
    assert isinstance(decided, Refusal)
    return decided


def test_a_wave_opens_early_at_the_moment_of_approval() -> None:
    assert reschedule(State.ANNOUNCED, TIMES, jakarta("2020-04-01"), None, None, NOW) == replace(TIMES, opens_at=NOW)


def test_a_wave_closes_early_or_late() -> None:
    early, late = jakarta("2020-04-14 10:00:00"), jakarta("2020-04-16 20:00:00")
    assert reschedule(State.OPEN, TIMES, None, early, None, NOW) == replace(TIMES, closes_at=early)
    assert reschedule(State.OPEN, TIMES, None, late, None, NOW) == replace(TIMES, closes_at=late)
    now = jakarta("2020-04-15 12:00:00")
    assert reschedule(State.OPEN, TIMES, None, early, None, now) == replace(TIMES, closes_at=now)


def test_a_wave_that_closes_after_its_draw_needs_another_time_for_that_too() -> None:
    late = jakarta("2020-04-18 16:00:00")
    assert refused(reschedule(State.OPEN, TIMES, None, late, None, NOW)).code == "times-out-of-order"
    draws = jakarta("2020-04-19 10:00:00")
    assert reschedule(State.OPEN, TIMES, None, late, draws, NOW) == Times(TIMES.opens_at, late, draws)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", ["opens_at", "closes_at", "draws_at"])
def test_a_step_that_was_taken_keeps_its_time(state: State, name: str) -> None:
    # A second later than announced: right in itself, so only the state can be the reason.
    told = [at + timedelta(seconds=1) if each == name else None for each, at in FIELDS]
    decided = reschedule(state, TIMES, told[0], told[1], told[2], NOW)
    if name in MOVABLE.get(state, ()):
        assert not isinstance(decided, Refusal)
    elif Step.RESCHEDULE in legal(state):
        assert (refused(decided).code, refused(decided).field) == ("step-already-taken", name)
        assert all(movable in refused(decided).en and movable in refused(decided).id for movable in MOVABLE[state])
    else:
        assert refused(decided).code == "illegal-step"


def test_a_change_of_nothing_is_refused() -> None:
    assert refused(reschedule(State.OPEN, TIMES, None, None, None, NOW)).code == "nothing-changes"


def test_a_checker_approves_what_they_have_read_and_is_somebody_else() -> None:
    assert approve(ASKED, 7, "budi") is ASKED
    assert refused(approve(ASKED, 7, "ani")).code == "same-person"
    assert refused(approve(ASKED, 6, "budi")).code == "no-change-asked"
    assert refused(approve(None, 7, "budi")).code == "no-change-asked"


def test_a_draw_is_set_aside_before_the_first_result_is_sent_or_never() -> None:
    out = NOW + timedelta(hours=1)
    assert redraw(State.COMMITTED, Draw(out), NOW) is State.CLOSED
    assert redraw(State.DRAWN, Draw(NOW), out) is State.CLOSED
    assert refused(redraw(State.DRAWN, Draw(NOW, results_sent=True), out)).code == "results-sent"
    for state in set(State) - {State.COMMITTED, State.DRAWN}:
        assert refused(redraw(state, Draw(), NOW)).code == "illegal-step"
