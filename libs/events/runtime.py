"""Runs a service: its roles api, worker, relay and jobs, together in one process or each in its own.

Start: settings, logs, store, resources, roles. Stop, on SIGTERM or SIGINT: the API takes no more requests, jobs and
worker finish what they hold, the relay sends what is written, then the store closes. A role whose Kafka or PostgreSQL
is away says so and tries again; one that must not go on (a restored database, nearly all poison) stops and says why.
While the relay must not send, no process of the service acts (`hold.py`).
"""

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Final, Protocol

import uvicorn
import uvloop
from fastapi import FastAPI

from libs.events import kafka, logs, outbox, tending, tracing
from libs.events.api import most_asked_first, new_api
from libs.events.clock import Clock
from libs.events.collector import collect_seldom
from libs.events.consumer import Consumer, NearlyAllPoison
from libs.events.contracts import Event
from libs.events.database import Database, UnsafeDatabase, is_transient, open_database
from libs.events.health import Health
from libs.events.hold import Hold
from libs.events.jobs import Job, Jobs
from libs.events.ordering import Reaction
from libs.events.programme import BadProgramme
from libs.events.relay import Fenced, Relay
from libs.events.restore import MustNotSend
from libs.events.settings import ServiceSettings

ROLES: Final = ("api", "worker", "relay", "jobs")
HELD: Final = ("worker", "jobs")  # what stops while the relay must not send; the API then only answers for its health
STOP_SECONDS_MAX: Final = 15.0
PAUSE_SECONDS_MIN: Final = 0.2
PAUSE_SECONDS_MAX: Final = 5.0

log = logs.get_logger()


class Resource(Protocol):
    """Something a service opens at start and closes at the end: a batcher, a client of an outside system."""

    def start(self, database: Database, clock: Clock) -> Awaitable[None] | None: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Service:
    """What `main.py` puts together: everything the runtime needs to know of a service."""

    name: str
    settings: ServiceSettings
    clock: Clock
    api: FastAPI
    reactions: Mapping[type[Event], Reaction]
    jobs: Sequence[Job] = ()
    resources: Sequence[Resource] = field(default=())


def run(build: Callable[[], Service]) -> None:
    """The command line of a service: `python -m services.NAME [role ...]`, or what an operator asks (`tending.py`)."""
    parser = argparse.ArgumentParser(description="Run a service of Gelombang: all its roles, or those named.")
    tended = "parked, redrive, drop ID..., rewind TOPIC PARTITION NUMBER, new-epoch"
    parser.add_argument("words", nargs="*", metavar="role", help=f"{', '.join(ROLES)} (default: all); or: {tended}")
    parser.add_argument("--yes", action="store_true", help="do what rewind or new-epoch would do")
    told = parser.parse_args()
    words = told.words
    try:
        service = build()
    except (BadProgramme, OSError, ValueError) as error:
        sys.exit(str(error))  # a programme, key or settings file is wrong; the sentence says which and where
    logs.configure(service.name, service.settings.log_level, service.clock)
    tracing.configure(service.name, service.settings.traces_endpoint)
    if words and words[0] in tending.WORDS:
        asyncio.run(tending.tend(service.name, service.settings, service.reactions, words, yes=told.yes))
        return
    if unknown := [word for word in words if word not in ROLES]:
        parser.error(f"unknown role {unknown[0]!r}; roles are {', '.join(ROLES)}")
    try:
        uvloop.run(Runtime(service, words or ROLES).run())
    except UnsafeDatabase as error:
        sys.exit(str(error))


class Runtime:
    """One process of a service."""

    def __init__(self, service: Service, roles: Sequence[str]) -> None:
        self.service, self.roles = service, roles
        other = "Health and metrics of other roles"
        self.surface = most_asked_first(service.api) if "api" in roles else new_api(service.name, other)
        self.stopping = asyncio.Event()
        self.stoppers: dict[str, Callable[[], None]] = {}
        self.database: Database
        self.health: Health
        self.hold: Hold

    async def run(self) -> None:
        """Work until told to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        service = self.service
        listener = self._listen()
        async with self._open_database() as database, self._resources(database):
            self.database = database
            names = [job.name for job in service.jobs]
            self.health = Health(service.name, service.settings, database, service.clock, names)
            for name, value in (("database", database), ("clock", service.clock), ("health", self.health)):
                setattr(self.surface.state, name, value)
            self.hold = Hold(database, self._hold_still)
            await self.hold.look()
            aside = [loop.create_task(self.hold.watch()), loop.create_task(self._keep_room())]
            # A process without the API still answers for its health and metrics.
            tasks = {role: loop.create_task(self._keep(role, listener)) for role in dict.fromkeys(("api", *self.roles))}
            collect_seldom()
            log.info("started", roles=list(self.roles), port=service.settings.http_port)
            await self.stopping.wait()
            await self._stop(tasks)
            for task in aside:
                task.cancel()
            await self.health.close()
        log.info("stopped")

    def _listen(self) -> socket.socket:
        """Take the port before anything else starts; a taken one is a sentence, not a stack trace."""
        settings, shared = self.service.settings, self.service.settings.http_port_shared
        try:
            return socket.create_server((settings.http_host, settings.http_port), backlog=2048, reuse_port=shared)
        except OSError as error:
            sys.exit(
                f"{settings.http_host}:{settings.http_port} can not be opened ({error.strerror}). "
                "Stop what holds it, or set GELOMBANG_HTTP_PORT to a free port."
            )

    @contextlib.asynccontextmanager
    async def _open_database(self) -> AsyncIterator[Database]:
        """The store, waiting for it as long as it takes."""
        settings, pause = self.service.settings, PAUSE_SECONDS_MIN
        async with contextlib.AsyncExitStack() as stack:
            while True:
                try:
                    opened = open_database(
                        settings.database_url.get_secret_value(),
                        max_size=settings.database_connections,
                    )
                    database = await stack.enter_async_context(opened)
                    break
                except Exception as error:
                    if not is_transient(error):
                        raise
                    log.warning("the database does not answer yet; trying again", exc_info=error)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, PAUSE_SECONDS_MAX)
            yield database

    @contextlib.asynccontextmanager
    async def _resources(self, database: Database) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for resource in self.service.resources:
                started = resource.start(database, self.service.clock)
                if isawaitable(started):
                    await started
                stack.push_async_callback(resource.close)
            yield

    async def _keep_room(self) -> None:
        """Nothing is dropped before a relay has held the topics against this database, nor while it must not send."""
        told = self.service.settings
        keep = lambda: outbox.KEEP_ALL_ROWS if self.hold.unready else told.outbox_keep_rows  # noqa: E731
        await outbox.keep_room(self.database, told.outbox_partition_rows, keep)

    async def _keep(self, role: str, listener: socket.socket | None) -> None:
        """Keep a role working: start it again after trouble that may pass, leave it stopped after any other."""
        work = {"api": self._api, "worker": self._worker, "relay": self._relay, "jobs": self._run_jobs}[role]
        pause = PAUSE_SECONDS_MIN
        while not self.stopping.is_set():
            if role in HELD and (why := self.hold.unready):
                self.health.roles[role] = f"held: {why}"
                await self._pause(PAUSE_SECONDS_MIN)
                continue
            self.health.roles[role] = "standing by" if role == "relay" else self._state()
            since = time.monotonic()
            try:
                await (work(listener) if role == "api" else work())  # type: ignore[operator]
                if role in HELD:
                    continue  # it was told to stop: with the process, or to hold still
                return
            except (NearlyAllPoison, MustNotSend) as error:
                self.health.roles[role] = f"stopped: {error}"
                log.error("a role has stopped and will not go on by itself", role=role, why=str(error))
                if isinstance(error, MustNotSend):
                    self.hold.found(str(error))
                return
            except Fenced:
                log.warning("another relay has taken over; this one stands by")
            except Exception as error:
                self.health.roles[role] = f"trying again: {type(error).__name__}"
                log.warning("a role failed and starts again", role=role, in_seconds=pause, exc_info=error)
            if time.monotonic() - since > PAUSE_SECONDS_MAX:
                pause = PAUSE_SECONDS_MIN  # it had worked for a while: this is new trouble
            await self._pause(pause)
            pause = min(pause * 2, PAUSE_SECONDS_MAX)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    async def _api(self, listener: socket.socket) -> None:
        config = uvicorn.Config(
            self.surface,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=5,
            server_header=False,
        )
        server = _Server(config)
        self.stoppers["api"] = lambda: setattr(server, "should_exit", True)
        await server.serve(sockets=[listener])

    async def _worker(self) -> None:
        client = kafka.consumer(self.service.settings, self.service.name)
        service = self.service
        consumer = Consumer(self.database, client, service.name, service.reactions, service.clock)
        self.stoppers["worker"] = consumer.stopping.set
        async with kafka.started(client):
            await consumer.run()

    async def _relay(self) -> None:
        producer = kafka.producer(self.service.settings, self.service.name)
        reader = kafka.reader(self.service.settings, self.service.name)
        silent = self.service.settings.relay_silent_seconds
        relay = Relay(self.database, producer, self.service.name, self._relay_works, silent)
        self.stoppers["relay"] = relay.stopping.set
        async with kafka.started(reader), kafka.started(producer):
            await relay.run(reader)

    def _relay_works(self) -> None:
        self.health.roles["relay"] = "working"
        self.hold.found("")

    def _state(self) -> str:
        return f"held: {self.hold.why}" if self.hold.why else "working"

    def _hold_still(self, why: str) -> None:
        """No job, no reaction, no request but for health, until there is no reason any more."""
        self.surface.state.held, self.health.roles["api"] = why, self._state()
        if why:
            log.error("this service holds still: its relay must not send", why=why)
            for stopper in (self.stoppers.get(role) for role in HELD):
                if stopper:
                    stopper()
        else:
            log.warning("this service goes on: its relay may send again")

    async def _run_jobs(self) -> None:
        jobs = Jobs(self.database, self.service.jobs, self.service.clock)
        self.stoppers["jobs"] = jobs.stopping.set
        await jobs.run()

    async def _stop(self, tasks: Mapping[str, asyncio.Task[None]]) -> None:
        """In the order of ROLES, so that what the first ones still write is sent by the relay."""
        for role in (*ROLES[:2], "jobs", "relay"):
            if role not in tasks:
                continue
            if stopper := self.stoppers.get(role):
                stopper()
            done, _ = await asyncio.wait([tasks[role]], timeout=STOP_SECONDS_MAX)
            if not done:
                log.warning("a role did not stop in time", role=role)
                tasks[role].cancel()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the runtime decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
