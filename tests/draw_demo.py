"""One public bundle of synthetic applicants, as a programme would publish it, for any verifier to judge.

    python -m tests.draw_demo [APPLICANTS [FILE]]

Nobody in it exists, and the beacon in it is a simulated one with genuine signatures.
"""

import sys
from pathlib import Path
from typing import Final

from services.selection.domain.quotas import Stratum
from tests.unit.selection_bundles import QUOTAS, close, make, people

FILE: Final = "var/draw/demo.draw.jsonl"
APPLICANTS: Final = 100_000
APPLICANTS_MAX: Final = 1_000_000


def quotas_for(applicants: int) -> dict[Stratum, int]:
    """Seats for a fifth of them; one province has none, and one stratum more than it has applicants."""
    quotas = {stratum: seats * applicants // 100 for stratum, seats in QUOTAS.items()}
    return quotas | {Stratum("31", "public"): applicants // 5}


def main(applicants: int = APPLICANTS, file: str = FILE) -> None:
    if not 2 <= applicants <= APPLICANTS_MAX:
        sys.exit(f"Give a number of applicants from 2 to {APPLICANTS_MAX}.")
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(close(make(people(applicants), quotas_for(applicants))))
    print(f"{path}: {applicants} applicants, {path.stat().st_size // 1024} KiB", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else APPLICANTS, *sys.argv[2:3])
