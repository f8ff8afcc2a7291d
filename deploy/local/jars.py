"""The broker's jars: fetched once by a locked list, each checked by its hash, shared by all checkouts of one person."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from jgo.maven import MavenContext, PythonResolver

from deploy.local.layout import cache_folder
from deploy.local.problem import Problem

LOCK = Path(__file__).with_name("kafka.lock")
THREADS = 8

Progress = Callable[[int, int], None]
"""Told how many of how many are there."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One artifact of the list."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def locked(lock: Path = LOCK) -> list[Jar]:
    """Read lines of the form `group:artifact:version sha256:HEX`."""
    jars = []
    for number, line in enumerate(lock.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            coordinate, digest = line.split()
            group, artifact, version = coordinate.split(":")
            algorithm, hexadecimal = digest.split(":")
        except ValueError:
            algorithm, hexadecimal = "", ""
        if algorithm != "sha256" or len(hexadecimal) != 64:
            raise Problem(
                f"Line {number} of {lock} is not of the form group:artifact:version sha256:HEX.", "Restore it."
            )
        jars.append(Jar(group, artifact, version, hexadecimal))
    return jars


def ensure(progress: Progress = lambda done, total: None, lock: Path = LOCK, cache: Path | None = None) -> list[Path]:
    """Every jar of the list, verified at this start. Fetches what is missing or broken, eight at a time."""
    jars = locked(lock)
    folder = (cache or cache_folder()) / "jars"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [jar for jar in jars if not _is_good(folder / jar.file, jar)]
    progress(len(jars) - len(missing), len(jars))
    if missing:
        with TemporaryDirectory(dir=folder) as scratch, ThreadPoolExecutor(THREADS) as threads:
            fetched = threads.map(lambda jar: _fetch(jar, folder, Path(scratch)), missing)
            for count, _ in enumerate(fetched, start=len(jars) - len(missing) + 1):
                progress(count, len(jars))
    return [folder / jar.file for jar in jars]


def _is_good(path: Path, jar: Jar) -> bool:
    if not path.exists():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256


def _fetch(jar: Jar, folder: Path, scratch: Path) -> None:
    """Fetch one jar and move it into place only once its hash is right, so that readers never see half a file."""
    # A folder per jar: the client's own cache is not made for threads.
    context = MavenContext(resolver=PythonResolver(), repo_cache=scratch / jar.file, local_repos=[], timeout=120)
    try:
        project = context.project(jar.group, jar.artifact).at_version(jar.version)
        found = Path(project.artifact(packaging="jar").resolve())
    except Exception as error:  # the client raises many kinds; each means that the file did not come
        raise Problem(
            f"{jar.file} could not be fetched ({type(error).__name__}).",
            "Check the network, then run the command again: what was fetched is kept.",
        ) from error
    if not _is_good(found, jar):
        raise Problem(
            f"{jar.file} arrived, but its SHA-256 is not the one in {LOCK.name}.",
            "The download was broken or changed on its way: run the command again, or from another network.",
        )
    found.replace(folder / jar.file)
