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
from tests.bench.world import Where, this_machine, turn
from tests.conftest import MakeDatabase

APPLICANTS: Final = int(os.environ.get("BENCH_APPLICANTS", "10000000"))
SERVICE_APPLICANTS: Final = int(os.environ.get("BENCH_SERVICE_APPLICANTS", "1000000"))
LETTER_APPLICANTS: Final = int(os.environ.get("BENCH_LETTER_APPLICANTS", "1000000"))
"""That program is plain on purpose: ten million take it minutes and some 12 GiB. BENCH_LETTER_APPLICANTS=10000000."""
SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
CELLS, SEATS_SHARE = 514, 20
MEMORY_MIB_WANTED: Final = 2048
NOTES: Final = (
    "Seconds: less is better. A ratio is the time of ours over the time of `np.argsort` of as many 64-bit keys, in "
    "turns in one process.",
    "The draw begins with the frozen pool as columns in memory and ends with every ticket, rank and seat. The "
    "commitment is all leaf hashes and all levels of the tree. Reading and writing the store is in neither.",
    "A quarter of the households has more applicants than places; cells differ in size a hundredfold.",
)
SIZES_NOTES: Final = (
    "Ours: the best of three, in a process of its own, from the frozen pool in memory to every ticket, rank and seat. "
    "PostgreSQL: one query that ranks by `sha256` of seed and id within each cell and counts the winners, over a table "
    "it has just read; it knows no household cap and no seats that spill over.",
)
LETTER_NOTES: Final = (
    "`tests/reference/draw_by_the_letter.py` follows docs/draw.md sentence by sentence, in plain Python. Ticket, rank "
    "and seat of every applicant must be those of the service's draw, or nothing is written here.",
)
SERVICE_NOTES: Final = (
    "Commitment and draw: from the rows of applications in PostgreSQL to the committed transaction. Publication: all "
    "results as events in the outbox, in pages of one transaction each.",
    "`ready_events_per_s` is what COPY alone reaches in the same outbox with bytes that lie ready in memory.",
    "A proof is one query over the stored levels of the tree, warm, one after the other; one in a hundred is checked "
    "against the root.",
)
POOL: Final = """
CREATE TABLE pool AS
SELECT substr(sha256(convert_to(i::text, 'UTF8')), 1, 16) AS id, cell / 2 AS province, cell % 2 AS tier
  FROM generate_series(1, {count}) AS i,
       LATERAL (SELECT (514 * power(hashint8(i)::float8 / 2^32 + 0.5, 2))::int) AS one (cell)
"""
# No household cap and no spill-over: PostgreSQL has less to do than the draw.
WINDOW: Final = """
SELECT count(*) FROM (
    SELECT row_number() OVER (PARTITION BY province, tier ORDER BY sha256($1::bytea || id), id) AS rank FROM pool
) AS ranked WHERE rank <= {seats}
"""


def measured(kind: str, count: int, rounds: int) -> dict[str, Any]:
    """What one process of its own says."""
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
            "draw_vs_argsort": Ratio("ours_draw", "argsort_beside_draw", at_most=5),
            "commitment_vs_argsort": Ratio("ours_commitment", "argsort_beside_commitment", at_most=8),
        },
        single={
            "draw_memory_mib": draw["memory_mib"],
            "commitment_memory_mib": commitment["memory_mib"],
            "memory_mib_wanted_at_most": MEMORY_MIB_WANTED,
        },
        notes=NOTES,
    )
    pairs.save(report, pairs.machine("not used", "not used"))


@pytest.mark.bench
async def test_bench_draw_sizes(database: MakeDatabase) -> None:
    sizes = [size for size in SIZES if size <= APPLICANTS]
    made = database("probe")
    connection = await asyncpg.connect(made.owner_url)
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
    title = "Seconds for one draw, by number of applicants"
    (pairs.OUT / "draw-sizes.svg").write_text(plot(title, series))
    single = {
        f"{name}, {size:,} applicants": round(seconds, 3)
        for name, points in series.items()
        for size, seconds in points.items()
    }
    settings = {"cells": CELLS, "seats": f"one for {SEATS_SHARE} applicants"}
    report = Report("draw-sizes", title, "seconds", settings, single=single, notes=SIZES_NOTES)
    pairs.save(report, await this_machine(Where(made.app_url, made.owner_url, "", None, None)))


@pytest.mark.bench
async def test_bench_draw_service(database: MakeDatabase) -> None:
    """The service itself, from stored applications to events in the outbox, and single proofs from the stored tree."""
    made = database("selection")
    where = Where(made.app_url, made.owner_url, "", None, None)
    told = await turn("draw_service:life", where, applicants=SERVICE_APPLICANTS, seconds=SERVICE_APPLICANTS // 2_000)
    proof = told.pop("proof_ms")
    single = {name: round(value, 2) for name, value in told.items()}
    single |= {"proof_ms_median": round(proof["median"], 3), "proof_ms_p99": round(proof["p99"], 3)}
    settings = {"applicants": SERVICE_APPLICANTS, "proof_ms_wanted": 1, "events_per_s_wanted": 100_000}
    report = Report("draw-service", "A large wave in the service", "", settings, single=single, notes=SERVICE_NOTES)
    pairs.save(report, await this_machine(where))


@pytest.mark.bench
def test_bench_draw_by_the_letter() -> None:
    """Ten million results of the service's draw, each the same to the byte as those of the program by the letter."""
    told = measured("letter", LETTER_APPLICANTS, 1)
    single = {"identical_results": told["identical_results"]}
    single |= {f"{name}_s": round(seconds, 1) for name, (seconds,) in told["seconds"].items()}
    report = Report(
        "draw-letter", "A draw beside its specification", "", {"cells": 200}, single=single, notes=LETTER_NOTES
    )
    pairs.save(report, pairs.machine("not used", "not used"))
