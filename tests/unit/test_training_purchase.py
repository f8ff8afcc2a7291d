"""Buying with learning credit, as examples."""

from dataclasses import replace

import pytest

from libs.events.refusal import Refusal
from services.training.domain.course import Draft
from services.training.domain.membership import Membership, State
from services.training.domain.purchase import Purchase, buy
from tests.unit.training_examples import (
    CODE,
    PRAKERJA_2020,
    PRAKERJA_2023,
    bought,
    draft,
    jakarta,
    on_sale,
    order,
    winner,
)


def refused(
    member: Membership | None = None,
    given: Draft | None = None,
    at: str = "2020-04-20",
    *,
    seats_taken: int = 0,
    held: bool = False,
) -> str:
    member, course = member or winner(), on_sale(given, seats_taken=seats_taken)
    decided = buy(
        order(member, course),
        member,
        course,
        {course.course_id} if held else set(),
        PRAKERJA_2020,
        CODE,
        jakarta(at),
    )
    assert isinstance(decided, Refusal)
    assert decided.id
    assert decided.en
    return decided.code


def test_a_purchase_takes_the_price_and_a_seat_and_gives_a_redeem_code() -> None:
    purchase = bought(winner(), on_sale(seats_taken=29))
    assert purchase.member.credit_rupiah == 600_000
    assert purchase.course.seats_taken == 30
    assert purchase.enrolment.redeem_code == CODE
    assert purchase.entry.amount_rupiah == -400_000
    assert purchase.entry.enrolment_id == purchase.enrolment.enrolment_id


def test_the_same_purchase_id_names_the_same_enrolment_and_another_citizens_does_not() -> None:
    course = on_sale()
    assert order(winner(), course).enrolment_id == order(winner(), course).enrolment_id
    assert order(winner("sari"), course).enrolment_id != order(winner("budi"), course).enrolment_id


def test_never_a_course_dearer_than_the_balance() -> None:
    assert isinstance(bought(winner(), on_sale(draft(price_rupiah=1_000_000))), Purchase)
    assert refused(given=draft(price_rupiah=1_000_001)) == "price-above-balance"


def test_the_credit_serves_several_courses_until_it_is_spent() -> None:
    member = bought(winner(), on_sale(draft("a", price_rupiah=600_000))).member
    member = bought(member, on_sale(draft("b", price_rupiah=400_000))).member
    assert member.credit_rupiah == 0
    assert refused(member, draft("c", price_rupiah=1)) == "price-above-balance"


def test_the_first_purchase_has_to_be_made_in_time() -> None:
    late = draft(starts="2020-06-01 09:00")
    bought(winner(), on_sale(late), at="2020-05-17 23:59:59")
    assert refused(given=late, at="2020-05-18 00:00:00") == "purchase-too-late"


def test_learning_credit_ends_with_the_fifteenth_of_december() -> None:
    buyer = bought(winner(), on_sale()).member
    next_year = draft("las", starts="2021-01-11 09:00")
    bought(buyer, on_sale(next_year), at="2020-12-15 23:59:59")
    assert refused(buyer, next_year, "2020-12-16 00:00:00") == "after-cut-off"


def test_a_course_that_has_started_is_not_sold() -> None:
    bought(winner(), on_sale(), at="2020-05-04 08:59:59")
    assert refused(at="2020-05-04 09:00:00") == "course-started"


def test_no_more_places_are_sold_than_there_are_seats() -> None:
    assert refused(seats_taken=30) == "no-seats-left"


def test_nobody_buys_the_same_course_twice() -> None:
    assert refused(held=True) == "already-bought"


def test_courses_below_the_hours_of_the_programme_are_not_for_its_members() -> None:
    short = on_sale(draft(starts="2023-03-06 09:00", hours=14))
    member = winner(programme=PRAKERJA_2023, announced="2023-02-24")
    decided = buy(order(member, short), member, short, (), PRAKERJA_2023, CODE, jakarta("2023-03-01"))
    assert isinstance(decided, Refusal)
    assert decided.code == "course-too-short"


def test_a_course_that_was_called_off_is_not_sold() -> None:
    course = replace(on_sale(), cancelled_at=jakarta("2020-04-18"))
    decided = buy(order(winner(), course), winner(), course, (), PRAKERJA_2020, CODE, jakarta("2020-04-20"))
    assert isinstance(decided, Refusal)
    assert decided.code == "course-cancelled"


@pytest.mark.parametrize(
    ("state", "code"), [(State.REVOKED, "membership-revoked"), (State.CLOSED, "purchase-too-late")]
)
def test_who_has_lost_the_membership_buys_nothing(state: State, code: str) -> None:
    assert refused(replace(winner(), state=state, purchase_due=None)) == code


def test_who_was_never_selected_is_told_to_join_a_wave() -> None:
    course = on_sale()
    decided = buy(order(winner(), course), None, course, (), None, CODE, jakarta("2020-04-20"))
    assert isinstance(decided, Refusal)
    assert decided.code == "not-a-member"


def test_an_unknown_course_is_told_as_such() -> None:
    decided = buy(order(winner(), on_sale()), winner(), None, (), PRAKERJA_2020, CODE, jakarta("2020-04-20"))
    assert isinstance(decided, Refusal)
    assert decided.code == "course-not-found"
