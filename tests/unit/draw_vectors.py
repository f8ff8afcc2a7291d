"""Makes the vectors of docs/draw.md, section 11: `python -m tests.unit.draw_vectors`. A test holds them to the code."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from services.selection.domain import merkle
from services.selection.domain.pool import entry_bytes
from services.selection.domain.quotas import Stratum
from services.selection.domain.tickets import tickets_of
from tests.unit.listed_draw import Application, levels_of
from tests.unit.selection_bundles import QUOTAS, close, make, officials, people

FOLDER: Final = Path(__file__).parents[2] / "docs" / "vectors"
APPLICANTS: Final = 60
BUNDLES: Final = {"draw-1": None, "draw-1-ceremony": officials(), "draw-1-spill": None}
SPILL: Final = {
    Stratum("11", "priority"): 2,
    Stratum("11", "public"): 6,
    Stratum("31", "priority"): 9,
    Stratum("31", "public"): 4,
}
"""More seats than applicants in three strata: some go to the other tier, those of two strata to the whole country."""


def crowded(applicants: list[Application]) -> list[Application]:
    """Some of their households have all their members already, and no place left."""
    return [replace(one, household_members=2) if one.household_id[-1] % 5 == 0 else one for one in applicants]


def steps(values: list[Any]) -> dict[str, Any]:
    """Every hash between the entries of a bundle and its winners."""
    header, lines = values[0], [value for value in values[1:] if value[0] == "e"]
    entries = [entry_bytes(bytes.fromhex(e[2]), Stratum(e[3], e[4]), e[5], e[6]) for e in lines]
    leaves = [merkle.leaf_hash(bytes.fromhex(line[7]) + entry) for line, entry in zip(lines, entries, strict=True)]
    levels = levels_of(b"".join(leaves))
    tickets = tickets_of(bytes.fromhex(header["seed"]), [bytes.fromhex(line[2]) for line in lines])
    return {
        "entries": [entry.hex() for entry in entries],
        "levels": [[level[at : at + 32].hex() for at in range(0, len(level), 32)] for level in levels],
        "proof_of_leaf_3": [levels[level][32 * at :][:32].hex() for level, at in merkle.proof_positions(3, len(lines))],
        "seed": header["seed"],
        "tickets": [ticket.hex() for ticket in tickets],
        "leaves_by_ticket": sorted(range(len(tickets)), key=tickets.__getitem__),
        "winners": [value[1:] for value in values[1:] if value[0] == "w"],
    }


def files() -> dict[str, bytes]:
    """Name and bytes of every vector."""
    found = {}
    for name, planned in BUNDLES.items():
        spill = name == "draw-1-spill"
        applicants = crowded(people(APPLICANTS)) if spill else people(APPLICANTS)
        values = make(applicants, SPILL if spill else QUOTAS, planned)
        found[f"{name}.bundle.jsonl"] = close(values)
        found[f"{name}.json"] = json.dumps(steps(values), indent=1).encode() + b"\n"
    return found


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, data in files().items():
        (FOLDER / name).write_bytes(data)
