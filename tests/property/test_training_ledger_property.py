"""Whatever happens to a member, in any order: the ledger adds up, never goes below zero, and states stay legal."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events.programme import Programme
from services.training.commands import new_redeem_code
from services.training.domain import membership
from services.training.domain.credit import Entry, Kind
from services.training.domain.enrolment import Enrolment
from services.training.domain.membership import TRANSITIONS, Membership, State
from services.training.domain.progress import REDEEM_CODE
from services.training.domain.purchase import Purchase, buy
from tests.unit.training_examples import CODE, PRAKERJA_2020, PRAKERJA_2023, draft, on_sale, order, winner

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "complete", "call-off", "wait"]),
        st.integers(min_value=1, max_value=1_200_000),  # rupiah of a price, or what picks an enrolment
        st.integers(min_value=0, max_value=20),  # days that pass before
    ),
    max_size=40,
)


class Life:
    """One member's life, step by step, with the rules deciding."""

    def __init__(self, rules: Programme) -> None:
        self.rules = rules
        announced = "2020-04-17" if rules is PRAKERJA_2020 else "2023-02-24"
        self.member: Membership = winner(programme=rules, announced=announced)
        self.now = self.member.selected_at
        self.ledger: list[Entry] = []
        self.open: list[Enrolment] = []
        self.sold = 0

    def step(self, what: str, number: int, days: int) -> None:
        self.now += timedelta(days=days)
        if lapsed := membership.lapse(self.member, self.now):
            self.member = lapsed.member
            self.ledger += [lapsed.entry] if lapsed.entry else []
            assert (lapsed.revoked is None) == (self.member.courses_completed > 0)
        if what == "buy":
            self.buy(number)
        elif self.open and what in ("complete", "call-off"):
            place = self.open.pop(number % len(self.open))
            if what == "complete":
                self.member = membership.completed(self.member, self.rules, self.now)
            else:
                self.member, entry = membership.called_off(
                    self.member, place.price_rupiah, place.enrolment_id, self.rules, self.now
                )
                self.ledger.append(entry)

    def buy(self, price_rupiah: int) -> None:
        self.sold += 1
        starts = (self.now + timedelta(days=1)).strftime("%Y-%m-%d %H:%M")
        course = on_sale(draft(f"course-{self.sold}", starts=starts, price_rupiah=price_rupiah))
        wish = order(self.member, course, str(self.sold))
        decided = buy(wish, self.member, course, (), self.rules, CODE, self.now)
        if isinstance(decided, Purchase):
            assert price_rupiah <= self.member.credit_rupiah
            self.member = decided.member
            self.ledger.append(decided.entry)
            self.open.append(decided.enrolment)


@settings(max_examples=200, deadline=None)
@given(rules=st.sampled_from([PRAKERJA_2020, PRAKERJA_2023]), steps=STEPS)
def test_the_ledger_adds_up_and_never_goes_below_zero(rules: Programme, steps: list[tuple[str, int, int]]) -> None:
    life = Life(rules)
    granted = balance = life.member.credit_rupiah
    for what, number, days in steps:
        before = life.member.state
        life.step(what, number, days)
        member = life.member
        assert 0 <= member.credit_rupiah <= granted
        assert member.courses_open == len(life.open)
        assert (member.state is State.SELECTED) == (
            member.courses_open == member.courses_completed == 0 and member.state is not State.REVOKED
        )
        assert before not in (State.REVOKED, State.CLOSED) or member.state is before
    for number, entry in enumerate(life.ledger, 2):
        assert (entry.number, entry.before_rupiah) == (number, balance)
        balance = entry.balance_rupiah
    assert balance == life.member.credit_rupiah
    spent = -sum(entry.amount_rupiah for entry in life.ledger if entry.kind in (Kind.PURCHASE, Kind.REFUND))
    gone = -sum(entry.amount_rupiah for entry in life.ledger if entry.kind in (Kind.RELEASED, Kind.FORFEITED))
    assert granted == spent + gone + life.member.credit_rupiah
    if life.member.state in (State.REVOKED, State.CLOSED):
        assert life.member.credit_rupiah == 0


def test_every_state_but_the_last_ones_leads_on() -> None:
    left = {state for state, _ in TRANSITIONS}
    assert set(State) - left == {State.REVOKED, State.CLOSED}
    assert set(TRANSITIONS.values()) == set(State), "every state can be reached"


def test_redeem_codes_have_their_form_and_do_not_repeat() -> None:
    codes = [new_redeem_code() for _ in range(2_000)]
    assert len(set(codes)) == len(codes)
    assert all(REDEEM_CODE.fullmatch(code) for code in codes)
    assert {digit for code in codes for digit in code} == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
