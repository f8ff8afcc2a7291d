"""What the simulators share: settings, the book that survives a kill, faults decided by a hash, how they are served.

A simulator answers only after its book (SQLite, WAL, synchronous=FULL) has committed, so what it acknowledged is still
there after kill -9. Requests run one after the other on the event loop: one book, one writer, one commit per request.
"""

import asyncio
import hashlib
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from libs.events.clock import JAKARTA, Clock, end_of_day, open_clock

SLOW_SECONDS = 1.0
RETRY_AFTER_SECONDS = 1

Percent = Annotated[float, Field(ge=0, le=100)]
Rupiah = Annotated[int, Field(gt=0)]


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("a NUL character is not text")
    return text


Text = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_without_nul)]
Reference = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]


class Settings(BaseSettings):
    """From the environment (prefix SIMULATOR_), or from the file that GELOMBANG_SETTINGS names."""

    model_config = SettingsConfigDict(env_prefix="SIMULATOR_", extra="ignore")

    port: Annotated[int, Field(ge=0, le=65535)]
    book: Path
    clock: str = "real"
    seed: str = "1"

    @classmethod
    def load(cls) -> Self:
        """Read the settings; what is missing or wrong ends the process with a sentence that names it."""
        try:
            return cls(_env_file=os.environ.get("GELOMBANG_SETTINGS"))
        except ValidationError as error:
            wrong = "; ".join(f"SIMULATOR_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
            sys.exit(f"{cls.__module__} can not start. Set these in the environment: {wrong}.")


S = TypeVar("S", bound=Settings)


def open_book(path: Path, tables: str) -> sqlite3.Connection:
    """Open the simulator's own book and lay out its tables; harmless where they exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    book = sqlite3.connect(path, check_same_thread=False, isolation_level="IMMEDIATE")
    book.row_factory = sqlite3.Row
    book.execute("PRAGMA journal_mode = WAL")
    book.execute("PRAGMA synchronous = FULL")
    book.executescript(
        f"CREATE TABLE IF NOT EXISTS asked (reference TEXT PRIMARY KEY, times INTEGER NOT NULL);{tables}"
    )
    return book


class Loaded(BaseModel):
    loaded: int


class Repair(BaseModel):
    account: Text


class Inquiry(BaseModel):
    """Asks a rail whether an account is there and belongs to the holder of a NIK."""

    reference: Reference
    account: Text
    nik: Text


class Answer(BaseModel):
    reference: str
    result: Literal["valid", "identity-mismatch", "closed", "not-found"]


class Booked(BaseModel):
    """One payment a rail has booked, for outside checkers. `end_to_end_id` is the rail's idempotency key."""

    cursor: int
    end_to_end_id: str
    account_hash: str
    amount_rupiah: int
    at: datetime
    returned: bool


class Book(BaseModel):
    booked: list[Booked]
    cursor: int


BOOK_PAGE_MAX = 10_000
BookPage = Annotated[int, Field(ge=1, le=BOOK_PAGE_MAX)]
"""How many payments a page of a rail's book may hold."""


def book_page(book: sqlite3.Connection, query: str, parameters: Sequence[object], after: int) -> Book:
    """One page of a rail's book, by a query that gives the columns of `Booked`, `account` in place of its hash."""
    booked = [
        Booked(account_hash=account_hash(row["account"]), **row) for row in book.execute(query, tuple(parameters))
    ]
    return Book(booked=booked, cursor=booked[-1].cursor if booked else after)


def account_hash(account: str) -> str:
    """How a rail's book names an account to an outside checker who knows it already: SHA-256, hexadecimal."""
    return hashlib.sha256(account.encode()).hexdigest()


def to_json(values: Sequence[str]) -> str:
    """A list of values for SQL's json_each: one statement for a whole request."""
    return json.dumps(values)


def as_json(rows: Iterable[BaseModel]) -> str:
    """A list of items for SQL's json_each."""
    return json.dumps([row.model_dump(mode="json") for row in rows])


class Fate:
    """Decides faults. The same seed and reference give the same fault, in every process and on every machine."""

    def __init__(self, seed: str, book: sqlite3.Connection) -> None:
        self._seed, self._book = seed, book

    def number(self, fault: str, reference: str) -> int:
        """A number in 0..2^64-1, evenly spread, for this fault of this reference."""
        return int.from_bytes(hashlib.sha256(f"{self._seed}\n{fault}\n{reference}".encode()).digest()[:8], "big")

    def strikes(self, fault: str, percent: float, reference: str) -> bool:
        return self.number(fault, reference) % 10_000 < percent * 100

    def attempt(self, reference: str) -> str:
        """The reference of this very request: it counts how often it was asked, so that asking again can succeed.

        Must run inside the request's transaction; the count is kept in the book, as everything else is.
        """
        asked = self._book.execute(
            "INSERT INTO asked (reference, times) VALUES (?, 1) "
            "ON CONFLICT (reference) DO UPDATE SET times = times + 1 RETURNING times",
            (reference,),
        ).fetchall()
        return f"{reference}\n{asked[0]['times']}"


def unavailable() -> HTTPException:
    return HTTPException(503, "busy, ask again later", headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


class Hang(Response):
    """Answers nothing: the connection hangs for `seconds` and is cut, as if the network had swallowed the answer."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(self._seconds)
        scope["cut"]()
        await asyncio.sleep(0.05)  # the server must see the cut before this returns, or it would answer 500


def with_cuts(app: ASGIApp) -> ASGIApp:
    """Gives `Hang` the means to cut: the transport behind uvicorn's outermost `send`."""

    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            cut: Callable[[], None] = send.__self__.transport.abort  # type: ignore[attr-defined]
            scope["cut"] = cut
        await app(scope, receive, send)

    return outermost


def day_of(text: str, clock: Clock) -> tuple[datetime, datetime]:
    """First and last moment (UTC) of a day in Jakarta, written yyyy-mm-dd.

    Raises HTTPException: 404 for what is no day, 425 while the day has not ended by the programme clock.
    """
    try:
        first = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=JAKARTA)
    except ValueError:
        raise HTTPException(404, "no such day") from None
    last = end_of_day(first)
    if clock.now() <= last:
        raise HTTPException(425, "the day has not ended yet")
    return first.astimezone(UTC), last


def stamp(at: datetime) -> str:
    """A time as the book writes it: UTC, fixed width, so that text order is time order."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def later(at: datetime, hours: float) -> str:
    return stamp(at + timedelta(hours=hours))


def create_app(title: str, book: sqlite3.Connection, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """An application with health routes, whose errors never repeat what was sent."""
    app = FastAPI(title=title, lifespan=lifespan)

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/health/ready")
    async def ready() -> dict[str, str]:
        book.execute("SELECT times FROM asked LIMIT 1").fetchone()
        return {"status": "ok"}

    @app.exception_handler(RequestValidationError)
    async def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse([{"at": e["loc"], "what": e["msg"]} for e in error.errors()[:20]], 422)

    return app


def serve(kind: type[S], create: Callable[[S, Clock], FastAPI]) -> None:
    """Run one simulator until it is told to stop. No access log: addresses in it could name a person."""
    settings = kind.load()
    app = create(settings, open_clock(settings.clock))
    uvicorn.run(
        with_cuts(app),
        host="127.0.0.1",
        port=settings.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
