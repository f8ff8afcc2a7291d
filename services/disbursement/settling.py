"""What the rails say becomes state: answers when they are asked, and their statements, which are the truth.

`record` is the one place where a payment changes by what a rail said, wherever it was said. Everything is set-based:
a statement of thousands of lines is a handful of statements to the database.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from libs.events import ids, outbox
from libs.events.contracts import Event, IncentiveFailed, IncentivePaid, IncentiveReturned
from libs.events.database import Transaction
from libs.events.logs import get_logger
from libs.events.programme import Programme
from services.disbursement.domain.accounts import finding_of
from services.disbursement.domain.ledger import Move, Movement
from services.disbursement.domain.payouts import State, Step, target
from services.disbursement.domain.settlement import (
    ACCOUNT_REASONS,
    Contradiction,
    Told,
    Verdict,
    decide,
    reason_of,
)
from services.disbursement.releasing import release_sent_back
from services.disbursement.store import Store
from services.disbursement.store_rails import Payable, Settled

Rules = Mapping[str, Programme]

log = get_logger()

_MOVEMENTS: Final = {Step.BOOK: Movement.PAY, Step.REFUSE: Movement.FAIL, Step.RETURN: Movement.RETURN}
_OUTCOMES: Final = {Step.BOOK: "paid", Step.REFUSE: "failed", Step.RETURN: "returned"}
_EVENTS: Final[Mapping[Step, Callable[..., Event]]] = {
    Step.BOOK: IncentivePaid,
    Step.REFUSE: IncentiveFailed,
    Step.RETURN: IncentiveReturned,
}


async def record(tx: Transaction, store: Store, rules: Rules, told: Sequence[Told], now: datetime) -> int:
    """Take what a rail said about payments into the books; answers how many payments changed.

    What contradicts the books changes nothing and stops all sending with its reason. What comes back for a revoked
    member is released at once.
    """
    if not told:
        return 0
    known = await store.payables(tx, (one.key for one in told))
    settled: dict[str, Settled] = {}
    contradictions: list[Contradiction] = []
    for one in told:
        if one.key not in known:
            contradictions.append(Contradiction("unknown-line", one.key))
            continue
        payable = known[one.key]
        steps = decide(payable.attempt, one)
        if isinstance(steps, Contradiction):
            contradictions.append(steps)
        elif steps:
            before = settled[one.key].steps if one.key in settled else []
            settled[one.key] = _after(payable, [*before, *steps], one, rules, now)
            attempt = replace(payable.attempt, outcome=settled[one.key].outcome, state=settled[one.key].state)
            known[one.key] = replace(payable, attempt=attempt)
    changed = [settled[key] for key in sorted(settled)]
    await store.settle(tx, changed, now)
    await store.move(tx, [move for one in changed for move in _moves(one)], now)
    await store.fail_accounts(tx, _bad_accounts(changed))
    await outbox.add(tx, [event for one in changed for event in _events(one, now)])
    moved = {(one.payable.citizen_id, one.payable.programme) for one in changed if _moves(one)}
    await release_sent_back(tx, store, sorted(moved), now)
    await hold(tx, store, contradictions, now)
    return len(changed)


async def hold(tx: Transaction, store: Store, found: Iterable[Contradiction], now: datetime) -> None:
    """Stop all sending until a person has looked at these.

    The log names reasons, not references: those may be words of somebody else's, read from a statement.
    """
    once = sorted(set(found), key=lambda one: (one.code, one.reference))
    if once and (new := await store.raise_holds(tx, [ids.new(now) for _ in once], once, now)):
        log.error("sending is held until a person has looked", holds=new, reasons=sorted({one.code for one in once}))


def _after(payable: Payable, steps: Sequence[Step], told: Told, rules: Rules, now: datetime) -> Settled:
    """Where attempt and payout stand after these steps, all of them since the transaction began."""
    state = target(steps[-1])
    outcome = next((_OUTCOMES[step] for step in reversed(steps) if step in _OUTCOMES), None)
    if state is not State.FAILED:
        return Settled(payable, steps, outcome, state, None, None)
    retry_at = now + timedelta(days=rules[payable.programme].payout.retry_days)
    return Settled(payable, steps, outcome, state, told.reason or reason_of(None), retry_at)


def _moves(one: Settled) -> list[Move]:
    payable = one.payable
    return [
        Move(
            _MOVEMENTS[step],
            payable.programme,
            payable.wave,
            payable.attempt.amount_rupiah,
            payable.attempt.payout_id,
            payable.citizen_id,
        )
        for step in one.steps
        if step in _MOVEMENTS
    ]


def _events(one: Settled, now: datetime) -> list[Event]:
    payable = one.payable
    told = {
        "payout_id": payable.attempt.payout_id,
        "citizen_id": payable.citizen_id,
        "programme": payable.programme,
        "wave": payable.wave,
        "province": payable.province,
        "milestone": payable.milestone,
        "amount_rupiah": payable.attempt.amount_rupiah,
        "rail": payable.rail,
        "attempt": payable.attempt.number,
        "at": now,
    }
    return [
        _EVENTS[step](**told) if step is Step.BOOK else _EVENTS[step](**told, reason=one.reason)
        for step in one.steps
        if step in _EVENTS
    ]


def _bad_accounts(settled: Iterable[Settled]) -> list[tuple[str, str, datetime]]:
    """Accounts that are not valid after all, with what was found and when to ask the rail again."""
    found = {
        one.payable.account_id: (finding_of(one.reason).value, one.retry_at)
        for one in settled
        if one.payable.account_id and one.reason in ACCOUNT_REASONS and one.retry_at
    }
    return [(account, state, again) for account, (state, again) in found.items()]


def never_booked(keys: Iterable[str]) -> list[Told]:
    """Payments that are proven never to have been booked: the statements that would show them do not."""
    return [Told(key, Verdict.REFUSED, reason="not-booked") for key in keys]
