"""What is owed, to whom, from when: reads like the regulation."""

from datetime import datetime, timedelta

import pytest

from libs.events import ids
from libs.events.clock import JAKARTA
from libs.events.contracts import TrainingCompleted, TrainingRated
from libs.events.programme import load_programmes
from libs.events.refusal import Refusal
from services.disbursement.domain import batches, books, sentences
from services.disbursement.domain.accounts import AccountState, finding_of, masked, may_link, normal_phone
from services.disbursement.domain.batches import Batch, BatchState, may_approve, may_edit, may_propose
from services.disbursement.domain.milestones import (
    Owed,
    answer_survey,
    due_once_rated,
    owed_for_course,
    owed_for_first_course,
)
from services.disbursement.domain.payouts import State

RULES_2020 = load_programmes()["prakerja-2020"]
RULES_2023 = load_programmes()["prakerja-2023"]
AMI = ids.derive("ami")


def jakarta(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=JAKARTA)


def completed(*, first: bool = True, price: int = 400_000, programme: str = "prakerja-2020") -> TrainingCompleted:
    return TrainingCompleted(
        enrolment_id=ids.derive("enrolment"),
        citizen_id=AMI,
        programme=programme,
        wave=1,
        course_id=ids.derive("course"),
        partner_id="partner-a",
        certificate_id=ids.derive("certificate"),
        price_rupiah=price,
        first=first,
        at=jakarta("2020-05-10 10:00"),
    )


def rated(programme: str = "prakerja-2020") -> TrainingRated:
    return TrainingRated(
        enrolment_id=ids.derive("enrolment"),
        citizen_id=AMI,
        programme=programme,
        wave=1,
        course_id=ids.derive("course"),
        stars=4,
        at=jakarta("2020-05-12 08:00"),
    )


def test_a_completed_course_is_owed_to_its_partner_at_once() -> None:
    owed = owed_for_course(completed())
    assert owed is not None
    assert (owed.partner_id, owed.amount_rupiah, owed.due_at) == ("partner-a", 400_000, jakarta("2020-05-10 10:00"))
    assert owed.milestone == f"course-{ids.derive('enrolment')}"
    assert owed_for_course(completed(price=0)) is None


def test_only_the_first_course_earns_incentives_four_in_2020_and_one_in_2023() -> None:
    assert [one.milestone for one in owed_for_first_course(completed(), RULES_2020)] == [
        "incentive-1",
        "incentive-2",
        "incentive-3",
        "incentive-4",
    ]
    (only,) = owed_for_first_course(completed(programme="prakerja-2023"), RULES_2023)
    assert (only.amount_rupiah, only.due_at) == (600_000, None)
    assert owed_for_first_course(completed(first=False), RULES_2020) == []


def test_the_first_incentive_is_due_once_rated_and_the_others_every_thirty_days() -> None:
    due = due_once_rated(rated(), RULES_2020)
    assert [one.due_at for one in due] == [rated().at + timedelta(days=days) for days in (0, 30, 60, 90)]
    owed = owed_for_first_course(completed(), RULES_2020)
    assert [one.payout_id for one in due] == [one.payout_id for one in owed]


def survey(number: int, now: str = "2020-06-01", **changed: object) -> Owed | Refusal:
    given: dict[str, object] = {"wave": 1, "answered": (), "first_incentive_paid": True} | changed
    return answer_survey(AMI, RULES_2020, number, jakarta(now), **given)  # type: ignore[arg-type]


def test_an_answered_survey_is_due_at_once() -> None:
    owed = survey(1)
    assert isinstance(owed, Owed)
    assert (owed.milestone, owed.amount_rupiah, owed.due_at) == ("survey-1", 50_000, jakarta("2020-06-01"))
    assert isinstance(survey(3, answered=(1, 2)), Owed)


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (survey(1, first_incentive_paid=False), "first-incentive-not-paid"),
        (survey(2), "earlier-survey-first"),
        (survey(3, answered=(1,)), "earlier-survey-first"),
        (survey(0), "no-such-survey"),
        (survey(4, answered=(1, 2, 3)), "no-such-survey"),
        (survey(1, wave=None), "not-a-member"),
        (survey(1, now="2021-03-05"), "survey-too-late"),
    ],
)
def test_a_survey_is_refused_with_its_reason(refused: Owed | Refusal, code: str) -> None:
    assert isinstance(refused, Refusal)
    assert refused.code == code
    assert refused.id
    assert refused.en


def test_surveys_end_with_the_last_day_for_linking() -> None:
    assert isinstance(survey(1, now="2021-03-04 23:59:59"), Owed)


def test_an_account_can_be_linked_to_the_end_of_the_last_day() -> None:
    linked = ("bank", "1234567", "0812", [RULES_2020])
    assert may_link(*linked, jakarta("2021-03-04 23:59:59")) is None
    late = may_link(*linked, jakarta("2021-03-05 00:00:00"))
    assert late is not None
    assert late.code == "link-too-late"
    assert may_link("bank", "1234567", "0812", [RULES_2020, RULES_2023], jakarta("2021-03-05")) is None
    assert may_link("bank", "1234567", "0812", [], jakarta("2030-01-01")) is None, "no member of anything yet"


def test_the_same_phone_in_three_spellings() -> None:
    assert normal_phone("0812-3456-789") == normal_phone("+62 812 3456 789") == normal_phone("628123456789")
    assert may_link("e-wallet", "08123456789", "+628123456789", [], jakarta("2020-05-01")) is None
    assert may_link("e-wallet", "08123456780", "+628123456789", [], jakarta("2020-05-01")) is not None
    assert may_link("bank", "08123456780", "+628123456789", [], jakarta("2020-05-01")) is None


def test_an_account_is_shown_by_its_last_three_digits() -> None:
    assert masked("9000000123") == "•••• 123"


def test_what_a_rail_finds_is_what_holds_and_unknown_words_are_not_found() -> None:
    assert finding_of("account-closed") is finding_of("closed") is AccountState.CLOSED
    assert finding_of("valid") is AccountState.VALID
    for word in ("something new", "checking", "in-use"):
        assert finding_of(word) is AccountState.NOT_FOUND


def batch(state: BatchState = BatchState.PROPOSED, payouts: int = 2) -> Batch:
    return Batch(
        batch_id=ids.derive("batch"),
        programme="prakerja-2020",
        rail="bank",
        state=state,
        payouts=payouts,
        total_rupiah=payouts * 600_000,
        digest="d",
        maker_person="ani",
        approver_person=None if state is BatchState.PROPOSED else "budi",
        proposed_at=jakarta("2020-05-01"),
        approved_at=None,
    )


def refusal_code(refusal: Refusal | None) -> str | None:
    return refusal.code if refusal else None


def test_a_batch_is_approved_by_another_person_with_its_control_totals() -> None:
    assert may_approve(batch(), "budi", 2, 1_200_000) is None
    assert refusal_code(may_approve(batch(), "ani", 2, 1_200_000)) == "same-person"
    assert refusal_code(may_approve(batch(), "budi", 1, 1_200_000)) == "control-totals-differ"
    assert refusal_code(may_approve(batch(), "budi", 2, 1_200_001)) == "control-totals-differ"
    assert refusal_code(may_approve(batch(BatchState.DROPPED, 0), "budi", 0, 0)) == "batch-dropped"
    assert refusal_code(may_approve(None, "budi", 2, 1_200_000)) == "no-such-batch"


def test_an_illegal_step_names_the_legal_ones() -> None:
    refused = may_approve(batch(BatchState.APPROVED), "chandra", 2, 1_200_000)
    assert refused is not None
    assert "edit, send" in refused.en
    assert refusal_code(may_edit(batch(BatchState.SENT))) == "batch-sent"
    assert may_edit(batch(BatchState.APPROVED)) is None


def test_the_last_payment_day_counts_to_its_end() -> None:
    assert may_propose(RULES_2020, jakarta("2021-03-05 23:59:59")) is None
    assert refusal_code(may_propose(RULES_2020, jakarta("2021-03-06"))) == "last-payment-passed"
    assert refusal_code(books.may_close_year(RULES_2020, jakarta("2021-03-05 23:59:59"))) == "too-early-to-close"
    assert books.may_close_year(RULES_2020, jakarta("2021-03-06")) is None


def test_a_message_carries_a_limited_number_of_payments() -> None:
    assert batches.payments_per_message("bank") == 5_000
    assert batches.payments_per_message("e-wallet") == 500


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("account", ["none", *(state.value for state in AccountState)])
@pytest.mark.parametrize("due", [True, False])
def test_every_payout_says_what_to_do_next(state: State, account: str, due: bool) -> None:
    for reason in ("wallet-full", "never heard of", None):
        indonesian, english = sentences.next_step(state, reason, due=due, account=account)
        assert indonesian.endswith(".")
        assert english.endswith(".")


def test_a_failed_payout_tells_the_citizen_how_to_repair_its_reason() -> None:
    assert "Empty it" in sentences.next_step(State.FAILED, "wallet-full", due=True, account="valid")[1]
    assert "Rate" in sentences.next_step(State.SCHEDULED, None, due=False, account="valid")[1]
    assert "Link" in sentences.next_step(State.SCHEDULED, None, due=True, account="none")[1]
    assert sentences.next_step(State.FAILED, "never heard of", due=True, account="valid") == sentences.next_step(
        State.FAILED, "rail-refused", due=True, account="valid"
    )


def test_every_state_of_an_account_says_what_to_do_and_payouts_say_the_same() -> None:
    assert set(sentences.BY_ACCOUNT) == set(AccountState)
    for state in ("none", *AccountState):
        told = sentences.account_step(state)
        assert all(sentence.endswith(".") for sentence in told)
        waiting = sentences.next_step(State.SCHEDULED, None, due=True, account=state)
        assert (waiting == told) == (state != AccountState.VALID)


def test_an_account_of_somebody_else_is_not_to_be_repaired_but_replaced() -> None:
    indonesian, english = sentences.account_step("in-use")
    assert "Link a bank account or e-wallet in your own name" in english
    assert "Tautkan" in indonesian
    assert "bank correct" not in english
    assert "Perbaiki" not in indonesian
