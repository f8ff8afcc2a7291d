"""Payouts, accounts, surveys and batches, as rows and back."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.events.database import Transaction
from services.disbursement.domain.batches import Batch, BatchState
from services.disbursement.domain.milestones import Due, Owed
from services.disbursement.domain.payouts import State, Step, sources
from services.disbursement.queries import QUERIES


@dataclass(frozen=True, slots=True)
class Account:
    """A linked account; what is personal in it is sealed."""

    account_id: str
    rail: str
    provider: str
    number_index: bytes
    sealed: bytes
    state: str
    linked_at: datetime
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class PayoutView:
    """One payout as its citizen sees it."""

    payout_id: str
    programme: str
    wave: int
    milestone: str
    amount_rupiah: int
    due_at: datetime | None
    state: State
    reason: str | None
    retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class SurveyView:
    wave: int
    answered: list[int]
    first_incentive_paid: bool


class PayoutStore:
    """What is owed, to whom it goes, and in which batch."""

    async def schedule(self, tx: Transaction, owed: Sequence[Owed], now: datetime) -> None:
        """Owe these amounts; those that are owed already stay as they are."""
        if not owed:
            return
        await QUERIES.payouts_schedule(
            tx,
            ids=[one.payout_id for one in owed],
            citizens=[one.citizen_id for one in owed],
            programmes=[one.programme for one in owed],
            waves=[one.wave for one in owed],
            milestones=[one.milestone for one in owed],
            enrolments=[one.enrolment_id for one in owed],
            partners=[one.partner_id for one in owed],
            amounts=[one.amount_rupiah for one in owed],
            due=[one.due_at for one in owed],
            now=now,
        )

    async def course_fees(self, tx: Transaction, members: Sequence[tuple[str, str]]) -> list[tuple[str, str, int]]:
        """What the courses of these members cost together: citizen, programme, rupiah."""
        citizens, programmes = zip(*members, strict=True)
        rows = await QUERIES.course_fees(tx, citizens=citizens, programmes=programmes)
        return [(row["citizen_id"], row["programme"], row["amount_rupiah"]) for row in rows]

    async def rate(self, tx: Transaction, due: Sequence[Due], now: datetime) -> None:
        """Give waiting incentives their due dates."""
        await QUERIES.payouts_rated(
            tx,
            ids=[one.payout_id for one in due],
            enrolments=[one.enrolment_id for one in due],
            due=[one.due_at for one in due],
            now=now,
        )

    async def payouts_of(self, tx: Transaction, citizen_id: str) -> list[PayoutView]:
        return [
            PayoutView(
                row["payout_id"],
                row["programme"],
                row["wave"],
                row["milestone"],
                row["amount_rupiah"],
                row["due_at"],
                State(row["state"]),
                row["reason"],
                row["retry_at"],
            )
            for row in await QUERIES.payouts_of(tx, citizen_id=citizen_id)
        ]

    async def survey_views(
        self, tx: Transaction, members: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], SurveyView]:
        """By citizen and programme; whoever is no member is missing. Locked until the transaction ends."""
        citizens, programmes = zip(*sorted(members), strict=True)
        await QUERIES.members_lock(tx, citizens=citizens, programmes=programmes)
        rows = await QUERIES.survey_views(tx, citizens=citizens, programmes=programmes)
        return {
            (row["citizen_id"], row["programme"]): SurveyView(
                row["wave"], list(row["answered"]), row["first_incentive_paid"]
            )
            for row in rows
        }

    async def keep_surveys(self, tx: Transaction, kept: Sequence[tuple[str, str, int, bytes]], now: datetime) -> None:
        """Keep sealed answers: citizen, programme, number of the survey, answers."""
        if kept:
            citizens, programmes, numbers, answers = zip(*kept, strict=True)
            await QUERIES.surveys_add(
                tx, citizens=citizens, programmes=programmes, numbers=numbers, answers=answers, now=now
            )

    async def retry(self, tx: Transaction, now: datetime, limit: int) -> int:
        """Schedule failed payouts again whose reason may be gone; answers how many."""
        return len(await QUERIES.payouts_retry(tx, sources=sources(Step.RETRY), now=now, limit=limit))

    async def cancel(
        self, tx: Transaction, members: Sequence[tuple[str, str]], now: datetime, *, partners_too: bool = False
    ) -> None:
        """Cancel what is unpaid and in no batch: of citizens, and of partners only where asked."""
        citizens, programmes = zip(*members, strict=True)
        await QUERIES.payouts_cancel(
            tx,
            citizens=citizens,
            programmes=programmes,
            sources=sources(Step.CANCEL),
            partners_too=partners_too,
            now=now,
        )

    async def cancel_revoked(self, tx: Transaction, now: datetime, limit: int) -> None:
        """Cancel what revoked members were owed themselves and is not on its way any more."""
        await QUERIES.payouts_cancel_revoked(tx, sources=sources(Step.CANCEL), now=now, limit=limit)

    async def cancel_programme(self, tx: Transaction, programme: str, now: datetime, limit: int) -> int:
        rows = await QUERIES.payouts_cancel_programme(
            tx, programme=programme, sources=sources(Step.CANCEL), now=now, limit=limit
        )
        return len(rows)

    async def partners_unpayable(
        self, tx: Transaction, programme: str, partners: Sequence[str]
    ) -> list[Mapping[str, Any]]:
        """Partners who are owed fees and are not among `partners`, of whom an account is known."""
        return list(await QUERIES.partners_unpayable(tx, programme=programme, partners=partners))

    async def fill_batch(
        self,
        tx: Transaction,
        batch: Batch,
        *,
        link_by: datetime,
        partners: Sequence[str],
        limit: int,
    ) -> Batch | None:
        """Make a batch of everything that is due, with its control totals; None when nothing is."""
        taken = await QUERIES.batch_fill(
            tx,
            batch_id=batch.batch_id,
            programme=batch.programme,
            rail=batch.rail,
            link_by=link_by,
            partners=list(partners),
            now=batch.proposed_at,
            limit=limit,
        )
        if not taken:
            return None
        await QUERIES.batch_open(
            tx,
            batch_id=batch.batch_id,
            programme=batch.programme,
            rail=batch.rail,
            maker=batch.maker_person,
            now=batch.proposed_at,
        )
        await QUERIES.batch_recount(tx, batches=[batch.batch_id])
        return await self.batch(tx, batch.batch_id)

    async def batch(self, tx: Transaction, batch_id: str) -> Batch | None:
        """Locked until the transaction ends."""
        row = await QUERIES.batch_lock(tx, batch_id=batch_id)
        return _batch(row) if row else None

    async def batches(self, tx: Transaction, limit: int) -> list[Batch]:
        """Newest first."""
        return [_batch(row) for row in await QUERIES.batches_newest(tx, limit=limit)]

    async def batch_lines(self, tx: Transaction, batch_id: str, after: str, limit: int) -> list[Mapping[str, Any]]:
        """Its payouts in the order of its digest, behind the key `after`."""
        return list(await QUERIES.batch_lines(tx, batch_id=batch_id, after=after, limit=limit))

    async def approve_batch(self, tx: Transaction, batch_id: str, person: str, now: datetime) -> None:
        await QUERIES.batch_approve(tx, batch_id=batch_id, checker=person, now=now)
        await QUERIES.payouts_approve(tx, batch_id=batch_id, sources=sources(Step.APPROVE), now=now)

    async def withdraw(
        self, tx: Transaction, batches: Sequence[str], payouts: Sequence[str], now: datetime
    ) -> list[str]:
        """Take unsent payouts out of batches that the caller has locked; the approval of those batches is void.

        Answers the payouts that were taken out.
        """
        rows = await QUERIES.attempts_withdraw(tx, payouts=list(payouts), batches=list(batches))
        taken = sorted(row["payout_id"] for row in rows)
        if taken:
            await QUERIES.payouts_void(tx, batches=list(batches), sources=sources(Step.VOID), now=now)
            await QUERIES.payouts_free(tx, payouts=taken, now=now)
            await QUERIES.batch_recount(tx, batches=list(batches))
        return taken

    async def withdraw_members(self, tx: Transaction, members: Sequence[tuple[str, str]], now: datetime) -> None:
        """Take what these members are owed themselves out of batches that are not sent."""
        citizens, programmes = zip(*members, strict=True)
        batches = [
            row["batch_id"] for row in await QUERIES.batches_holding(tx, citizens=citizens, programmes=programmes)
        ]
        if not batches:
            return
        rows = await QUERIES.payouts_held(tx, citizens=citizens, programmes=programmes, batches=batches)
        await self.withdraw(tx, batches, [row["payout_id"] for row in rows], now)

    async def withdraw_programme(self, tx: Transaction, programme: str, now: datetime) -> None:
        """Take everything out of a programme's batches that is not sent."""
        batches = [row["batch_id"] for row in await QUERIES.batches_unsent(tx, programme=programme)]
        if not batches:
            return
        rows = await QUERIES.payouts_unsent(tx, batches=batches)
        await self.withdraw(tx, batches, [row["payout_id"] for row in rows], now)

    async def payee_keys(self, tx: Transaction, citizens: Sequence[str]) -> dict[str, bytes]:
        """The wrapped keys of those who have one, by citizen."""
        rows = await QUERIES.account_keys(tx, citizens=citizens)
        return {row["citizen_id"]: row["wrapped"] for row in rows}

    async def add_payee_keys(self, tx: Transaction, citizens: Sequence[str], wrapped: Sequence[bytes]) -> None:
        """Keep these keys for whoever has none yet."""
        await QUERIES.account_keys_add(tx, citizens=citizens, wrapped=wrapped)

    async def link(self, tx: Transaction, accounts: Mapping[str, Account]) -> None:
        """Make these the accounts of their citizens; they are checked with their rails next."""
        if not accounts:
            return
        new = list(accounts.values())
        await QUERIES.accounts_retire(tx, citizens=list(accounts))
        await QUERIES.accounts_add(
            tx,
            ids=[one.account_id for one in new],
            citizens=list(accounts),
            rails=[one.rail for one in new],
            providers=[one.provider for one in new],
            indexes=[one.number_index for one in new],
            sealed=[one.sealed for one in new],
            times=[one.linked_at for one in new],
        )

    async def accounts_of(self, tx: Transaction, citizens: Collection[str]) -> dict[str, Account]:
        """The current accounts, by citizen."""
        rows = await QUERIES.accounts_of(tx, citizens=list(citizens))
        return {(told := dict(row)).pop("citizen_id"): Account(**told) for row in rows}


def _batch(row: Any) -> Batch:
    return Batch(
        batch_id=row["batch_id"],
        programme=row["programme"],
        rail=row["rail"],
        state=BatchState(row["state"]),
        payouts=row["payouts"],
        total_rupiah=row["total_rupiah"],
        digest=row["digest"],
        maker_person=row["maker_person"],
        approver_person=row["approver_person"],
        proposed_at=row["proposed_at"],
        approved_at=row["approved_at"],
    )
