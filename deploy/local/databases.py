"""One database per service with an owner role, that migrates, and an app role, that runs. On any PostgreSQL.

The owner owns every table and is used by migrations alone. The app role owns nothing, gets its rights from the
migrations' grants, and carries limits that end whatever waits or idles too long: a forgotten transaction would hold
back the relay of its database.
"""

import os
import subprocess
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from deploy.local.binaries import POSTGRES
from deploy.local.problem import Problem

APP_LIMITS = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
}
OWNER_LIMITS = {"lock_timeout": "10s"}


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL server and the account that may create roles and databases on it."""

    host: str
    port: int
    user: str
    password: str

    @classmethod
    def from_url(cls, url: str) -> "Server":
        """Read `postgresql://user:password@host:port/...`."""
        parts = urlsplit(url)
        if not parts.hostname or not parts.username:
            raise Problem(
                "The PostgreSQL address is not complete.",
                "Give it as postgresql://user:password@host:port.",
            )
        return cls(parts.hostname, parts.port or 5432, unquote(parts.username), unquote(parts.password or ""))

    def url(self, database: str, user: str = "", password: str = "") -> str:
        """An address for one database, as the given role or as the administrator."""
        name, word = (user, password) if user else (self.user, self.password)
        return f"postgresql://{quote(name)}:{quote(word, safe='')}@{self.host}:{self.port}/{database}"

    def run(self, sql: str, database: str = "postgres", **variables: str) -> str:
        """Run statements through psql and return what they print. `variables` are quoted by psql as :'name', :"name".

        Goes through a process rather than a driver, so that it works with and without a running event loop.
        """
        environment = {**os.environ, "PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "10", "PGOPTIONS": ""}
        command = [
            str(POSTGRES / "psql"),
            *("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"),
            *("-h", self.host, "-p", str(self.port), "-U", self.user, "-d", database),
        ]
        # Variables travel with the statements, not as arguments: arguments can be read by everybody on the machine.
        # psql's \set takes single quotes and backslash escapes.
        settings = "".join(f"\\set {name} '{_escaped(value)}'\n" for name, value in variables.items())
        done = subprocess.run(
            command, input=settings + sql, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Problem(
                f"PostgreSQL at {self.host}:{self.port} refused: {done.stderr.strip().splitlines()[0]}",
                "Check its address, that it runs, and that the account may create roles and databases.",
            )
        return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class ServiceDatabase:
    """A service's database and its two ways in. Both are secrets."""

    name: str
    owner_url: str
    app_url: str


def ensure_roles(server: Server, service: str, owner_password: str, app_password: str) -> None:
    """Create or correct `<service>_owner` and `<service>_app`: passwords, limits, no other rights. Safe to repeat."""
    for suffix, password, limits in (("owner", owner_password, OWNER_LIMITS), ("app", app_password, APP_LIMITS)):
        role = f"{service}_{suffix}"
        server.run(
            "SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS"
            " (SELECT FROM pg_roles WHERE rolname = :'role') \\gexec\n"
            "ALTER ROLE :\"role\" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT PASSWORD :'password';\n",
            role=role,
            password=password,
        )
        for limit, value in limits.items():
            server.run('ALTER ROLE :"role" SET :"limit" = :\'value\';', role=role, limit=limit, value=value)


def ensure_database(server: Server, service: str, database: str, *, template: str = "template0") -> None:
    """Create `database`, owned by `<service>_owner`; the app role may connect, nobody else. Safe to repeat."""
    server.run(
        "SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE %I', :'name', :'owner', :'template')"
        " WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \\gexec\n"
        'REVOKE ALL ON DATABASE :"name" FROM PUBLIC;\n'
        'GRANT CONNECT ON DATABASE :"name" TO :"app";\n',
        name=database,
        owner=f"{service}_owner",
        app=f"{service}_app",
        template=template,
    )


def drop_database(server: Server, database: str) -> None:
    """Drop it, and whoever is still connected with it."""
    server.run('DROP DATABASE IF EXISTS :"name" WITH (FORCE);', name=database)


def ensure_service(server: Server, service: str, owner_password: str, app_password: str) -> ServiceDatabase:
    """The service's roles and its database, named after it. Safe to repeat."""
    ensure_roles(server, service, owner_password, app_password)
    ensure_database(server, service, service)
    return address(server, service, owner_password, app_password)


def address(server: Server, service: str, owner_password: str, app_password: str) -> ServiceDatabase:
    """Where the service's database is, or will be."""
    return ServiceDatabase(
        service,
        server.url(service, f"{service}_owner", owner_password),
        server.url(service, f"{service}_app", app_password),
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
