"""Asks the rails about payments without an answer, reads their daily statements, and draws the conclusions.

Asking is rationed: three times per message, at least 90 seconds apart; then the statement tells. A payment that stands
on no statement, although those of its day and of the next one were read and the rail was asked after that, is proven
never booked. A payment the rail called booked that stands on none is a contradiction, and stops sending.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from hashlib import sha256
from typing import Final

from libs.events.clock import JAKARTA
from libs.events.contracts import Rail
from libs.events.database import Database
from libs.events.programme import Programme, last_moment
from services.disbursement.domain.settlement import ASK_APART_MIN, Contradiction, Told, Verdict, next_ask
from services.disbursement.rails import Bank, EWallet, NotReady, Rails, Unclear, UnknownMessage
from services.disbursement.settling import hold, never_booked, record
from services.disbursement.store import Store
from services.disbursement.store_rails import Question

QUESTIONS_MAX: Final = 20
STATEMENTS_MAX: Final = 31
"""Days read in one round, before conclusions are drawn from them: a service that was away for a month needs one."""
LINES_MAX: Final = 5_000
PROOF_AFTER: Final = timedelta(hours=48)
"""By then the day of sending and the next one have ended, whatever the hour of sending."""


@dataclass(frozen=True, slots=True)
class Asker:
    """What asking needs."""

    store: Store
    rails: Rails
    rules: Mapping[str, Programme]

    async def settle(self, *, database: Database, now: datetime) -> int:
        """Ask, read statements, conclude from them: one round. Answers how much came of it; 0 when nothing is left."""
        done = await self._ask(database, now)
        for rail, client in self.rails.items():
            read = 0
            while read < STATEMENTS_MAX and await self._read_statement(database, rail, client, now):
                read += 1
            done += read + await self._conclude(database, rail, now)
        return done

    async def _ask(self, database: Database, now: datetime) -> int:
        async with database.connection() as reading:
            questions = await self.store.questions(reading, now, QUESTIONS_MAX)
        for question in questions:
            await self._ask_about(database, question, now)
        return len(questions)

    async def _ask_about(self, database: Database, question: Question, now: datetime) -> None:
        """Ask about one message and record the answer. Not ready is an answer; silence is none and counts nothing."""
        async with database.connection() as reading:
            keys = await self.store.open_keys(reading, question.message_id)
        told: list[Told] = []
        lost: list[Contradiction] = []
        answered = True
        try:
            if keys:
                told = await self.rails[question.rail].ask(question.message_id, keys)
        except NotReady:
            pass
        except UnknownMessage:  # it was acknowledged, so one of the two books is wrong
            lost.append(Contradiction("file-unknown", question.message_id))
        except Unclear:
            answered = False
        again = next_ask(question.sent_at, question.asks + 1, now) if answered else now + ASK_APART_MIN
        if again is None:  # it was the last question: from here on only a statement can tell
            heard = {one.key for one in told}
            told += [Told(key, Verdict.NO_ANSWER) for key in keys if key not in heard]
        async with database.transaction() as tx:
            await record(tx, self.store, self.rules, told, now)
            await hold(tx, self.store, lost, now)
            await self.store.asked(tx, question.message_id, now, again, answered=answered)

    async def _read_statement(self, database: Database, rail: Rail, client: Bank | EWallet, now: datetime) -> int:
        """Read the next day's statement, if that day has ended; 1 when one was read.

        Lines are taken in chunks of their own transactions, the day is noted last: a run that dies reads it again, and
        lines that were taken already have no second effect.
        """
        async with database.connection() as reading:
            day = await self.store.statement_due(reading, rail)
        if day is None or now <= last_moment(day):
            return 0
        try:
            document, lines = await client.statement(day)
        except (NotReady, Unclear):
            return 0
        for start in range(0, len(lines), LINES_MAX):
            await self._take_lines(database, rail, lines[start : start + LINES_MAX], now)
        async with database.transaction() as tx:
            digest = sha256(document).digest()
            await self.store.finish_statement(tx, rail, day, digest, len(lines), now)
        return 1

    async def _take_lines(self, database: Database, rail: Rail, lines: Sequence[Told], now: datetime) -> None:
        async with database.transaction() as tx:
            fresh = await self.store.add_lines(tx, rail, lines)
            await record(tx, self.store, self.rules, fresh, now)
            await self.store.mark_booked(tx, fresh)
            await hold(tx, self.store, await self.store.doubled(tx, rail, [line.key for line in fresh]), now)

    async def _conclude(self, database: Database, rail: Rail, now: datetime) -> int:
        async with database.transaction() as tx:
            until = await self.store.read_until(tx, rail)
            if until is None:
                return 0
            proven = _sent_until(until)
            keys = await self.store.never_booked(tx, rail, proven, PROOF_AFTER, LINES_MAX)
            concluded = await record(tx, self.store, self.rules, never_booked(keys), now)
            missing = await self.store.missing(tx, rail, proven, LINES_MAX)
            await hold(tx, self.store, [Contradiction("paid-but-missing", key) for key in missing], now)
            await self.store.forget_bytes(tx, rail, proven)
        return concluded


def _sent_until(read_until: date) -> datetime:
    """The end of the last day of sending about which all statements are read: the day before the last statement."""
    return datetime.combine(read_until, time.min, JAKARTA) - timedelta(microseconds=1)
