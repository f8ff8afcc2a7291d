"""What people ask of this service. One function each, in the transaction of its request; rules stand in the domain.

Raises Refused with what the rules say; then nothing has changed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.events import ids, outbox
from libs.events.access import Verifier
from libs.events.contracts import AppropriationGranted, Rail
from libs.events.database import Transaction
from libs.events.programme import Programme, last_moment
from libs.events.refusal import Refusal, Refused
from services.disbursement.domain.accounts import may_link, normal_phone
from services.disbursement.domain.batches import (
    BATCH_PAYOUTS_MAX,
    Batch,
    BatchState,
    may_approve,
    may_edit,
    may_propose,
)
from services.disbursement.domain.books import (
    NO_SUCH_PROGRAMME,
    Appropriation,
    YearEnd,
    appropriation_id,
    may_approve_close,
    may_approve_grant,
    may_close_year,
    may_grant,
)
from services.disbursement.domain.ledger import Entry, Movement
from services.disbursement.domain.milestones import answer_survey
from services.disbursement.identity import identify
from services.disbursement.store import Store
from services.disbursement.store_payouts import Account
from services.disbursement.vault import Payee, Vault

Rules = Mapping[str, Programme]


def demand(refusal: Refusal | None) -> None:
    """Raises Refused where a rule said no."""
    if refusal:
        raise Refused(refusal)


async def propose_appropriation(
    tx: Transaction,
    store: Store,
    rules: Rules,
    *,
    programme: str,
    amount_rupiah: int,
    reference: str,
    person: str,
    now: datetime,
) -> Appropriation:
    """Prepare the booking of a grant. The same budget document again gives the grant that stands there."""
    demand(may_grant(rules.get(programme), await store.year_end(tx, programme)))
    grant = Appropriation(appropriation_id(programme, reference), programme, amount_rupiah, person, None)
    kept = await store.propose_appropriation(tx, grant, reference, now)
    if kept.amount_rupiah != amount_rupiah:
        raise Refused(REFERENCE_TAKEN)
    return kept


async def approve_appropriation(
    tx: Transaction, store: Store, rules: Rules, grant_id: str, person: str, now: datetime
) -> Appropriation:
    """Book a grant: the programme's money is available. Approving twice books once."""
    grant = await store.appropriation(tx, grant_id)
    demand(may_approve_grant(grant, person))
    assert grant is not None, "refused otherwise"
    if grant.approver_person is None:
        demand(may_grant(rules.get(grant.programme), await store.year_end(tx, grant.programme)))
        await store.approve_appropriation(tx, grant_id, person, now)
        await store.post(tx, [Entry(Movement.GRANT, grant.programme, None, grant.amount_rupiah, (grant_id,))], now)
        granted = AppropriationGranted(
            appropriation_id=grant_id, programme=grant.programme, amount_rupiah=grant.amount_rupiah, at=now
        )
        await outbox.add(tx, [granted])
    kept = await store.appropriation(tx, grant_id)
    assert kept is not None, "locked above"
    return kept


@dataclass(frozen=True, slots=True, repr=False)
class AccountLink:
    """What a citizen asks for. Never printed: it names an account and holds an identity token."""

    rail: Rail
    provider: str
    account_number: str
    identity_token: str


async def link_account(
    tx: Transaction,
    store: Store,
    vault: Vault,
    verifier: Verifier,
    rules: Rules,
    citizen_id: str,
    link: AccountLink,
    now: datetime,
) -> str:
    """Link a citizen's account; the rail is asked about it next. Answers its state.

    The same account again, while it is valid or being checked, changes nothing.
    """
    person = await identify(link.identity_token, citizen_id, vault, verifier)
    programmes = [rules[name] for name in await store.member_programmes(tx, citizen_id) if name in rules]
    demand(may_link(link.rail, link.account_number, person.phone, programmes, now))
    number = normal_phone(link.account_number) if link.rail == "e-wallet" else link.account_number
    index = vault.index(link.rail, link.provider, number)
    before = await store.account_of(tx, citizen_id)
    if before and before.number_index == index and before.state in ("valid", "checking"):
        return before.state
    wrapped = await store.payee_key(tx, citizen_id)
    if wrapped is None:
        wrapped = await store.keep_payee_key(tx, citizen_id, vault.new_payee_key(citizen_id))
    payee = Payee(link.account_number, person.nik, person.name, link.provider)
    account = Account(
        account_id=ids.new(now),
        rail=link.rail,
        provider=link.provider,
        number_index=index,
        sealed=vault.seal_payee(wrapped, citizen_id, payee),
        state="checking",
        linked_at=now,
        wrapped=wrapped,
    )
    await store.link(tx, account, citizen_id)
    return account.state


async def answer(
    tx: Transaction,
    store: Store,
    vault: Vault,
    rules: Rules,
    *,
    citizen_id: str,
    programme: str,
    number: int,
    answers: Mapping[str, object],
    now: datetime,
) -> None:
    """Keep the answers of a survey, sealed, and owe what it earns. The same survey again changes nothing."""
    if programme not in rules:
        raise Refused(NO_SUCH_PROGRAMME)
    view = await store.survey_view(tx, citizen_id, programme)
    if view and number in view.answered:
        return
    owed = answer_survey(
        citizen_id,
        rules[programme],
        number,
        now,
        wave=view.wave if view else None,
        answered=view.answered if view else (),
        first_incentive_paid=bool(view and view.first_incentive_paid),
    )
    if isinstance(owed, Refusal):
        raise Refused(owed)
    wrapped = await store.payee_key(tx, citizen_id)
    if wrapped is None:
        wrapped = await store.keep_payee_key(tx, citizen_id, vault.new_payee_key(citizen_id))
    sealed = vault.seal(wrapped, citizen_id, json.dumps(answers).encode())
    await store.keep_survey(tx, citizen_id, programme, number, sealed, now)
    if owed.amount_rupiah:
        await store.schedule(tx, [owed], now)


async def propose_batch(
    tx: Transaction,
    store: Store,
    rules: Rules,
    partners: Sequence[str],
    *,
    programme: str,
    rail: Rail,
    person: str,
    now: datetime,
) -> Batch | None:
    """Make a batch of every payout that is due, up to 100,000; None when nothing is."""
    if programme not in rules:
        raise Refused(NO_SUCH_PROGRAMME)
    demand(may_propose(rules[programme], now))
    batch = Batch(
        batch_id=ids.new(now),
        programme=programme,
        rail=rail,
        state=BatchState.PROPOSED,
        payouts=0,
        total_rupiah=0,
        digest="",
        maker_person=person,
        approver_person=None,
        proposed_at=now,
        approved_at=None,
    )
    link_by = last_moment(rules[programme].payout.link_by)
    return await store.fill_batch(tx, batch, link_by=link_by, partners=partners, limit=BATCH_PAYOUTS_MAX)


async def approve_batch(
    tx: Transaction,
    store: Store,
    batch_id: str,
    *,
    payouts: int,
    total_rupiah: int,
    person: str,
    now: datetime,
) -> Batch:
    """Release a batch for sending. The same person approving the same totals again changes nothing."""
    batch = await store.batch(tx, batch_id)
    if batch and batch.approver_person == person and (payouts, total_rupiah) == (batch.payouts, batch.total_rupiah):
        return batch
    demand(may_approve(batch, person, payouts, total_rupiah))
    await store.approve_batch(tx, batch_id, person, now)
    approved = await store.batch(tx, batch_id)
    assert approved is not None, "locked above"
    return approved


async def withdraw(tx: Transaction, store: Store, batch_id: str, payouts: Sequence[str], now: datetime) -> Batch:
    """Take payouts out of a batch before it is sent. That voids its approval: it needs a checker again."""
    demand(may_edit(await store.batch(tx, batch_id)))
    taken = await store.withdraw(tx, [batch_id], payouts, now)
    if len(taken) < len(set(payouts)):
        raise Refused(NOT_IN_BATCH)
    batch = await store.batch(tx, batch_id)
    assert batch is not None, "locked above"
    return batch


async def propose_year_end(
    tx: Transaction, store: Store, rules: Rules, programme: str, person: str, now: datetime
) -> YearEnd:
    """Prepare the close of a programme's year, after its last payment day."""
    demand(may_close_year(rules.get(programme), now))
    await store.propose_year_end(tx, programme, person, now)
    closing = await store.year_end(tx, programme)
    assert closing is not None, "proposed above"
    return closing


async def approve_year_end(tx: Transaction, store: Store, programme: str, person: str, now: datetime) -> YearEnd:
    """Start the close of a year; a job carries it out."""
    demand(may_approve_close(await store.year_end(tx, programme), person))
    await store.approve_year_end(tx, programme, person, now)
    closing = await store.year_end(tx, programme)
    assert closing is not None, "locked above"
    return closing


async def lift_hold(tx: Transaction, store: Store, hold_id: str, finding: str, person: str, now: datetime) -> None:
    """Let sending go on past one contradiction, with what a person found out about it."""
    if not await store.lift_hold(tx, hold_id, person, finding, now):
        raise Refused(NO_SUCH_HOLD)


REFERENCE_TAKEN = Refusal(
    "reference-taken",
    409,
    "Dokumen anggaran ini sudah tercatat dengan jumlah lain. Periksa jumlah atau nomor dokumennya.",
    "This budget document is recorded with another amount. Check the amount or the reference.",
    "reference",
)
NOT_IN_BATCH = Refusal(
    "not-in-batch",
    409,
    "Ada pembayaran yang tidak berada dalam berkas ini atau sudah dikirim. Tidak ada yang diubah; periksa daftarnya.",
    "Some of these payments are not in this batch or were sent already. Nothing was changed; check the list.",
    "payout_ids",
)
NO_SUCH_HOLD = Refusal(
    "no-such-hold",
    404,
    "Penahanan ini tidak ada atau sudah dicabut. Periksa daftarnya di buku besar.",
    "There is no such hold, or it was lifted already. Check the list in the ledger.",
)
