"""The planted bugs still fit the code, the page names them all, and the quick ones are found."""

import ast
import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import POSTGRES, Databases, Servers
from tests.fault import published
from tests.planted import bugs, killing, table
from tests.planted.bugs import Bug, Rotten
from tests.planted.detect import SCENARIOS, scenario
from tests.planted.hunt import hunt

BUGS = {bug.name: bug for bug in bugs.load()}
QUICK = [name for name, bug in BUGS.items() if bug.quick]
SEEDS_OF = dict.fromkeys(SCENARIOS, 1) | {"storm": 4}
"""How often each detector looks at the code as it is, where it must find nothing."""


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_still_fits_the_code(name: str, tmp_path: Path) -> None:
    """Where this fails, production's text has changed: mend `old` and `new` in bugs.toml."""
    files = {edit.file for edit in BUGS[name].edits}
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(bugs.ROOT / file, tmp_path / file)
    BUGS[name].apply(tmp_path)
    for file in files:
        if file.endswith(".py"):
            ast.parse((tmp_path / file).read_text())


def test_a_bug_that_no_longer_fits_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one = 1\ntwo = 2\n")
    fits, other = bugs.Edit("a.py", "one = 1", "one = 0"), bugs.Edit("a.py", "three = 3", "three = 0")
    with pytest.raises(Rotten, match=r"half: the text to replace stands 0 times in a\.py"):
        Bug("half", "", "model", 1, (fits, other)).apply(tmp_path)
    assert (tmp_path / "a.py").read_text() == "one = 1\ntwo = 2\n"


def test_the_page_tells_of_every_bug_and_of_no_other() -> None:
    rows = [line.split(" | ") for line in table.PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    told = {row[0].removeprefix("| ").removesuffix(table.QUICK): row for row in rows}
    assert told.keys() == BUGS.keys(), "run `make chaos`, which writes the page"
    assert not [name for name, row in told.items() if "not found" in row[3]]
    assert {name: row[2] for name, row in told.items()} == {name: bug.detector for name, bug in BUGS.items()}


def test_what_was_hunted_by_killing_is_told_and_was_found() -> None:
    told = json.loads((published.OUT / "planted.json").read_text())
    hunted = {name for name, bug in BUGS.items() if bug.kills}
    assert told.keys() - {"machine", "code"} == hunted, "run `python -m tests.planted.killing`, then publish its answer"
    assert not [name for name in hunted if told[name].startswith(killing.NOT_FOUND)]


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_detector_finds_nothing_in_the_code_as_it_is(name: str, databases: Databases) -> None:
    assert await scenario(name, range(SEEDS_OF[name]), databases) is None


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_found(name: str, stack_services: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POSTGRES, stack_services.postgres.url("postgres"))
    found = hunt(BUGS[name])
    assert found.seed is not None, f"{name}: {found.bug.detector} found nothing in {found.bug.seeds} seeds"
    print(f"{name}: {found.bug.detector}, seed {found.seed}: {found.sentence}")
