"""What a partner may put on sale, as examples."""

from dataclasses import replace

from libs.events.refusal import Refusal
from services.training.domain.course import Course, Draft, cancel, days, offer
from tests.unit.training_examples import PARTNER, PRAKERJA_2020, PRAKERJA_2023, PROGRAMMES, draft, jakarta, on_sale


def refused(given: Draft) -> set[str]:
    told = offer(PARTNER, given, PROGRAMMES.values(), jakarta("2020-04-20"))
    assert isinstance(told, tuple)
    assert all(refusal.field for refusal in told), "each names its field"
    return {refusal.code for refusal in told}


def test_a_course_is_offered_with_its_session() -> None:
    course = offer(PARTNER, draft(), PROGRAMMES.values(), jakarta("2020-04-20"))
    assert isinstance(course, Course)
    assert (course.seats_taken, course.cancelled_at, course.partner_id) == (0, None, PARTNER)


def test_a_course_may_not_cost_more_here_than_elsewhere() -> None:
    assert refused(replace(draft(), also_sold_at_rupiah=399_999)) == {"cheaper-elsewhere"}
    same = offer(PARTNER, replace(draft(), also_sold_at_rupiah=400_000), PROGRAMMES.values(), jakarta("2020-04-20"))
    assert isinstance(same, Course)


def test_a_course_has_to_fit_at_least_one_programme() -> None:
    assert refused(draft(hours=5)) == {"fits-no-programme"}
    assert refused(draft(price_rupiah=3_500_001)) == {"fits-no-programme"}
    for_2020_alone = draft(hours=6, price_rupiah=1_000_000)
    assert isinstance(offer(PARTNER, for_2020_alone, [PRAKERJA_2020], jakarta("2020-04-20")), Course)
    assert isinstance(offer(PARTNER, for_2020_alone, [PRAKERJA_2023], jakarta("2020-04-20")), tuple)


def test_every_wrong_field_is_named_at_once() -> None:
    wrong = draft(starts="2020-04-01 09:00", hours=1)
    wrong = replace(wrong, ends_at=wrong.starts_at, also_sold_at_rupiah=1)
    assert refused(wrong) == {"starts-in-the-past", "ends-before-it-starts", "cheaper-elsewhere", "fits-no-programme"}


def test_days_are_counted_in_jakarta() -> None:
    assert days(jakarta("2020-05-04 23:00"), jakarta("2020-05-05 01:00")) == 2
    assert days(jakarta("2020-05-04 00:30"), jakarta("2020-05-04 23:30")) == 1


def test_a_session_can_be_called_off_until_it_begins_and_only_by_its_partner() -> None:
    before, begun = jakarta("2020-05-04 08:59:59"), jakarta("2020-05-04 09:00:00")
    gone = cancel(on_sale(), PARTNER, before)
    assert isinstance(gone, Course)
    assert gone.cancelled_at == before
    assert cancel(gone, PARTNER, begun) == gone
    begun_already = cancel(on_sale(), PARTNER, begun)
    assert isinstance(begun_already, Refusal)
    assert begun_already.code == "course-has-started"
    strange = cancel(on_sale(), "partner-b", before)
    assert isinstance(strange, Refusal)
    assert strange.code == "course-not-found"
