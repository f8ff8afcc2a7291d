"""Four eyes over every batch: one person prepares it, another approves it with its control totals.

The database enforces the same: `approver_person <> maker_person`, and an approval that carries the digest of exactly
the payments that are in the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from libs.events.contracts import Rail
from libs.events.programme import Programme, last_moment
from libs.events.refusal import Refusal

BATCH_PAYOUTS_MAX: Final = 100_000
FILE_PAYMENTS_MAX: Final = 5_000
LIST_PAYMENTS_MAX: Final = 500


class BatchState(StrEnum):
    PROPOSED = "proposed"
    APPROVED = "approved"
    SENT = "sent"
    DROPPED = "dropped"


class BatchStep(StrEnum):
    APPROVE = "approve"
    EDIT = "edit"
    SEND = "send"
    DROP = "drop"  # an edit has left nothing in it


TRANSITIONS: Final = {
    (BatchState.PROPOSED, BatchStep.APPROVE): BatchState.APPROVED,
    (BatchState.PROPOSED, BatchStep.EDIT): BatchState.PROPOSED,
    (BatchState.APPROVED, BatchStep.EDIT): BatchState.PROPOSED,
    (BatchState.APPROVED, BatchStep.SEND): BatchState.SENT,
    (BatchState.PROPOSED, BatchStep.DROP): BatchState.DROPPED,
}


@dataclass(frozen=True, slots=True)
class Batch:
    """Payouts of one programme over one rail. `digest` is the SHA-256 over key, amount and account of each payment."""

    batch_id: str
    programme: str
    rail: Rail
    state: BatchState
    payouts: int
    total_rupiah: int
    digest: str
    maker_person: str
    approver_person: str | None
    proposed_at: datetime
    approved_at: datetime | None


def payments_per_message(rail: str) -> int:
    """How many payments one file or one list carries at most."""
    return FILE_PAYMENTS_MAX if rail == "bank" else LIST_PAYMENTS_MAX


def may_propose(rules: Programme, now: datetime) -> Refusal | None:
    """Nothing is paid after the programme's last payment day (for 2020: 5 March 2021, Kompas)."""
    if now > last_moment(rules.payout.last_payment):
        return Refusal(
            "last-payment-passed",
            409,
            "Hari pembayaran terakhir program ini sudah lewat. Tutup tahun anggarannya.",
            "The last payment day of this programme has passed. Close its year instead.",
        )
    return None


def may_approve(batch: Batch | None, person: str, payouts: int, total_rupiah: int) -> Refusal | None:
    """Why this person can not approve this batch with these control totals; None if they can."""
    if batch is None:
        return NO_SUCH_BATCH
    if (batch.state, BatchStep.APPROVE) not in TRANSITIONS:
        return wrong_state(batch.state, BatchStep.APPROVE)
    if person == batch.maker_person:
        return SAME_PERSON
    if (payouts, total_rupiah) != (batch.payouts, batch.total_rupiah):
        return Refusal(
            "control-totals-differ",
            409,
            "Jumlah pembayaran atau jumlah rupiah tidak sama dengan isi berkas. Periksa berkasnya, lalu ulangi.",
            "The number of payments or the amount differs from the batch. Check the batch, then repeat.",
        )
    return None


def may_edit(batch: Batch | None) -> Refusal | None:
    """Why payments can not be taken out of this batch; None if they can. An edit voids the approval."""
    if batch is None:
        return NO_SUCH_BATCH
    if (batch.state, BatchStep.EDIT) not in TRANSITIONS:
        return wrong_state(batch.state, BatchStep.EDIT)
    return None


def wrong_state(state: BatchState, step: BatchStep) -> Refusal:
    """Names what is legal instead."""
    legal = legal_steps(state)
    return Refusal(
        f"batch-{state}",
        409,
        f"Berkas ini berada pada keadaan {state}, jadi langkah {step} tidak dapat dilakukan."
        f" Yang mungkin: {', '.join(legal) or 'tidak ada'}.",
        f"This batch is {state}, so the step {step} is not possible. Possible: {', '.join(legal) or 'nothing'}.",
    )


def legal_steps(state: BatchState) -> Sequence[str]:
    return sorted({str(step) for source, step in TRANSITIONS if source is state})


NO_SUCH_BATCH = Refusal(
    "no-such-batch",
    404,
    "Berkas pembayaran ini tidak ditemukan. Periksa nomornya dalam daftar berkas.",
    "This batch was not found. Check its id in the list of batches.",
)
SAME_PERSON = Refusal(
    "same-person",
    403,
    "Orang yang menyiapkan tidak boleh menyetujui. Mintalah orang lain yang berwenang memeriksanya.",
    "Who prepared it may not approve it. Ask another person with that authority to check it.",
)
