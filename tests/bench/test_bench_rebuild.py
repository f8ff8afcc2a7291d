"""A projection is dropped and built anew from its topic: the same to the last byte, and how fast."""

from collections.abc import Mapping
from functools import partial
from typing import Final

import pytest

from deploy.local.bus import Cluster
from libs.events.topics import read_by
from tests.bench import pairs
from tests.bench.conftest import MakePlace
from tests.bench.pairs import Report
from tests.bench.projections import PROJECTIONS
from tests.bench.world import Where, durability, fill_topic, this_machine, turn

EVENTS: Final = 100_000
WANTED: Final = 100_000

DIGEST: Final = """
SELECT encode(sha256(convert_to(coalesce(string_agg(row::text, E'\\n' ORDER BY row::text), ''), 'UTF8')), 'hex')
  FROM (SELECT {columns} FROM {table}) AS row"""


def place_of(where: MakePlace, projection: str) -> Where:
    """A new store for this projection, and the topics that its service reads, empty."""
    of = PROJECTIONS[projection]
    return where(of.store or of.service, *(topic.name for topic in read_by(of.service)))


async def digests(where: Where, tables: Mapping[str, str]) -> dict[str, str]:
    """The digest of every table of a projection."""
    async with where.owner() as owner:
        return {
            table: await owner.fetchval(DIGEST.format(table=table, columns=columns))
            for table, columns in tables.items()
        }


async def drop(where: Where, tables: Mapping[str, str]) -> None:
    """Forget the projection and how far it had come. The topic is all that is left of it."""
    async with where.owner() as owner:
        await owner.execute(f"TRUNCATE position, {', '.join(tables)} CASCADE")


async def measure(where: Where, projection: str, count: int, rounds: int) -> dict[str, list[float]]:
    """Build a projection, then drop and rebuild it `rounds` times, in turns with a worker whose reactions do nothing.

    Raises AssertionError when a digest differs.
    """
    of = PROJECTIONS[projection]
    tables, told = of.tables, of.make(count)
    if of.prepare:
        await of.prepare(where)
    await fill_topic(where, told)
    await turn("projections:rebuild", where, count=len(told), projection=projection)
    first = await digests(where, tables)

    async def run(idle: bool) -> float:
        await drop(where, tables)
        assert await digests(where, tables) != first, "nothing was dropped"
        answer = await turn("projections:rebuild", where, count=len(told), projection=projection, idle=idle)
        assert idle or await digests(where, tables) == first, f"{projection} came out differently"
        return float(answer["rate"])

    async def other(contestant: str) -> float:
        await drop(where, tables)
        return float((await turn(contestant, where, count=len(told)))["rate"])

    names = {f"ours, {projection}": False, f"event path alone, {projection}": True}
    contestants: dict[str, pairs.Run] = {name: partial(run, idle) for name, idle in names.items()}
    contestants |= {name: partial(other, contestant) for name, contestant in of.beside.items()}
    return await pairs.take_turns(contestants, rounds)


@pytest.mark.bench
async def test_bench_rebuild(where: MakePlace, kafka: Cluster) -> None:
    figures: dict[str, list[float]] = {}
    for projection in PROJECTIONS:
        at = place_of(where, projection)
        figures |= await measure(at, projection, EVENTS, pairs.PAIRS)
    report = Report(
        "rebuild",
        "A projection rebuilt from its topic",
        "events/s",
        await durability(at, kafka, "incentive-paid"),
        figures,
        single={"digests": "identical in every round", "events_a_second_wanted": WANTED},
        notes=(
            "`effects` is no service's: a row of three columns per event, the plainest set-based reaction, as in "
            "[durable](#the-consumer-with-position-and-effect-in-postgresql). `timelines` is registration's: one row "
            "per event, nothing but one INSERT a batch, with an id that is hashed and JSON that is written for each. "
            "`pools` are selection's: the applications, once their wave is looked up. `memberships` are training's: "
            "the member, its credit and its due date, with the first line of the credit's ledger. `reservations` are "
            "disbursement's: the money set aside for a winner, moved in the ledger and told to others, which stays. "
            "`books` is finance's: every event is copied, followed through its payout and reservation in Python, and "
            "added to balances and totals. Tables are emptied, positions forgotten, and one worker reads everything "
            "again, with the service's own reactions.",
            "`event path alone` is the same worker on the same topic with reactions that do nothing: fetching, "
            "decoding, positions. It is the ceiling of any projection. `INSERT alone` writes the timelines from "
            "columns that were made beforehand: what database and driver allow, with nothing read or decoded.",
        ),
    )
    pairs.save(report, await this_machine(at))
