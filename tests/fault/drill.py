"""Backups of one stack, the steps of docs/runbooks/restore.md, and what a service knows."""

import asyncio
import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from deploy.demo.calendar import BEFORE
from deploy.local import databases, readiness
from deploy.local.binaries import POSTGRES
from deploy.local.layout import ROOT
from deploy.local.problem import Problem
from libs.events.numbering import Lane
from tests.fault.stage import Stage

LOOK_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 60.0
OLDER: Final = "this database is older than its topics"

PROJECTIONS: Final = {
    "registration": ("wave", "programme, wave"),
    "selection": ("application", "wave_id, application_id, citizen_id, province, tier, applied_at"),
    "training": ("membership", "citizen_id, programme, wave, application_id, province, tier, selected_at"),
    "disbursement": ("reservation", "citizen_id, programme, wave, province, amount_rupiah"),
    "finance": ("entry", "event_id, type, at, programme, amount_rupiah, citizen_id, wave, province"),
}
"""What each service knows from the events of others alone: a table, and those of its columns that only they fill."""


@dataclass(frozen=True, slots=True)
class State:
    """What a reader has come to: digest of its projection, rows in it, events parked, last number of every lane."""

    digest: str
    rows: int
    parked: int
    read: Mapping[Lane, int]


PATH_TABLES: Final = ("outbox", "relay", "relay_number", "position", "parked", "job", "schema_migrations")
"""How far the event path has come; a repeat may move that."""


@dataclass(frozen=True, slots=True)
class Holding:
    """All that a service has: rows by table (their digests, counted), events said by type, parked by topic and why."""

    tables: Mapping[str, Counter[str]]
    said: Counter[str]
    parked: Counter[str]


class Drill:
    """Backups of one stack, and the steps of the runbook."""

    def __init__(self, stage: Stage, seed: str) -> None:
        self.stage, self.seed = stage, seed
        self.folder = stage.layout.var / "backups"
        self.folder.mkdir(exist_ok=True)

    # -- the words of the runbook ------------------------------------------------------------------------------------

    def back_up(self, service: str, name: str) -> Path:
        path = self.folder / f"{service}-{name}.dump"
        _run(POSTGRES / "pg_dump", "--format=custom", f"--file={path}", self._owner(service))
        return path

    def put_back(self, service: str, backup: Path) -> str:
        """Stop it, restore, `make up`. Gives why the stack did not become ready, if it did not."""
        self.restore(service, backup)
        return self.up()

    def drop(self, service: str) -> None:
        """Stop it, and let nothing be left of what it knows."""
        self.stage.stop(service)
        databases.drop_database(self.stage.facts().server(), self.stage.facts().databases()[service].name)

    def restore(self, service: str, backup: Path) -> None:
        self.drop(service)
        server, name = self.stage.facts().server(), self.stage.facts().databases()[service].name
        server.run('CREATE DATABASE :"name" OWNER :"owner" TEMPLATE template0', name=name, owner=f"{service}_owner")
        _run(POSTGRES / "pg_restore", f"--dbname={self._owner(service)}", str(backup))

    def up(self) -> str:
        try:
            self.stage.begin(BEFORE, self.seed)
        except Problem as problem:
            return str(problem.what)
        return ""

    def why_it_refuses(self, service: str, said: str) -> str:
        """What the service says of its relay, from `make up` or from its own page a moment later."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while OLDER not in said and time.monotonic() < deadline:
            _, said = readiness.ask(self.stage.facts().url(service))
            time.sleep(0.5)
        return said

    def new_epoch(self, service: str, *words: str) -> tuple[int, str]:
        """Exit code and words of the operator's command."""
        environment = {**os.environ, "GELOMBANG_SETTINGS": str(self.stage.layout.environment / f"{service}.env")}
        command = [sys.executable, "-m", f"services.{service}", "new-epoch", *words]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def _owner(self, service: str) -> str:
        return self.stage.facts().databases()[service].owner_url

    # -- what is so --------------------------------------------------------------------------------------------------

    async def state(self, service: str) -> State:
        table, columns = PROJECTIONS[service]
        async with self._connected(service) as connection:
            rows = await connection.fetch(f"SELECT {columns} FROM {table} ORDER BY {columns}")
            read = await connection.fetch("SELECT topic, lane, number FROM position")
            parked = await connection.fetchval("SELECT count(*) FROM parked")
        digest = hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()
        return State(digest[:16], len(rows), parked, {(row["topic"], row["lane"]): row["number"] for row in read})

    async def sent(self, service: str) -> dict[Lane, int]:
        """The last number of every lane it has written."""
        async with self._connected(service) as connection:
            rows = await connection.fetch("SELECT topic, lane, number FROM relay_number WHERE number > 0")
        return {(row["topic"], row["lane"]): row["number"] for row in rows}

    async def unsent(self, service: str) -> dict[Lane, int]:
        """How many events of a lane wait in its outbox: a backup may know what its relay had not stored yet."""
        async with self._connected(service) as connection:
            rows = await connection.fetch(
                "SELECT topic, lane, count(*) AS events FROM outbox, relay"
                " WHERE (outbox.xid, outbox.position) > (relay.xid, relay.position) GROUP BY topic, lane"
            )
        return {(row["topic"], row["lane"]): row["events"] for row in rows}

    async def holding(self, service: str) -> Holding:
        async with self._connected(service) as connection:
            names = await connection.fetch(
                "SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> ALL ($1)",
                PATH_TABLES,
            )
            tables = {
                row["name"]: Counter[str](
                    one[0] for one in await connection.fetch(f'SELECT md5(one::text) FROM "{row["name"]}" AS one')
                )
                for row in names
            }
            said = await connection.fetch("SELECT convert_from(value, 'UTF8')::jsonb ->> 'type' FROM outbox")
            parked = await connection.fetch("SELECT concat_ws(' ', topic, type, reason, detail) FROM parked")
        return Holding(tables, Counter(row[0] for row in said), Counter(row[0] for row in parked))

    async def forget_the_cursor(self, service: str) -> int:
        """All of its outbox is unsent again, in a new epoch, and numbering goes on. Gives how many events that are."""
        async with self._connected(service) as connection:
            await connection.execute(
                "UPDATE relay SET epoch = epoch + 1, epoch_xid = '0', epoch_position = 0, xid = '0', position = 0,"
                " owner = NULL"
            )
            return int(await connection.fetchval("SELECT count(*) FROM outbox"))

    @contextlib.asynccontextmanager
    async def _connected(self, service: str) -> AsyncIterator[Any]:
        facts = self.stage.facts()
        connection = await asyncpg.connect(facts.server().url(facts.databases()[service].name))
        try:
            yield connection
        finally:
            await connection.close()

    async def until_read(self, service: str, before: State) -> State:
        """Wait until every lane is read at least as far as before; gives the state then, or at the end of patience."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            now = await self.state(service)
            if all(now.read.get(lane, 0) >= number for lane, number in before.read.items()):
                return now
            if time.monotonic() > deadline:
                return now
            await asyncio.sleep(LOOK_SECONDS)


def _run(program: Path, *words: str) -> None:
    done = subprocess.run([str(program), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem(f"{program.name} failed: {done.stderr.strip().splitlines()[-1]}", "See the words above.")
