"""Keeps the stack's processes running: a supervisord of the stack's own, spoken to over its Unix socket.

A process that dies is started again, for as long as it takes. supervisord is the parent of them all, so it also reaps
what was killed; PostgreSQL needs that to start again after kill -9.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from deploy.local.layout import ROOT, Layout, write_private
from deploy.local.problem import Problem

MARK: Final = "GELOMBANG_STACK"
"""The environment of every process of a stack names its folder, so that orphans are known as ours."""

START_SECONDS_MAX: Final = 15
STOP_SECONDS_MAX: Final = 90
RETRIES_MAX: Final = 1000
"""supervisord waits one second longer after each failed start; a database that recovers for minutes is waited for."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process: what to run, as whom, how to end it."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 20
    with_children: bool = True  # False where the process ends its children itself
    order: int = 100  # lower starts earlier and stops later

    def section(self, layout: Layout) -> str:
        """Its part of supervisord's configuration, in which a percent sign is written twice."""
        environment = ",".join(f'{name}="{value}"' for name, value in sorted(self.environment.items()))
        lines = {
            "command": shlex.join(self.command),
            "directory": "/" if self.user else str(ROOT),
            "priority": str(self.order),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": "1",
            "startretries": str(RETRIES_MAX),
            "stopsignal": self.stop_signal,
            "stopwaitsecs": str(self.stop_seconds),
            "stopasgroup": str(self.with_children).lower(),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": str(layout.logs / f"{self.name}.log"),
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": "2",
            "environment": environment,
            "user": self.user or "",
        }
        told = "".join(f"{name}={value.replace('%', '%%')}\n" for name, value in lines.items() if value)
        return f"[program:{self.name}]\n{told}"


@dataclass(frozen=True, slots=True)
class Process:
    """A program as supervisord sees it. `since_seconds` is how long it has been in this state."""

    name: str
    state: str
    pid: int
    since_seconds: int
    why: str


class Supervisor:
    """The process manager of one stack."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._socket = layout.socket
        self._configuration = layout.run / "supervisord.conf"
        self._pid_file = layout.run / "supervisord.pid"

    def running(self) -> bool:
        """Whether it answers. A pid file alone proves nothing: it may be left over."""
        try:
            return bool(self._call("supervisor.getState")["statecode"] is not None)
        except (OSError, Fault):
            return False

    def apply(self, programs: Sequence[Program]) -> None:
        """Make these the programs, starting supervisord where it does not run. Unchanged ones are left alone."""
        write_private(self._configuration, self._render(programs))
        if not self.running():
            self._begin()
            return
        ((added, changed, removed),) = self._call("supervisor.reloadConfig")
        for name in (*changed, *removed):
            self._call("supervisor.stopProcessGroup", name)
            self._call("supervisor.removeProcessGroup", name)
        for name in (*added, *changed):
            self._call("supervisor.addProcessGroup", name)

    def start(self, name: str) -> None:
        """Start a program and return at once; one that runs is left alone."""
        with _tolerating(Faults.ALREADY_STARTED):
            self._call("supervisor.startProcess", name, False)

    def stop(self, name: str) -> None:
        """Stop a program and wait until it is gone."""
        with _tolerating(Faults.NOT_RUNNING):
            self._call("supervisor.stopProcess", name, True)

    def kill(self, name: str) -> int:
        """Send SIGKILL to the process, as a crash would end it; it is started again. Returns the pid it had."""
        pid = self.process(name).pid
        if not pid:
            raise Problem(f"{name} is not running.", "See `python -m deploy.local status`.")
        os.kill(pid, signal.SIGKILL)
        return pid

    def process(self, name: str) -> Process:
        try:
            return _process(self._call("supervisor.getProcessInfo", name))
        except Fault:
            raise Problem(f"This stack has no program {name}.", "See `python -m deploy.local status`.") from None

    def processes(self) -> list[Process]:
        """Every program in the order of its start; none when supervisord does not run."""
        if not self.running():
            return []
        told = cast(list[dict[str, Any]], self._call("supervisor.getAllProcessInfo"))
        return [_process(entry) for entry in told]

    def shut_down(self) -> None:
        """Stop every program, those that started last first, then supervisord, and wait until it is gone."""
        if not self.running():
            return
        told = cast(list[dict[str, Any]], self._call("supervisor.getAllConfigInfo"))
        for order in sorted({entry["process_prio"] for entry in told}, reverse=True):
            self._stop_together([entry["name"] for entry in told if entry["process_prio"] == order])
        pid = cast(int, self._call("supervisor.getPID"))
        self._call("supervisor.shutdown")
        with _suppressing_absence():
            psutil.Process(pid).wait(timeout=STOP_SECONDS_MAX)

    def _stop_together(self, names: Sequence[str]) -> None:
        for name in names:
            with _tolerating(Faults.NOT_RUNNING):
                self._call("supervisor.stopProcess", name, False)
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while any(self.process(name).pid for name in names) and time.monotonic() < deadline:
            time.sleep(0.05)

    def end_orphans(self) -> list[str]:
        """End what an earlier supervisord of this very stack left behind when it was killed. Returns their names."""
        if self.running():
            return []
        orphans = [process for process in psutil.process_iter() if self._is_ours(process)]
        names = []
        for process in orphans:
            with _suppressing_absence():
                names.append(process.name())
                # PostgreSQL takes SIGTERM as "wait for the clients to go"; SIGINT ends it in order and at once.
                process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
        _, alive = psutil.wait_procs(orphans, timeout=20)
        for process in alive:
            with _suppressing_absence():
                process.kill()
        psutil.wait_procs(alive, timeout=5)
        for leftover in (self._pid_file, self._socket):
            leftover.unlink(missing_ok=True)
        return names

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.name() == "postgres":
                # It overwrites its environment with its title; its arguments name its folder, its children have none.
                return str(self._layout.postgres / "data") in process.cmdline()
            return process.pid != os.getpid() and process.environ().get(MARK) == str(self._layout.var)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    def _begin(self) -> None:
        self._socket.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._configuration)],
            env={**os.environ, MARK: str(self._layout.var)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.running():
            if done.returncode != 0 or time.monotonic() > deadline:
                words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
                raise Problem(
                    f"The process manager did not start: {' '.join(words)}",
                    f"See {self._layout.logs / 'supervisord.log'}.",
                )
            time.sleep(0.05)

    def _render(self, programs: Sequence[Program]) -> str:
        user = "user=root\n" if os.geteuid() == 0 else ""  # told, it does not warn about root
        head = f"""\
[unix_http_server]
file={self._socket}
chmod=0700

[supervisord]
logfile={self._layout.logs / "supervisord.log"}
logfile_maxbytes=5MB
logfile_backups=1
pidfile={self._pid_file}
childlogdir={self._layout.logs}
umask=077
silent=true
{user}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
        return "\n".join([head, *(program.section(self._layout) for program in programs)])

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        try:
            with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
                called: Any = proxy
                for part in method.split("."):
                    called = getattr(called, part)
                return called(*arguments)
        finally:
            transport.close()


def _process(entry: dict[str, Any]) -> Process:
    return Process(
        name=entry["name"],
        state=entry["statename"].lower(),
        pid=entry["pid"],
        since_seconds=max(0, entry["now"] - (entry["start"] if entry["pid"] else entry["stop"])),
        why=entry["spawnerr"],
    )


@contextmanager
def _tolerating(*codes: int) -> Iterator[None]:
    try:
        yield
    except Fault as fault:
        if fault.faultCode not in codes:
            raise Problem(
                f"The process manager refused: {fault.faultString}.", "See logs/supervisord.log of the stack."
            ) from fault


@contextmanager
def _suppressing_absence() -> Iterator[None]:
    """Processes end while we look at them, and some belong to others: neither concerns us."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, psutil.TimeoutExpired):
        yield
