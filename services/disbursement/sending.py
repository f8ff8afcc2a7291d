"""Sends approved batches: stored and committed first, then sent, then the answer recorded. Three steps, in this order.

A process that dies between them leaves a stored message behind. The bank gets the same bytes under the same id again,
which is the same file to it. The e-wallet gets nothing again: what it may have booked becomes unknown, and only an
inquiry or a statement resolves it.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from libs.events import ids, outbox
from libs.events.contracts import IncentiveSubmitted, Rail
from libs.events.database import Database, Transaction
from libs.events.programme import Programme
from services.disbursement.domain.batches import payments_per_message
from services.disbursement.domain.iso20022 import Debtor, Payment, pain_001
from services.disbursement.domain.ledger import Move, Movement
from services.disbursement.domain.settlement import Contradiction, Told, Verdict, next_ask
from services.disbursement.metrics import sending_holds
from services.disbursement.partners import Partners
from services.disbursement.rails import Bank, Conflict, EWallet, NotReady, Rails, Unclear
from services.disbursement.settling import hold, record
from services.disbursement.store import Store
from services.disbursement.store_rails import Message, Unsent
from services.disbursement.vault import Payee, Vault

AT_ONCE_MAX: Final = 4
"""Messages on their way to a rail at the same time."""


@dataclass(frozen=True, slots=True)
class Sender:
    """What sending needs."""

    store: Store
    vault: Vault
    rails: Rails
    rules: Mapping[str, Programme]
    partners: Partners
    debtor: Debtor

    async def send(self, *, database: Database, now: datetime) -> int:
        """Send a part of what is approved; answers how many messages went: 0 when none is left, or sending is held.

        The rails do not wait for each other, and where one fails the other one is carried through.
        """
        sending = [self._send(database, rail, client, now) for rail, client in self.rails.items()]
        gone = 0
        for result in await asyncio.gather(*sending, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
            gone += result
        return gone

    async def _send(self, database: Database, rail: Rail, client: Bank | EWallet, now: datetime) -> int:
        async with database.connection() as reading:
            holds = await self.store.count_holds(reading)
            sending_holds.set(holds)
            if holds:
                return 0
            left = await self.store.stored_messages(reading, rail, AT_ONCE_MAX)
        if left and isinstance(client, EWallet):
            return await self._give_up(database, left, now)
        messages = left or await self._prepare(database, rail, now)
        return sum(await asyncio.gather(*(self._deliver(database, client, message, now) for message in messages)))

    async def _prepare(self, database: Database, rail: Rail, now: datetime) -> list[Message]:
        """Store the next messages, each in a transaction of its own."""
        messages: list[Message] = []
        for _ in range(AT_ONCE_MAX):
            async with database.transaction() as tx:
                message = await self._store_next(tx, rail, now)
            if message is None:
                break
            messages.append(message)
        return messages

    async def _store_next(self, tx: Transaction, rail: Rail, now: datetime) -> Message | None:
        """Store the exact bytes of the next part of the oldest approved batch; announce what is in it as submitted."""
        while (batch := await self.store.next_batch(tx, rail)) is not None:
            batch_id, _ = batch
            unsent = await self.store.unsent(tx, batch_id, payments_per_message(rail))
            if not unsent:
                await self.store.batch_is_sent(tx, batch_id)
                continue
            part = await self.store.next_part(tx, batch_id)
            message_id = ids.derive("message", batch_id, str(part))
            body, sealed = await asyncio.to_thread(self._bytes, message_id, rail, unsent, now)
            message = Message(message_id, sealed, len(unsent))
            await self.store.store_message(
                tx,
                message,
                batch_id=batch_id,
                rail=rail,
                part=part,
                digest=sha256(body).digest(),
                payouts=[one.payout_id for one in unsent],
                now=now,
            )
            await self.store.move(tx, [_submitted_move(one) for one in unsent], now)
            await outbox.add(tx, [_submitted(one, batch_id, rail, now) for one in unsent])
            return message
        return None

    def _bytes(self, message_id: str, rail: Rail, unsent: Sequence[Unsent], now: datetime) -> tuple[bytes, bytes]:
        """The message as the rail will get it, and as it is stored. Runs beside the event loop."""
        payees = [self._payee(one) for one in unsent]
        if rail == "bank":
            payments = [
                Payment(one.key, payee.account_number, payee.provider, payee.name, one.amount_rupiah, one.milestone)
                for one, payee in zip(unsent, payees, strict=True)
            ]
            body = pain_001(message_id, payments, self.debtor, now)
        else:
            transfers = [
                {"idempotency_key": one.key, "account": payee.account_number, "amount_rupiah": one.amount_rupiah}
                for one, payee in zip(unsent, payees, strict=True)
            ]
            body = json.dumps(transfers, separators=(",", ":")).encode()
        return body, self.vault.seal_message(message_id, body)

    def _payee(self, one: Unsent) -> Payee:
        """Raises KeyError for a partner without an account in the settings: nothing is sent until it has one."""
        if one.partner_id is not None:
            return self.partners[one.partner_id]
        assert one.wrapped is not None, "a citizen with an account has a key"
        assert one.sealed is not None, "an attempt for a citizen names the account"
        return self.vault.open_payee(one.wrapped, one.citizen_id, one.sealed)

    async def _deliver(self, database: Database, client: Bank | EWallet, message: Message, now: datetime) -> int:
        """Send one stored message and record the answer; 0 when the bank has not acknowledged its file."""
        body = self.vault.open_message(message.message_id, message.body)
        if isinstance(client, Bank):
            return await self._put(database, client, message.message_id, body, now)
        async with database.connection() as reading:
            # A process that slept for days must not send what others have given up and may have paid otherwise.
            if not await self.store.message_waits(reading, message.message_id):
                return 0
        try:
            told = await client.send(body)
        except (Unclear, NotReady):
            told = []
        await self._record_sent(database, message.message_id, told, now)
        return 1

    async def _put(self, database: Database, bank: Bank, message_id: str, body: bytes, now: datetime) -> int:
        try:
            await bank.put(message_id, body)
        except (Unclear, NotReady):
            return 0
        except Conflict:
            async with database.transaction() as tx:
                await hold(tx, self.store, [Contradiction("file-conflict", message_id)], now)
            return 0
        async with database.transaction() as tx:
            await self.store.message_is_sent(tx, message_id, now, next_ask(now, 0, now))
        return 1

    async def _give_up(self, database: Database, messages: Sequence[Message], now: datetime) -> int:
        """Lists an earlier run stored and may or may not have sent: nobody sends them now."""
        for message in messages:
            await self._record_sent(database, message.message_id, [], now)
        return len(messages)

    async def _record_sent(self, database: Database, message_id: str, told: Sequence[Told], now: datetime) -> None:
        """Record what the e-wallet answered; whatever it said nothing clear about is unknown."""
        async with database.transaction() as tx:
            await self.store.message_is_sent(tx, message_id, now, next_ask(now, 0, now))
            await record(tx, self.store, self.rules, told, now)
            silent = await self.store.open_keys(tx, message_id)
            await record(tx, self.store, self.rules, [Told(key, Verdict.NO_ANSWER) for key in silent], now)


def _submitted_move(one: Unsent) -> Move:
    return Move(Movement.SUBMIT, one.programme, one.wave, one.amount_rupiah, one.payout_id, one.citizen_id)


def _submitted(one: Unsent, batch_id: str, rail: Rail, now: datetime) -> IncentiveSubmitted:
    return IncentiveSubmitted(
        payout_id=one.payout_id,
        citizen_id=one.citizen_id,
        programme=one.programme,
        wave=one.wave,
        province=one.province,
        milestone=one.milestone,
        amount_rupiah=one.amount_rupiah,
        rail=rail,
        attempt=one.number,
        batch_id=batch_id,
        at=now,
    )
