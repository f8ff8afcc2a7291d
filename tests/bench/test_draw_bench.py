"""The draw of ten million applicants beside the sort that no draw can do without, and beside PostgreSQL's own."""

import json
import os
import subprocess
import sys
import time
from typing import Any, Final

import asyncpg
import pytest

from tests.bench import pairs
from tests.bench.draw_plot import plot
from tests.bench.pairs import Ratio, Report
from tests.conftest import MakeDatabase

APPLICANTS: Final = int(os.environ.get("BENCH_APPLICANTS", "10000000"))
SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
CELLS, SEATS_SHARE = 514, 20
NOTES: Final = (
    "Seconds: less is better. `draw_vs_argsort` is wanted at most 5, `commitment_vs_argsort` at most 8: the time of "
    "ours over the time of `np.argsort` of as many 64-bit keys, in turns in one process.",
    "The draw begins with the frozen pool as columns in memory and ends with every ticket, rank and seat. The "
    "commitment is all leaf hashes and all levels of the tree. Reading and writing the store is in neither.",
    "A quarter of the households has more applicants than places; cells differ in size a hundredfold.",
)
POOL: Final = """
CREATE TABLE pool AS
SELECT substr(sha256(convert_to(i::text, 'UTF8')), 1, 16) AS id, (514 * power(hashint8(i)::float8 / 2^32 + 0.5, 2))::int
       AS cell FROM generate_series(1, {count}) AS i
"""
# No household cap and no spill-over: PostgreSQL has less to do than the draw.
WINDOW: Final = """
SELECT count(*) FROM (
    SELECT row_number() OVER (PARTITION BY cell ORDER BY sha256($1::bytea || id), id) AS rank FROM pool
) AS ranked WHERE rank <= {seats}
"""


def measured(kind: str, count: int, rounds: int) -> dict[str, Any]:
    """What one process of its own says."""
    pytest.importorskip("datafusion", reason="the draw over columns needs numpy and datafusion: pip install them")
    command = [sys.executable, "-m", "tests.bench.draws", kind, str(count), str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=pairs.ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.bench
def test_bench_draw() -> None:
    draw, commitment = (measured(kind, APPLICANTS, pairs.PAIRS) for kind in ("draw", "commit"))
    report = Report(
        "draw",
        "The draw",
        "seconds",
        {"applicants": APPLICANTS, "cells": CELLS, "winners": APPLICANTS // SEATS_SHARE},
        {
            "ours_draw": draw["seconds"]["ours"],
            "argsort_beside_draw": draw["seconds"]["argsort"],
            "ours_commitment": commitment["seconds"]["ours"],
            "argsort_beside_commitment": commitment["seconds"]["argsort"],
        },
        {
            "draw_vs_argsort": Ratio("ours_draw", "argsort_beside_draw"),
            "commitment_vs_argsort": Ratio("ours_commitment", "argsort_beside_commitment"),
        },
        single={"draw_memory_mib": draw["memory_mib"], "commitment_memory_mib": commitment["memory_mib"]},
        notes=NOTES,
    )
    pairs.save(report, pairs.machine("not used", "not used"))


@pytest.mark.bench
async def test_bench_draw_sizes(database: MakeDatabase) -> None:
    sizes = [size for size in SIZES if size <= APPLICANTS]
    connection = await asyncpg.connect(database("probe").owner_url)
    series: dict[str, dict[int, float]] = {"ours": {}, "ORDER BY window in PostgreSQL": {}}
    for size in sizes:
        series["ours"][size] = min(measured("draw", size, 3)["seconds"]["ours"])
        await connection.execute(POOL.format(count=size))
        await connection.execute("ANALYZE pool")
        begun = time.perf_counter()
        await connection.fetchval(WINDOW.format(seats=size // SEATS_SHARE // CELLS + 1), bytes(32), timeout=600)
        series["ORDER BY window in PostgreSQL"][size] = time.perf_counter() - begun
        await connection.execute("DROP TABLE pool")
    await connection.close()
    pairs.OUT.mkdir(parents=True, exist_ok=True)
    (pairs.OUT / "draw-sizes.svg").write_text(plot("Seconds for one draw, by number of applicants", series))
    print(json.dumps(series))
