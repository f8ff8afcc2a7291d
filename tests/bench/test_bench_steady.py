"""Steady work: latency from commit to topic, a forgotten transaction, and a long soak."""

import os
from functools import partial
from statistics import median
from typing import Any, Final

import pytest

from deploy.local.bus import Cluster
from libs.events.topics import read_by
from tests.bench import consumers, pairs, plots, relays
from tests.bench.conftest import MakePlace
from tests.bench.pairs import Ratio, Report
from tests.bench.records import applications
from tests.bench.world import Where, durability, fill_outbox, this_machine, turn

RATE: Final = int(os.environ.get("BENCH_RATE", "2000"))
LATENCY_SECONDS: Final = 8
HOLD_SECONDS: Final = int(os.environ.get("HOLD_SECONDS", "60"))
SOAK_SECONDS: Final = int(os.environ.get("SOAK_SECONDS", "600"))
BACKLOG: Final = 200_000
GROWTH_MAX: Final = 1.05
"""The last fifth of a soak may hold so much more memory than the fifth in its middle, and no more."""

POSITION_BYTES_MAX: Final = 2**13 * (sum(topic.partitions for topic in read_by("selection")) + 16)
"""A page for each lane, and some for index and maps."""

LATENCY_MS_MAX: Final = 50


async def as_sent(where: Where) -> None:
    """Let what stands in the outbox count as sent, without a number: later rows are copied from it."""
    async with where.owner() as owner:
        newest = "SELECT xid, position FROM outbox ORDER BY xid DESC, position DESC LIMIT 1"
        await owner.execute(f"UPDATE relay SET (xid, position) = ({newest})")


@pytest.mark.bench
async def test_bench_latency(where: MakePlace, kafka: Cluster) -> None:
    at = where("probe", relays.TOPIC, "waves")
    told = [await turn("steady:latency", at, seconds=LATENCY_SECONDS, rate=RATE) for _ in range(pairs.PAIRS)]
    report = Report(
        "latency",
        "From commit to topic",
        "ms (99th percentile)",
        await durability(at, kafka, relays.TOPIC),
        {"ours": [run["p99_ms"] for run in told]},
        single={
            "events_a_second": round(median(run["rate"] for run in told)),
            "p50_ms": median(run["p50_ms"] for run in told),
            "p99_ms": median(run["p99_ms"] for run in told),
            "max_ms": max(run["max_ms"] for run in told),
            "p99_ms_wanted": LATENCY_MS_MAX,
        },
        notes=(
            f"{RATE:,} events a second in transactions of {round(RATE * 0.02 / 4)}, four writers, {LATENCY_SECONDS} "
            "seconds a turn. Writers, relay and reader share one process, as a service with all its roles does. "
            "The clock runs from the return of COMMIT until a reader of the topic holds the record: the fetch is "
            "counted too.",
        ),
    )
    pairs.save(report, await this_machine(at))


@pytest.mark.bench
async def test_bench_held_transaction(where: MakePlace, kafka: Cluster) -> None:
    at = where("probe", relays.TOPIC, "waves")
    await fill_outbox(at, applications(BACKLOG))
    await as_sent(at)
    grown: list[int] = []

    async def run(hold: bool) -> float:
        async with at.owner() as owner:
            await owner.execute("VACUUM relay, relay_number")
            await owner.execute("SELECT outbox_rotate(5_000_000, 5_000_000)")
        told = await turn("steady:backlog", at, seconds=HOLD_SECONDS, rate=RATE, rows=BACKLOG, hold=hold)
        if hold:
            grown.append(told["relay_bytes"])
        return float(told["rate"])

    contestants = {"ours, a transaction held open": partial(run, True), "ours": partial(run, False)}
    report = Report(
        "held-transaction",
        "A read-only transaction held open",
        "events/s",
        await durability(at, kafka, relays.TOPIC),
        await pairs.take_turns(contestants),
        {"held_vs_free": Ratio("ours, a transaction held open", "ours", 0.95)},
        single={"held_seconds": HOLD_SECONDS, "relay_tables_bytes_at_the_end": max(grown)},
        notes=(
            f"A turn is {HOLD_SECONDS} seconds of {RATE:,} events a second, in small batches, so that the relay's few "
            f"rows get many versions; then {BACKLOG:,} events are committed at once and the time until all are sent is "
            "taken, three times, of which the median counts. `HOLD_SECONDS=300` holds longer.",
        ),
    )
    pairs.save(report, await this_machine(at))


@pytest.mark.bench
async def test_bench_soak(where: MakePlace, kafka: Cluster) -> None:
    at, reader = where("probe", relays.TOPIC, "waves", "training-completed"), where("probe")
    await consumers.fresh(reader)
    await nearly_full(at, RATE)
    told = await turn("steady:soak", at, consumer_url=reader.owner_url, seconds=SOAK_SECONDS, rate=RATE)
    samples = told["samples"]
    figures = {
        "seconds": SOAK_SECONDS,
        "events_written": told["written"],
        "events_applied": told["applied"],
        **{f"{name}_growth": growth(samples, name) for name in ("memory_bytes", "position_bytes", "relay_bytes")},
        **{f"hot_updates_of_{table}": share for table, share in told["hot"].items()},
        **{f"{name}_max": round(max(sample[name] for sample in samples)) for name in ("position_bytes", "relay_bytes")},
        "outbox_bytes_max": round(max(sample["outbox_bytes"] for sample in samples)),
        "outbox_partitions_max": round(max(sample["outbox_partitions"] for sample in samples)),
        "lag_events_median": round(median(sample["lag"] for sample in samples)),
        "lag_events_max": round(max(sample["lag"] for sample in samples)),
    }
    report = Report(
        "soak",
        "Soak: the whole path at a steady rate",
        "events/s",
        await durability(at, kafka, consumers.TOPIC),
        single={**figures, "samples": f"{len(samples)}, one a second, in the plot"},
        notes=(
            f"{RATE:,} events a second through outbox, relay, topic, consumer and effect, all in one process. "
            "Growth is the median of the last fifth over that of the middle fifth; memory may grow by "
            f"{GROWTH_MAX - 1:.0%}. It begins ten seconds before the end of the outbox's partitions; the service makes "
            "its own room, keeps the last 20 seconds and drops the rest by whole partitions of 10 seconds.",
            "Where a snapshot is held longer than a page of positions lasts, a row moves to another page, until each "
            f"has a page of its own; then no more are added ({POSITION_BYTES_MAX:,} bytes at most). A dozen snapshots "
            "of a second are held at the beginning, behind which that is so; samples are taken after them.",
        ),
    )
    pairs.OUT.mkdir(parents=True, exist_ok=True)
    (pairs.OUT / "soak.svg").write_text(drawn(samples))
    pairs.save(report, await this_machine(at))
    assert told["applied"] == told["written"]
    assert figures["memory_bytes_growth"] <= GROWTH_MAX, "memory grows with time"
    assert figures["position_bytes_max"] <= POSITION_BYTES_MAX, "positions have more pages than lanes"


async def nearly_full(where: Where, rate: int) -> None:
    """Let the outbox stand ten seconds before the end of the partitions it was born with: the service itself must make
    room, and it turns over during the soak."""
    async with where.owner() as owner:
        await owner.execute("SELECT setval(pg_get_serial_sequence('outbox', 'position'), $1)", 10_000_000 - rate * 10)


def growth(samples: list[dict[str, Any]], name: str) -> float:
    """How much greater a series is in its last fifth than in the fifth around its middle."""
    values = [sample[name] for sample in samples]
    fifth = max(1, len(values) // 5)
    middle = values[2 * fifth : 3 * fifth] or values
    return round(float(median(values[-fifth:]) / max(median(middle), 1)), 3)


def drawn(samples: list[dict[str, Any]]) -> str:
    def series(name: str, unit: float = 1.0) -> list[float]:
        return [sample[name] / unit for sample in samples]

    return plots.lines(
        "Soak",
        series("at"),
        [
            plots.Line("Memory of the process", series("memory_bytes", 2**20), "MiB"),
            plots.Line("Outbox, all partitions", series("outbox_bytes", 2**20), "MiB"),
            plots.Line("Positions of the consumer", series("position_bytes", 2**10), "KiB"),
            plots.Line("Written but not applied", series("lag"), "events"),
        ],
    )
