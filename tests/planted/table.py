"""The page docs/planted-bugs.md: which detector found which bug, at which seed, and what it said."""

from collections.abc import Sequence
from typing import Final

from tests.planted.bugs import ROOT
from tests.planted.hunt import Hunted

PAGE: Final = ROOT / "docs" / "planted-bugs.md"
QUICK: Final = " \\*"
DETECTORS: Final = {
    "storm": "relay, worker and their SQL on a real PostgreSQL and a broker in memory; everything dies at random",
    "model": "the model of the event path (`tests/model`) with production's own pure functions",
    "model-lost-logs": "the model, where Kafka may lose a log while everybody goes on",
    "zombie": "a relay that is declared dead while it waits for Kafka, and wakes up",
    "older": "a relay on a database that is older than its topics",
    "remembered": "a worker on a restored store, while Kafka remembers more",
    "clients": "the effective settings of the Kafka clients",
    "durable": "after every commit: is it on disk?",
    "crossing": "two batches about the same citizens at the same time",
    "answers": "hot commands of which some fail at the commit",
    "rails": "payouts to the bank; disbursement dies while it writes",
}
HEAD: Final = """# Planted bugs

Does a checker bite? Each of these mistakes was put into a copy of the code, and a detector had to find it within its
seeds. `make chaos` does it again and writes this page; `make test` does it for those marked \\*, and says which bug no
longer fits the code. The bugs are in [tests/planted/bugs.toml](../tests/planted/bugs.toml). The same detectors find
nothing in the code as it is. Mutants of single decisions are found by [tests/model](../tests/model/mutants.py).

Databases and time are real, so another run may meet a bug at another seed.

| bug | what was written | found by | seed (of) | what the detector said |
|---|---|---|---|---|
"""


def page(hunted: Sequence[Hunted]) -> str:
    """The whole page."""
    rows = [
        f"| {one.bug.name}{QUICK * one.bug.quick} | {one.bug.story} | {one.bug.detector} | "
        f"{'**not found**' if one.seed is None else one.seed} ({one.bug.seeds}) | {_cell(one.sentence)} |"
        for one in hunted
    ]
    used = dict.fromkeys(one.bug.detector for one in hunted)
    said = [f"- **{name}**: {DETECTORS[name]}." for name in used]
    return HEAD + "\n".join(rows) + "\n\nThe detectors:\n\n" + "\n".join(said) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
