"""The e-wallet: a rail by HTTP. Answers at once, sometimes "pending" for what it has booked, sometimes not at all."""

import hashlib
from datetime import datetime
from typing import Annotated, Literal

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from deploy.simulators import common
from libs.events.clock import Clock

PENDING_HOURS = 2

TABLES = """
CREATE TABLE IF NOT EXISTS account (account TEXT PRIMARY KEY, nik TEXT NOT NULL, behaviour TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transfer (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT, idempotency_key TEXT NOT NULL UNIQUE, account TEXT NOT NULL,
    amount_rupiah INTEGER NOT NULL CHECK (amount_rupiah > 0), reason TEXT, settlement_id TEXT UNIQUE, at TEXT NOT NULL,
    told_at TEXT NOT NULL, CHECK ((reason IS NULL) = (settlement_id IS NOT NULL)));
CREATE INDEX IF NOT EXISTS transfer_by_time ON transfer (at) WHERE settlement_id IS NOT NULL;
"""

LOAD = """
INSERT INTO account (account, nik, behaviour)
SELECT value ->> 'account', value ->> 'nik', value ->> 'behaviour' FROM json_each(?) WHERE true
    ON CONFLICT (account) DO UPDATE SET nik = excluded.nik, behaviour = excluded.behaviour
"""

REPAIR = """
UPDATE account SET behaviour = 'good'
 WHERE behaviour LIKE '%-until-repaired' AND account IN (SELECT value ->> 'account' FROM json_each(?))
"""

FIND = "SELECT account, nik, behaviour FROM account WHERE account IN (SELECT value ->> 'account' FROM json_each(?))"

# A key has one outcome for ever: the first one is kept, whatever a repeat asks for.
KEEP = """
INSERT INTO transfer (idempotency_key, account, amount_rupiah, reason, settlement_id, at, told_at)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (idempotency_key) DO NOTHING
"""

RECALL = """
SELECT idempotency_key, account, amount_rupiah, reason, settlement_id, told_at
  FROM transfer WHERE idempotency_key IN (SELECT value ->> 'idempotency_key' FROM json_each(?))
"""

DAY = """
SELECT settlement_id, idempotency_key, amount_rupiah, at
  FROM transfer WHERE settlement_id IS NOT NULL AND at BETWEEN ? AND ? ORDER BY at, cursor
"""

PAGE = """
SELECT cursor, idempotency_key AS end_to_end_id, account, amount_rupiah, at, 0 AS returned
  FROM transfer WHERE settlement_id IS NOT NULL AND cursor > ? ORDER BY cursor LIMIT ?
"""


class Settings(common.Settings):
    pending_percent: common.Percent = 3  # of transfers: booked, but "pending" for two hours
    timeout_percent: common.Percent = 0  # of transfer requests: booked, then the connection is cut
    twice_percent: common.Percent = 2  # of settled transfers: the statement lists them twice
    hang_seconds: Annotated[float, Field(ge=0)] = 5


class Account(BaseModel):
    """Every behaviour but `good` refuses transfers, for good or until repaired; an inquiry does not show it."""

    account: common.Text
    nik: common.Text
    behaviour: Literal[
        "good",
        "not-verified",
        "wallet-full",
        "limit-exceeded",
        "phone-changed",
        "not-verified-until-repaired",
        "wallet-full-until-repaired",
        "limit-exceeded-until-repaired",
        "phone-changed-until-repaired",
    ] = "good"


class Transfer(BaseModel):
    idempotency_key: common.Reference
    account: common.Text
    amount_rupiah: common.Rupiah


class TransferInquiry(BaseModel):
    idempotency_key: common.Reference


class Outcome(BaseModel):
    idempotency_key: str
    status: Literal["paid", "failed", "pending", "not-found"]
    reason: str | None = None
    settlement_id: str | None = None


class Line(BaseModel):
    settlement_id: str
    idempotency_key: str
    amount_rupiah: int
    at: datetime


class Statement(BaseModel):
    lines: list[Line]


class Kept(BaseModel):
    """What the book says about one idempotency key. Until `told_at` a settled transfer answers "pending"."""

    idempotency_key: str
    account: str
    amount_rupiah: int
    reason: str | None
    settlement_id: str | None
    told_at: str

    def outcome(self, now: str) -> Outcome:
        if self.reason:
            return Outcome(idempotency_key=self.idempotency_key, status="failed", reason=self.reason)
        if now < self.told_at:
            return Outcome(idempotency_key=self.idempotency_key, status="pending")
        return Outcome(idempotency_key=self.idempotency_key, status="paid", settlement_id=self.settlement_id)

    def answers(self, asked: Transfer) -> bool:
        """Whether a repeat asks for the same payment. A key that is used for another one is refused."""
        return (self.account, self.amount_rupiah) == (asked.account, asked.amount_rupiah)


def answer(inquiry: common.Inquiry, held: tuple[str, str] | None) -> common.Answer:
    """What the wallet tells about an account; `held` is its owner's NIK and its behaviour."""
    if held is None:
        return common.Answer(reference=inquiry.reference, result="not-found")
    owner, _ = held
    return common.Answer(reference=inquiry.reference, result="valid" if owner == inquiry.nik else "identity-mismatch")


class Rail:
    """The wallet's book: accounts, and one outcome for each idempotency key."""

    def __init__(self, settings: Settings) -> None:
        self.book = common.open_book(settings.book, TABLES)
        self.fate = common.Fate(settings.seed, self.book)
        self._settings = settings

    def held(self, asked: list[common.Inquiry] | list[Transfer]) -> dict[str, tuple[str, str]]:
        rows = self.book.execute(FIND, (common.as_json(asked),))
        return {row["account"]: (row["nik"], row["behaviour"]) for row in rows}

    def kept(self, asked: list[Transfer] | list[TransferInquiry]) -> dict[str, Kept]:
        return {row["idempotency_key"]: Kept(**row) for row in self.book.execute(RECALL, (common.as_json(asked),))}

    def take(self, transfers: list[Transfer], at: datetime) -> None:
        """Decide every key that is new, inside the caller's transaction; a known key changes nothing."""
        held = self.held(transfers)
        rows: list[tuple[str, str, int, str | None, str | None, str, str]] = []
        for transfer in transfers:
            key = transfer.idempotency_key
            # No wallet under this number: the phone was given to somebody else, or was never a wallet.
            behaviour = held[transfer.account][1] if transfer.account in held else "phone-changed"
            reason = None if behaviour == "good" else behaviour.removesuffix("-until-repaired")
            settlement_id = None if reason else hashlib.sha256(f"settlement\n{key}".encode()).hexdigest()[:24]
            pending = self.fate.strikes("pending", self._settings.pending_percent, key)
            told_at = common.later(at, PENDING_HOURS if pending else 0)
            rows.append(
                (key, transfer.account, transfer.amount_rupiah, reason, settlement_id, common.stamp(at), told_at)
            )
        self.book.executemany(KEEP, rows)

    def lines(self, first: datetime, last: datetime) -> list[Line]:
        """The settled lines of a day, some of them twice with one settlement id, as real statements have them."""
        rows = self.book.execute(DAY, (common.stamp(first), common.stamp(last)))
        lines: list[Line] = []
        for line in (Line(**row) for row in rows):
            twice = self.fate.strikes("listed twice", self._settings.twice_percent, line.idempotency_key)
            lines += [line, line] if twice else [line]
        return lines


def create(settings: Settings, clock: Clock) -> FastAPI:
    rail = Rail(settings)
    book = rail.book
    app = common.create_app("E-wallet (simulator)", book)

    @app.post("/accounts")
    async def accounts(accounts: list[Account]) -> common.Loaded:
        with book:
            book.execute(LOAD, (common.as_json(accounts),))
        return common.Loaded(loaded=len(accounts))

    @app.post("/repairs")
    async def repairs(repairs: list[common.Repair]) -> common.Loaded:
        with book:
            return common.Loaded(loaded=book.execute(REPAIR, (common.as_json(repairs),)).rowcount)

    @app.post("/v1/account-inquiries")
    async def inquire(inquiries: Annotated[list[common.Inquiry], Field(max_length=1000)]) -> list[common.Answer]:
        held = rail.held(inquiries)
        return [answer(asked, held.get(asked.account)) for asked in inquiries]

    @app.post("/v1/transfers", response_model=list[Outcome])
    async def transfer(transfers: Annotated[list[Transfer], Field(min_length=1, max_length=500)]) -> Response:
        now = clock.now()
        with book:
            asked = rail.fate.attempt(transfers[0].idempotency_key)
            rail.take(transfers, now)
            kept = rail.kept(transfers)
        if rail.fate.strikes("timeout", settings.timeout_percent, asked):
            return common.Hang(settings.hang_seconds)
        outcomes = [
            kept[one.idempotency_key].outcome(common.stamp(now))
            if kept[one.idempotency_key].answers(one)
            else Outcome(idempotency_key=one.idempotency_key, status="failed", reason="key-reused")
            for one in transfers
        ]
        return JSONResponse([outcome.model_dump() for outcome in outcomes])

    @app.post("/v1/transfer-inquiries")
    async def recall(inquiries: Annotated[list[TransferInquiry], Field(max_length=1000)]) -> list[Outcome]:
        kept, now = rail.kept(inquiries), common.stamp(clock.now())
        return [
            kept[one.idempotency_key].outcome(now)
            if one.idempotency_key in kept
            else Outcome(idempotency_key=one.idempotency_key, status="not-found")
            for one in inquiries
        ]

    @app.get("/v1/statements/{day}")
    async def statement(day: str) -> Statement:
        return Statement(lines=rail.lines(*common.day_of(day, clock)))

    @app.get("/v1/book")
    async def page(after: int = 0, limit: common.BookPage = common.BOOK_PAGE_MAX) -> common.Book:
        return common.book_page(book, PAGE, (after, limit), after)  # this rail sends nothing back

    return app


if __name__ == "__main__":
    common.serve(Settings, create)
