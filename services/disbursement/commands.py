"""What staff ask of this service. One function each, in the transaction of its request; rules stand in the domain.

Raises Refused with what the rules say; then nothing has changed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from libs.events import ids, outbox
from libs.events.contracts import AppropriationGranted, Rail
from libs.events.database import Transaction
from libs.events.logs import get_logger
from libs.events.programme import Programme, last_moment
from libs.events.refusal import Refusal, Refused
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
from services.disbursement.store import Store

Rules = Mapping[str, Programme]

log = get_logger()


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
    log.error("a hold on sending was lifted", hold_id=hold_id, holds=await store.count_holds(tx))


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
