"""Every service has the same shape, and the tree keeps the habits that CONTRIBUTING.md names."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
SERVICES: Final = ("registration", "selection", "training", "disbursement", "finance")
SHAPE: Final = (
    "README.md",
    "__init__.py",
    "__main__.py",
    "api.py",
    "commands.py",
    "domain/__init__.py",
    "jobs.py",
    "main.py",
    "queries.sql",
    "reactions.py",
    "settings.py",
    "store.py",
)
WITHOUT: Final = {
    ("finance", "commands.py"): "nobody asks finance to change anything: its books follow the topic",
}

MODULE_LINES_MAX: Final = 300
LONG_MODULE_LINES_MAX: Final = 450
LONG_MODULES: Final = {
    "libs/events/contracts.py": "every event of the bus is found on one page",
    "services/selection/verify_draw.py": "citizens are handed one file that needs nothing but Python",
}
FUNCTION_LINES_MAX: Final = 70

CLOCK: Final = "libs/events/clock.py"
WALL_CLOCK: Final = re.compile(
    r"datetime\.(now|utcnow|today)\(|date\.today\(|\btime\.(time|time_ns|localtime|gmtime)\("
)
SQL_CLOCK: Final = re.compile(
    r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\s*\(\s*\)"
    r"|\b(current_timestamp|current_date|current_time|localtimestamp|localtime)\b",
    re.IGNORECASE,
)
EVERY_COLUMN: Final = re.compile(r"\bSELECT\s+(\w+\.)?\*", re.IGNORECASE)
DELICATE: Final = re.compile(
    r"\bON\s+CONFLICT\b|\bFOR\s+(NO\s+KEY\s+)?(UPDATE|SHARE)\b|\bpg_\w*(lock|snapshot)", re.IGNORECASE
)
STATEMENT: Final = re.compile(
    r"\bSELECT\b.+\bFROM\b|\bINSERT\s+INTO\b|\bUPDATE\s+\w+\s+SET\b|\bDELETE\s+FROM\b|\b(CREATE|ALTER|DROP)\s+TABLE\b",
    re.DOTALL,
)
SQL_OUTSIDE: Final = {
    "deploy/simulators": "a simulator keeps a book of its own in SQLite, one file with its few statements",
    "deploy/local/databases.py": "creates roles and databases, which no service may",
}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def sql_files() -> list[Path]:
    return sorted(path for folder in ("libs", "services") for path in (ROOT / folder).rglob("*.sql"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_comments(sql: str) -> str:
    return re.sub(r"--[^\n]*|/\*.*?\*/", "", sql, flags=re.DOTALL)


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Every string of a module that is not a docstring, with its line."""
    tree = ast.parse(path.read_text())
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_shape(service: str) -> None:
    folder = ROOT / "services" / service
    missing = [name for name in SHAPE if not (folder / name).exists() and (service, name) not in WITHOUT]
    assert not missing, f"services/{service} lacks {missing}"
    assert list((folder / "migrations").glob("*.sql")), f"services/{service}/migrations is empty"


@pytest.mark.parametrize(("service", "name"), WITHOUT)
def test_exceptions_to_the_shape_are_still_needed(service: str, name: str) -> None:
    assert not (ROOT / "services" / service / name).exists()


def test_modules_can_be_read_at_one_sitting() -> None:
    long = {}
    for path in python_files("libs", "services", "deploy", "tests"):
        lines = len(path.read_text().splitlines())
        # A file of tests is a list of stories: nobody needs the one above to read the next.
        longer = named(path) in LONG_MODULES or named(path).startswith("tests/")
        if lines > (LONG_MODULE_LINES_MAX if longer else MODULE_LINES_MAX):
            long[named(path)] = lines
    assert not long, f"split these, or give a reason in LONG_MODULES: {long}"


def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{named(path)}:{node.lineno} {node.name}"
        for path in python_files("libs", "services", "deploy", "tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert not long


def test_nothing_but_the_programme_clock_asks_for_the_time_of_day() -> None:
    askers = [
        f"{named(path)}:{number}"
        for path in python_files("libs", "services", "deploy/simulators")
        if named(path) != CLOCK
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if WALL_CLOCK.search(line)
    ]
    assert not askers, "take `now` from the programme clock (libs/events/clock.py)"


def test_sql_takes_the_time_as_a_parameter() -> None:
    askers = [named(path) for path in sql_files() if SQL_CLOCK.search(without_comments(path.read_text()))]
    assert not askers


def test_queries_list_their_columns() -> None:
    assert not [named(path) for path in sql_files() if EVERY_COLUMN.search(without_comments(path.read_text()))]


def test_sql_stands_in_query_files_alone() -> None:
    outside = [
        f"{named(path)}:{number}"
        for path in python_files("libs", "services", "deploy")
        if not named(path).startswith(tuple(SQL_OUTSIDE))
        for number, text in strings(path)
        if STATEMENT.search(text)
    ]
    assert not outside, "move these into queries.sql"


def test_a_query_that_locks_or_settles_conflicts_says_why_it_is_right() -> None:
    silent = [
        f"{named(path)}: {block.split(maxsplit=1)[0]}"
        for path in sql_files()
        if path.name == "queries.sql"
        for block in path.read_text().split("-- name:")[1:]
        if DELICATE.search(block) and not block.splitlines()[1].lstrip().startswith("--")
    ]
    assert not silent, "give each a sentence under its name"


def test_migrations_do_not_wait_for_ever_and_can_be_undone() -> None:
    for path in (path for path in sql_files() if path.parent.name == "migrations"):
        text = path.read_text()
        assert "lock_timeout" in text, f"{named(path)} sets no lock_timeout"
        assert "-- migrate:down" in text, f"{named(path)} has no way back"


def test_migrations_have_versions_of_their_own() -> None:
    for service in SERVICES:
        folders = (ROOT / "libs/events/migrations", ROOT / "services" / service / "migrations")
        versions = [path.name.split("_")[0] for folder in folders for path in folder.glob("*.sql")]
        assert len(versions) == len(set(versions)), f"two migrations of {service} have one version"
