"""From what somebody wishes to what must run: servers, processes and their settings, before anything is started."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.local import bus, facts, migrations, programs
from deploy.local.bus import Cluster
from deploy.local.databases import Server, address, ensure_service
from deploy.local.facts import Facts
from deploy.local.kafka import LocalKafka
from deploy.local.layout import Layout, unprivileged_account
from deploy.local.ports import Ports
from deploy.local.postgres import LocalPostgres
from deploy.local.problem import Problem
from deploy.local.programs import SERVICES, Place
from deploy.local.supervision import Program
from deploy.local.vault import Vault
from libs.events.clock import FileClock
from libs.events.topics import TOPICS


@dataclass(frozen=True, slots=True)
class ClockPlan:
    """Programme time from a file that all processes read: it stands still at `at`, or runs from it at `speed`."""

    at: datetime
    speed: float = 0.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a stack should be. `None` for services or simulators: all there are.

    `faults` gives simulators their rates: {"bank": {"LATE_PERCENT": "5"}}. `settings` gives services what they would
    not be told otherwise: {"registration": {"CITIZEN_TOKEN_DAYS": "400"}}. `postgres` and `kafka` name servers that are
    there already and are used instead of the stack's own. `brokers`: one, or three that keep three copies of all; a
    stack keeps the number it was made with. `doubled` names services whose API gets a second process at the same port.
    `host` is where the services listen.
    """

    services: Sequence[str] | None = None
    simulators: Sequence[str] | None = None
    clock: ClockPlan | None = None
    apart: bool = False
    doubled: Collection[str] = ()
    port_base: int | None = None
    postgres: Server | None = None
    kafka: Cluster | None = None
    brokers: int = 1
    seed: str = "1"
    faults: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is needed to start. `own` are the servers that the stack runs itself."""

    place: Place
    server: Server
    own: tuple[LocalPostgres | LocalKafka, ...]
    running: tuple[Program, ...]

    @property
    def servers(self) -> list[Program]:
        return [part.program() for part in self.own]

    @property
    def programs(self) -> list[Program]:
        return [*self.servers, *self.running]

    def migrate(self, service: str) -> None:
        """Roles, database and newest schema of one service."""
        database = ensure_service(self.server, service, *_passwords(self.place.vault, service))
        migrations.migrate(service, database.owner_url)

    def establish(self) -> None:
        """Topics, users and rights."""
        users = bus.principals(TOPICS.values())
        bus.establish(self.place.cluster, {user: self.place.vault.password(f"kafka-{user}") for user in users})


def make_plan(layout: Layout, wish: Wish, ports: Ports, classpath: Sequence[Path], before: Facts) -> Plan:
    """Decide what runs, and write the settings of each process and what others must know (stack.json)."""
    vault = Vault(layout)
    postgres = LocalPostgres(layout, ports.of("postgres"), unprivileged_account(), vault)
    kafka = [
        LocalKafka(layout, ports, tuple(classpath), vault, node, wish.brokers) for node in range(1, wish.brokers + 1)
    ]
    server = wish.postgres or postgres.server()
    clock, told = _set_clock(layout, wish.clock, before)
    place = Place(
        layout=layout,
        ports=ports,
        vault=vault,
        cluster=wish.kafka or kafka[0].cluster(),
        databases={name: address(server, name, *_passwords(vault, name)) for name in SERVICES},
        clock=clock,
        seed=wish.seed,
        faults=wish.faults,
        extra=wish.settings,
        host=wish.host,
    )
    simulated = programs.known_simulators() if wish.simulators is None else wish.simulators
    served = programs.known_services() if wish.services is None else wish.services
    for names, known in ((simulated, programs.known_simulators()), (served, programs.known_services())):
        if unknown := set(names) - set(known):
            raise Problem(f"There is no {', '.join(sorted(unknown))}.", f"There are: {', '.join(known)}.")
    running = (*programs.simulators(place, simulated), *programs.services(place, served, wish.apart, wish.doubled))
    facts.write(place, server, running, apart=wish.apart, plan=told)
    own: list[LocalPostgres | LocalKafka] = [] if wish.postgres else [postgres]
    own += [] if wish.kafka else kafka
    return Plan(place, server, tuple(own), running)


def _set_clock(layout: Layout, plan: ClockPlan | None, before: Facts) -> tuple[str, list[Any] | None]:
    """The clock's name as the settings take it, and what it was set to. A clock once chosen stays."""
    if plan is None:
        return before.clock, before.clock_plan
    told = [plan.at.isoformat(), plan.speed]
    if told != before.clock_plan or not layout.clock.exists():
        try:
            FileClock(layout.clock).set(plan.at, plan.speed)
        except ValueError as error:
            raise Problem(f"{error}.", "Choose a later time, or another folder with --var DIR.") from None
    return str(layout.clock), told


def _passwords(vault: Vault, service: str) -> list[str]:
    return [vault.password(f"postgres-{service}-{role}") for role in ("owner", "app")]
