"""The relay against what people write instead of one, and against the raw parts it is made of."""

from functools import partial
from typing import Any, Final

import pytest

from deploy.local.bus import Cluster
from libs.events import codec
from tests.bench import pairs, relays
from tests.bench.conftest import MakePlace
from tests.bench.pairs import Ratio, Report
from tests.bench.records import withdrawals
from tests.bench.world import Where, durability, fill_outbox, renew_topics, this_machine, turn

ROWS: Final = 400_000
SEND_ROWS: Final = 60_000  # what the slowest rival carries in a turn; its rate does not depend on the length
TAKE_SEND, TAKE_BATCH = 1_000, 20_000

WANTED: Final = {
    "relay_vs_skip_locked": Ratio("ours", "skip_locked", 25),
    "relay_vs_skip_locked_send_batch": Ratio("ours", "skip_locked_send_batch", 8),
    "relay_vs_raw_send_batch": Ratio("ours", "raw_send_batch", 0.40),
    "relay_vs_skip_locked_lanes_given": Ratio("ours", "skip_locked_lanes_given"),
    "ceiling_vs_skip_locked": Ratio("raw_send_batch", "skip_locked"),
    "ceiling_vs_skip_locked_send_batch": Ratio("raw_send_batch", "skip_locked_send_batch"),
}
RECORD_BYTES: Final = len(codec.numbered(codec.encode(withdrawals(1)[0]), 1, 1))
NOTES: Final = (
    "`skip_locked` takes rows by one prepared `DELETE … SKIP LOCKED … RETURNING`, which is one round trip less than "
    "selecting and deleting, and gives each row to `send()` without waiting in between. It takes "
    f"{TAKE_SEND:,} rows at a time; up to 5,000 were tried, without a difference beyond the spread. It commits the "
    "DELETE after the acknowledgements: the other way round it would lose events. The producer picks the partition "
    "from the key, as everywhere; that is Python in this client, and `skip_locked_lanes_given` is the same rival "
    "without it: it takes the partition our events were written with.",
    f"A record is an `application-withdrawn`, {RECORD_BYTES} bytes on the topic, the smallest event of a citizen.",
    "`skip_locked_send_batch` packs whole batches instead, "
    f"{TAKE_BATCH:,} rows at a time: the best of 1,000, 5,000 and 20,000. Both rivals have our producer, uvloop and a "
    "table that was emptied before the turn, so they never pay for their own dead rows; they give no numbers.",
    "`raw_send_batch` sends the same records, numbered and encoded beforehand, from memory. `raw_read` reads the "
    "outbox in the relay's order and does nothing with it. `ceiling_…` is what a relay that costs nothing at all "
    "would reach against a rival: client and broker share the cores, and that is the limit.",
)


async def measure(where: Where, kafka: Cluster, rows: int, send_rows: int, rounds: int) -> dict[str, list[float]]:
    """The figures of one run. The outbox is filled once; ours begins anew in each round, the rivals get a fresh "
    "table."""
    await fill_outbox(where, withdrawals(rows))

    async def run(name: str, count: int, **options: Any) -> float:
        renew_topics(kafka, [relays.TOPIC])
        if name == "ours":
            await relays.rewind(where)
        if name.startswith("skip_locked"):
            await relays.refill(where, count)
        return float((await turn(f"relays:{name}", where, count=count, **options))["rate"])

    contestants = {
        "ours": partial(run, "ours", rows),
        "skip_locked": partial(run, "skip_locked", send_rows, rows=TAKE_SEND),
        "skip_locked_lanes_given": partial(run, "skip_locked", send_rows, rows=TAKE_SEND, lanes_given=True),
        "skip_locked_send_batch": partial(run, "skip_locked_send_batch", rows, rows=TAKE_BATCH),
        "raw_send_batch": partial(run, "raw_send_batch", rows),
        "raw_read": partial(run, "raw_read", rows),
    }
    return await pairs.take_turns(contestants, rounds)


@pytest.mark.bench
async def test_bench_relay(where: MakePlace, kafka: Cluster) -> None:
    at = where("probe", relays.TOPIC, "waves")
    report = Report(
        "relay",
        "The relay",
        "events/s",
        await durability(at, kafka, relays.TOPIC),
        await measure(at, kafka, ROWS, SEND_ROWS, pairs.PAIRS),
        WANTED,
        notes=NOTES,
    )
    pairs.save(report, await this_machine(at))
