"""The bank: a rail by file. Takes pain.001, answers late with pain.002 or never, and states every day in camt.053."""

import hashlib
from datetime import datetime
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, Field

from deploy.simulators import common, iso20022
from libs.events.clock import Clock

READY_HOURS, READY_LATE_HOURS, RETURN_HOURS = 1, 26, 48
FILE_BYTES_MAX = 64 * 2**20
XML = "application/xml"

TABLES = """
CREATE TABLE IF NOT EXISTS account (
    account TEXT PRIMARY KEY, nik TEXT NOT NULL, name TEXT NOT NULL, behaviour TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (
    message_id TEXT PRIMARY KEY, digest TEXT NOT NULL, received_at TEXT NOT NULL, ready_at TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, end_to_end_id TEXT NOT NULL,
    account TEXT NOT NULL, amount_rupiah INTEGER NOT NULL CHECK (amount_rupiah > 0), status TEXT NOT NULL, reason TEXT,
    at TEXT NOT NULL, returned_at TEXT);
CREATE UNIQUE INDEX IF NOT EXISTS entry_booked_once ON entry (end_to_end_id) WHERE status = 'ACSC';
CREATE INDEX IF NOT EXISTS entry_of_file ON entry (message_id, cursor);
CREATE INDEX IF NOT EXISTS entry_by_time ON entry (at) WHERE status = 'ACSC';
CREATE INDEX IF NOT EXISTS entry_returned ON entry (returned_at) WHERE returned_at IS NOT NULL;
"""

LOAD = """
INSERT INTO account (account, nik, name, behaviour)
SELECT value ->> 'account', value ->> 'nik', value ->> 'name', value ->> 'behaviour' FROM json_each(?) WHERE true
    ON CONFLICT (account) DO UPDATE SET nik = excluded.nik, name = excluded.name, behaviour = excluded.behaviour
"""

REPAIR = """
UPDATE account SET behaviour = 'good'
 WHERE behaviour = 'closed-until-repaired' AND account IN (SELECT value ->> 'account' FROM json_each(?))
"""

FIND = "SELECT account, nik, behaviour FROM account WHERE account IN (SELECT value FROM json_each(?))"

BOOKED = "SELECT end_to_end_id FROM entry WHERE status = 'ACSC' AND end_to_end_id IN (SELECT value FROM json_each(?))"

KEEP = """
INSERT INTO entry (message_id, end_to_end_id, account, amount_rupiah, status, reason, at, returned_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""

# Debits of a day by their booking, returns by the day the money came back; both in the order of time.
DAY = """
SELECT 'D' || cursor AS reference, end_to_end_id, amount_rupiah, at, 0 AS returned
  FROM entry WHERE status = 'ACSC' AND at BETWEEN :first AND :last
 UNION ALL
SELECT 'R' || cursor, end_to_end_id, amount_rupiah, returned_at, 1
  FROM entry WHERE returned_at BETWEEN :first AND :last
 ORDER BY 4, 1
"""

SPENT = """
SELECT coalesce((SELECT sum(amount_rupiah) FROM entry WHERE status = 'ACSC' AND at < :first), 0)
     - coalesce((SELECT sum(amount_rupiah) FROM entry WHERE returned_at < :first), 0) AS rupiah
"""

PAGE = """
SELECT cursor, end_to_end_id, account, amount_rupiah, at, coalesce(returned_at <= ?, 0) AS returned
  FROM entry WHERE status = 'ACSC' AND cursor > ? ORDER BY cursor LIMIT ?
"""


class Settings(common.Settings):
    late_percent: common.Percent = 10  # of files: the status is ready after 26 h, not 1 h
    never_percent: common.Percent = 2  # of files: no status ever; only the statement tells
    twice_percent: common.Percent = 2  # of transactions: the status file lists them twice
    timeout_percent: common.Percent = 0  # of requests that bring a file: taken, then the connection is cut
    hang_seconds: Annotated[float, Field(ge=0)] = 5
    account: str = "999080000000001"
    funds_rupiah: Annotated[int, Field(ge=0)] = 100_000_000_000_000


class Account(BaseModel):
    """`closed` and `identity-mismatch` show when asked about; the others look valid until money is sent.

    `closed-until-repaired` refuses payments until it is repaired; `returns` books them and sends them back after two
    days.
    """

    account: common.Text
    nik: common.Text
    name: common.Text
    behaviour: Literal["good", "closed", "identity-mismatch", "closed-until-repaired", "returns"] = "good"


def answer(inquiry: common.Inquiry, held: tuple[str, str] | None) -> common.Answer:
    """What the bank tells about an account; `held` is its owner's NIK and its behaviour."""
    match held:
        case None:
            return common.Answer(reference=inquiry.reference, result="not-found")
        case (_, "closed"):
            return common.Answer(reference=inquiry.reference, result="closed")
        case (nik, behaviour) if nik != inquiry.nik or behaviour == "identity-mismatch":
            return common.Answer(reference=inquiry.reference, result="identity-mismatch")
    return common.Answer(reference=inquiry.reference, result="valid")


def refusal(transfer: iso20022.Transfer, held: tuple[str, str] | None, booked: set[str]) -> str | None:
    """The ISO external status reason code of a transaction that is not booked; None for one that is."""
    if transfer.end_to_end_id in booked:
        return "DUPL"
    match held:
        case None:
            return "AC01"
        case (_, "closed" | "closed-until-repaired"):
            return "AC04"
        case (nik, behaviour) if behaviour == "identity-mismatch" or transfer.nik not in (None, nik):
            return "BE01"
    return None


class Rail:
    """The bank's book: what was received, what was booked, what came back."""

    def __init__(self, settings: Settings) -> None:
        self.book = common.open_book(settings.book, TABLES)
        self.fate = common.Fate(settings.seed, self.book)
        self._settings = settings

    def held(self, accounts: list[str]) -> dict[str, tuple[str, str]]:
        rows = self.book.execute(FIND, (common.to_json(accounts),))
        return {row["account"]: (row["nik"], row["behaviour"]) for row in rows}

    def ready_at(self, message_id: str, at: datetime) -> str | None:
        """When the status file can be had; None for never."""
        share = self.fate.number("status", message_id) % 10_000
        never, late = self._settings.never_percent * 100, self._settings.late_percent * 100
        if share < never:
            return None
        return common.later(at, READY_LATE_HOURS if share < never + late else READY_HOURS)

    def receive(self, message_id: str, body: bytes, at: datetime) -> str:
        """Take a file in, in one commit; returns the reference of this request.

        The same bytes again change nothing. Raises HTTPException (409) for other bytes under the same id, and
        iso20022.BadFile.
        """
        digest = hashlib.sha256(body).hexdigest()
        with self.book:
            asked = self.fate.attempt(message_id)
            kept = self.book.execute("SELECT digest FROM file WHERE message_id = ?", (message_id,)).fetchone()
            if kept and kept["digest"] != digest:
                raise HTTPException(409, "another file with this MsgId was received before")
            if not kept:
                file = iso20022.read_payment_file(body)
                if file.message_id != message_id:
                    raise iso20022.BadFile("MsgId is not the one the file was sent under")
                self.take(file, digest, at)
        return asked

    def take(self, file: iso20022.PaymentFile, digest: str, at: datetime) -> None:
        """Book what can be booked, inside the caller's transaction. An EndToEndId is booked once, whatever happens."""
        held = self.held([transfer.account for transfer in file.transfers])
        wanted = common.to_json([transfer.end_to_end_id for transfer in file.transfers])
        booked = {row["end_to_end_id"] for row in self.book.execute(BOOKED, (wanted,))}
        entries: list[tuple[str, str, str, int, str, str | None, str, str | None]] = []
        for transfer in file.transfers:
            owner = held.get(transfer.account)
            reason = refusal(transfer, owner, booked)
            back = common.later(at, RETURN_HOURS) if owner and owner[1] == "returns" and not reason else None
            if not reason:
                booked.add(transfer.end_to_end_id)
            told = (transfer.end_to_end_id, transfer.account, transfer.amount_rupiah, "RJCT" if reason else "ACSC")
            entries.append((file.message_id, *told, reason, common.stamp(at), back))
        self.book.execute(
            "INSERT INTO file (message_id, digest, received_at, ready_at) VALUES (?, ?, ?, ?)",
            (file.message_id, digest, common.stamp(at), self.ready_at(file.message_id, at)),
        )
        self.book.executemany(KEEP, entries)

    def status(self, message_id: str, now: datetime) -> bytes:
        """The status file, some of whose transactions are told twice, as real ones are. Raises HTTPException."""
        file = self.book.execute("SELECT ready_at FROM file WHERE message_id = ?", (message_id,)).fetchone()
        if file is None:
            raise HTTPException(404, "no file with this MsgId was received")
        if file["ready_at"] is None or common.stamp(now) < file["ready_at"]:
            raise HTTPException(425, "the status is not ready yet")
        rows = self.book.execute(
            "SELECT end_to_end_id, status, reason FROM entry WHERE message_id = ? ORDER BY cursor", (message_id,)
        )
        told = [iso20022.Outcome(**row) for row in rows]
        twice = self._settings.twice_percent
        told += [one for one in told if self.fate.strikes("told twice", twice, one.end_to_end_id)]
        return iso20022.write_status(message_id, datetime.fromisoformat(file["ready_at"]), told)

    def statement(self, day: str, first: datetime, last: datetime) -> bytes:
        """Every debit and every return between the first and the last moment of a day."""
        limits = {"first": common.stamp(first), "last": common.stamp(last)}
        opening = self._settings.funds_rupiah - self.book.execute(SPENT, limits).fetchone()["rupiah"]
        entries = (
            iso20022.Entry(**{**row, "at": datetime.fromisoformat(row["at"]), "returned": bool(row["returned"])})
            for row in self.book.execute(DAY, limits)
        )
        return iso20022.write_statement(self._settings.account, day, last, opening, entries)


def create(settings: Settings, clock: Clock) -> FastAPI:
    rail = Rail(settings)
    book = rail.book
    app = common.create_app("Bank (simulator)", book)

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
        held = rail.held([inquiry.account for inquiry in inquiries])
        return [answer(inquiry, held.get(inquiry.account)) for inquiry in inquiries]

    @app.put("/v1/files/{message_id}", status_code=202)
    async def put(message_id: str, request: Request) -> Response:
        body = await request.body()
        if len(body) > FILE_BYTES_MAX:
            raise HTTPException(413, "the file is larger than 64 MiB")
        asked = rail.receive(message_id, body, clock.now())
        if rail.fate.strikes("timeout", settings.timeout_percent, asked):
            return common.Hang(settings.hang_seconds)
        return Response(status_code=202)

    @app.get("/v1/files/{message_id}/status")
    async def status(message_id: str) -> Response:
        return Response(rail.status(message_id, clock.now()), media_type=XML)

    @app.get("/v1/statements/{day}")
    async def statement(day: str) -> Response:
        return Response(rail.statement(day, *common.day_of(day, clock)), media_type=XML)

    @app.get("/v1/book")
    async def page(after: int = 0, limit: common.BookPage = common.BOOK_PAGE_MAX) -> common.Book:
        return common.book_page(book, PAGE, (common.stamp(clock.now()), after, limit), after)

    @app.exception_handler(iso20022.BadFile)
    async def bad(_: Request, error: iso20022.BadFile) -> Response:
        return Response(str(error), 400, media_type="text/plain")

    return app


if __name__ == "__main__":
    common.serve(Settings, create)
