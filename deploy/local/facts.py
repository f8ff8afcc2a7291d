"""What a driver, a test or a person needs to know about a stack: `run/stack.json`, and how to read it.

It holds addresses and the paths of the files that hold credentials, and no secret itself.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.local.bus import Cluster
from deploy.local.databases import Server, ServiceDatabase
from deploy.local.layout import Layout
from deploy.local.problem import Problem
from deploy.local.programs import Place, answers
from deploy.local.supervision import Program


@dataclass(frozen=True, slots=True)
class Facts:
    """One reading of stack.json."""

    told: Mapping[str, Any]

    @classmethod
    def read(cls, layout: Layout) -> "Facts":
        try:
            return cls(json.loads(layout.stack.read_text()))
        except FileNotFoundError:
            raise Problem(f"There is no stack in {layout.var}.", "Start one with `make up`.") from None

    @classmethod
    def remembered(cls, layout: Layout) -> "Facts":
        """The same, empty where there is no stack yet."""
        return cls.read(layout) if layout.stack.exists() else cls({})

    @property
    def port_base(self) -> int | None:
        return self.told.get("port_base")

    @property
    def clock(self) -> str:
        """`real`, or the path of the clock file."""
        return str(self.told.get("clock", {}).get("name", "real"))

    @property
    def clock_plan(self) -> list[Any] | None:
        """What the clock was set to when it was chosen."""
        plan: list[Any] | None = self.told.get("clock", {}).get("plan")
        return plan

    @property
    def programs(self) -> Mapping[str, str]:
        """The address of every process that serves HTTP, by its name."""
        return dict(self.told.get("programs", {}))

    def url(self, name: str) -> str:
        """The base address of a service (`training`) or of a simulator (`simulator-bank`)."""
        for group in ("services", "simulators", "programs"):
            if found := self.told.get(group, {}).get(name):
                return str(found)
        raise Problem(f"This stack has no {name}.", "See `python -m deploy.local status`.")

    def server_address(self, name: str) -> str:
        """Where PostgreSQL or Kafka listens; nothing for other names."""
        if name == "postgres":
            return f"{self.told['postgres']['host']}:{self.told['postgres']['port']}"
        return str(self.told["kafka"]["servers"]) if name == "kafka" else ""

    def cluster(self) -> Cluster:
        """The stack's Kafka, as the administrator."""
        entry = self.told["kafka"]
        return Cluster(entry["servers"], **json.loads(Path(entry["credentials"]).read_text()))

    def server(self) -> Server:
        """The stack's PostgreSQL, as the administrator."""
        return Server.from_url(json.loads(Path(self.told["postgres"]["credentials"]).read_text())["url"])

    def databases(self) -> dict[str, ServiceDatabase]:
        """Each service's database: its name, the owner's address and the app's."""
        told = json.loads(Path(self.told["postgres"]["databases"]).read_text())
        return {service: ServiceDatabase(**entry) for service, entry in told.items()}


def write(place: Place, server: Server, running: Iterable[Program], *, apart: bool, plan: list[Any] | None) -> None:
    """Write stack.json for what is about to run."""
    vault, databases = place.vault, place.databases
    names = [program.name for program in running]
    api = "-api" if apart else ""
    told = {
        "port_base": place.ports.base,
        "clock": {"name": place.clock, "plan": plan},
        "services": {name: place.url(f"{name}{api}") for name in databases if f"{name}{api}" in names},
        "simulators": {name: place.url(name) for name in names if name.startswith("simulator-")},
        "programs": {name: place.url(name) for name in names if answers(name)},
        "kafka": {
            "servers": place.cluster.servers,
            "credentials": str(
                vault.keep("kafka-admin.json", {"user": place.cluster.user, "password": place.cluster.password})
            ),
        },
        "postgres": {
            "host": server.host,
            "port": server.port,
            "credentials": str(vault.keep("postgres-admin.json", {"url": server.url("postgres")})),
            "databases": str(
                vault.keep("databases.json", {name: asdict(database) for name, database in databases.items()})
            ),
        },
        "staff": {
            "issuer": place.simulator("oidc"),
            "token_url": place.simulator("oidc") + "/token",
            "clients": str(vault.staff_clients()),
        },
        "logs": str(place.layout.logs),
        "books": str(place.layout.books),
    }
    draft = place.layout.stack.with_suffix(".draft")
    draft.write_text(json.dumps(told, indent=1) + "\n")
    draft.replace(place.layout.stack)
