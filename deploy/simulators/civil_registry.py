"""The outside checks: civil registry, blacklists, other aid, the list of laid-off workers. Its world is loaded."""

import asyncio
from datetime import date
from typing import Annotated, Literal

from fastapi import FastAPI
from pydantic import BaseModel, Field

from deploy.simulators import common
from libs.events.clock import Clock

TABLES = """
CREATE TABLE IF NOT EXISTS person (
    nik TEXT PRIMARY KEY, kk TEXT NOT NULL, name TEXT NOT NULL, birth_date TEXT NOT NULL, alive INTEGER NOT NULL,
    blacklisted INTEGER NOT NULL, other_aid INTEGER NOT NULL, laid_off_listed INTEGER NOT NULL) WITHOUT ROWID;
"""

LOAD = """
INSERT INTO person (nik, kk, name, birth_date, alive, blacklisted, other_aid, laid_off_listed)
SELECT value ->> 'nik', value ->> 'kk', value ->> 'name', value ->> 'birth_date', value ->> 'alive',
       value ->> 'blacklisted', value ->> 'other_aid', value ->> 'laid_off_listed'
  FROM json_each(?) WHERE true
    ON CONFLICT (nik) DO UPDATE SET
       kk = excluded.kk, name = excluded.name, birth_date = excluded.birth_date, alive = excluded.alive,
       blacklisted = excluded.blacklisted, other_aid = excluded.other_aid, laid_off_listed = excluded.laid_off_listed
"""

FIND = """
SELECT nik, kk, name, birth_date, alive, blacklisted, other_aid, laid_off_listed
  FROM person WHERE nik IN (SELECT value ->> 'nik' FROM json_each(?))
"""


class Settings(common.Settings):
    unavailable_percent: common.Percent = 0
    slow_percent: common.Percent = 0


class Claim(BaseModel):
    """What somebody says about a person."""

    nik: common.Text
    kk: common.Text
    name: common.Text
    birth_date: date


class Person(Claim):
    alive: bool = True
    blacklisted: bool = False
    other_aid: bool = False
    laid_off_listed: bool = False


class Check(Claim):
    reference: common.Reference


class Finding(BaseModel):
    reference: str
    result: Literal["match", "mismatch", "not-found"]
    field: Literal["kk", "name", "birth_date"] | None = None
    blacklisted: bool = False
    other_aid: bool = False
    laid_off_listed: bool = False


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def examine(check: Check, person: Person | None) -> Finding:
    """Compare what was claimed with the registry. About anybody but the person who matches, nothing is told."""
    if person is None or not person.alive:
        return Finding(reference=check.reference, result="not-found")
    if check.kk != person.kk:
        return Finding(reference=check.reference, result="mismatch", field="kk")
    if _plain(check.name) != _plain(person.name):
        return Finding(reference=check.reference, result="mismatch", field="name")
    if check.birth_date != person.birth_date:
        return Finding(reference=check.reference, result="mismatch", field="birth_date")
    return Finding(
        reference=check.reference,
        result="match",
        blacklisted=person.blacklisted,
        other_aid=person.other_aid,
        laid_off_listed=person.laid_off_listed,
    )


def create(settings: Settings, clock: Clock) -> FastAPI:
    book = common.open_book(settings.book, TABLES)
    fate = common.Fate(settings.seed, book)
    app = common.create_app("Civil registry (simulator)", book)

    @app.post("/people")
    async def people(persons: list[Person]) -> common.Loaded:
        with book:
            book.execute(LOAD, (common.as_json(persons),))
        return common.Loaded(loaded=len(persons))

    @app.post("/v1/checks")
    async def checks(checks: Annotated[list[Check], Field(min_length=1, max_length=1000)]) -> list[Finding]:
        with book:
            request = fate.attempt(checks[0].reference)
        if fate.strikes("unavailable", settings.unavailable_percent, request):
            raise common.unavailable()
        found = {row["nik"]: Person(**row) for row in book.execute(FIND, (common.as_json(checks),))}
        findings = [examine(check, found.get(check.nik)) for check in checks]
        if fate.strikes("slow", settings.slow_percent, request):
            await asyncio.sleep(common.SLOW_SECONDS)
        return findings

    return app


if __name__ == "__main__":
    common.serve(Settings, create)
