"""Which processes a stack has, and the one table of the settings each is given.

A process learns its settings from a private file of `NAME='value'` lines, named by GELOMBANG_SETTINGS: arguments and
environments can be read by others, or end up in logs.
"""

import hashlib
import json
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.local.bus import Cluster
from deploy.local.databases import ServiceDatabase
from deploy.local.layout import ROOT, Layout, write_private
from deploy.local.ports import OFFSETS, Ports
from deploy.local.supervision import Program
from deploy.local.vault import Vault

ROLES: Final = ("api", "worker", "relay", "jobs")
SIMULATORS: Final = tuple(name.removeprefix("simulator-") for name in OFFSETS if name.startswith("simulator-"))
SERVICES: Final = ("registration", "selection", "training", "disbursement", "finance")
WINDOWS: Final = "finance-windows"

SIMULATORS_ORDER, SERVICES_ORDER = 50, 100


@dataclass(frozen=True, slots=True)
class Place:
    """What the settings are made from. `faults` and `extra` are added to those of a simulator or service, by name."""

    layout: Layout
    ports: Ports
    vault: Vault
    cluster: Cluster
    databases: Mapping[str, ServiceDatabase]
    clock: str
    seed: str = "1"
    faults: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    extra: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    host: str = "127.0.0.1"

    def url(self, program: str) -> str:
        return f"http://127.0.0.1:{self.ports.of(program)}"

    def simulator(self, name: str) -> str:
        return self.url(f"simulator-{name}")


Settings = dict[str, str]


def shared_settings(place: Place, service: str, program: str) -> Settings:
    """What every service is told."""
    citizen_key = place.vault.private_jwk("citizen-key.json", {"use": "sig", "alg": "ES256"})
    settings = {
        "DATABASE_URL": place.databases[service].app_url,
        "KAFKA_SERVERS": place.cluster.servers,
        "HTTP_HOST": place.host,
        "HTTP_PORT": str(place.ports.of(program)),
        "CLOCK": place.clock,
        "STAFF_ISSUER": place.simulator("oidc"),
        "STAFF_JWKS": place.simulator("oidc") + "/jwks",
        "CITIZEN_JWKS": str(place.vault.public_jwk(citizen_key, "citizen-jwks.json", as_set=True)),
    }
    if place.cluster.user:
        settings |= {"KAFKA_USER": service, "KAFKA_PASSWORD": place.vault.password(f"kafka-{service}")}
    return settings


def own_settings(place: Place, service: str) -> Settings:
    """What one service is told and no other."""
    vault = place.vault
    identity = vault.private_jwk("identity-token-key.json", {"use": "enc", "alg": "ECDH-ES+A256KW"})
    match service:
        case "registration":
            return {
                "CITIZEN_KEY_FILE": str(vault.private_jwk("citizen-key.json", {"use": "sig", "alg": "ES256"})),
                "IDENTITY_KEYS_FILE": str(vault.keys("identity-keys.json", "nik_index", "kk_index", "wrap")),
                "DISBURSEMENT_JWK_FILE": str(vault.public_jwk(identity, "disbursement-jwk.json")),
                "CIVIL_REGISTRY_URL": place.simulator("civil-registry"),
                "MESSAGES_URL": place.simulator("messages"),
            }
        case "selection":
            # Here, for it takes half a second: `status` and `down` need no curve.
            from deploy.simulators.beacon import chain_info

            return {
                "BEACON_URLS": place.simulator("beacon"),
                "BEACON_CHAIN": json.dumps(chain_info(place.seed)),
                "DRAW_KEY_FILE": str(vault.signing_pem("draw-key.pem")),
            }
        case "disbursement":
            return {
                "IDENTITY_JWK_FILE": str(identity),
                "ACCOUNT_KEYS_FILE": str(vault.keys("account-keys.json", "account_index", "wrap")),
                "BANK_URL": place.simulator("bank"),
                "EWALLET_URL": place.simulator("ewallet"),
                "DEBTOR_NAME": "Manajemen Pelaksana Program Kartu Prakerja",
                "DEBTOR_ACCOUNT": "999080000000001",
                "DEBTOR_BANK": "bni",
            }
        case "finance":
            return {"WINDOWS_URL": place.url(WINDOWS)}
        case _:
            return {}


def windows_settings(place: Place) -> Settings:
    """The live windows act as finance on the bus, and have no database."""
    settings = shared_settings(place, "finance", WINDOWS) | {"WINDOWS_PORT": str(place.ports.of(WINDOWS))}
    return {name: value for name, value in settings.items() if name not in ("DATABASE_URL", "HTTP_PORT")}


def simulator_settings(place: Place, name: str) -> Settings:
    """What a simulator is told: its port, its own book, the clock, the seed of its faults, and their rates."""
    settings = {
        "PORT": str(place.ports.of(f"simulator-{name}")),
        "BOOK": str(place.layout.books / f"{name}.sqlite3"),
        "CLOCK": place.clock,
        "SEED": place.seed,
    }
    match name:
        case "oidc":
            settings["CLIENTS"] = str(place.vault.staff_clients())
        case "partner":
            settings |= {
                "TRAINING_URL": place.url("training"),
                "ISSUER": place.simulator("oidc"),
                "CLIENT_ID": "partner-a",
                "CLIENT_SECRET": place.vault.password("client-partner-a"),
            }
    return settings | dict(place.faults.get(name, {}))


def known_services() -> list[str]:
    """The services of this checkout that can be started."""
    return [name for name in SERVICES if (ROOT / "services" / name / "__main__.py").exists()]


def known_simulators() -> list[str]:
    return [name for name in SIMULATORS if (ROOT / "deploy/simulators" / f"{name.replace('-', '_')}.py").exists()]


def has_windows() -> bool:
    folder = ROOT / "services/finance"
    return (folder / "windows.py").exists() or (folder / "windows/__main__.py").exists()


def simulators(place: Place, names: Iterable[str]) -> list[Program]:
    return [
        _python(
            place,
            f"simulator-{name}",
            f"deploy.simulators.{name.replace('-', '_')}",
            prefix="SIMULATOR_",
            settings=simulator_settings(place, name),
            order=SIMULATORS_ORDER,
        )
        for name in names
    ]


def services(place: Place, names: Iterable[str], apart: bool = False, doubled: Collection[str] = ()) -> list[Program]:
    """Each service with all its roles in one process, or with one process per role.

    The API of one that is doubled runs in a second process too: both listen at its port, and the kernel deals out the
    connections.
    """
    programs = []
    for service in names:
        together: list[tuple[str, tuple[str, ...]]] = [(service, ())]
        together += [(f"{service}-api", ("api",))] if service in doubled else []
        parts = [(f"{service}-{role}", (role,)) for role in ROLES] if apart else together
        for program, roles in parts:
            settings = shared_settings(place, service, program) | own_settings(place, service)
            settings |= {"HTTP_PORT_SHARED": "true"} if service in doubled else {}
            settings |= place.extra.get(service, {})
            programs.append(_python(place, program, f"services.{service}", *roles, settings=settings))
        if service == "finance" and has_windows():
            programs.append(_python(place, WINDOWS, "services.finance.windows", settings=windows_settings(place)))
    return programs


def roles_of(service: str) -> list[str]:
    """The processes of a service whose roles run apart."""
    return [f"{service}-{role}" for role in ROLES]


def answers(program: str) -> bool:
    """Whether it says over HTTP that it is ready."""
    return program != WINDOWS


def settings_file(layout: Layout, program: str) -> Path:
    return layout.environment / f"{program}.env"


def _python(
    place: Place,
    name: str,
    module: str,
    *arguments: str,
    settings: Settings,
    prefix: str = "GELOMBANG_",
    order: int = SERVICES_ORDER,
) -> Program:
    # In single quotes a dotenv file takes everything literally but the quote and the backslash.
    text = "".join(f"{prefix}{key}='{_quoted(value)}'\n" for key, value in sorted(settings.items()))
    path = settings_file(place.layout, name)
    write_private(path, text)
    return Program(
        name,
        (sys.executable, "-m", module, *arguments),
        environment={
            "GELOMBANG_SETTINGS": str(path),
            # Changes with the settings, so that a process is started again exactly when they changed.
            "GELOMBANG_SETTINGS_VERSION": hashlib.sha256(text.encode()).hexdigest()[:16],
            "PYTHONUNBUFFERED": "1",
        },
        order=order,
    )


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
