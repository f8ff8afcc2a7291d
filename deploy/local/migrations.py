"""Bring a service's database to the newest schema, as its owner, through dbmate."""

import os
import subprocess
from pathlib import Path

from deploy.local.binaries import DBMATE
from deploy.local.layout import ROOT
from deploy.local.problem import Problem


def folders(service: str) -> list[Path]:
    """The library's own tables first, then the service's; dbmate applies both in the order of their versions."""
    candidates = (ROOT / "libs/events/migrations", ROOT / "services" / service / "migrations")
    return [folder for folder in candidates if any(folder.glob("*.sql"))]


def migrate(service: str, owner_url: str) -> None:
    """Apply what is missing. Raises Problem with dbmate's own last words."""
    chosen = [option for folder in folders(service) for option in ("--migrations-dir", str(folder))]
    if not chosen:
        return
    # The address holds a password: it goes by environment, since arguments can be read by everybody on the machine.
    done = subprocess.run(
        [str(DBMATE), "--no-dump-schema", *chosen, "migrate"],
        env={**os.environ, "DATABASE_URL": f"{owner_url}?sslmode=disable"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Problem(
            f"The database of {service} could not be migrated: {' '.join(words[-3:])}",
            f"Correct the migration named above (folders: {', '.join(str(folder) for folder in folders(service))}).",
        )
