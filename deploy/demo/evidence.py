"""Gathers what the checks compare: the records of the bus, the rails' books, ledger, finance, metrics and logs."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.demo.checks import SIX, Booking, Evidence
from deploy.demo.citizens import Crowd
from deploy.demo.draws import Draws
from deploy.demo.facts import Attempt, Facts
from deploy.demo.officers import Officers
from deploy.demo.scan import Feed, ScanBeside
from deploy.demo.world import World
from deploy.local.bus import Cluster
from libs.events.topics import TOPICS

LOG_BYTES: Final = 16 * 2**20
FETCH_RECORDS: Final = 20_000
PAGE: Final = 10_000
_END_TO_END = re.compile(r"([0-9a-f]{32})\D?(\d{1,3})")


Take = Callable[[TopicPartition, list[Any]], None]


def all_lanes() -> list[TopicPartition]:
    """Every partition of every topic of the programme."""
    return [TopicPartition(topic.name, lane) for topic in TOPICS.values() for lane in range(topic.partitions)]


async def each_record(cluster: Cluster, take: Take, lanes: Sequence[TopicPartition] = ()) -> None:
    """Read every record of the lanes (default: all) once, up to where each ends now, each lane in its own order."""
    lanes = lanes or all_lanes()
    consumer = AIOKafkaConsumer(
        **cluster.aiokafka(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=2**22,
        fetch_max_wait_ms=20,  # a lane that is read to its end must not hold up the others
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(lanes)
        unread = {lane for lane in lanes if ends[lane]}
        consumer.assign(list(unread))
        if unread:
            await consumer.seek_to_beginning()
        while unread:
            batches = await consumer.getmany(timeout_ms=500, max_records=FETCH_RECORDS)
            for lane, records in batches.items():
                take(lane, records)
            unread = {lane for lane in unread if await consumer.position(lane) < ends[lane]}
    finally:
        await consumer.stop()


async def read_topics(cluster: Cluster, facts: Facts, scan: Feed, lanes: Sequence[TopicPartition] = ()) -> None:
    """Give every record to the facts and to the scan."""

    def take(lane: TopicPartition, records: list[Any]) -> None:
        for record in records:
            _take(lane, record, facts)
        scan.feed(f"topic {lane.topic}", b"\n".join(_bytes_of(records)))

    await each_record(cluster, take, lanes)


def _take(lane: TopicPartition, record: Any, facts: Facts) -> None:
    headers = [name for name, _ in record.headers]
    facts.take(lane.topic, lane.partition, record.offset, record.value or b"", headers)


def _bytes_of(records: Iterable[Any]) -> Iterable[bytes]:
    """Value, key and headers: all that a reader of the bus can see."""
    for record in records:
        yield record.value or b""
        yield record.key or b""
        yield from (name.encode() + b" " + (value or b"") for name, value in record.headers)


def read_logs(folder: Path, scan: Feed) -> None:
    """Scan every log file, in pieces that end at the end of a line."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            while piece := file.read(LOG_BYTES):
                scan.feed(f"log {path.name}", piece + file.readline())


async def read_metrics(world: World, scan: Feed) -> None:
    for name, url in world.services.items():
        scan.feed(f"metrics of {name}", bytes(await world.client.get(url + "/metrics")))


async def rail_book(world: World, simulator: str) -> tuple[dict[Attempt, Booking], list[str]]:
    """All payments in a rail's own book, by payout and attempt; and the references it booked more than once."""
    book: dict[Attempt, Booking] = {}
    twice: list[str] = []
    after = 0
    while True:
        page = await world.client.get(world.simulator(simulator, f"/v1/book?after={after}&limit={PAGE}"))
        for entry in page["booked"]:
            attempt = attempt_of(entry["end_to_end_id"])
            if attempt in book:
                twice.append(entry["end_to_end_id"])
            book[attempt] = Booking(int(entry["amount_rupiah"]), bool(entry["returned"]))
        after = page["cursor"]
        if len(page["booked"]) < PAGE:
            return book, twice


def attempt_of(reference: str) -> Attempt:
    """Payout and attempt of a rail's reference; a reference that is none of ours stands for itself."""
    found = _END_TO_END.fullmatch(reference)
    return (found[1], int(found[2])) if found else (reference, 0)


def six(told: Mapping[str, Any]) -> dict[str, int]:
    """The six figures of a programme's money, wherever an answer keeps them. Large amounts come as text."""
    return {name: int(told[name] if name in told else told[f"{name}_rupiah"]) for name in SIX}


async def parked(world: World) -> dict[str, int]:
    """How many events each service has set aside."""
    looks = [world.client.get(url + "/health/quiet") for url in world.services.values()]
    told = await asyncio.gather(*looks)
    return {name: int(entry.get("parked", 0)) for name, entry in zip(world.services, told, strict=True)}


async def gather(
    world: World,
    cluster: Cluster,
    crowd: Crowd,
    draws: Draws,
    officers: Officers,
    logs: Path,
    before_year_end: dict[str, int],
) -> Evidence:
    """Everything, once the replay has come to rest."""
    lines = world.history.read("joined", "withdrawn", "wave-announced")
    people = [citizen.person for citizen in crowd.citizens]
    facts = Facts()
    with ScanBeside(people) as scan:
        world.show("Reading every record of the bus")
        await read_topics(cluster, facts, scan)
        world.show("Asking the rails, the ledger and finance for their books")
        bank, bank_twice = await rail_book(world, "bank")
        wallet, wallet_twice = await rail_book(world, "ewallet")
        ledger, finance = six(await officers.ledger()), six(await officers.books())
        applicants = [citizen for citizen in crowd.citizens if citizen.applications]
        sample = applicants[:: max(1, len(applicants) // SAMPLE)]
        seen = await crowd.outlook(sample)
        world.show("Looking for anything personal in topics, logs and metrics")
        await read_metrics(world, scan)
        await asyncio.to_thread(read_logs, logs, scan)
        personal, scanned_bytes = await scan.found()
    return Evidence(
        joined={line["application_id"]: line["citizen_id"] for line in lines if line["kind"] == "joined"},
        withdrawn=frozenset(line["application_id"] for line in lines if line["kind"] == "withdrawn"),
        families={citizen.citizen_id: citizen.person.kk for citizen in crowd.citizens},
        seats={line["wave"]: line["seats"] for line in lines if line["kind"] == "wave-announced"},
        facts=facts,
        rails={"bank": bank, "e-wallet": wallet},
        twice_booked=[*bank_twice, *wallet_twice],
        ledger=ledger,
        finance=finance,
        before_year_end=before_year_end,
        seen_by_citizens=seen,
        draws=await draws.verdicts(),
        personal=personal,
        scanned_bytes=scanned_bytes,
        parked=await parked(world),
    )


SAMPLE: Final = 300
"""Citizens who are asked what they see of their own applications."""
