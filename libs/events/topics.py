"""The page of truth about the bus (`topics.toml`), read once.

A lane is the Kafka partition of a key: CRC-32 of the key modulo the partition count, the same rule as librdkafka's
`consistent` partitioner. It is computed when the event is written, so that the relay only copies.
"""

import tomllib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("topics.toml")


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: who writes it, who reads it, and which events it carries, with the newest version of each."""

    name: str
    producer: str
    consumers: tuple[str, ...]
    key: str
    partitions: int
    retention_days: int | None  # None: for ever
    events: Mapping[str, int]

    def lane(self, key: str) -> int:
        """The partition of a key."""
        return zlib.crc32(key.encode()) % self.partitions


def load_topics(path: Path = FILE) -> Mapping[str, Topic]:
    """Every topic by name, in the order of the file."""
    told = tomllib.loads(path.read_text())
    defaults, found = told["defaults"], {}
    for name, settings in told["topics"].items():
        retention = settings.get("retention", defaults["retention"])
        found[name] = Topic(
            name=name,
            producer=settings["producer"],
            consumers=tuple(settings["consumers"]),
            key=settings["key"],
            partitions=settings.get("partitions", defaults["partitions"]),
            retention_days=None if retention == "for ever" else int(retention),
            events=settings["events"],
        )
    return found


TOPICS = load_topics()
TOPIC_OF = {event: topic for topic in TOPICS.values() for event in topic.events}


def written_by(service: str) -> list[Topic]:
    """The topics a service publishes."""
    return [topic for topic in TOPICS.values() if topic.producer == service]


def read_by(service: str) -> list[Topic]:
    """The topics a service consumes."""
    return [topic for topic in TOPICS.values() if service in topic.consumers]
