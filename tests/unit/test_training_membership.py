"""Permenko 11/2020, Arts. 18-20, as examples."""

from dataclasses import replace

import pytest

from services.training.domain import membership
from services.training.domain.advice import next_step
from services.training.domain.credit import Kind, Overdrawn
from services.training.domain.membership import IllegalChange, Lapsed, State, called_off, completed, lapse
from tests.unit.training_examples import PRAKERJA_2020, PRAKERJA_2023, bought, draft, jakarta, on_sale, winner


def test_a_winner_gets_the_credit_of_the_programme_and_thirty_days() -> None:
    member = winner(announced="2020-04-17 10:00")
    assert member.state is State.SELECTED
    assert (member.credit_rupiah, member.entries) == (1_000_000, 1)
    assert member.purchase_due == jakarta("2020-05-17 23:59:59.999999")


def test_a_winner_of_2023_gets_fifteen_days() -> None:
    assert winner(programme=PRAKERJA_2023, announced="2023-02-24").purchase_due == jakarta("2023-03-11 23:59:59.999999")


def test_nobody_is_given_time_beyond_the_cut_off() -> None:
    assert winner(announced="2020-12-01").purchase_due == jakarta("2020-12-15 23:59:59.999999")


def test_a_member_has_until_the_end_of_the_thirtieth_day() -> None:
    member = winner(announced="2020-04-17")
    assert lapse(member, jakarta("2020-05-17 23:59:59")) is None
    lapsed = lapse(member, jakarta("2020-05-18 00:00:00"))
    assert lapsed is not None
    assert lapsed.revoked is not None
    assert lapsed.revoked.reason == "no-purchase-in-time"


def test_revocation_gives_all_unspent_credit_back_and_names_the_seat() -> None:
    lapsed = lapse(winner(), jakarta("2020-05-18"))
    assert lapsed is not None
    assert lapsed.revoked is not None
    assert lapsed.entry is not None
    assert (lapsed.revoked.released_rupiah, lapsed.revoked.province, lapsed.revoked.tier) == (
        1_000_000,
        "31",
        "priority",
    )
    assert (lapsed.entry.kind, lapsed.entry.amount_rupiah, lapsed.member.credit_rupiah) == (
        Kind.RELEASED,
        -1_000_000,
        0,
    )
    assert lapsed.member.state is State.REVOKED
    assert lapse(lapsed.member, jakarta("2020-06-18")) is None


def test_a_purchase_stops_the_clock() -> None:
    buyer = bought(winner(), on_sale()).member
    assert (buyer.state, buyer.purchase_due) == (State.TRAINING, None)
    assert lapse(buyer, jakarta("2020-12-31")) is None


def test_in_2020_nothing_more_has_to_be_bought_after_the_first_course() -> None:
    finisher = completed(bought(winner(), on_sale()).member, PRAKERJA_2020, jakarta("2020-05-06"))
    assert (finisher.state, finisher.purchase_due) == (State.COMPLETED, None)


def finisher_of_2023(price_rupiah: int = 500_000) -> membership.Membership:
    course = on_sale(draft(starts="2023-03-06 09:00", price_rupiah=price_rupiah))
    buyer = bought(winner(programme=PRAKERJA_2023, announced="2023-02-24"), course, PRAKERJA_2023, "2023-03-01").member
    return completed(buyer, PRAKERJA_2023, jakarta("2023-03-08 17:00"))


def test_in_2023_the_next_course_has_to_be_bought_within_fifteen_days_of_finishing_one() -> None:
    finisher = finisher_of_2023()
    assert finisher.purchase_due == jakarta("2023-03-23 23:59:59.999999")
    assert next_step(finisher).en.startswith("Buy the next course")


def test_who_finished_a_course_forfeits_the_rest_of_the_credit_but_is_not_revoked() -> None:
    lapsed = lapse(finisher_of_2023(), jakarta("2023-03-24"))
    assert lapsed is not None
    assert lapsed.entry is not None
    assert lapsed.revoked is None, "a revocation would take the earned incentive and the partner's fee with it"
    assert (lapsed.member.state, lapsed.entry.kind, lapsed.entry.amount_rupiah) == (
        State.CLOSED,
        Kind.FORFEITED,
        -3_000_000,
    )


def test_who_has_spent_everything_has_no_further_deadline() -> None:
    assert finisher_of_2023(price_rupiah=3_500_000).purchase_due is None


def test_while_another_bought_course_is_open_no_purchase_is_due() -> None:
    member = winner(programme=PRAKERJA_2023, announced="2023-02-24")
    for code in ("barista", "las"):
        course = on_sale(draft(code, starts="2023-03-06 09:00"))
        member = bought(member, course, PRAKERJA_2023, "2023-03-01").member
    assert completed(member, PRAKERJA_2023, jakarta("2023-03-08")).purchase_due is None


def test_whose_only_course_is_called_off_gets_the_money_and_the_full_time_again() -> None:
    purchase = bought(winner(), on_sale())
    member, entry = called_off(
        purchase.member, 400_000, purchase.enrolment.enrolment_id, PRAKERJA_2020, jakarta("2020-05-03")
    )
    assert (member.state, member.credit_rupiah, entry.kind) == (State.SELECTED, 1_000_000, Kind.REFUND)
    assert member.purchase_due == jakarta("2020-06-02 23:59:59.999999")


def test_whose_other_course_still_stands_stays_in_training() -> None:
    first = bought(winner(), on_sale())
    second = bought(first.member, on_sale(draft("las")))
    member, _ = called_off(second.member, 400_000, second.enrolment.enrolment_id, PRAKERJA_2020, jakarta("2020-05-03"))
    assert (member.state, member.purchase_due, member.credit_rupiah) == (State.TRAINING, None, 600_000)


def test_a_revoked_member_can_not_come_back() -> None:
    revoked = replace(winner(), state=State.REVOKED)
    with pytest.raises(IllegalChange, match="legal here: nothing"):
        membership.after(revoked, Lapsed)


def test_the_ledger_itself_refuses_to_go_below_zero() -> None:
    with pytest.raises(Overdrawn):
        winner().post(Kind.PURCHASE, -1_000_001, jakarta("2020-04-20"))


@pytest.mark.parametrize("state", State)
def test_every_state_says_what_to_do_next_in_both_languages(state: State) -> None:
    step = next_step(replace(winner(), state=state))
    assert step.id
    assert step.en
    assert step.id != step.en
