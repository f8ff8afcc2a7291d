"""Show what the processes of a stack say: the end of their logs, and on request what comes after."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

from deploy.local.problem import Problem

POLL_SECONDS: Final = 0.2
TAIL_BYTES_MAX: Final = 256 * 1024


def show(folder: Path, name: str | None, *, lines: int, follow: bool) -> None:
    """Print the last `lines` of one log or of all. Raises Problem where there is none of that name."""
    chosen = [folder / f"{name}.log"] if name else sorted(folder.glob("*.log"))
    if not chosen or not chosen[0].exists():
        known = ", ".join(path.stem for path in sorted(folder.glob("*.log"))) or "none"
        raise Problem(f"There is no log {name or ''} in {folder}.", f"There are: {known}.")
    width = max(len(path.stem) for path in chosen)
    files = {path.stem: path.open(errors="replace") for path in chosen}
    for stem, file in files.items():
        for line in _last(file, lines):
            _print(stem, line, width if not name else 0)
    while follow:
        for stem, file in files.items():
            for line in file:
                _print(stem, line, width if not name else 0)
        time.sleep(POLL_SECONDS)


def _last(file: TextIO, lines: int) -> Iterator[str]:
    size = file.seek(0, 2)
    file.seek(max(0, size - TAIL_BYTES_MAX))
    yield from file.read().splitlines()[-lines:]


def _print(stem: str, line: str, width: int) -> None:
    print(f"{stem:<{width}} | {line.rstrip()}" if width else line.rstrip(), flush=True)
