"""The outside reader on a real Kafka: every record once and in order, and whatever is personal in any of them."""

import json
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from deploy.demo import figures, population
from deploy.demo.evidence import read_topics
from deploy.demo.facts import Facts
from deploy.demo.scan import PersonalScan
from deploy.local.bus import Cluster
from libs.events.codec import CONTENT_TYPE

PEOPLE = population.make(figures.load(10_000), "2020")


def event(number: int, **data: Any) -> bytes:
    return json.dumps(
        {
            "sequence": f"{number:016}", "epoch": 1, "specversion": "1.0", "id": f"{number:032}",
            "source": "registration",
            "type": "applied", "time": "2020-04-12T00:00:00+00:00", "dataschema": "urn:gelombang:applied:1",
            "data": {"citizen_id": "c", "household_id": "h", "wave": 1, "province": "31", "tier": "public", **data},
        }
    ).encode()  # fmt: skip


async def test_reads_every_record_of_every_partition_once(kafka: Cluster, topic: Any) -> None:
    name = topic(partitions=3)
    async with AIOKafkaProducer(**kafka.aiokafka()) as producer:
        for number in range(1, 1001):
            for lane in (0, 2):
                value = event(number, application_id=f"{lane}-{number}")
                await producer.send(name, value, key=b"c", partition=lane, headers=[CONTENT_TYPE])
    facts, scan = Facts(), PersonalScan(PEOPLE)
    await read_topics(kafka, facts, scan, [TopicPartition(name, lane) for lane in range(3)])
    assert facts.records == len(facts.applied) == 2_000
    assert facts.gaps == facts.faults == []
    assert scan.findings == {}


async def test_a_gap_and_a_leak_in_value_key_or_header_are_found(kafka: Cluster, topic: Any) -> None:
    name = topic(partitions=1)
    somebody = PEOPLE[7]
    async with AIOKafkaProducer(**kafka.aiokafka()) as producer:
        await producer.send_and_wait(name, event(1, application_id="a", note=somebody.nik), headers=[CONTENT_TYPE])
        await producer.send_and_wait(
            name, event(3, application_id="b"), key=somebody.phone.encode(), headers=[CONTENT_TYPE]
        )
        told = [CONTENT_TYPE, ("who", somebody.name.encode())]
        await producer.send_and_wait(name, event(4, application_id="c"), headers=told)
    facts, scan = Facts(), PersonalScan(PEOPLE)
    await read_topics(kafka, facts, scan, [TopicPartition(name, 0)])
    assert {kind for _, kind in scan.findings} == {"NIK or KK", "phone or account", "name or e-mail"}
    assert len(facts.gaps) == 1
    assert "number 3 follows 1" in facts.gaps[0]
    assert len(facts.faults) == 1, "a header that was not agreed"


async def test_topics_without_a_record_are_read_too(kafka: Cluster, topic: Any) -> None:
    facts = Facts()
    await read_topics(kafka, facts, PersonalScan([]), [TopicPartition(topic(), 0)])
    assert facts.records == 0
