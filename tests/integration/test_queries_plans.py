"""No query multiplies two lists: after a few calls PostgreSQL plans for any length, and expects short ones.

A statement that joins what it was given to what it has just locked takes 5,000 × 5,000 steps then. Each list must lead
to a table by a key.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.programs import SERVICES
from libs.events.database import load_queries, open_database
from tests.conftest import MakeDatabase

ROOT = Path(__file__).parents[2]
LISTS = {"Function Scan", "CTE Scan", "Values Scan"}


def below(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan and all under it."""
    yield node
    for part in node.get("Plans", ()):
        yield from below(part)


def scans(node: dict[str, Any]) -> list[bool]:
    """For all that is read there, whether it is a list."""
    return [one["Node Type"] in LISTS for one in below(node) if "Scan" in one["Node Type"]]


def squares(plan: dict[str, Any]) -> list[str]:
    """The lists that a plan goes through once more for each row of what comes of another list."""
    loops = [node["Plans"][:2] for node in below(plan) if node["Node Type"] == "Nested Loop"]
    return [str(inner.get("Alias", "a list")) for outer, inner in loops if any(scans(outer)) and all(scans(inner))]


@pytest.mark.parametrize("service", SERVICES)
async def test_no_query_multiplies_two_lists(database: MakeDatabase, service: str) -> None:
    queries = load_queries(ROOT / "services" / service / "queries.sql")
    async with open_database(database(service).app_url) as opened, opened.connection() as connection:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
            await connection.execute(f"SET {setting} = off")  # what is left is a key or a square
        found = {}
        for name in queries.available_queries:
            sql = getattr(queries, name).sql
            if "unnest" not in sql or not re.match(r"\s*(--[^\n]*\n\s*)*(SELECT|WITH|UPDATE|INSERT|DELETE)", sql):
                continue
            await connection.execute(f"PREPARE {name} AS {sql}")
            nothing = ", ".join(["NULL"] * max(int(number) for number in re.findall(r"\$([0-9]+)", sql)))
            [row] = await connection.fetch(f"EXPLAIN (FORMAT JSON) EXECUTE {name} ({nothing})")
            if multiplied := squares(json.loads(row[0])[0]["Plan"]):
                found[name] = multiplied
    assert not found
