"""What the rail says, and what follows."""

from datetime import UTC, datetime, timedelta

import pytest

from services.disbursement.domain.payouts import TRANSITIONS, State, Step, end_to_end_id, payout_id, sources, target
from services.disbursement.domain.settlement import (
    ASK_APART_MIN,
    Attempt,
    Contradiction,
    Told,
    Verdict,
    decide,
    next_ask,
    reason_of,
)

SENT = datetime(2020, 5, 1, 2, tzinfo=UTC)


def attempt(state: State = State.SUBMITTED, outcome: str | None = None) -> Attempt:
    return Attempt("key", "payout", 1, 600_000, outcome, state)


@pytest.mark.parametrize("state", [State.SUBMITTED, State.UNKNOWN])
def test_what_is_on_its_way_or_unknown_ends_by_what_the_rail_says(state: State) -> None:
    assert decide(attempt(state), Told("key", Verdict.BOOKED)) == [Step.BOOK]
    assert decide(attempt(state), Told("key", Verdict.REFUSED, reason="wallet-full")) == [Step.REFUSE]
    assert decide(attempt(state), Told("key", Verdict.RETURNED)) == [Step.BOOK, Step.RETURN]


def test_no_answer_makes_it_unknown_once() -> None:
    assert decide(attempt(), Told("key", Verdict.NO_ANSWER)) == [Step.LOSE]
    assert decide(attempt(State.UNKNOWN), Told("key", Verdict.NO_ANSWER)) == []


def test_unknown_is_left_only_by_a_verdict_and_never_by_sending_again() -> None:
    ways_out = {step for state, step in TRANSITIONS if state is State.UNKNOWN}
    assert ways_out == {Step.BOOK, Step.REFUSE}
    assert {state for state, step in TRANSITIONS if step is Step.SUBMIT} == {State.APPROVED}


@pytest.mark.parametrize(
    ("outcome", "state", "verdict"),
    [
        ("paid", State.PAID, Verdict.BOOKED),
        ("paid", State.PAID, Verdict.NO_ANSWER),
        ("failed", State.FAILED, Verdict.REFUSED),
        ("failed", State.SCHEDULED, Verdict.REFUSED),
        ("returned", State.FAILED, Verdict.RETURNED),
        ("returned", State.FAILED, Verdict.BOOKED),
    ],
)
def test_the_same_told_again_changes_nothing(outcome: str, state: State, verdict: Verdict) -> None:
    assert decide(attempt(state, outcome), Told("key", verdict)) == []


def test_a_booked_payment_can_come_back() -> None:
    assert decide(attempt(State.PAID, "paid"), Told("key", Verdict.RETURNED)) == [Step.RETURN]


@pytest.mark.parametrize(
    ("given", "told", "code"),
    [
        (attempt(), Told("key", Verdict.BOOKED, 599_999), "wrong-amount"),
        (attempt(State.PAID, "paid"), Told("key", Verdict.BOOKED, 1), "wrong-amount"),
        (attempt(State.PAID, "paid"), Told("key", Verdict.REFUSED), "paid-but-refused"),
        (attempt(State.FAILED, "failed"), Told("key", Verdict.BOOKED), "failed-but-booked"),
        (attempt(State.FAILED, "failed"), Told("key", Verdict.RETURNED), "failed-but-returned"),
        (attempt(State.SCHEDULED, "withdrawn"), Told("key", Verdict.BOOKED), "withdrawn-but-booked"),
        (attempt(State.APPROVED), Told("key", Verdict.BOOKED), "told-before-sent"),
        (attempt(), Told("key", Verdict.NO_ANSWER, reason="key-reused"), "key-reused"),
    ],
)
def test_what_can_not_both_be_true_is_a_contradiction(given: Attempt, told: Told, code: str) -> None:
    assert decide(given, told) == Contradiction(code, "key")


def test_every_step_leads_to_one_state() -> None:
    for step in Step:
        assert {state for (_, taken), state in TRANSITIONS.items() if taken is step} == {target(step)}
        assert sources(step) == sorted(sources(step))
        assert sources(step)


def test_an_attempt_has_a_key_of_35_characters_of_its_own() -> None:
    payout = payout_id("c", "prakerja-2020", "incentive-1")
    keys = {end_to_end_id(payout, number) for number in (1, 2, 999)}
    assert {len(key) for key in keys} == {35}
    assert len(keys) == 3
    for wrong in (0, 1000):
        with pytest.raises(ValueError, match="does not fit"):
            end_to_end_id(payout, wrong)


def test_a_rail_is_asked_three_times_and_the_last_time_after_the_next_days_statement() -> None:
    first = next_ask(SENT, 0, SENT)
    assert first == SENT + timedelta(hours=2)
    assert next_ask(SENT, 1, first) == SENT + timedelta(hours=8)
    third = next_ask(SENT, 2, SENT + timedelta(hours=8))
    assert third is not None
    assert third - SENT >= timedelta(hours=48)
    assert next_ask(SENT, 3, third) is None


def test_two_questions_are_at_least_ninety_seconds_apart() -> None:
    late = SENT + timedelta(days=9)
    assert next_ask(SENT, 1, late) == late + ASK_APART_MIN


def test_reasons_are_told_in_the_programmes_words() -> None:
    assert reason_of("AC04") == "account-closed"
    assert reason_of("BE01") == "identity-mismatch"
    assert reason_of("wallet-full") == "wallet-full"
    assert reason_of("ZZ99") == reason_of(None) == "rail-refused"
