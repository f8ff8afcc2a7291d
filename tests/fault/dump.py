"""Every record of every topic, as any outsider with the administrator's rights reads it."""

from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import TopicPartition

from deploy.demo.evidence import each_record
from deploy.local.bus import Cluster


@dataclass(frozen=True, slots=True)
class Record:
    """A record in a lane. `number` is 0 where no relay has numbered it."""

    topic: str
    lane: int
    offset: int
    key: str
    number: int
    event_id: str
    type: str
    data: dict[str, Any]
    at: str = ""  # programme time of what it tells


async def dump(cluster: Cluster) -> list[Record]:
    """All records, each lane in the order of its offsets."""
    records: list[Record] = []

    def take(lane: TopicPartition, found: list[Any]) -> None:
        records.extend(record_of(lane.topic, lane.partition, one.offset, one.key, one.value) for one in found)

    await each_record(cluster, take)
    return records


def record_of(topic: str, lane: int, offset: int, key: bytes | None, value: bytes | None) -> Record:
    """Raises nothing: what is no numbered CloudEvent is a record without a number, which the checks complain about."""
    try:
        event = orjson.loads(value or b"")
        return Record(
            topic,
            lane,
            offset,
            (key or b"").decode(),
            int(event["sequence"]),
            event["id"],
            event["type"],
            event["data"],
            event.get("time", ""),
        )
    except (orjson.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        return Record(topic, lane, offset, "", 0, "", "", {})
