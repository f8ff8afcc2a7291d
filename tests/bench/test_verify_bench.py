"""The verifier that anybody can run: a large public bundle, and nothing but Python's standard library."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from services.selection.bundle import header, lines
from services.selection.domain import bulk_draw, bulk_merkle
from services.selection.domain.bulk_draw import NO_SEAT, PoolColumns
from services.selection.domain.bulk_pool import cell_of, intake_digest, stratum_of
from services.selection.domain.commitment import Commitment
from services.selection.domain.tickets import seed_of
from tests.bench import pairs
from tests.bench.draws import SEATS_SHARE, pool_of
from tests.bench.pairs import Ratio, Report
from tests.unit.selection_bundles import BEACON_SIGNATURE, CHAIN, COMMITTED, DRAWS, ROUND, SIGNER

APPLICANTS: Final = int(os.environ.get("VERIFY_APPLICANTS", "1000000"))
"""VERIFY_APPLICANTS=10000000 BENCH_PAIRS=1 is the whole country: over 1 GB in a temporary folder, and minutes."""
WANTED_S_AT_TEN_MILLION: Final = 60
CELLS: Final = 2 * bulk_merkle.AREAS_MAX
EXCLUDED_SHARE: Final = 50
PAGE_ROWS: Final = 100_000
VERIFIER: Final = pairs.ROOT / "services/selection/verify_draw.py"
NOTES: Final = (
    "Seconds: less is better. `wanted` is 60 s for ten million applicants, in proportion; a ratio is how many times "
    "the verifier would fit into it.",
    "`by_the_clock` also counts what the machine did for others meanwhile; `by_the_processors` is what all processes "
    "of the verifier used together, divided by the number of cores, as if nothing ever waited.",
    "`load_before` is how many processes wanted a core when it began: with more than a few the clock says nothing.",
    "The verifier runs without any installed package. It reads the file, makes the tree and every ticket anew, and "
    "compares every winner.",
    "One in twenty applicants wins, one in fifty was excluded, and households have fewer places than applicants.",
)


def numbered_by_appearance(pool: PoolColumns) -> PoolColumns:
    """The same pool with households numbered as the specification wants it."""
    _, first, inverse = np.unique(pool.groups, return_index=True, return_inverse=True)
    numbers = np.empty(len(first), np.uint32)
    numbers[np.argsort(first)] = np.arange(len(first), dtype=np.uint32)
    return PoolColumns(pool.ids, pool.cells, numbers[inverse], pool.places)


def ascending(ids: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    words = np.ascontiguousarray(ids).view(">u8").reshape(-1, 2).astype(np.uint64)
    return ids[np.lexsort((words[:, 1], words[:, 0]))]


def bundle_of(count: int) -> Iterator[tuple[bytes, int]]:
    """The bundle of a draw of `count`, as bytes and how many lines they are; the closing line is not among them."""
    pool = numbered_by_appearance(pool_of(count, CELLS))
    chance = np.random.default_rng(4)
    salts = chance.integers(0, 256, (count, 16), dtype=np.uint8)
    excluded = ascending(chance.integers(0, 256, (count // EXCLUDED_SHARE, 16), dtype=np.uint8))
    root = bulk_merkle.levels_of(bulk_merkle.leaf_hashes(pool, salts))[-1].tobytes()
    quotas = np.bincount(pool.cells, minlength=CELLS) // SEATS_SHARE
    quotas[cell_of(stratum_of(5))] += count // SEATS_SHARE - int(quotas.sum())
    promise = Commitment(
        programme="prakerja-2020", wave=1, intake_count=count + len(excluded),
        intake_digest=intake_digest(ascending(np.concatenate([pool.ids, excluded]))),
        excluded={"blacklist": len(excluded), "other-aid": 0, "already-member": 0}, pool_count=count, root=root,
        quotas={stratum_of(cell): int(seats) for cell, seats in enumerate(quotas)}, household_cap=2, chain=CHAIN,
        beacon_round=ROUND, draws_at=DRAWS, committed_at=COMMITTED, signing_key=SIGNER.public_key, ceremony=None,
    )  # fmt: skip
    randomness = hashlib.sha256(BEACON_SIGNATURE).digest()
    seed = seed_of(root, randomness)
    outcome = bulk_draw.draw_columns(pool, quotas.astype(np.int64), seed)
    told = {
        "commitment": promise.canonical(), "signature": SIGNER.sign(promise.canonical()), "beacon_round": ROUND,
        "beacon_signature": BEACON_SIGNATURE, "randomness": randomness, "seed": seed, "winners": outcome.winners,
        "reveals": None,
    }  # fmt: skip
    yield lines([header(told)]), 1
    yield from entry_lines(pool, salts)
    yield b"".join(b'["x","%b"]\n' % row.tobytes().hex().encode() for row in excluded), len(excluded)
    won = np.flatnonzero(outcome.seats != NO_SEAT)
    winners = zip(won.tolist(), outcome.ranks[won].tolist(), outcome.seats[won].tolist(), strict=True)
    yield lines(["w", leaf, rank, *stratum_of(cell)] for leaf, rank, cell in winners), len(won)


def entry_lines(pool: PoolColumns, salts: np.ndarray[Any, np.dtype[np.uint8]]) -> Iterator[tuple[bytes, int]]:
    """As `bundle.lines` writes them, at several times its speed."""
    spelled = ['"{}","{}"'.format(*stratum_of(cell)) for cell in range(CELLS)]
    for first in range(0, len(pool), PAGE_ROWS):
        page = slice(first, min(first + PAGE_ROWS, len(pool)))
        ids, secrets = pool.ids[page].tobytes().hex(), salts[page].tobytes().hex()
        columns = zip(pool.cells[page].tolist(), pool.groups[page].tolist(), pool.places[page].tolist(), strict=True)
        rows = [
            f'["e",{first + at},"{ids[32 * at : 32 * at + 32]}",{spelled[cell]},{group},{places},'
            f'"{secrets[32 * at : 32 * at + 32]}"]\n'
            for at, (cell, group, places) in enumerate(columns)
        ]
        yield "".join(rows).encode(), len(rows)


def write_bundle(path: Path, count: int) -> None:
    """A file that agrees with the specification in every byte."""
    told, written = hashlib.sha256(), 0
    with path.open("wb") as file:
        for data, number in bundle_of(count):
            told.update(data)
            file.write(data)
            written += number
        file.write(lines([{"end": {"lines": written, "sha256": told.hexdigest()}}]))


def verify(bundle: Path, winners: int) -> tuple[float, float, int]:
    """Seconds by the clock, seconds of processors, and MiB of the largest process. It must agree."""
    begun = time.perf_counter()
    said = bundle.with_suffix(".said")
    with said.open("wb") as out:
        # Without site-packages: what is measured is what anybody can run.
        process = subprocess.Popen([sys.executable, "-I", "-S", str(VERIFIER), str(bundle)], stdout=out, stderr=out)
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    text = said.read_text()
    assert process.returncode == 0, text
    assert f"the {winners} winners are the same" in text, text
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024


@pytest.mark.bench
def test_bench_verifier(tmp_path: Path) -> None:
    bundle, winners = tmp_path / "large.draw.jsonl", APPLICANTS // SEATS_SHARE
    write_bundle(bundle, APPLICANTS)
    load = os.getloadavg()[0]
    try:
        runs = [verify(bundle, winners) for _ in range(pairs.PAIRS)]
        megabytes = bundle.stat().st_size // 1_000_000
    finally:
        bundle.unlink()
    report = Report(
        "verify",
        "Checking a draw with the standard library",
        "seconds",
        {"applicants": APPLICANTS, "winners": winners, "bundle_megabytes": megabytes},
        {
            "by_the_clock": [seconds for seconds, _, _ in runs],
            "by_the_processors": [used / (os.cpu_count() or 1) for _, used, _ in runs],
            "wanted": [WANTED_S_AT_TEN_MILLION * APPLICANTS / 10_000_000] * len(runs),
        },
        {
            "wanted_vs_clock": Ratio("wanted", "by_the_clock", 1),
            "wanted_vs_processors": Ratio("wanted", "by_the_processors", 1),
        },
        single={"largest_process_mib": max(memory for _, _, memory in runs), "load_before": round(load, 1)},
        notes=NOTES,
    )
    pairs.save(report, pairs.machine("not used", "not used"))
