"""The stack under chaos: the processes of `cast.py` under the manager of deploy/local, and ways to strike them."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from deploy.local import readiness
from deploy.local.plan import ClockPlan, Plan, Wish
from deploy.local.ports import Ports
from deploy.local.programs import WINDOWS
from deploy.local.stack import Stack, Step
from deploy.local.supervision import Program
from libs.events.topics import read_by
from tests.fault import armed
from tests.fault.cast import GROUPS, PARTS, Parts
from tests.fault.watch import AWAY

SESSION_SECONDS: Final = 6.0  # the least a broker grants
SILENT_SECONDS: Final = 4.0  # two missed signs of life of a relay
SLEEP_SECONDS: Final = 9.0
"""Longer than both: whoever sleeps so long is given up by everybody, and wakes up as a zombie."""

RATES: Final = {
    "civil-registry": {"UNAVAILABLE_PERCENT": "5"},
    "ewallet": {"TIMEOUT_PERCENT": "2", "HANG_SECONDS": "1"},
    "bank": {"TIMEOUT_PERCENT": "2", "HANG_SECONDS": "1"},
}
"""The outside world is unreliable too while processes die."""

SETTINGS: Final = {"registration": {"CITIZEN_TOKEN_DAYS": "400"}}
"""Weeks of programme time pass in minutes: without this citizens would sign in again and again."""


OWNER: Final = "SELECT client_port FROM pg_stat_activity AS activity JOIN relay ON activity.pid = relay.backend"
"""Only to aim at the right process; what became of everything is never asked here."""


SECOND_OFFSET: Final = 4


SERVERS: Final = {name for group in GROUPS.values() if not group.points for name in group.programs}
CROWD_SECONDS: Final = 2.0
"""How long a stranger stays among the workers."""


class RoomForTwo(Ports):
    """A second worker or relay listens behind all the first ones of its service."""

    def of(self, program: str) -> int:
        first = program.replace("-second-", "-")
        return Ports.of(self, first) + SECOND_OFFSET * (first != program)


class Stage(Stack):
    """A stack whose services run in parts, each in a wrapper that can be armed."""

    def __init__(self, var: Path, *, parts: Parts = PARTS, step: Step | None = None) -> None:
        super().__init__(var, step=step)
        self._cast = parts
        self._addresses: dict[str, str] = {}
        self._armed = self.layout.run / "armed"

    def begin(self, at: datetime, seed: str) -> None:
        """Start everything at a programme time that stands still."""
        self._armed.mkdir(parents=True, exist_ok=True)
        self.up(clock=ClockPlan(at), seed=seed, faults=RATES, settings=SETTINGS)

    def _plan(self, wish: Wish) -> Plan:
        plan = super()._plan(wish)
        ports = RoomForTwo(plan.place.ports.base)
        running = [part for program in plan.running for part in self._parts(program, ports)]
        place = replace(plan.place, ports=ports)
        self._addresses = {program.name: place.url(program.name) for program in running}
        return replace(plan, place=place, running=tuple(running))

    def _parts(self, program: Program, ports: Ports) -> list[Program]:
        """The live windows are left out: they are no service, and nothing decides by them."""
        if program.name == WINDOWS:
            return []
        if program.name not in self._cast:
            return [program]
        python, dash_m, module, *_ = program.command
        return [
            replace(
                program,
                name=name,
                command=(python, dash_m, "tests.fault.armed", module, *roles),
                environment=program.environment
                | {
                    "GELOMBANG_HTTP_PORT": str(ports.of(name)),  # wins over the settings that the parts share
                    armed.ARMED: str(self._armed / name),
                    "GELOMBANG_KAFKA_SESSION_SECONDS": str(SESSION_SECONDS),
                    "GELOMBANG_RELAY_SILENT_SECONDS": str(SILENT_SECONDS),
                },
            )
            for name, roles in self._cast[program.name].items()
        ]

    # -- blows -------------------------------------------------------------------------------------------------------

    def pid(self, name: str) -> int:
        """The pid of a process; 0 while it is down."""
        return self.supervisor.process(name).pid

    def ready(self, name: str) -> bool:
        """Whether a process is at work. A server counts as soon as it runs."""
        return name in SERVERS or readiness.ask(self._addresses[name])[0]

    def arm(self, name: str, point: str, times: int) -> None:
        """Let a process die when it reaches a point for the given time from now. It hears of it within moments."""
        draft = self._armed / f".{name}"
        draft.write_text(f"{point}:{times}")
        draft.replace(self._armed / name)

    def disarm(self, name: str) -> None:
        """Take back what was armed; a process that was armed and lives on is told so."""
        draft = self._armed / f".{name}"
        draft.write_text("")
        draft.replace(self._armed / name)

    async def sending(self, names: Sequence[str]) -> str | None:
        """Which of these relays of one service owns its outbox now; None while nobody does, or nobody can tell."""
        service = names[0].partition("-")[0]
        server, database = self.facts().server(), self.facts().databases()[service]
        with suppress(*AWAY, psutil.Error):
            connection = await asyncpg.connect(server.url(database.name))
            try:
                port = await connection.fetchval(OWNER)
            finally:
                await connection.close()
            for name in names:
                if port in {one.laddr.port for one in psutil.Process(self.pid(name)).net_connections("tcp4")}:
                    return name
        return None

    async def declare_dead(self, service: str) -> bool:
        """Let the relay that stands by take over while the other one is well; False where PostgreSQL is away."""
        server, database = self.facts().server(), self.facts().databases()[service]
        with suppress(*AWAY):
            connection = await asyncpg.connect(server.url(database.name))
            try:
                await connection.execute("UPDATE relay SET owner = NULL")
            finally:
                await connection.close()
            return True
        return False

    async def crowd(self, service: str) -> bool:
        """Join the workers of a service for a while without doing anything; False where Kafka is away.

        Lanes go to the stranger and back: every worker has to let go and to find its places again, twice.
        """
        stranger = AIOKafkaConsumer(
            *(topic.name for topic in read_by(service)),
            **self.facts().cluster().aiokafka(),
            client_id="gelombang.chaos",
            group_id=f"gelombang.{service}",
            enable_auto_commit=False,
            session_timeout_ms=int(SESSION_SECONDS * 1000),
            heartbeat_interval_ms=1_000,
        )
        try:
            async with asyncio.timeout(SLEEP_SECONDS):
                await stranger.start()
                await asyncio.sleep(CROWD_SECONDS)
        except (TimeoutError, KafkaError):
            return False
        finally:
            with suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(stranger.stop(), SLEEP_SECONDS)
        return True

    def signal(self, pid: int, number: signal.Signals) -> bool:
        """Send a signal; False where the process has gone meanwhile."""
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False
