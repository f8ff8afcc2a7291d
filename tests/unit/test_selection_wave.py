"""How a wave lives: steps, times, maker and checker."""

from datetime import timedelta

import pytest

from libs.events.programme import load_programmes
from libs.events.refusal import Refusal
from services.selection.domain.wave import (
    BEACON_DAYS,
    BEACON_FAILS,
    IMPOSSIBLE,
    MARKED,
    TRANSITIONS,
    Draw,
    State,
    Step,
    approve,
    legal,
    mark,
    move,
    propose,
    redraw,
    void,
)
from services.selection.views_due import DUE, WAITING
from tests.support import jakarta

PROGRAMME = load_programmes()["prakerja-2020"]
FILED = (None, None, None)


def refused(decided: object) -> Refusal:
    assert isinstance(decided, Refusal)
    return decided


def test_a_wave_goes_one_way_from_proposal_to_publication() -> None:
    state: State | None = None
    for step in (Step.PROPOSE, Step.APPROVE, Step.OPEN, Step.CLOSE, Step.COMMIT, Step.DRAW, Step.PUBLISH):
        moved = move(state, step)
        assert isinstance(moved, State)
        state = moved
    assert state is State.PUBLISHED
    assert legal(state) == ()


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", Step)
def test_an_illegal_step_is_refused_and_the_legal_ones_are_named(state: State, step: Step) -> None:
    if (state, step) in TRANSITIONS:
        return
    refusal = refused(move(state, step))
    assert refusal.status == 409
    for named in (refusal.id, refusal.en):
        assert state in named
        assert all(other in named for other in legal(state))


def test_a_wave_that_is_published_or_voided_stays_so() -> None:
    assert legal(State.PUBLISHED) == legal(State.VOIDED) == ()


def test_a_draw_is_voided_before_the_first_result_is_sent_or_never() -> None:
    now = jakarta("2020-04-17 12:00:00")
    assert void(State.DRAWN, Draw(now), now) is State.VOIDED
    assert refused(void(State.DRAWN, Draw(now, results_sent=True), now)).code == "results-sent"
    assert refused(void(State.PUBLISHED, Draw(now, results_sent=True), now)).code == "illegal-step"


def test_once_the_randomness_is_out_the_draw_comes_first() -> None:
    out = jakarta("2020-04-17 10:00:00")
    before, days = out - timedelta(seconds=1), out + BEACON_DAYS
    almost = days - timedelta(seconds=1)
    for give_up, after in ((void, State.VOIDED), (redraw, State.CLOSED)):
        assert give_up(State.COMMITTED, Draw(out), before) is after
        for waiting in (None, "another-draw", "beacon-silent", "beacon-wrong"):
            assert refused(give_up(State.COMMITTED, Draw(out, waiting), out)).code == "draw-first"
        assert refused(give_up(State.COMMITTED, Draw(out), days)).code == "draw-first"
        # A draw that can not run any more keeps nobody waiting; a beacon is given some days.
        for waiting in IMPOSSIBLE:
            assert give_up(State.COMMITTED, Draw(out, waiting), out) is after
        for waiting in BEACON_FAILS:
            assert refused(give_up(State.COMMITTED, Draw(out, waiting), almost)).code == "draw-first"
            assert give_up(State.COMMITTED, Draw(out, waiting), days) is after
        assert give_up(State.DRAWN, Draw(out), days) is after
    assert set(WAITING) >= IMPOSSIBLE | BEACON_FAILS


def test_a_draw_with_a_ceremony_is_voided_and_never_drawn_again() -> None:
    out = jakarta("2020-04-17 10:00:00")
    for waiting, now in ((None, out - timedelta(seconds=1)), (None, out), ("reveals-too-late", out)):
        assert refused(redraw(State.COMMITTED, Draw(out, waiting, ceremony=True), now)).code == "ceremony-once"
    assert void(State.COMMITTED, Draw(out, "reveals-too-late", ceremony=True), out) is State.VOIDED
    assert refused(redraw(State.DRAWN, Draw(out, ceremony=True), out)).code == "ceremony-once"
    assert void(State.DRAWN, Draw(out, ceremony=True), out) is State.VOIDED
    assert refused(redraw(State.DRAWN, Draw(out, ceremony=True, results_sent=True), out)).code == "results-sent"


def test_what_the_maker_leaves_open_comes_from_the_programme_file() -> None:
    proposal = propose(PROGRAMME, 1, None, False, FILED)
    assert not isinstance(proposal, Refusal)
    assert proposal.seats == 200_000
    assert proposal.times.opens_at == jakarta("2020-04-11 17:00:00")
    assert proposal.times.draws_at == jakarta("2020-04-17 10:00:00")


def test_a_wave_the_file_does_not_know_needs_everything() -> None:
    assert refused(propose(PROGRAMME, 99, 10, False, FILED)).code == "wave-not-in-programme"
    times = (jakarta("2020-07-01"), jakarta("2020-07-02"), jakarta("2020-07-03"))
    assert refused(propose(PROGRAMME, 99, None, False, times)).code == "wave-not-in-programme"
    assert not isinstance(propose(PROGRAMME, 99, 10, False, times), Refusal)


def test_a_wave_opens_before_it_closes_and_closes_before_it_is_drawn() -> None:
    times = (None, jakarta("2020-04-17 10:00:00"), None)
    assert refused(propose(PROGRAMME, 1, None, False, times)).code == "times-out-of-order"


def test_a_wave_has_seats_or_recycles_some() -> None:
    assert refused(propose(PROGRAMME, 1, 0, False, FILED)).code == "no-seats"
    assert refused(propose(PROGRAMME, 1, 10_000_001, False, FILED)).field == "seats"
    assert not isinstance(propose(PROGRAMME, 1, 0, True, FILED), Refusal)


def test_maker_and_checker_are_two_people() -> None:
    closes = jakarta("2020-04-16 16:00:00")
    before = closes - timedelta(seconds=1)
    assert approve(State.PROPOSED, "ani", "budi", closes, before) is State.ANNOUNCED
    assert refused(approve(State.PROPOSED, "ani", "ani", closes, before)).code == "same-person"
    assert refused(approve(State.PROPOSED, "ani", "budi", closes, closes)).code == "wave-too-late"
    assert refused(approve(State.OPEN, "ani", "budi", closes, before)).code == "illegal-step"


def test_every_living_state_says_what_is_due_and_every_sentence_comes_in_two_languages() -> None:
    assert set(DUE) == {state for state in State if legal(state)}
    for indonesian, english in WAITING.values():
        assert indonesian
        assert english
        assert indonesian != english


def test_the_mark_changes_with_everything_that_a_checker_reads() -> None:
    read = dict.fromkeys(MARKED)
    marks = {mark(read), *(mark(read | {name: "other"}) for name in MARKED)}
    assert len(marks) == 1 + len(MARKED)
    assert mark(read | {"winners": 1}) == mark(read)
