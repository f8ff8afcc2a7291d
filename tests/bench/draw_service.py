"""The whole life of a large wave in the service itself: from stored applications to events in the outbox.

One process of its own, so that the greatest memory it ever had is that of the service's work and of nothing else.
"""

import asyncio
import hashlib
import random
import resource
import time
from contextlib import AbstractAsyncContextManager
from statistics import median, quantiles
from types import SimpleNamespace
from typing import Any, Final

from libs.events import outbox
from libs.events.database import Database
from services.selection import commands, copying
from services.selection.domain import merkle
from services.selection.draws import Machine, commit_one, draw_one
from services.selection.pool_store import CHUNK_HASHES
from services.selection.publishing import publish_some
from services.selection.store import QUERIES
from tests.bench.world import Where
from tests.integration.selection_world import CLOSES, DRAWS, OPENS, PLACES, World, open_world

SEATS_SHARE: Final = 20
"""One seat for so many applicants."""
FILL_ROWS: Final = 250_000
PROOFS: Final = 2_000
READY_ROWS, READY_PAGES = 50_000, 10

# Ids as registration makes them look; three of two households' members apply, one in a hundred is on the blacklist.
FILL: Final = """
INSERT INTO application (wave_id, application_id, citizen_id, household_id, province, tier, exclusions, applied_at)
SELECT 1, id('a', i), id('c', i), id('h', i * 2 / 3), ($3::text[])[1 + i % cardinality($3::text[])],
       CASE WHEN i % 10 < 3 THEN 'priority' ELSE 'public' END,
       CASE WHEN i % 100 = 0 THEN '{blacklist}' ELSE '{}' END::text[], $4
  FROM generate_series($1::integer, $2::integer) AS i
"""
ID: Final = """
CREATE FUNCTION pg_temp.id(kind text, number integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT encode(substr(sha256(convert_to(kind || number, 'UTF8')), 1, 16), 'hex')::uuid $$
"""


def world_at(where: Where) -> AbstractAsyncContextManager[World]:
    """Selection's own world, in a store that is there."""
    made = SimpleNamespace(app_url=where.database_url, owner_url=where.owner_url)
    return open_world(lambda _service: made)  # type: ignore[arg-type,return-value]


async def life(where: Where, applicants: int, seconds: int) -> dict[str, Any]:
    """Seconds of each stage, events a second into the outbox, milliseconds of a proof, and memory in MiB.

    `seconds` is what `turn` grants such a wave beyond its usual time.
    """
    del seconds
    async with world_at(where) as world:
        await _until_closed(world, applicants)
        machine, database, told = world.machine, world.database, dict[str, Any]()
        room = asyncio.create_task(outbox.keep_room(database, 5_000_000, lambda: outbox.KEEP_ALL_ROWS))
        told["commit_s"] = await _timed(commit_one(machine, database, CLOSES))
        world.clock.at = DRAWS
        told["draw_s"] = await _timed(draw_one(machine, database, DRAWS))
        told["proof_ms"] = await _proofs(machine, database, world)
        begun, pages = time.perf_counter(), 0
        while await publish_some(machine, database, DRAWS):
            pages += 1
        told["publish_s"], told["publish_pages"] = time.perf_counter() - begun, pages
        view = await world.view()
        assert view["state"] == "published", view["state"]
        told |= {"winners": view["winners"], "not_selected": view["not_selected"]}
        told["events_per_s"] = (view["winners"] + view["not_selected"]) / told["publish_s"]
        told["memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        told["ready_events_per_s"] = await _ready(database)
        room.cancel()
        return told


async def _until_closed(world: World, applicants: int) -> None:
    await world.announce(seats=applicants // SEATS_SHARE)
    await world.tick(OPENS)
    async with world.owner() as owner:
        await owner.execute(ID)
        for first in range(0, applicants, FILL_ROWS):
            last = min(first + FILL_ROWS, applicants) - 1
            await owner.execute(
                FILL.replace("id('", "pg_temp.id('"), first, last, [place.code for place in PLACES], CLOSES
            )
        await owner.execute("VACUUM ANALYZE application")
        digest = hashlib.sha256()
        async with owner.transaction():
            async for row in owner.cursor("SELECT application_id FROM application ORDER BY 1", prefetch=50_000):
                digest.update(row["application_id"].bytes)
        await owner.execute(
            "INSERT INTO intake (wave_id, count, digest, stated_at) VALUES (1, $1, $2, $3)",
            applicants,
            digest.digest(),
            CLOSES,
        )
    world.clock.at = CLOSES
    async with world.database.transaction() as tx:
        await commands.open_and_close(tx=tx, now=CLOSES, store=world.machine.store)


async def _timed(stage: Any) -> float:
    begun = time.perf_counter()
    assert await stage == 1, "a stage took no step"
    return time.perf_counter() - begun


async def _proofs(machine: Machine, database: Database, world: World) -> dict[str, float]:
    """One proof after the other, of leaves here and there, each checked against the root; the tree is warm."""
    view, chance, taken = await world.view(), random.Random(1), []
    async with database.connection() as tx:
        for at in range(2 * PROOFS):
            leaf = chance.randrange(view["pool_count"])
            begun = time.perf_counter()
            proof = await machine.pools.proof(tx, view["wave_id"], leaf, view["pool_count"])
            if at >= PROOFS:
                taken.append(1000 * (time.perf_counter() - begun))
            if at % 100 == 0:
                chunk, place = divmod(leaf, CHUNK_HASHES)
                (own,) = await QUERIES.merkle_hashes(
                    tx, wave_id=view["wave_id"], levels=[0], chunks=[chunk], bytes=[place * merkle.HASH_BYTES + 1]
                )
                assert merkle.is_included(own["hash"], leaf, view["pool_count"], proof, view["root"])
    return {"median": median(taken), "p99": quantiles(taken, n=100)[98]}


async def _ready(database: Database) -> float:
    """What COPY alone reaches with bytes of the same length that are ready in memory, page by page as above."""
    async with database.connection() as tx:
        length = await tx.fetchval(
            "SELECT avg(octet_length(value))::integer FROM (SELECT value FROM outbox LIMIT 1000)"
        )
    page = [copying.rows_of(READY_ROWS, b"ready", b"\0\0", b"0" * 32, b"x" * length)]
    begun = time.perf_counter()
    for _ in range(READY_PAGES):
        async with database.transaction() as tx:
            await copying.write(tx, "outbox", ("topic", "lane", "key", "value"), page)
    return READY_ROWS * READY_PAGES / (time.perf_counter() - begun)
