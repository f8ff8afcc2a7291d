"""The live windows as the process they are, against a real Kafka: counted once, also after a kill -9."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer

from deploy.local.bus import Cluster
from libs.events import codec, ids
from libs.events.contracts import IncentivePaid, IncentiveSubmitted
from libs.events.topics import TOPICS
from tests.conftest import MakeTopic

START_SECONDS_MAX = 60
NOON = datetime(2020, 5, 1, 5, tzinfo=UTC)
TOPIC = TOPICS["incentive-paid"]

StartWindows = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def windows(kafka: Cluster, topic: MakeTopic, port: int, tmp_path: Path) -> Iterator[tuple[str, StartWindows]]:
    """A topic shaped like the real one, and a function that starts the process on it."""
    source = topic(partitions=TOPIC.partitions)
    generation = str(int(time.time()) % 10**8)  # a group and changelogs of this test's own
    environment = {
        **os.environ,
        "GELOMBANG_KAFKA_SERVERS": kafka.servers,
        "GELOMBANG_WINDOWS_PORT": str(port),
        "GELOMBANG_WINDOWS_GENERATION": generation,
    }
    if kafka.user:
        environment |= {"GELOMBANG_KAFKA_USER": kafka.user, "GELOMBANG_KAFKA_PASSWORD": kafka.password or ""}
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", f"from services.finance.windows import main; main({source!r})"]
        with (tmp_path / "windows.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        started.append(process)
        return process

    yield source, start
    for process in started:
        process.kill()
        process.wait()
    names = [f"gelombang.finance.windows-v{generation}-{table}-changelog" for table in ("shares", "numbers")]
    for future in kafka.admin().delete_topics(names).values():
        future.exception()


def sent(kafka: Cluster, source: str, citizens: range, numbers: dict[int, int]) -> None:
    """Two events per citizen, numbered as the relay would."""
    producer = Producer(kafka.settings())
    for citizen_number in citizens:
        citizen = ids.derive("citizen", str(citizen_number))
        fields: dict[str, Any] = {
            "at": NOON + timedelta(seconds=citizen_number),
            "citizen_id": citizen,
            "programme": "prakerja-2020",
            "wave": 1,
            "province": "31",
            "payout_id": ids.derive(citizen, "incentive-1"),
            "milestone": "incentive-1",
            "amount_rupiah": 600_000,
            "rail": "bank",
            "attempt": 1,
        }
        lane = TOPIC.lane(citizen)
        for event in (IncentiveSubmitted(**fields, batch_id=ids.derive("batch")), IncentivePaid(**fields)):
            numbers[lane] = numbers.get(lane, 0) + 1
            value = codec.numbered(codec.encode(event), numbers[lane], 1)
            producer.produce(source, value, citizen, partition=lane)
    producer.produce(source, b"not an event", b"x", partition=0)
    assert producer.flush(30) == 0


def shown(port: int, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What the windows show, as soon as it satisfies `until`; else what they showed last."""
    deadline, told = time.monotonic() + START_SECONDS_MAX, dict[str, Any]()
    while time.monotonic() < deadline:
        try:
            told = httpx.get(f"http://127.0.0.1:{port}/windows?last=100", timeout=2).json()
        except httpx.TransportError:
            told = {}
        if told and not told["rebuilding"] and until(told):
            break
        time.sleep(0.2)
    return told


def paid(told: dict[str, Any]) -> dict[str, int]:
    return {line["minute"]: line["paid"]["payouts"] for line in told["windows"]}


def test_each_event_counts_once_in_its_minute(kafka: Cluster, windows: tuple[str, StartWindows], port: int) -> None:
    source, start = windows
    sent(kafka, source, range(90), {})
    process = start()
    expected = {"2020-05-01T05:01:00+00:00": 30, "2020-05-01T05:00:00+00:00": 60}
    told = shown(port, lambda told: paid(told) == expected)
    assert paid(told) == expected
    assert {line["submitted"]["rupiah"] for line in told["windows"]} == {60 * 600_000, 30 * 600_000}
    assert told["skipped"] == 1

    # The same records again, as after a relay that died before it had stored its cursor; then new ones.
    numbers: dict[int, int] = {}
    sent(kafka, source, range(90), numbers)
    sent(kafka, source, range(90, 100), numbers)
    expected["2020-05-01T05:01:00+00:00"] = 40
    assert paid(shown(port, lambda told: paid(told) == expected)) == expected

    # A killed process finds its windows in its changelogs and goes on where its group had come.
    process.send_signal(signal.SIGKILL)
    process.wait()
    start()
    sent(kafka, source, range(100, 101), numbers)
    expected["2020-05-01T05:01:00+00:00"] = 41
    assert paid(shown(port, lambda told: paid(told) == expected)) == expected
