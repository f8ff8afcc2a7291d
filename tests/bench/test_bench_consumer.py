"""The consumer against frameworks with the same model and handler, and against one transaction per message."""

from functools import partial
from importlib.util import find_spec
from typing import Any, Final

import pytest

from deploy.local.bus import Cluster
from tests.bench import consumers, frameworks, pairs
from tests.bench.conftest import MakePlace
from tests.bench.pairs import Ratio, Report
from tests.bench.records import applications
from tests.bench.world import Where, durability, fill_topic, this_machine, turn

RECORDS: Final = 200_000
SLOW_RECORDS: Final = 24_000
COMMITS: Final = 4_000
CONNECTIONS: Final = 8

WANTED: Final = {
    "consumer_vs_faststream": Ratio("ours", "faststream", 12),
    "consumer_vs_faust": Ratio("ours", "faust", 20),
    "consumer_vs_faststream_batch": Ratio("ours", "faststream_batch", 2.5),
    "model_vs_faststream": Ratio("raw_model", "faststream"),
    "model_vs_faust": Ratio("raw_model", "faust"),
    "model_vs_faststream_batch": Ratio("raw_model", "faststream_batch"),
    "ceiling_vs_faststream": Ratio("raw_getmany", "faststream"),
    "ceiling_vs_faust": Ratio("raw_getmany", "faust"),
    "ceiling_vs_faststream_batch": Ratio("raw_getmany", "faststream_batch"),
}
NOTES: Final = (
    "All read the same records from the same 24 partitions with one process; the handler adds up one field. Ours "
    "also locks and stores its positions in PostgreSQL, checks numbers, keys, sources and types, and applies in "
    "order; the others do not.",
    "FastStream gets a decoder that hands the bytes straight to pydantic, no injection of arguments, no log, and "
    "commits in the background (ACK_FIRST); its batch mode takes 5,000 records. With the model as an annotation "
    "instead, as its documentation has it, it reached 0.70 of this, and 0.47 in batch mode. Faust gets raw bytes "
    "and pydantic and a buffer of 16,384; committing less often did not help it. All run on uvloop.",
    "`raw_model` fetches and validates each record with one call of pydantic, without position, check or transaction: "
    "`model_…` is what the model alone leaves of any consumer in this client. Ours passes it where it reads whole runs "
    "by a type derived from the model (ADR 9). `raw_getmany` fetches and looks at nothing: `ceiling_…` is what no "
    "decoding at all would reach.",
)
DURABLE: Final = {
    "durable_vs_transaction_per_message": Ratio("ours_durable", "transaction_per_message", 50),
    "raw_parts_vs_transaction_per_message": Ratio("raw_parts", "transaction_per_message"),
    "ceiling_vs_transaction_per_message": Ratio("raw_effects", "transaction_per_message"),
}
DURABLE_NOTES: Final = (
    "Both write one row of effect per event and a position per partition, durably, with the same pydantic model. The "
    f"rival's transaction is two prepared statements, on {CONNECTIONS} connections at once, so that commits wait for "
    "the disk together; one connection was slower by a third, four as fast.",
    "`raw_parts` fetches, validates with one call of pydantic a record, inserts and commits whole batches, without "
    "position, number or check: what the parts allow on these cores when each waits for the other. Ours decodes the "
    "next batch while the database inserts. `raw_effects` inserts batches that were decoded beforehand: the database "
    "alone.",
)


def available(name: str) -> bool:
    return find_spec(name.removesuffix("_batch")) is not None


async def measure(where: Where, rivals: dict[str, int], rounds: int) -> dict[str, list[float]]:
    """The figures of contestants, each with so many records a turn; the topic is there already."""

    async def run(name: str, count: int) -> float:
        await consumers.fresh(where)
        module = "frameworks" if name in frameworks.names() else "consumers"
        options: dict[str, Any] = {"connections": CONNECTIONS} if name == "transaction_per_message" else {}
        return float((await turn(f"{module}:{name}", where, count=count, **options))["rate"])

    return await pairs.take_turns({name: partial(run, name, count) for name, count in rivals.items()}, rounds)


@pytest.mark.bench
async def test_bench_consumer(where: MakePlace, kafka: Cluster) -> None:
    missing = [name for name in ("faststream", "faust") if not available(name)]
    if missing:
        pytest.skip(
            f"{' and '.join(missing)}: not installed, so there is no rival to measure; install the extra `bench`"
        )
    at = where("probe", consumers.TOPIC, "training-completed")
    await fill_topic(at, applications(RECORDS))
    counts = {
        "ours": RECORDS,
        "faststream": SLOW_RECORDS,
        "faust": SLOW_RECORDS // 2,
        "faststream_batch": RECORDS,
        "raw_model": RECORDS,
        "raw_getmany": RECORDS,
    }
    report = Report(
        "consumer",
        "The consumer, the same model and handler",
        "events/s",
        await durability(at, kafka, consumers.TOPIC),
        await measure(at, counts, pairs.PAIRS),
        WANTED,
        notes=NOTES,
    )
    pairs.save(report, await this_machine(at))


@pytest.mark.bench
async def test_bench_durable(where: MakePlace, kafka: Cluster) -> None:
    at = where("probe", consumers.TOPIC, "training-completed")
    await fill_topic(at, applications(RECORDS))
    counts = {"ours_durable": RECORDS, "transaction_per_message": COMMITS}
    counts |= {"raw_parts": RECORDS, "raw_effects": RECORDS}
    report = Report(
        "durable",
        "The consumer, with position and effect in PostgreSQL",
        "events/s",
        await durability(at, kafka, consumers.TOPIC),
        await measure(at, counts, pairs.PAIRS),
        DURABLE,
        notes=DURABLE_NOTES,
    )
    pairs.save(report, await this_machine(at))
