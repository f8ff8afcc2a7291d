"""A whole programme on one machine: servers, simulators and services under one folder, started and ended as one.

stack = Stack(Path("var/demo"))
stack.up(clock=ClockPlan(datetime(2020, 4, 1, tzinfo=UTC)))
stack.kill("training")          # kill -9; the process manager starts it again
stack.down()
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

from deploy.local import jars, readiness
from deploy.local.facts import Facts
from deploy.local.kafka import LocalKafka
from deploy.local.layout import Layout
from deploy.local.plan import ClockPlan, Plan, Wish, make_plan
from deploy.local.ports import Ports, choose, require_free
from deploy.local.postgres import LocalPostgres
from deploy.local.problem import Problem
from deploy.local.programs import SERVICES, SERVICES_ORDER, answers, roles_of
from deploy.local.supervision import Process, Supervisor

__all__ = ["ClockPlan", "Stack", "Step", "Tell", "Wish"]

Tell = Callable[[str], None]
Step = Callable[[str], AbstractContextManager[Tell]]
"""Shows a step of the start while it is under way; what it gives takes words about how far it is."""


class Stack:
    """One stack in one folder."""

    def __init__(self, var: Path | str = "var", *, step: Step | None = None) -> None:
        self.layout = Layout.at(Path(var))
        self.supervisor = Supervisor(self.layout)
        self._step = step or (lambda title: nullcontext(lambda words: None))

    def up(self, **wish: Any) -> None:
        """Make the stack run as wished (the fields of `Wish`), and return once everything is ready. Safe to repeat.

        Processes whose settings did not change are left alone. A clock once chosen stays until another is given.
        Raises Problem with a sentence and its remedy.
        """
        wanted = Wish(**wish)
        self.layout.create()
        with self._locked():
            self.supervisor.end_orphans()
            self._start(self._plan(wanted))

    def prepare(self, **wish: Any) -> None:
        """Prepare everything for processes that somebody else runs (containers): settings, databases, topics.

        Needs a PostgreSQL and a Kafka that are there already. Safe to repeat.
        """
        wanted = Wish(**wish)
        if not (wanted.postgres and wanted.kafka):
            raise Problem("Preparing needs servers that run already.", "Give --postgres URL and --kafka URL.")
        self.layout.create()
        with self._locked():
            plan = self._plan(wanted)
            self._databases(plan)
            with self._step("Topics, users and rights"):
                LocalKafka.wait_for(plan.place.cluster, self.layout)
                plan.establish()

    def down(self) -> None:
        """End everything this stack started, services first, servers last. Safe to repeat."""
        if self.layout.run.exists():
            with self._locked():
                self.supervisor.shut_down()
                self.supervisor.end_orphans()

    def named(self, names: Sequence[str]) -> list[str]:
        """The processes meant by these names, in the order of their start: a service means all of its processes.

        Raises Problem where no stack runs, or has no such process.
        """
        known = [process.name for process in self.running()]
        meant = {name: [one for one in known if one == name or one in roles_of(name)] for name in names}
        if unknown := [name for name, found in meant.items() if not found]:
            raise Problem(f"This stack has no {', '.join(unknown)}.", f"It has: {', '.join(known)}.")
        return [one for one in known if any(one in found for found in meant.values())]

    def kill(self, name: str) -> int:
        """End a process as a crash would (SIGKILL); it is started again by itself. Returns the pid it had."""
        return self.supervisor.kill(name)

    def stop(self, name: str) -> None:
        """Stop a process in order; it stays down until `start`."""
        self.supervisor.stop(name)

    def start(self, *names: str) -> None:
        """Start processes, and return once all of them are ready: some are only once another one is."""
        for name in names:
            self.supervisor.start(name)
        self.wait_ready(*names)

    def restart(self, name: str) -> None:
        """Stop a process in order, start it, and wait until it is ready."""
        self.stop(name)
        self.start(name)

    def wait_ready(self, *names: str) -> None:
        """Return once the processes answer that they are ready. Raises Problem when one takes too long, or gives up."""
        known = self.facts()
        if "postgres" in names:
            LocalPostgres.wait_for(known.server(), self.layout)
        if "kafka" in names:
            LocalKafka.wait_for(known.cluster(), self.layout)
        urls = {name: known.url(name) for name in names if name not in ("postgres", "kafka") and answers(name)}
        readiness.wait(self.supervisor, urls, self.layout.logs, lambda words: None)

    def wait_back(self, name: str, killed: int) -> None:
        """Return once the process that was killed runs again, under another pid, and is ready."""
        deadline = time.monotonic() + readiness.READY_SECONDS_MAX
        while self.supervisor.process(name).pid in (0, killed) and time.monotonic() < deadline:
            time.sleep(readiness.POLL_SECONDS)
        self.wait_ready(name)

    def processes(self) -> list[Process]:
        """Every process in the order of its start; none while the stack is down."""
        return self.supervisor.processes()

    def running(self) -> list[Process]:
        """The same, of a stack that must be up. Raises Problem when it is not."""
        if not (found := self.processes()):
            raise Problem(f"No stack runs in {self.layout.var}.", "Start one with `make up`.")
        return found

    def facts(self) -> Facts:
        """Addresses and credentials, for a driver."""
        return Facts.read(self.layout)

    def _plan(self, wish: Wish) -> Plan:
        before = Facts.remembered(self.layout)
        with self._step("Jars of Kafka") as tell:
            classpath = [] if wish.kafka else jars.ensure(lambda done, total: tell(f"{done} of {total}"))
        return make_plan(self.layout, wish, self._ports(wish, before), classpath, before)

    def _start(self, plan: Plan) -> None:
        """Start everything in an order in which nobody waits long.

        Simulators need no server, and load while the servers start. Services need their schema, and load while the
        topics are checked; started earlier, they would only take the processor from the servers.
        """
        up = {process.name for process in self.processes() if process.pid}
        require_free(plan.place.ports, [program.name for program in plan.programs if program.name not in up])
        with self._step("Storage of PostgreSQL and Kafka"), ThreadPoolExecutor() as threads:
            list(threads.map(lambda part: part.prepare(), plan.own))
        self.supervisor.apply(plan.programs)
        for program in plan.programs:
            if program.order < SERVICES_ORDER:
                self.supervisor.start(program.name)
        self._databases(plan)
        with self._step("Topics, users and rights"):
            LocalKafka.wait_for(plan.place.cluster, self.layout)
            for program in plan.running:
                self.supervisor.start(program.name)
            plan.establish()
        with self._step("Simulators and services") as tell:
            urls = {program.name: plan.place.url(program.name) for program in plan.running if answers(program.name)}
            readiness.wait(self.supervisor, urls, self.layout.logs, tell)

    def _databases(self, plan: Plan) -> None:
        with self._step("Databases"), ThreadPoolExecutor() as threads:
            LocalPostgres.wait_for(plan.server, self.layout)
            list(threads.map(plan.migrate, SERVICES))

    def _ports(self, wish: Wish, before: Facts) -> Ports:
        """The block that was given, else the remembered one, else a free one."""
        if not self.supervisor.running():
            return choose(wish.port_base, before.port_base)
        if before.port_base is None or (wish.port_base and wish.port_base != before.port_base):
            raise Problem(f"This stack runs already, at {before.port_base}.", "Stop it first: make down.")
        return Ports(before.port_base)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One command at a time works on a stack; a second one waits."""
        with (self.layout.run / "lock").open("w") as file:
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                with self._step("Waiting for another command on this stack"):
                    flock(file, LOCK_EX)
            yield
