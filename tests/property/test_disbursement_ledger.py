"""Whatever a rail says in whatever order, the money of a programme adds up, and nobody is paid twice."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.disbursement.domain.ledger import Account, Entry, Move, Movement, entries, member_moves
from services.disbursement.domain.payouts import TRANSITIONS, State, Step, target
from services.disbursement.domain.settlement import Attempt, Contradiction, Told, Verdict, decide

MOVES = st.builds(
    Move,
    st.sampled_from(list(Movement)),
    st.sampled_from(["a", "b"]),
    st.one_of(st.none(), st.integers(1, 3)),
    st.integers(1, 2**53),
    st.sampled_from("pqrs"),
    st.one_of(st.none(), st.sampled_from("xyz")),
)


@given(st.lists(MOVES))
def test_entries_keep_every_rupiah_of_their_moves(moves: list[Move]) -> None:
    made = entries(moves)
    assert sum(entry.amount_rupiah for entry in made) == sum(move.amount_rupiah for move in moves)
    keys = [(entry.programme, entry.wave, entry.movement) for entry in made]
    assert len(keys) == len(set(keys))
    assert {concern for entry in made for concern in entry.concerns} == {move.concerns for move in moves}


@given(st.lists(MOVES))
def test_the_order_of_entries_does_not_depend_on_the_order_of_moves(moves: list[Move]) -> None:
    assert entries(moves) == entries(list(reversed(moves)))


@given(st.lists(MOVES))
def test_member_moves_say_the_same_as_the_ledger(moves: list[Move]) -> None:
    known = [move for move in moves if move.citizen_id]
    changes = member_moves(moves)

    def gained(account: Account) -> int:
        return sum(
            move.amount_rupiah * ((move.movement.target is account) - (move.movement.source is account))
            for move in known
        )

    assert sum(change.reserved for change in changes) == gained(Account.RESERVED)
    assert sum(change.in_flight for change in changes) == gained(Account.IN_FLIGHT)
    assert sum(change.paid for change in changes) == gained(Account.PAID)
    assert sum(change.released for change in changes) == gained(Account.AVAILABLE)


@given(st.lists(st.sampled_from(list(Verdict))))
def test_money_follows_the_payout_through_any_story_a_rail_can_tell(verdicts: list[Verdict]) -> None:
    """In flight while nobody knows, paid at most once, reserved again after a failure or a return."""
    attempt = Attempt("k", "p", 1, 5, None, State.SUBMITTED)
    steps: list[Step] = []
    for verdict in verdicts:
        decided = decide(attempt, Told("k", verdict))
        if isinstance(decided, Contradiction):
            continue
        for step in decided:
            assert (attempt.state, step) in TRANSITIONS
            outcome = {Step.BOOK: "paid", Step.REFUSE: "failed", Step.RETURN: "returned"}.get(step, attempt.outcome)
            attempt = replace(attempt, state=target(step), outcome=outcome)
            steps.append(step)
    assert steps.count(Step.BOOK) <= 1
    assert steps.count(Step.BOOK) + steps.count(Step.REFUSE) <= 1
    assert steps.count(Step.RETURN) <= steps.count(Step.BOOK)


@given(st.lists(MOVES, min_size=1))
def test_both_sides_of_an_entry_are_two_different_accounts(moves: list[Move]) -> None:
    for entry in entries(moves):
        assert isinstance(entry, Entry)
        assert entry.movement.source is not entry.movement.target
        assert entry.amount_rupiah > 0
