"""Queries over the tables with a row per application keep to their indexes: a scan of ten million rows stops a page."""

import re
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest_asyncio

from services.selection.domain.merkle import proof_positions
from services.selection.publishing import RESULTS_PER_PART
from services.selection.store import QUERIES
from tests.conftest import MakeDatabase
from tests.integration.selection_world import World, open_world

LARGE: Final = ("application", "pool_entry", "draw_result", "exclusion", "merkle", "member")

# A published wave as far as queries see it. Ids ascend with the number, every tenth application was excluded and every
# twentieth of the pool has won.
FILL: Final = """
UPDATE wave SET state = 'published', commitment = '{}', signature = decode(repeat('00', 64), 'hex'),
       root = decode(repeat('00', 32), 'hex'), pool_count = 90000, beacon_round = 1, committed_at = closes_at,
       draw_due_at = draws_at, beacon_signature = '', seed = decode(repeat('00', 32), 'hex'),
       winners = 4500, drawn_at = draws_at, published_at = draws_at, randomness = decode(repeat('00', 32), 'hex');
CREATE FUNCTION pg_temp.id(kind text, number integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT (lpad(to_hex(number), 8, '0') || md5(kind || number)::varchar(24))::uuid $$;
INSERT INTO application (wave_id, application_id, citizen_id, household_id, province, tier, exclusions, applied_at)
SELECT 1, pg_temp.id('a', i), md5('c' || i)::uuid, md5('h' || i / 2)::uuid, '31', 'public', '{}', now()
  FROM generate_series(1, 100000) AS i;
INSERT INTO exclusion SELECT 1, pg_temp.id('a', i), 'blacklist' FROM generate_series(10, 100000, 10) AS i;
INSERT INTO pool_entry (wave_id, leaf, application_id, household_group, places, salt)
SELECT 1, row_number() OVER (ORDER BY i) - 1, pg_temp.id('a', i), i / 2, 2, decode(repeat('00', 16), 'hex')
  FROM generate_series(1, 100000) AS i WHERE i % 10 <> 0;
INSERT INTO draw_result (wave_id, leaf, ticket, rank, seat_province, seat_tier)
SELECT 1, leaf, decode(md5('t' || leaf) || md5('u' || leaf), 'hex'), leaf + 1,
       CASE WHEN leaf % 20 = 0 THEN '31' END, CASE WHEN leaf % 20 = 0 THEN 'public' END
  FROM pool_entry;
INSERT INTO member (citizen_id, programme, wave_id, application_id, household_id, seat_province, seat_tier)
SELECT a.citizen_id, 'prakerja-2020', 1, a.application_id, a.household_id, '31', 'public'
  FROM draw_result r JOIN pool_entry p USING (wave_id, leaf) JOIN application a USING (wave_id, application_id)
 WHERE r.seat_province IS NOT NULL;
INSERT INTO merkle SELECT 1, level, chunk, decode(repeat('00', 32), 'hex')
  FROM generate_series(0, 20) AS level, generate_series(0, 999) AS chunk;
ANALYZE;
"""
MIDDLE: Final = "0000c350" + "0" * 24
PART: Final = RESULTS_PER_PART // 10
"""To this pool what a real part is to a million applications."""
BY_APPLICATION: Final = {"application_pkey", "pool_entry_wave_id_application_id_key", "draw_result_pkey"}
PAGE: Final = {"first": 50_000, "last": 60_000}
PLACES: Final = proof_positions(50_000, 90_000)

HOT: Final[dict[str, tuple[dict[str, Any], set[str]]]] = {
    "entry_shown": ({"wave_id": 1, "application_id": MIDDLE}, BY_APPLICATION),
    "winners_shown": (
        {"wave_id": 1, "start": MIDDLE, "limit": 201},
        {"draw_result_pkey", "pool_entry_pkey", "pool_entry_wave_id_application_id_key"},
    ),
    "draws_of_citizen": ({"citizen_id": MIDDLE, "limit": 100}, {"application_one_per_citizen"}),
    "result_of": ({"citizen_id": MIDDLE, "application_id": MIDDLE}, {"draw_result_pkey"}),
    "results_page": ({"wave_id": 1, "after": MIDDLE, "limit": PART}, BY_APPLICATION),
    "merkle_hashes": (
        {
            "wave_id": 1,
            "levels": [level for level, _ in PLACES],
            "chunks": [0] * len(PLACES),
            "bytes": [1] * len(PLACES),
        },
        {"merkle_pkey"},
    ),
    "pool_page": ({"wave_id": 1} | PAGE, {"pool_entry_pkey"}),
    "pool_columns": ({"wave_id": 1} | PAGE, {"pool_entry_pkey"}),
    "winners_page": ({"wave_id": 1} | PAGE, {"draw_result_pkey"}),
    "exclusions_page": ({"wave_id": 1, "after": MIDDLE, "limit": 10}, {"exclusion_pkey"}),
    "recycled_seats": ({"wave_id": 1, "after": 0, "limit": 100}, set()),
    "requests_open": ({"limit": 100}, set()),
}
"""Queries of pages, of citizens, of the bundle and of publication: what they ask for here, and which indexes serve."""


@pytest_asyncio.fixture
async def world(database: MakeDatabase) -> AsyncIterator[World]:
    async with open_world(database) as opened:
        yield opened


async def test_no_hot_query_reads_a_whole_table(world: World) -> None:
    """Planned for the values at hand and, as the server does after some calls, for any."""
    await world.announce()
    found = []
    async with world.owner() as connection:
        await connection.execute(FILL)
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        for name, (values, indexes) in HOT.items():
            query = getattr(QUERIES, name)
            ordered = QUERIES.driver_adapter.maybe_order_params(name, values)
            told = await connection.fetch(f"EXPLAIN {query.sql}", *ordered)
            await connection.execute(f"PREPARE {name} AS {query.sql}")
            generic = await connection.fetch(f"EXPLAIN EXECUTE {name} ({', '.join(['NULL'] * len(ordered))})")
            for kind, rows in (("for these values", told), ("for any values", generic)):
                plan = "\n".join(row[0] for row in rows)
                whole = re.findall(rf"Seq Scan on ({'|'.join(LARGE)})\b", plan)
                missed = [index for index in indexes if not re.search(rf"\b{index}\b", plan)]
                if whole or missed:
                    found.append(f"{name} {kind}: reads {whole}, does not use {missed}\n{plan}")
    assert not found, "\n\n".join(found)
