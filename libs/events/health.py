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
            told = await QUERIES.at_rest(connection, now=self.clock.now(), names=list(self.jobs))
        # The bus is asked only where the store has nothing left to do: that question costs more than all others.
        busy = bool(told["unsent"] or told["due"])
        ends = {} if busy else await self._ends()
        places = zip(told["topics"], told["lanes"], told["offsets"], strict=True)
        behind = sum(max(0, ends.get((topic, lane), 0) - offset) for topic, lane, offset in places)
        return {
            "quiet": not (busy or behind),
            "outbox_unsent": told["unsent"],
            "behind": behind,
            "jobs_due": told["due"],
            "parked": told["parked"],
            "moved": told["moved"],
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
