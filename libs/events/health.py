"""Whether a process is alive, whether it works, and whether the service has come to rest."""

from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.events import kafka
from libs.events.clock import Clock
from libs.events.database import QUERIES, Database
from libs.events.settings import ServiceSettings
from libs.events.topics import read_by


class Health:
    """What the roles of this process say of themselves, and what the store and the bus say of the service."""

    def __init__(
        self,
        service: str,
        settings: ServiceSettings,
        database: Database,
        clock: Clock,
        jobs: Sequence[str],
    ) -> None:
        self.service, self.settings, self.database, self.clock, self.jobs = (
            service,
            settings,
            database,
            clock,
            jobs,
        )
        self.roles: dict[str, str] = {}
        self._reader: AIOKafkaConsumer | None = None

    async def ready(self) -> dict[str, Any]:
        """`ready` is true when the store answers and no role has stopped; `roles` says what each one does."""
        try:
            async with self.database.connection() as connection:
                await connection.fetchval("SELECT 1")
            store = "answers"
        except Exception as error:
            store = f"does not answer ({type(error).__name__})"
        working = all(state in ("working", "standing by") for state in self.roles.values())
        return {
            "ready": working and store == "answers",
            "store": store,
            "roles": self.roles,
        }

    async def quiet(self) -> dict[str, Any]:
        """Whether anything waits, and a counter that changes whenever the service moved: ask twice to be sure."""
        async with self.database.connection() as connection:
            unsent = await QUERIES.outbox_unsent(connection)
            positions = await QUERIES.position_all(connection)
            due = [
                row["name"] for row in await QUERIES.job_due(connection, now=self.clock.now(), names=list(self.jobs))
            ]
            parked = await QUERIES.parked_count(connection)
            relay = await QUERIES.relay_state(connection)
        ends = await self._ends()
        behind = sum(max(0, ends[row["topic"], row["lane"]] - row["next_offset"]) for row in positions)
        return {
            "quiet": not (unsent or behind or due),
            "outbox_unsent": unsent,
            "behind": behind,
            "jobs_due": due,
            "parked": parked,
            "moved": sum(row["number"] for row in positions) + relay["position"],
        }

    async def _ends(self) -> dict[tuple[str, int], int]:
        """The end of every lane this service reads."""
        topics = read_by(self.service)
        if not topics:
            return {}
        if self._reader is None:
            reader = kafka.reader(self.settings, self.service)
            await reader.start()
            self._reader = reader
        partitions = [TopicPartition(topic.name, lane) for topic in topics for lane in range(topic.partitions)]
        return {(p.topic, p.partition): end for p, end in (await self._reader.end_offsets(partitions)).items()}

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.stop()
