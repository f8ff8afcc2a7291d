"""What is shown: to a citizen their own account and payouts, to the auditor the ledger."""

from collections.abc import Sequence

from libs.events.database import Transaction
from services.disbursement.domain.accounts import masked
from services.disbursement.domain.sentences import NO_ACCOUNT, account_step, next_step
from services.disbursement.shapes import (
    AccountShown,
    ChecksShown,
    HoldShown,
    LedgerShown,
    PartnerOwed,
    PayoutShown,
    Sentence,
)
from services.disbursement.store import Store
from services.disbursement.vault import Vault


async def account(tx: Transaction, store: Store, vault: Vault, citizen_id: str) -> AccountShown:
    """The linked account, masked but for the last three digits, with what to do about it."""
    found = (await store.accounts_of(tx, [citizen_id])).get(citizen_id)
    state = found.state if found else NO_ACCOUNT
    indonesian, english = account_step(state)
    told = Sentence(id=indonesian, en=english)
    if found is None:
        return AccountShown(state=state, next_step=told)
    payee = vault.open_payee(found.wrapped, citizen_id, found.sealed)
    return AccountShown(
        state=state,
        rail=found.rail,
        provider=found.provider,
        masked=masked(payee.account_number),
        next_step=told,
    )


async def payouts(tx: Transaction, store: Store, citizen_id: str) -> list[PayoutShown]:
    """What a citizen is owed and was paid, oldest first, each with what to do next."""
    found = (await store.accounts_of(tx, [citizen_id])).get(citizen_id)
    state = found.state if found else NO_ACCOUNT
    shown: list[PayoutShown] = []
    for one in await store.payouts_of(tx, citizen_id):
        indonesian, english = next_step(one.state, one.reason, due=one.due_at is not None, account=state)
        shown.append(
            PayoutShown(
                payout_id=one.payout_id,
                programme=one.programme,
                wave=one.wave,
                milestone=one.milestone,
                amount_rupiah=one.amount_rupiah,
                due_at=one.due_at,
                state=one.state,
                reason=one.reason,
                retry_at=one.retry_at,
                next_step=Sentence(id=indonesian, en=english),
            )
        )
    return shown


async def ledger(tx: Transaction, store: Store, programme: str, partners: Sequence[str]) -> LedgerShown:
    """The six figures of a programme, added up again from what lies below them, and why sending is held, if it is.

    `partners` are those whose account is known: who is owed and not among them can not be paid, and is named.
    """
    balances, checks = await store.balances(tx, programme), await store.ledger_checks(tx, programme)
    figures = {name: balances.get(name, 0) for name in ("available", "reserved", "in_flight", "paid", "returned")}
    agree = all(figures[name] == checks[f"{name}_rupiah"] for name in ("reserved", "in_flight", "paid"))
    return LedgerShown(
        programme=programme,
        appropriation=-balances.get("appropriation", 0),
        **figures,
        members=checks["members"],
        checks=ChecksShown(
            postings_add_up_to_zero=checks["postings_rupiah"] == 0,
            balances_are_their_postings=checks["balances_wrong"] == 0,
            reservations_agree=agree,
        ),
        sending_held=[HoldShown(**hold) for hold in await store.open_holds(tx)],
        partners_without_account=[
            PartnerOwed(**owed) for owed in await store.partners_unpayable(tx, programme, partners)
        ],
    )
