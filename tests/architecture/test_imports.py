"""Each service runs with nothing installed but its own extra.

The quick test imports the service in a process that refuses every distribution outside the extra's closure. The slow
one does it in a real environment, made from the lock.
"""

import os
import re
import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[2]
SERVICES: Final = ("registration", "selection", "training", "disbursement", "finance")
MODULES: Final = {service: [f"services.{service}.main"] for service in SERVICES} | {
    "finance": ["services.finance.main", "services.finance.windows"]
}

LOCK: Final = ROOT / "requirements.lock"
LOCKED: Final = re.compile(r"^([A-Za-z0-9._-]+)==(\S+).*\n(?: +--hash=.+\n)+", re.MULTILINE)

REFUSING = """
import importlib, sys
from importlib.abc import MetaPathFinder

refused = set(sys.argv[1].split(","))

class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"{name} belongs to no distribution of this extra", name=name)

sys.meta_path.insert(0, Refuse())
for name in sys.argv[2:]:
    importlib.import_module(name)
"""


def declared(extra: str) -> list[str]:
    """What pyproject.toml asks for, for everybody and for one extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"][extra]]


def closure(extra: str) -> set[NormalizedName]:
    """Every distribution that an environment with this extra holds, by its canonical name."""
    held: set[tuple[NormalizedName, frozenset[str]]] = set()
    waiting = [Requirement(text) for text in declared(extra)]
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in held:
            continue
        held.add((name, extras))
        for text in metadata.requires(name) or []:
            wanted = Requirement(text)
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                waiting.append(wanted)
    return {name for name, _ in held}


@cache
def installed() -> Mapping[str, list[str]]:
    """Which distributions provide a top-level module; reading this takes seconds."""
    return metadata.packages_distributions()


def refused(extra: str) -> set[str]:
    """The top-level modules that only distributions outside the closure provide."""
    allowed = {*closure(extra), "gelombang", "pip", "setuptools"}
    return {
        module
        for module, distributions in installed().items()
        if not {canonicalize_name(name) for name in distributions} & allowed
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_nothing_outside_its_extra(service: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSING, ",".join(refused(service)), *MODULES[service]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_refusal_works() -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSING, ",".join(refused("training")), "rich"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "rich belongs to no distribution of this extra" in done.stderr


def test_the_lock_holds_what_the_project_asks_for() -> None:
    versions = {canonicalize_name(found[1]): found[2] for found in LOCKED.finditer(LOCK.read_text())}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for requirement in (Requirement(text) for extra in extras for text in declared(extra)):
        locked = versions.get(canonicalize_name(requirement.name), "0")
        assert requirement.specifier.contains(locked), f"run `make lock`: {requirement} is not there"


@pytest.mark.parametrize("path", [LOCK, ROOT / "deploy/local/kafka.lock"], ids=lambda path: path.name)
def test_lists_of_packages_name_no_address(path: Path) -> None:
    assert "://" not in path.read_text()


@pytest.mark.slow
def test_a_service_imports_in_an_environment_of_its_own(tmp_path: Path) -> None:
    """One environment per service, filled from the lock alone: what the hashes admitted, and no more."""
    blocks = {canonicalize_name(found[1]): found[0] for found in LOCKED.finditer(LOCK.read_text())}
    for service in SERVICES:
        wanted = tmp_path / f"{service}.txt"
        wanted.write_text("".join(blocks[name] for name in sorted(closure(service)) if name in blocks))
        venv.create(tmp_path / service, with_pip=True)
        python = str(tmp_path / service / "bin" / "python")
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*install, "--require-hashes", "-r", str(wanted)], check=True)
        imports = "; ".join(f"import {name}" for name in MODULES[service])
        subprocess.run([python, "-c", imports], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
