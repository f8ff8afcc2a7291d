"""Every event about a citizen is told in plain words, with the next step, the deadline and the reason."""

import json
from datetime import datetime

import pytest

from libs.events.contracts import (
    AppealDecided,
    AppealLodged,
    Event,
    IncentiveFailed,
    IncentivePaid,
    IncentiveReturned,
    MembershipRevoked,
    NotSelected,
    SelectedInBatch,
    TrainingCompleted,
    catalogue,
)
from libs.events.topics import read_by, written_by
from services.disbursement.domain import sentences
from services.disbursement.domain.settlement import REASONS, reason_of
from services.registration.domain import words
from services.registration.domain.steps import Steps, steps_of
from services.registration.domain.timeline import KEPT, TELLERS, Entry, Told, drawn, entry_of, own_step, tell
from services.registration.main import MOVED, reactions_of
from services.registration.store import Store
from services.registration.store_waves import WaveStore
from tests.support import jakarta
from tests.unit.registration_examples import PRAKERJA_2020, PRAKERJA_2023

FRIDAY = jakarta("2020-04-17 10:00:00")
NOTHING_TO_DO = "Anda tidak perlu melakukan apa pun"
WHO = {"citizen_id": "c" * 32, "programme": "prakerja-2020", "wave": 1, "at": FRIDAY}


def told(event: Event, rules: object = PRAKERJA_2020) -> Told:
    entry = entry_of(event)
    return tell(entry.what, entry.at, entry.data, rules)  # type: ignore[arg-type]


def selected() -> SelectedInBatch:
    return SelectedInBatch(application_id="a" * 32, province="32", tier="public", ticket="0" * 64, rank=7, **WHO)


def payment(kind: type[Event], milestone: str, **more: object) -> Event:
    return kind(payout_id="d" * 32, province="32", milestone=milestone, amount_rupiah=600_000, rail="bank", attempt=1,
                **WHO, **more)  # fmt: skip


def test_a_winner_hears_until_when_to_buy() -> None:
    step = told(selected())
    assert "diterima di gelombang 1" in step.id
    assert "Beli pelatihan" in str(step.next_id)
    assert step.deadline == jakarta("2020-05-17 23:59:59").replace(microsecond=999_999)
    assert told(selected(), PRAKERJA_2023).deadline == jakarta("2020-05-02 23:59:59").replace(microsecond=999_999)


@pytest.mark.parametrize(("reason", "heard"), [
    ("lost-draw", "tidak mendapat kursi"), ("household-cap", "Kartu Keluarga"), ("blacklist", "tidak boleh"),
    ("other-aid", "bantuan sosial lain"), ("already-member", "satu kali"), ("something-new", "belum berhasil"),
])  # fmt: skip
def test_whoever_lost_hears_why_and_what_now(reason: str, heard: str) -> None:
    step = told(NotSelected(application_id="a" * 32, reason=reason, **WHO))
    assert heard in step.id
    assert step.next_id
    assert step.next_en


def test_whoever_was_left_out_hears_until_when_to_appeal_and_whoever_lost_hears_nothing_of_it() -> None:
    def step(reason: str) -> Told:
        return told(NotSelected(application_id="a" * 32, reason=reason, **WHO))

    last = jakarta("2020-05-01 23:59:59").replace(microsecond=999_999)
    assert {step(reason).deadline for reason in ("blacklist", "other-aid", "already-member", "household-cap")} == {last}
    assert "banding" in str(step("blacklist").next_id)
    assert step("lost-draw").deadline is None
    assert "banding" not in str(step("lost-draw").next_id)


def test_a_result_carries_the_citizens_own_numbers_and_an_exclusion_has_none() -> None:
    own, proof = {"ticket": "9" * 64, "rank": 8, "cutoff": "1" * 64}, {"proof": "/v1/me/draws"}
    lost = entry_of(NotSelected(application_id="a" * 32, reason="lost-draw", **own, **WHO))
    assert drawn(lost.what, lost.data) == own | proof
    won = entry_of(selected().model_copy(update={"cutoff": "1" * 64}))
    assert drawn(won.what, won.data) == own | proof | {"ticket": "0" * 64, "rank": 7}
    excluded = entry_of(NotSelected(application_id="a" * 32, reason="blacklist", **WHO))
    assert drawn(excluded.what, excluded.data) is None
    assert drawn("applied", {"ticket": "0" * 64}) is None


def test_an_appeal_is_followed_to_its_seat() -> None:
    appeal = {"appeal_id": "f" * 32, "application_id": "a" * 32, "contested": "b" * 32} | WHO
    assert "f" * 32 in str(told(AppealLodged(reason="blacklist", ground="not-me", **appeal)).next_id)
    upheld = told(AppealDecided(upheld=True, finding="record-wrong", **appeal))
    assert "dikabulkan" in upheld.id
    assert "undian yang lama tidak berubah" in upheld.id
    assert "ditolak" in told(AppealDecided(upheld=False, finding="record-right", **appeal)).id
    assert "ditolak" in told(AppealDecided(upheld=False, finding="something-new", **appeal)).id
    given = selected().model_copy(update={"appeal_id": "f" * 32})
    seat = told(given)
    assert "banding Anda mendapat kursi" in seat.id
    assert "urutan undian" not in seat.id
    assert seat.deadline == told(selected()).deadline
    assert drawn(given.TYPE, entry_of(given).data) is None, "its ticket is in no bundle"


def test_money_is_written_as_in_indonesia_and_named() -> None:
    step = told(payment(IncentivePaid, "incentive-1"))
    assert "Rp600.000 (insentif pelatihan ke-1)" in step.id
    assert "survei" in str(step.next_id)
    assert told(payment(IncentivePaid, "survey-2")).next_id is None


PASSING = ("not-booked", "rail-refused", "unheard-of")
"""Reasons that no citizen can repair."""


@pytest.mark.parametrize("reason", sorted(words.PAYMENT_FAILED.keys() - PASSING))
def test_a_failed_payment_says_what_to_repair_and_until_when(reason: str) -> None:
    step = told(payment(IncentiveFailed, "incentive-1", reason=reason))
    assert step.next_id
    assert NOTHING_TO_DO not in step.next_id
    assert step.deadline is not None
    assert step.deadline.date().isoformat() == "2021-03-05"


@pytest.mark.parametrize("reason", PASSING)
def test_where_there_is_nothing_to_repair_there_is_no_deadline(reason: str) -> None:
    step = told(payment(IncentiveFailed, "incentive-1", reason=reason))
    assert NOTHING_TO_DO in str(step.next_id)
    assert step.deadline is None


def test_what_was_returned_had_been_paid() -> None:
    step = told(payment(IncentiveReturned, "survey-1", reason="account-closed"))
    assert "sudah dibayarkan, tetapi dikembalikan" in step.id
    assert "Rekening sudah ditutup." in step.id
    assert "had been paid" in step.en
    assert "Tautkan" in str(step.next_id)
    assert "dikembalikan" not in told(payment(IncentiveFailed, "survey-1", reason="account-closed")).id


@pytest.mark.parametrize("kind", [IncentiveFailed, IncentiveReturned])
@pytest.mark.parametrize("reason", [*words.PAYMENT_FAILED, "unheard-of"])
def test_a_course_that_could_not_be_paid_is_a_matter_of_its_partner(kind: type[Event], reason: str) -> None:
    step = told(payment(kind, "course-" + "e" * 32, reason=reason))
    assert "biaya pelatihan untuk lembaga pelatihan Anda" in step.id
    assert "lembaga pelatihan" in str(step.next_id)
    assert NOTHING_TO_DO in str(step.next_id)
    assert "autkan" not in f"{step.id} {step.next_id}", "whose account it is, is not the learner's affair"
    assert step.deadline is None


def test_every_reason_of_a_payment_is_told_and_disbursement_says_the_same() -> None:
    assert set(words.PAYMENT_FAILED) == set(sentences.BY_REASON) == {*REASONS.values(), reason_of(None)}
    for reason, told_here in words.PAYMENT_FAILED.items():
        here, there = " ".join(told_here), " ".join(sentences.BY_REASON[reason])
        for advice in (NOTHING_TO_DO, "autkan"):
            assert (advice in here) == (advice in there), (reason, advice)


def test_only_the_first_course_leads_to_the_incentive() -> None:
    def done(first: bool) -> Told:
        course = {"enrolment_id": "e" * 32, "course_id": "f" * 32, "partner_id": "p", "certificate_id": "a" * 32}
        return told(TrainingCompleted(price_rupiah=1, first=first, **course, **WHO))

    assert done(True).deadline == jakarta("2021-03-04 23:59:59").replace(microsecond=999_999)
    assert done(False).deadline is None


def test_a_revoked_member_hears_that_the_money_went_back() -> None:
    step = told(MembershipRevoked(province="32", tier="public", reason="no-purchase-in-time", released_rupiah=1, **WHO))
    assert "dicabut" in step.id


def test_a_step_without_its_rules_is_told_without_a_deadline() -> None:
    assert told(selected(), None).deadline is None


def test_what_nobody_foresaw_is_not_left_out() -> None:
    assert tell("something-new", FRIDAY, {}, None).id == words.SOMETHING_ELSE[0]


def test_every_event_about_a_citizen_is_kept_told_and_reacted_to() -> None:
    """A new event type that names a citizen fails here until it has its sentences."""
    topics = [*read_by("registration"), *written_by("registration")]
    heard = {name for topic in topics for name in topic.events}
    about = {name for name, kind in catalogue().items() if "citizen_id" in kind.model_fields and name in heard}
    assert about == set(KEPT)
    assert about <= set(TELLERS)
    reacting = {kind.TYPE for kind in reactions_of(Store(), WaveStore())}
    assert about - reacting == {"applied", "application-withdrawn"}  # written where they are decided
    assert {kind.TYPE for kind in MOVED} <= reacting


def test_what_is_kept_exists_and_is_not_personal() -> None:
    for name, fields in KEPT.items():
        assert set(fields) <= set(catalogue()[name].model_fields)


def test_many_events_become_the_steps_that_each_becomes() -> None:
    for events in (
        [selected(), selected().model_copy(update={"appeal_id": "e" * 32})],
        [
            payment(IncentivePaid, "incentive-1"),
            payment(IncentivePaid, "survey-1").model_copy(update={"amount_rupiah": 2**60}),
        ],
    ):
        steps = steps_of(events)
        told = zip(steps.citizens, steps.entries, steps.at, steps.whats, map(json.loads, steps.data), strict=True)
        assert [Entry(*step) for step in told] == [entry_of(event) for event in events]
    assert steps_of([]) == Steps((), (), (), (), ())


def test_every_sentence_can_be_told() -> None:
    data = {"programme": "prakerja-2020", "wave": 1, "rank": 1, "reason": "x", "milestone": "course-1",
            "amount_rupiah": 1, "field": "kk", "first": True, "nik_disagrees": True, "appeal_id": "f" * 32,
            "upheld": True, "finding": "x", "closes_at": FRIDAY.isoformat(), "draws_at": FRIDAY.isoformat(),
           }  # fmt: skip
    for what in TELLERS:
        step = tell(what, FRIDAY, data, PRAKERJA_2020)
        assert step.id
        assert step.en
        assert bool(step.next_id) == bool(step.next_en)
        assert "{" not in step.id + step.en


def test_a_step_that_is_told_twice_has_one_id() -> None:
    def step(at: datetime, *meaning: str) -> str:
        return own_step("c" * 32, "identity-submitted", at, *meaning).entry_id

    assert step(FRIDAY, "1") == step(jakarta("2020-04-18"), "1") != step(FRIDAY, "2")
