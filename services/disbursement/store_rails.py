"""What goes to the rails and what comes back, as rows and back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from libs.events.contracts import Rail
from libs.events.database import Transaction
from services.disbursement.domain.payouts import State, Step, sources
from services.disbursement.domain.settlement import Attempt, Contradiction, Told, Verdict
from services.disbursement.queries import QUERIES


@dataclass(frozen=True, slots=True)
class AccountToCheck:
    account_id: str
    citizen_id: str
    sealed: bytes
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Unsent:
    """A payment of an approved batch that stands in no message yet. A partner's has no sealed account."""

    payout_id: str
    number: int
    key: str
    amount_rupiah: int
    citizen_id: str
    programme: str
    wave: int
    milestone: str
    partner_id: str | None
    province: str
    provider: str | None
    sealed: bytes | None
    wrapped: bytes | None


@dataclass(frozen=True, slots=True)
class Message:
    """Exact bytes for a rail, sealed as they are stored."""

    message_id: str
    body: bytes
    payouts: int


@dataclass(frozen=True, slots=True)
class Question:
    """A sent message whose rail is to be asked about it."""

    message_id: str
    rail: Rail
    sent_at: datetime
    asks: int


@dataclass(frozen=True, slots=True)
class Payable:
    """An attempt with what its events must say."""

    attempt: Attempt
    account_id: str | None
    citizen_id: str
    programme: str
    wave: int
    province: str
    milestone: str
    rail: Rail


@dataclass(frozen=True, slots=True)
class Settled:
    """Where an attempt and its payout stand after what was told. `reason` and `retry_at` are set on a failed one."""

    payable: Payable
    steps: Sequence[Step]
    outcome: str | None
    state: State
    reason: str | None
    retry_at: datetime | None


class RailStore:
    """Accounts to check, messages, attempts and statements."""

    async def accounts_to_check(self, tx: Transaction, rail: Rail, now: datetime, limit: int) -> list[AccountToCheck]:
        rows = await QUERIES.accounts_to_check(tx, rail=rail, now=now, limit=limit)
        return [AccountToCheck(row["account_id"], row["citizen_id"], row["sealed"], row["wrapped"]) for row in rows]

    async def keep_findings(
        self, tx: Transaction, found: Sequence[tuple[str, str]], now: datetime, again: datetime, checks_max: int
    ) -> None:
        """What a rail found about accounts: account, state."""
        ordered = sorted(found)
        await QUERIES.accounts_found(
            tx,
            ids=[account for account, _ in ordered],
            states=[state for _, state in ordered],
            now=now,
            again=again,
            checks_max=checks_max,
        )

    async def postpone_checks(self, tx: Transaction, accounts: Sequence[str], again: datetime) -> None:
        await QUERIES.accounts_postpone(tx, ids=list(accounts), again=again)

    async def fail_accounts(self, tx: Transaction, failed: Sequence[tuple[str, str, datetime]]) -> None:
        """Accounts that refused a payment: account, state, when to ask the rail again."""
        if failed:
            ids, states, again = zip(*sorted(failed), strict=True)
            await QUERIES.accounts_fail(tx, ids=ids, states=states, again=again)

    async def next_batch(self, tx: Transaction, rail: Rail) -> tuple[str, str] | None:
        """The approved batch that waits longest and its programme; locked until the transaction ends."""
        row = await QUERIES.batch_next(tx, rail=rail)
        return (row["batch_id"], row["programme"]) if row else None

    async def unsent(self, tx: Transaction, batch_id: str, limit: int) -> list[Unsent]:
        return [Unsent(**row) for row in await QUERIES.attempts_unsent(tx, batch_id=batch_id, limit=limit)]

    async def batch_is_sent(self, tx: Transaction, batch_id: str) -> None:
        await QUERIES.batch_sent(tx, batch_id=batch_id)

    async def next_part(self, tx: Transaction, batch_id: str) -> int:
        part: int = await QUERIES.message_part(tx, batch_id=batch_id)
        return part

    async def store_message(
        self,
        tx: Transaction,
        message: Message,
        *,
        batch_id: str,
        rail: Rail,
        part: int,
        digest: bytes,
        payouts: Sequence[str],
        now: datetime,
    ) -> None:
        """Keep the bytes, and mark the payouts in them as submitted."""
        await QUERIES.message_store(
            tx,
            message_id=message.message_id,
            batch_id=batch_id,
            rail=rail,
            part=part,
            body=message.body,
            digest=digest,
            payouts=message.payouts,
            now=now,
        )
        await QUERIES.attempts_submit(tx, message_id=message.message_id, batch_id=batch_id, payouts=list(payouts))
        await QUERIES.payouts_submit(tx, payouts=list(payouts), sources=sources(Step.SUBMIT), now=now)

    async def stored_messages(self, tx: Transaction, rail: Rail, limit: int) -> list[Message]:
        rows = await QUERIES.messages_stored(tx, rail=rail, limit=limit)
        return [Message(row["message_id"], row["body"], row["payouts"]) for row in rows]

    async def message_waits(self, tx: Transaction, message_id: str) -> bool:
        """Whether nobody has sent this message, or given it up, since it was stored."""
        return bool(await QUERIES.message_waits(tx, message_id=message_id))

    async def message_is_sent(self, tx: Transaction, message_id: str, now: datetime, ask_at: datetime | None) -> None:
        await QUERIES.message_sent(tx, message_id=message_id, now=now, next_ask=ask_at)

    async def open_keys(self, tx: Transaction, message_id: str) -> list[str]:
        return [row["key"] for row in await QUERIES.message_open_keys(tx, message_id=message_id)]

    async def questions(self, tx: Transaction, now: datetime, limit: int) -> list[Question]:
        rows = await QUERIES.messages_to_ask(tx, now=now, limit=limit)
        return [Question(row["message_id"], row["rail"], row["sent_at"], row["asks"]) for row in rows]

    async def asked(
        self, tx: Transaction, message_id: str, now: datetime, ask_at: datetime | None, *, answered: bool
    ) -> None:
        """Note that the rail was asked. A rail that did not answer at all was not asked."""
        await QUERIES.message_asked(tx, message_id=message_id, now=now, next_ask=ask_at, answered=int(answered))

    async def payables(self, tx: Transaction, keys: Iterable[str]) -> dict[str, Payable]:
        """The attempts with these keys, locked; keys nobody knows are left out."""
        rows = await QUERIES.attempts_told(tx, keys=sorted(set(keys)))
        return {row["key"]: _payable(row) for row in rows}

    async def settle(self, tx: Transaction, settled: Sequence[Settled], now: datetime) -> None:
        if not settled:
            return
        payouts = [one.payable.attempt.payout_id for one in settled]
        await QUERIES.attempts_settle(
            tx,
            payouts=payouts,
            numbers=[one.payable.attempt.number for one in settled],
            outcomes=[one.outcome for one in settled],
            reasons=[one.reason for one in settled],
        )
        await QUERIES.payouts_settle(
            tx,
            payouts=payouts,
            states=[one.state for one in settled],
            reasons=[one.reason for one in settled],
            retry_at=[one.retry_at for one in settled],
            now=now,
        )

    async def statement_due(self, tx: Transaction, rail: Rail) -> date | None:
        """The next day to read; None while the rail was never used."""
        day: date | None = await QUERIES.statement_due(tx, rail=rail)
        return day

    async def read_until(self, tx: Transaction, rail: Rail) -> date | None:
        day: date | None = await QUERIES.statement_read_until(tx, rail=rail)
        return day

    async def finish_statement(
        self, tx: Transaction, rail: Rail, day: date, digest: bytes, lines: int, now: datetime
    ) -> None:
        await QUERIES.statement_done(tx, rail=rail, day=day, digest=digest, lines=lines, now=now)

    async def add_lines(self, tx: Transaction, rail: Rail, lines: Sequence[Told]) -> list[Told]:
        """Keep the lines of a statement; answers those that were not told before, in their order."""
        rows = await QUERIES.lines_add(
            tx,
            rail=rail,
            references=[line.reference for line in lines],
            kinds=[line.verdict for line in lines],
            keys=[line.key for line in lines],
            amounts=[line.amount_rupiah for line in lines],
            days=[line.day for line in lines],
        )
        fresh = {row["reference"] for row in rows}
        once = {line.reference: line for line in reversed(lines)}
        return [line for line in lines if line.reference in fresh and once[line.reference] is line]

    async def doubled(self, tx: Transaction, rail: Rail, keys: Sequence[str]) -> list[Contradiction]:
        """Payments that were booked, or sent back, under two references of the rail."""
        rows = await QUERIES.lines_doubled(tx, rail=rail, keys=list(keys))
        return [Contradiction(f"{row['kind']}-twice", row["key"]) for row in rows]

    async def mark_booked(self, tx: Transaction, lines: Sequence[Told]) -> None:
        booked = sorted((line.key, line.day) for line in lines if line.verdict is Verdict.BOOKED and line.day)
        if booked:
            keys, days = zip(*booked, strict=True)
            await QUERIES.attempts_booked(tx, keys=keys, days=days)

    async def never_booked(
        self, tx: Transaction, rail: Rail, sent_until: datetime, proof_after: timedelta, limit: int
    ) -> list[str]:
        rows = await QUERIES.attempts_never_booked(
            tx, rail=rail, sent_until=sent_until, proof_after=proof_after, limit=limit
        )
        return [row["key"] for row in rows]

    async def missing(self, tx: Transaction, rail: Rail, sent_until: datetime, limit: int) -> list[str]:
        rows = await QUERIES.attempts_missing(tx, rail=rail, sent_until=sent_until, limit=limit)
        return [row["key"] for row in rows]

    async def forget_bytes(self, tx: Transaction, rail: Rail, sent_until: datetime) -> None:
        await QUERIES.messages_forget(tx, rail=rail, sent_until=sent_until)


def _payable(row: Any) -> Payable:
    attempt = Attempt(
        row["key"], row["payout_id"], row["number"], row["amount_rupiah"], row["outcome"], State(row["state"])
    )
    return Payable(
        attempt,
        row["account_id"],
        row["citizen_id"],
        row["programme"],
        row["wave"],
        row["province"],
        row["milestone"],
        row["rail"],
    )
