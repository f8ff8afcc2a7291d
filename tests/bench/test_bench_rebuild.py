"""A projection is dropped and built anew from its topic: the same to the last byte, and how fast."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

import pytest

from deploy.local.bus import Cluster
from libs.events.contracts import Event
from tests.bench import pairs, records
from tests.bench.conftest import MakePlace
from tests.bench.pairs import Report
from tests.bench.test_bench_consumer import fresh
from tests.bench.world import Where, durability, fill_topic, this_machine, turn

EVENTS: Final = 100_000
WANTED: Final = 100_000

DIGEST: Final = """
SELECT encode(sha256(convert_to(coalesce(string_agg(row::text, E'\\n' ORDER BY row::text), ''), 'UTF8')), 'hex')
  FROM (SELECT {columns} FROM {table}) AS row"""

# What a projection says, table by table; numbers that only tell in which order rows were written are left out.
EFFECTS: Final = {"effect": "application_id, citizen_id, wave"}
TIMELINES: Final = {"timeline": "citizen_id, entry_id, at, what, data"}
BOOKS: Final = {
    "entry": "event_id, type, at, programme, amount_rupiah, citizen_id, payout_id, milestone, rail, attempt, number",
    "book": "programme, events, appropriation_rupiah, available_rupiah, reserved_rupiah, in_flight_rupiah, paid_rupiah",
    "reservation": "citizen_id, programme, reserved_rupiah, in_flight_rupiah, paid_rupiah, releases",
    "payout": "payout_id, citizen_id, programme, province, milestone, rail, amount_rupiah, attempt, state",
    "total": "programme, province, rail, milestone, submitted, paid, in_flight_rupiah, paid_rupiah",
}


class Case(NamedTuple):
    """A store, the topics that its worker reads, the tables of the projection, and the events that make it."""

    service: str
    topics: tuple[str, ...]
    tables: dict[str, str]
    make: Callable[[int], list[Event]]
    prepare: Callable[[Where], Awaitable[None]] | None = None
    """Makes the tables, where no service has them."""
    beside: Mapping[str, str] = {}
    """Other contestants, by what they are called: where they are."""


CASES: Final = {
    "effects": Case("probe", ("applied", "training-completed"), EFFECTS, records.applications, fresh),
    "timelines": Case(
        "registration",
        ("training-completed", "waves", "selected-in-batch", "incentive-paid"),
        TIMELINES,
        records.ratings,
        beside={"INSERT alone, timelines": "consumers:ready_timelines"},
    ),
    "books": Case("finance", ("incentive-paid",), BOOKS, records.payments),
}


async def digests(where: Where, tables: dict[str, str]) -> dict[str, str]:
    """The digest of every table of a projection."""
    async with where.owner() as owner:
        return {
            table: await owner.fetchval(DIGEST.format(table=table, columns=columns))
            for table, columns in tables.items()
        }


async def drop(where: Where, tables: dict[str, str]) -> None:
    """Forget the projection and how far it had come. The topic is all that is left of it."""
    async with where.owner() as owner:
        await owner.execute(f"TRUNCATE position, {', '.join(tables)} CASCADE")


async def measure(where: Where, projection: str, count: int, rounds: int) -> dict[str, list[float]]:
    """Build a projection, then drop and rebuild it `rounds` times, in turns with a worker whose reactions do nothing.

    Raises AssertionError when a digest differs.
    """
    case = CASES[projection]
    tables, told = case.tables, case.make(count)
    if case.prepare:
        await case.prepare(where)
    await fill_topic(where, told)
    await turn("consumers:rebuild", where, count=len(told), projection=projection)
    first = await digests(where, tables)

    async def run(idle: bool) -> float:
        await drop(where, tables)
        assert await digests(where, tables) != first, "nothing was dropped"
        answer = await turn("consumers:rebuild", where, count=len(told), projection=projection, idle=idle)
        assert idle or await digests(where, tables) == first, f"{projection} came out differently"
        return float(answer["rate"])

    async def other(contestant: str) -> float:
        await drop(where, tables)
        return float((await turn(contestant, where, count=len(told)))["rate"])

    names = {f"ours, {projection}": False, f"event path alone, {projection}": True}
    contestants: dict[str, pairs.Run] = {name: partial(run, idle) for name, idle in names.items()}
    contestants |= {name: partial(other, contestant) for name, contestant in case.beside.items()}
    return await pairs.take_turns(contestants, rounds)


@pytest.mark.bench
async def test_bench_rebuild(where: MakePlace, kafka: Cluster) -> None:
    figures: dict[str, list[float]] = {}
    for projection, case in CASES.items():
        at = where(case.service, *case.topics)
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
            "`books` is finance's: every event is copied, followed through its payout and reservation in Python, and "
            "added to balances and totals. Tables are emptied, positions forgotten, and one worker reads everything "
            "again, with the service's own reactions.",
            "`event path alone` is the same worker on the same topic with reactions that do nothing: fetching, "
            "decoding, positions. It is the ceiling of any projection. `INSERT alone` writes the timelines from "
            "columns that were made beforehand: what database and driver allow, with nothing read or decoded.",
        ),
    )
    pairs.save(report, await this_machine(at))
