"""Notes what stands still while processes die: every lane that a service reads, and every outbox.

A blow excuses the service it fell on, a server's outage every service; only until it is back and a little longer. The
clock of what waits then stands still. It does not begin anew: only something that moves does that.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from deploy.local.bus import Cluster
from libs.events.topics import read_by

STUCK_SECONDS: Final = 60.0
EXCUSED_SECONDS: Final = 8.0
"""A killed process starts again, its lanes go to another one after a session of six seconds, a client tries again."""
LOOK_SECONDS: Final = 1.0
LOOK_SECONDS_MAX: Final = 3.0
"""Nobody can tell what happened in between where a look took longer; only so much of it counts."""
HARMLESS: Final = ("api", "jobs")
"""Groups that neither send nor read: their end excuses nobody."""

PLACES: Final = """
SELECT (SELECT json_agg(json_build_array(topic, lane, next_offset)) FROM position) AS places,
       (SELECT EXISTS (SELECT FROM outbox WHERE (outbox.xid, outbox.position) > (relay.xid, relay.position))) AS unsent,
       relay.xid::text AS xid, relay.position
  FROM relay
"""

Place = tuple[str, ...]
Seen = Mapping[Place, tuple[bool, Any]]
"""By what may stand still: whether something waits there, and a mark that changes when it moves."""


@dataclass(slots=True)
class Watch:
    """The judge. All moments are seconds of one machine clock."""

    watched: Counter[str] = field(default_factory=Counter)  # whole seconds in which a service had no excuse
    waited_seconds_max: float = 0.0
    stuck: list[str] = field(default_factory=list)
    _until: dict[str, float] = field(default_factory=dict)
    _looked: dict[str, float] = field(default_factory=dict)
    _waits: dict[Place, tuple[Any, float]] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)

    def excuse(self, group: str, services: Mapping[str, Any], now: float) -> None:
        """A process of this group was struck or has come back just now; a server keeps every service from moving."""
        service, _, part = group.partition(" ")
        if part in HARMLESS:
            return
        for name in [service] if service in services else services:
            self._until[name] = now + EXCUSED_SECONDS

    def look(self, service: str, seen: Seen | None, now: float) -> None:
        """What was seen of a service. None where nobody could tell: such time does not count."""
        seconds = min(now - self._looked.get(service, now), LOOK_SECONDS_MAX)
        self._looked[service] = now
        if seen is None:
            return
        excused = now < self._until.get(service, 0.0)
        if not excused:
            self._seconds[service] = self._seconds.get(service, 0.0) + seconds
            self.watched[service] = round(self._seconds[service])
        for place, (waits, mark) in seen.items():
            before, waited = self._waits.get(place, (None, 0.0))
            waited = 0.0 if not waits or mark != before else waited + seconds * (not excused)
            self.waited_seconds_max = max(self.waited_seconds_max, waited)
            if waited > STUCK_SECONDS:
                self.stuck.append(f"{' '.join(place)} has not moved for a minute without an excuse; it is at {mark}")
                waited = 0.0
            self._waits[place] = (mark, waited)


AWAY: Final = (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asking a database comes to that is killed at that moment."""


class Eyes:
    """Looks at positions, outboxes and the ends of all lanes. `async with Eyes(...)`; a look that fails gives None."""

    def __init__(self, cluster: Cluster, stores: Mapping[str, str]) -> None:
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that a broker is away is no news here
        self._stores = stores
        self._client = AIOKafkaConsumer(**cluster.aiokafka(), client_id="gelombang.chaos.watch")
        self._lanes = {
            name: [TopicPartition(topic.name, lane) for topic in read_by(name) for lane in range(topic.partitions)]
            for name in stores
        }

    async def __aenter__(self) -> "Eyes":
        await self._client.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(TimeoutError, KafkaError):
            await asyncio.wait_for(self._client.stop(), LOOK_SECONDS_MAX)

    async def ends(self) -> Mapping[TopicPartition, int] | None:
        lanes = sorted({lane for lanes in self._lanes.values() for lane in lanes})
        with suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(LOOK_SECONDS_MAX):
                return dict(await self._client.end_offsets(lanes))
        return None

    async def look(self, service: str, ends: Mapping[TopicPartition, int] | None) -> Seen | None:
        row = None
        with suppress(*AWAY):
            async with asyncio.timeout(LOOK_SECONDS_MAX):
                connection = await asyncpg.connect(self._stores[service])
                try:
                    row = await connection.fetchrow(PLACES)
                finally:
                    await connection.close()
        if row is None or ends is None:
            return None
        return seen_in(service, row, {lane: ends[lane] for lane in self._lanes[service]})


def seen_in(service: str, row: Any, ends: Mapping[TopicPartition, int]) -> Seen:
    """The outbox of a service and each of its lanes, from what its store and Kafka say."""
    at = {(topic, lane): offset for topic, lane, offset in json.loads(row["places"] or "[]")}
    seen: dict[Place, tuple[bool, Any]] = {
        (service, "outbox"): (row["unsent"], f"{row['xid']}/{row['position']}"),
    }
    for (topic, lane), end in ends.items():
        offset = at.get((topic, lane), 0)
        seen[service, f"{topic}/{lane}"] = (offset < end, offset)
    return seen
