"""Redeem codes, attendance, post-test, certificate and rating, as examples. The course runs from 4 to 6 May 2020."""

from dataclasses import replace

import pytest

from libs.events.contracts import TrainingRated
from libs.events.refusal import Refusal
from services.training.domain.enrolment import CancelledBy, Enrolment, State
from services.training.domain.membership import completed
from services.training.domain.progress import (
    PASS_MARK,
    Fault,
    Reason,
    attend,
    certify,
    claim,
    completion,
    missing,
    void,
)
from services.training.domain.rating import Rating, rate
from tests.unit.training_examples import (
    CODE,
    PARTNER,
    PRAKERJA_2020,
    bought,
    draft,
    jakarta,
    on_sale,
    place,
    winner,
)

ALL_DAYS = (1, 2, 3)


def claimed_at(moment: str, found: Enrolment | None = None, partner: str = PARTNER, code: str = CODE) -> Fault | None:
    return claim(code, found or place(), partner, PRAKERJA_2020, jakarta(moment))


def test_the_redeem_code_works_from_one_hour_before_to_one_hour_after_the_start() -> None:
    assert claimed_at("2020-05-04 07:59:59") is Fault.TOO_EARLY
    assert claimed_at("2020-05-04 08:00:00") is None
    assert claimed_at("2020-05-04 10:00:00") is None
    assert claimed_at("2020-05-04 10:00:01") is Fault.TOO_LATE


IN_TIME = "2020-05-04 09:00"


def test_fault_not_found() -> None:
    assert claim(CODE, None, PARTNER, None, jakarta(IN_TIME)) is Fault.NOT_FOUND


@pytest.mark.parametrize("code", ["4111111111111111-", "VCHR", "0123456789abcdef", "0123456789ABCDEI", ""])
def test_fault_wrong_type_is_a_code_of_another_kind(code: str) -> None:
    assert claimed_at(IN_TIME, code=code) is Fault.WRONG_TYPE


def test_fault_of_another_institution_comes_before_anything_that_would_tell_about_the_learner() -> None:
    assert claimed_at(IN_TIME, place(State.COMPLETED), "partner-b") is Fault.OTHER_PARTNER


def test_fault_session_cancelled() -> None:
    gone = replace(place(State.CANCELLED), cancelled_by=CancelledBy.SESSION)
    assert claimed_at(IN_TIME, gone) is Fault.CANCELLED


def test_fault_purchase_cancelled() -> None:
    gone = replace(place(State.CANCELLED), cancelled_by=CancelledBy.PURCHASE)
    assert claimed_at(IN_TIME, gone) is Fault.PURCHASE_CANCELLED


@pytest.mark.parametrize("state", [State.CLAIMED, State.COMPLETED, State.RATED])
def test_fault_already_used(state: State) -> None:
    assert claimed_at(IN_TIME, place(state)) is Fault.ALREADY_CLAIMED


def attended_at(moment: str, sequence: int, state: State = State.CLAIMED) -> Reason | None:
    return attend(place(state), PARTNER, sequence, jakarta(moment))


def test_presence_on_a_day_can_not_be_reported_before_that_day() -> None:
    assert attended_at("2020-05-04 08:59:59", 1) is Reason.TOO_EARLY
    assert attended_at("2020-05-04 09:00:00", 1) is None
    assert attended_at("2020-05-04 23:59:59", 2) is Reason.TOO_EARLY
    assert attended_at("2020-05-05 00:00:00", 2) is None


def test_the_post_test_belongs_to_the_last_day() -> None:
    assert attended_at("2020-05-05 23:59:59", 999) is Reason.TOO_EARLY
    assert attended_at("2020-05-06 00:00:00", 999) is None


@pytest.mark.parametrize("sequence", [0, 4, 10, 11, 998])
def test_there_are_as_many_attendances_as_days(sequence: int) -> None:
    assert attended_at("2020-06-01", sequence) is Reason.NO_SUCH_SEQUENCE


def test_a_session_of_three_weeks_asks_for_ten_attendances() -> None:
    long = bought(winner(), on_sale(draft(days=21))).enrolment
    assert long.days == 10
    assert missing(long.days, range(1, 11)) == [999]


def test_nothing_is_recorded_before_the_code_is_claimed() -> None:
    assert attended_at("2020-05-04 09:00", 1, State.BOUGHT) is Reason.NOT_CLAIMED
    assert attended_at("2020-05-04 09:00", 1, State.CANCELLED) is Reason.CANCELLED
    assert attend(None, PARTNER, 1, jakarta("2020-05-04 09:00")) is Reason.NOT_FOUND
    assert attend(place(State.CLAIMED), "partner-b", 1, jakarta("2020-05-04 09:00")) is Reason.OTHER_PARTNER


@pytest.mark.parametrize("absent", ALL_DAYS)
def test_no_certificate_while_one_day_is_missing(absent: int) -> None:
    present = (*(day for day in ALL_DAYS if day != absent), 999)
    assert certify(place(State.CLAIMED, attended=present), PARTNER, 100) is Reason.ATTENDANCE_MISSING


def test_no_certificate_without_the_post_test() -> None:
    assert certify(place(State.CLAIMED, attended=ALL_DAYS), PARTNER, 100) is Reason.POST_TEST_MISSING


def test_the_pass_mark_is_sixty_points() -> None:
    ready = place(State.CLAIMED, attended=(*ALL_DAYS, 999))
    assert PASS_MARK == 60
    assert certify(ready, PARTNER, 59) is Reason.SCORE_TOO_LOW
    assert certify(ready, PARTNER, 60) is None
    assert certify(ready, "partner-b", 60) is Reason.OTHER_PARTNER


def test_only_the_first_finished_course_earns_the_incentive() -> None:
    purchase, now = bought(winner(), on_sale()), jakarta("2020-05-06 17:00")
    first = completion(purchase.enrolment, purchase.member, now)
    assert (first.first, first.price_rupiah, first.partner_id) == (True, 400_000, PARTNER)
    again = bought(completed(purchase.member, PRAKERJA_2020, now), on_sale(draft("las", starts="2020-06-01 09:00")))
    assert completion(again.enrolment, again.member, now).first is False


def test_a_purchase_can_be_voided_until_it_is_claimed_or_begins() -> None:
    before, begun = jakarta("2020-05-04 08:59:59"), jakarta("2020-05-04 09:00:00")
    assert void(place(), PARTNER, before) is None
    assert void(place(), PARTNER, begun) is Reason.HAS_STARTED
    assert void(place(State.CLAIMED), PARTNER, before) is Reason.ALREADY_CLAIMED
    assert void(place(State.CANCELLED), PARTNER, before) is Reason.CANCELLED
    assert void(place(), "partner-b", before) is Reason.OTHER_PARTNER
    assert void(None, PARTNER, before) is Reason.NOT_FOUND


def rating(stars: int = 5) -> Rating:
    done = place(State.COMPLETED)
    return Rating(done.citizen_id, done.enrolment_id, stars, "Sangat membantu.")


NOW = jakarta("2020-05-07")


def test_a_finished_course_can_be_rated() -> None:
    event = rate(rating(4), place(State.COMPLETED), None, NOW)
    assert isinstance(event, TrainingRated)
    assert event.stars == 4


def test_a_rating_is_given_once_and_the_same_again_is_no_fault() -> None:
    assert rate(rating(), place(State.RATED), rating(), NOW) == rating()
    other = rate(rating(1), place(State.RATED), rating(), NOW)
    assert isinstance(other, Refusal)
    assert other.code == "already-rated"


@pytest.mark.parametrize("state", [State.BOUGHT, State.CLAIMED, State.CANCELLED])
def test_an_unfinished_course_can_not_be_rated(state: State) -> None:
    told = rate(rating(), place(state), None, NOW)
    assert isinstance(told, Refusal)
    assert told.code == "not-completed"


def test_nobody_rates_for_somebody_else() -> None:
    told = rate(replace(rating(), citizen_id=winner("budi").citizen_id), place(State.COMPLETED), None, NOW)
    assert isinstance(told, Refusal)
    assert told.code == "enrolment-not-found"
