"""What auditors and makers read, over HTTP, from a real PostgreSQL."""

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from joserfc import jwt
from joserfc.jwk import ECKey

from libs.events.access import STAFF_AUDIENCE, open_access
from libs.events.clock import FixedClock
from libs.events.database import Database, open_database
from libs.events.settings import load_settings
from services.finance import export
from services.finance.api import create_api
from services.finance.jobs import prove
from services.finance.main import service
from services.finance.settings import Settings
from services.finance.store import Store
from services.finance.windows_client import WindowsClient
from tests.conftest import MakeDatabase
from tests.integration.test_finance_records import AT, PROGRAMME, granted, story, take

ISSUER = "https://issuer.test"
KEY = ECKey.generate_key("P-256", {"kid": "one"})


def token(role: str) -> dict[str, str]:
    claims = {
        "iss": ISSUER,
        "aud": STAFF_AUDIENCE,
        "sub": "account",
        "person": "person",
        "roles": [role],
        "exp": int((AT + timedelta(hours=1)).timestamp()),
    }
    return {"Authorization": "Bearer " + jwt.encode({"alg": "ES256", "kid": "one"}, claims, KEY)}


def served(database: Database, folder: Path, windows: WindowsClient) -> FastAPI:
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"keys": [KEY.as_dict(private=False)]}))
    clock = FixedClock(AT)
    api = create_api(Store(), open_access(ISSUER, keys, keys, clock), windows)
    api.state.database, api.state.clock = database, clock
    return api


@pytest_asyncio.fixture
async def database_of_books(database: MakeDatabase) -> AsyncIterator[Database]:
    async with open_database(database("finance").app_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def client(database_of_books: Database, tmp_path: Path) -> AsyncIterator[AsyncClient]:
    api = served(database_of_books, tmp_path, WindowsClient("http://127.0.0.1:9"))
    async with AsyncClient(transport=ASGITransport(api), base_url="http://finance") as made:
        yield made


async def test_the_book_shows_figures_proof_and_totals(client: AsyncClient, database_of_books: Database) -> None:
    await take(database_of_books, [granted(10_000_000), *story("siti")[:-1], *story("budi", rail="e-wallet")[:2]])
    async with database_of_books.transaction() as tx:
        await prove(tx=tx, store=Store(), now=AT, limit=10)
    answer = await client.get(f"/v1/books/{PROGRAMME}", headers=token("auditor"))
    book = answer.json()
    assert answer.status_code == 200
    assert {
        name: book[name] for name in ("appropriation", "available", "reserved", "in_flight", "paid", "returned")
    } == {
        "appropriation": 10_000_000,
        "available": 2_900_000,
        "reserved": 5_900_000,
        "in_flight": 600_000,
        "paid": 600_000,
        "returned": 0,
    }
    assert book["identity"] == {
        "holds": True,
        "events": 11,
        "proven_events": 11,
        "proven_at": "2020-05-01T03:04:05.678901Z",
    }
    assert book["totals"]["rail"] == [
        {"name": "bank", "submitted": 3, "paid_count": 2, "failed": 1, "returned": 1, "in_flight": 0, "paid": 600_000},
        {
            "name": "e-wallet",
            "submitted": 1,
            "paid_count": 0,
            "failed": 0,
            "returned": 0,
            "in_flight": 600_000,
            "paid": 0,
        },
    ]
    assert [(line["name"], line["paid"], line["in_flight"]) for line in book["totals"]["province"]] == [
        ("31", 600_000, 600_000)
    ]
    assert [line["name"] for line in book["totals"]["milestone"]] == ["incentive-1"]
    assert (book["alarms"], book["parked_events"]) == ([], 0)


async def test_books_that_were_never_proven_do_not_claim_to_be(
    client: AsyncClient, database_of_books: Database
) -> None:
    await take(database_of_books, [granted()])
    identity = (await client.get(f"/v1/books/{PROGRAMME}", headers=token("maker"))).json()["identity"]
    assert identity == {"holds": False, "events": 1, "proven_events": 0, "proven_at": None}


async def test_an_alarm_shows(client: AsyncClient, database_of_books: Database) -> None:
    await take(database_of_books, story("siti"))
    async with database_of_books.transaction() as tx:
        await prove(tx=tx, store=Store(), now=AT, limit=10)
    book = (await client.get(f"/v1/books/{PROGRAMME}", headers=token("auditor"))).json()
    assert not book["identity"]["holds"]
    assert [(alarm["what"], alarm["found"], alarm["cleared_at"]) for alarm in book["alarms"]] == [
        ("overdrawn", -600_000, None)
    ]


async def test_the_export_is_every_event_in_order_and_a_beginning_of_the_next(
    client: AsyncClient, database_of_books: Database
) -> None:
    events = [granted(), *story("siti")]
    await take(database_of_books, events)
    answer = await client.get(f"/v1/exports/{PROGRAMME}.csv", headers=token("auditor"))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    lines = answer.text.split("\r\n")
    assert lines[0] == ",".join(export.COLUMNS)
    assert lines[-1] == ""
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["event_id"], row["type"], row["amount_rupiah"]) for row in rows] == [
        (event.event_id(), event.TYPE, str(event.amount_rupiah))  # type: ignore[attr-defined]
        for event in events
    ]
    assert rows[0]["at"] == "2020-05-01T03:04:05.678901+00:00"
    assert rows[0]["citizen_id"] == ""
    await take(database_of_books, story("budi"))
    later = await client.get(f"/v1/exports/{PROGRAMME}.csv", headers=token("auditor"))
    assert later.text.startswith(answer.text)
    assert later.text.count("\r\n") == 1 + len(events) + 9


async def test_an_export_longer_than_a_chunk_loses_and_repeats_nothing(database_of_books: Database) -> None:
    people = export.ROWS_PER_CHUNK // 9 + 1
    for start in range(0, people, 50):
        await take(
            database_of_books,
            [event for number in range(start, min(start + 50, people)) for event in story(str(number))],
        )
    chunks = [chunk async for chunk in export.exported(database_of_books, Store(), PROGRAMME, 10**9)]
    rows = list(csv.DictReader(io.StringIO("".join(chunks))))
    assert len(chunks) == 3
    assert len({row["event_id"] for row in rows}) == len(rows) == people * 9
    assert [int(row["entry"]) for row in rows] == sorted(int(row["entry"]) for row in rows)


def test_what_needs_quoting_is_quoted() -> None:
    assert export.written([["a", 'say "x", y', "two\r\nlines", None]]) == 'a,"say ""x"", y","two\r\nlines",\r\n'


async def test_an_unknown_programme_has_no_book(client: AsyncClient) -> None:
    for path in ("/v1/books/nothing", "/v1/exports/nothing.csv"):
        answer = await client.get(path, headers=token("auditor"))
        assert answer.status_code == 404
        assert answer.json()["errors"][0]["code"] == "no-book"


async def test_an_address_that_names_no_programme_is_refused_at_the_edge(client: AsyncClient) -> None:
    for strange in ("%00", "PRAKERJA", "x" * 41):
        for path in (f"/v1/books/{strange}", f"/v1/exports/{strange}.csv"):
            answer = await client.get(path, headers=token("auditor"))
            assert answer.status_code == 422
            assert [error["field"] for error in answer.json()["errors"]] == ["programme"]


async def test_only_auditors_and_makers_may_read(client: AsyncClient) -> None:
    for path in (f"/v1/books/{PROGRAMME}", f"/v1/exports/{PROGRAMME}.csv", "/v1/windows"):
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers=token("checker"))).status_code == 403


async def test_windows_that_are_away_are_said_to_be(client: AsyncClient) -> None:
    answer = await client.get("/v1/windows", headers=token("auditor"))
    assert answer.status_code == 503
    assert answer.json()["errors"][0]["code"] == "windows-away"


async def test_windows_are_passed_on_as_they_are(database_of_books: Database, tmp_path: Path) -> None:
    async def shown(request: web.Request) -> web.Response:
        return web.json_response({"rebuilding": False, "skipped": 0, "windows": [], "asked": request.query["last"]})

    application = web.Application()
    application.router.add_get("/windows", shown)
    async with TestServer(application) as server:
        windows = WindowsClient(str(server.make_url("/")))
        api = served(database_of_books, tmp_path, windows)
        await windows.start(database_of_books, FixedClock(AT))
        async with AsyncClient(transport=ASGITransport(api), base_url="http://finance") as client:
            answer = await client.get("/v1/windows?last=3", headers=token("maker"))
        await windows.close()
    assert answer.json() == {"rebuilding": False, "skipped": 0, "windows": [], "asked": "3"}


def test_the_service_reads_all_eight_types_and_writes_nothing() -> None:
    access = {"staff_issuer": ISSUER, "staff_jwks": "keys.json", "citizen_jwks": "keys.json"}
    settings = load_settings(Settings, database_url="postgresql://x", kafka_servers="x:1", **access)
    made = service(settings)
    assert len(made.reactions) == 8
    assert [job.name for job in made.jobs] == ["prove-books"]
