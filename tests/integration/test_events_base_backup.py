"""A cluster goes back to an older base backup, taken while it was written to, and the others have gone on.

`tests.fault.restores` does this to every service with logical dumps, since there all services share one cluster. Here
one service has a cluster of its own, and its files themselves go back, with the transaction counter.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.local.binaries import POSTGRES
from deploy.local.bus import Cluster
from deploy.local.stack import Stack
from libs.events import codec
from libs.events import kafka as clients
from libs.events.contracts import TrainingRated
from libs.events.database import QUERIES, Transaction
from libs.events.numbering import Lane
from libs.events.restore import OlderThanTopics, read_tails
from libs.events.tending import new_epoch
from tests.conftest import Databases, MakeDatabase, stack_folder
from tests.integration.conftest import Party, joined
from tests.integration.test_events_path import caught_up, rated, say

Join = Callable[[str], Any]
CITIZENS = 50


@dataclass
class Home:
    """A PostgreSQL of one service's own, with its files."""

    stack: Stack
    make: MakeDatabase

    @property
    def data(self) -> Path:
        return self.stack.layout.postgres / "data"

    def back_up(self) -> Path:
        """A base backup of the running cluster, with the log that makes it whole."""
        server, to = self.stack.facts().server(), self.stack.layout.postgres / "backup"
        rules = self.data / "pg_hba.conf"
        rules.write_text(rules.read_text() + "host replication all 127.0.0.1/32 scram-sha-256\n")
        server.run("SELECT pg_reload_conf()")
        command = [str(POSTGRES / "pg_basebackup"), "-D", str(to), "-X", "stream", "-c", "fast"]
        command += ["-h", server.host, "-p", str(server.port), "-U", server.user]
        subprocess.run(command, env={**os.environ, "PGPASSWORD": server.password}, check=True, capture_output=True)
        return to

    def put_back(self, backup: Path) -> None:
        """The files of the backup take the place of the cluster's."""
        self.stack.stop("postgres")
        owner = self.data.stat()
        shutil.rmtree(self.data)
        backup.rename(self.data)
        for path in (self.data, *self.data.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        self.stack.start("postgres")


@pytest.fixture
def home(bus: Cluster) -> Iterator[Home]:
    with stack_folder() as folder:
        stack = Stack(folder)
        try:
            stack.up(services=[], simulators=[], kafka=bus)
            with Databases(stack.facts().server()).fresh() as make:
                yield Home(stack, make)
        finally:
            stack.down()


class Heard:
    """A reaction that writes down which event it was, in a table that knows no uniqueness."""

    async def prepare(self, party: Party) -> None:
        owner = await asyncpg.connect(party.owner_url)
        await owner.execute(
            "CREATE TABLE effect (n bigint GENERATED ALWAYS AS IDENTITY, citizen uuid, event uuid);"
            "GRANT SELECT, INSERT ON effect TO probe_app"
        )
        await owner.close()

    async def on_rated(self, *, tx: Transaction, events: Sequence[TrainingRated]) -> None:
        await tx.execute(
            "INSERT INTO effect (citizen, event) SELECT * FROM unnest($1::uuid[], $2::uuid[])",
            [event.citizen_id for event in events],
            TrainingRated.event_ids(events),
        )

    async def of(self, party: Party) -> list[tuple[str, str]]:
        """Citizen and event of every effect, citizen by citizen in the order of the effects."""
        async with party.database.connection() as connection:
            return [
                tuple(row) for row in await connection.fetch("SELECT citizen, event FROM effect ORDER BY citizen, n")
            ]

    async def until(self, party: Party, count: int) -> None:
        """Wait for so many effects, at least."""

        async def there() -> bool:
            async with party.database.connection() as connection:
                return bool(await connection.fetchval("SELECT count(*) FROM effect") >= count)

        await party.until(there, 60)


@contextlib.asynccontextmanager
async def saying(training: Party, said: list[TrainingRated]) -> AsyncIterator[None]:
    """Turn after turn of all citizens, as long as the block lasts. `said` is what was committed."""
    over = asyncio.Event()

    async def talk() -> None:
        while not over.is_set():
            said.extend(await next_turn(training, len(said) // CITIZENS))

    task = asyncio.create_task(talk())
    try:
        yield
    finally:
        over.set()
        await task


async def next_turn(training: Party, turn: int) -> list[TrainingRated]:
    """One event of every citizen, committed."""
    events = [rated(who, turn) for who in range(CITIZENS)]
    await say(training, *events)
    return events


def by_citizen(said: Sequence[TrainingRated]) -> list[tuple[str, str]]:
    """Citizen and event of what was said, citizen by citizen in the order it was said."""
    return sorted([(event.citizen_id, event.event_id()) for event in said], key=lambda one: one[0])


async def unsent(party: Party) -> list[tuple[Lane, str]]:
    """Lane and id of the events that a store believes not to have sent."""
    async with party.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT outbox.topic, outbox.lane, value FROM outbox, relay"
            " WHERE (outbox.xid, outbox.position) > (relay.xid, relay.position)"
        )
    return [((row["topic"], row["lane"]), codec.read_envelope(row["value"]).id) for row in rows]


async def known_numbers(party: Party) -> dict[Lane, int]:
    """The last number of each lane, by the store."""
    async with party.database.connection() as connection:
        rows = await QUERIES.relay_numbers(connection)
    return {(row["topic"], row["lane"]): row["number"] for row in rows}


async def last_numbers(party: Party) -> dict[Lane, int]:
    """The last number of each lane, by the topics."""
    async with clients.started(reader := clients.reader(party.settings, "test")):
        return {lane: tail.number for lane, tail in (await read_tails(reader, party.name, {})).items() if tail}


async def test_a_source_names_what_it_lost_and_goes_on_in_a_new_epoch(home: Home, party: Join, bus: Cluster) -> None:
    made, reader, heard, said = home.make("probe"), await party("selection"), Heard(), list[TrainingRated]()
    await heard.prepare(reader)
    async with reader.consuming({TrainingRated: heard.on_rated}):
        async with joined("training", bus, made) as training, training.relaying():
            async with saying(training, said):
                await heard.until(reader, 1_000)
                backup = await asyncio.to_thread(home.back_up)
                await heard.until(reader, len(said) + 1_000)
            await heard.until(reader, len(said))
        await asyncio.to_thread(home.put_back, backup)
        async with joined("training", bus, made) as training:
            waiting, known, sent = await unsent(training), await known_numbers(training), await last_numbers(training)
            own = Counter(known) + Counter(lane for lane, _ in waiting)
            lost = {lane: (known.get(lane, 0) + 1, last) for lane, last in sent.items() if own[lane] < last}
            with pytest.raises(OlderThanTopics) as refused:
                await training.relay()
            assert await last_numbers(training) == sent, "it has sent something"
            assert {one.lane: (one.first, one.last) for one in refused.value.lanes} == lost
            await new_epoch(training.database, "training", training.settings, yes=True)
            for turn in range(10_000, 10_010):
                said += await next_turn(training, turn)
            await training.relay()
        await heard.until(reader, len(said))
        await reader.until(lambda: caught_up(reader), 60)
    effects = await heard.of(reader)
    first = list(dict.fromkeys(effects))
    assert first == by_citizen(said), "each event has its effect, in the order of its citizen"
    twice = {event for (_, event), times in Counter(effects).items() if times > 1}
    assert twice <= {event for _, event in waiting}, "only what the backup held as unsent is said again"


async def test_a_reader_goes_on_from_its_own_positions_to_the_same_state(home: Home, party: Join, bus: Cluster) -> None:
    made, training, heard, said = home.make("probe"), await party("training"), Heard(), list[TrainingRated]()
    async with training.relaying(), saying(training, said):
        async with joined("selection", bus, made) as reader:
            await heard.prepare(reader)
            async with reader.consuming({TrainingRated: heard.on_rated}):
                await heard.until(reader, 1_000)
                backup = await asyncio.to_thread(home.back_up)
                await heard.until(reader, len(said) + 1_000)
        await asyncio.to_thread(home.put_back, backup)
    await training.relay()
    async with joined("selection", bus, made) as reader:
        assert len(before := await heard.of(reader)) < len(said), "nothing was lost"
        async with reader.consuming({TrainingRated: heard.on_rated}):
            await heard.until(reader, len(said))
            await reader.until(lambda: caught_up(reader), 60)
        assert set(before) <= set(effects := await heard.of(reader))
        assert effects == by_citizen(said)
