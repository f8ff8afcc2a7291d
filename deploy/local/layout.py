"""Where a stack keeps everything it writes: one folder, so that several stacks can run beside each other."""

import hashlib
import os
import pwd
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.local.problem import Problem

ROOT = Path(__file__).resolve().parents[2]
FREE_BYTES_MIN = 2 * 1024**3
SOCKET_PATH_BYTES_MAX = 100
"""The kernel refuses socket paths of 108 bytes or more; supervisord adds a suffix while it opens one."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one stack. `var` is absolute."""

    var: Path

    @classmethod
    def at(cls, var: Path) -> "Layout":
        return cls(var.absolute())

    @property
    def run(self) -> Path:
        return self.var / "run"

    @property
    def environment(self) -> Path:
        return self.run / "env"

    @property
    def logs(self) -> Path:
        return self.var / "logs"

    @property
    def secrets(self) -> Path:
        return self.var / "secrets"

    @property
    def books(self) -> Path:
        """The simulators' own SQLite books."""
        return self.var / "books"

    @property
    def postgres(self) -> Path:
        return self.var / "postgres"

    @property
    def kafka(self) -> Path:
        return self.var / "kafka"

    @property
    def clock(self) -> Path:
        return self.run / "clock.json"

    @property
    def stack(self) -> Path:
        """What a driver needs to know: every address, and where the credentials lie."""
        return self.run / "stack.json"

    @property
    def socket(self) -> Path:
        """The supervisor's socket; in the system's temporary folder where the stack's own path is too long."""
        socket = self.run / "supervisor.sock"
        if len(os.fsencode(socket)) <= SOCKET_PATH_BYTES_MAX:
            return socket
        digest = hashlib.sha256(os.fsencode(self.var)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"gelombang-{os.getuid()}-{digest}.sock"

    def create(self) -> None:
        """Make the folders. Raises Problem where the disk is too full or the place can not be written."""
        try:
            for folder in (self.var, self.run, self.logs, self.books, self.postgres, self.kafka):
                folder.mkdir(parents=True, exist_ok=True)
            for folder in (self.secrets, self.environment):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Problem(
                f"The folder {self.var} can not be written ({error.strerror}).",
                "Make it writable, or choose another with --var DIR.",
            ) from None
        free = shutil.disk_usage(self.var).free
        if free < FREE_BYTES_MIN:
            raise Problem(
                f"Only {free / 1024**3:.1f} GiB are free on the disk that holds {self.var}; the stack needs 2 GiB.",
                "Free some space, or choose a folder on another disk with --var DIR.",
            )


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, all of it or nothing."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


def cache_folder() -> Path:
    """What checkouts of one person share: downloads that were verified. Deleting it costs one download."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "gelombang"


@dataclass(frozen=True, slots=True)
class Account:
    """The system user PostgreSQL runs as when we are root, which it refuses to be."""

    name: str
    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """None when we are an ordinary user; else the system's `postgres`, or `nobody` where there is none."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise Problem(
        "PostgreSQL refuses to run as root, and this system has neither a user postgres nor nobody.",
        "Create one (useradd --system postgres), or run as an ordinary user.",
    )


def let_through(path: Path, account: Account) -> None:
    """Let the account pass every folder on the way to `path`. This opens passage, not reading."""
    for folder in path.parents:
        status = folder.stat()
        if status.st_uid != account.uid and not status.st_mode & 0o001:
            folder.chmod(status.st_mode & 0o7777 | 0o001)
