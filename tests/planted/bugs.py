"""The table of planted bugs (`bugs.toml`), and how one is put into a copy of the tree.

A bug is a few replacements of exact text, not a diff with line numbers: it survives edits around it, and when the text
itself has changed, a fast test names the bug that has rotted.
"""

import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = ("libs", "services", "deploy", "tests")


class Rotten(Exception):
    """The text that a planted bug replaces is not there any more, or more than once."""


@dataclass(frozen=True, slots=True)
class Edit:
    """In `file`, `old`, which stands there once, becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Bug:
    """One mistake somebody could make. `detector` must find it within `seeds` seeds; `quick`: in `make test` too.

    `kills`: so many show it to the crash harness too; 0 where only its own detector looks for it."""

    name: str
    story: str
    detector: str
    seeds: int
    edits: tuple[Edit, ...]
    quick: bool = False
    kills: int = 0

    def apply(self, tree: Path) -> None:
        """Put the bug into a tree. Raises Rotten, and then has changed nothing."""
        texts = {edit.file: (tree / edit.file).read_text() for edit in self.edits}
        for edit in self.edits:
            found = texts[edit.file].count(edit.old)
            if found != 1:
                raise Rotten(
                    f"{self.name}: the text to replace stands {found} times in {edit.file}, not once. Mend the bug in "
                    f"tests/planted/bugs.toml:\n{edit.old}"
                )
            texts[edit.file] = texts[edit.file].replace(edit.old, edit.new)
        for file, text in texts.items():
            (tree / file).write_text(text)


def load() -> list[Bug]:
    """Every planted bug, in the order of the table."""
    told = tomllib.loads(Path(__file__).with_name("bugs.toml").read_text())
    return [Bug(**{**entry, "edits": tuple(Edit(**edit) for edit in entry["edits"])}) for entry in told["bug"]]


def copy(tree: Path, folders: Sequence[str] = COPIED) -> None:
    """A copy of the checkout without its environment and data, to be spoiled."""
    for folder in folders:
        shutil.copytree(ROOT / folder, tree / folder)
    shutil.copy2(ROOT / "pyproject.toml", tree)
