"""Makes the vectors of docs/draw.md, section 11: `python -m tests.unit.draw_vectors`. A test holds them to the code."""

import json
from pathlib import Path
from typing import Any, Final

from services.selection.domain import merkle
from services.selection.domain.pool import entry_bytes
from services.selection.domain.quotas import Stratum
from services.selection.domain.tickets import tickets_of
from tests.unit.listed_draw import levels_of
from tests.unit.selection_bundles import close, make, officials, people

FOLDER: Final = Path(__file__).parents[2] / "docs" / "vectors"
BUNDLES: Final = {"draw-1": None, "draw-1-ceremony": officials()}
APPLICANTS: Final = 60


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
        values = make(people(APPLICANTS), planned=planned)
        found[f"{name}.bundle.jsonl"] = close(values)
        found[f"{name}.json"] = json.dumps(steps(values), indent=1).encode() + b"\n"
    return found


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, data in files().items():
        (FOLDER / name).write_bytes(data)
