"""Who takes part in a draw, over columns: the filters in their order, and the frozen pool. See docs/draw.md, section 3.

The filters and their order are the programme's (tribun, May 2021: identity, blacklist, other aid, family card).
Identity was settled before somebody could apply at all. The household cap needs tickets, so the draw applies it: the
pool only says how many places each household has.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.selection.domain.bulk_draw import PoolColumns
from services.selection.domain.bulk_sha256 import Bytes
from services.selection.domain.pool import PLACES_MAX, Rules
from services.selection.domain.quotas import TIERS, Stratum

BLACKLIST, OTHER_AID, MEMBER = 1, 2, 4
"""What the outside checks and the members' book say of an application, as bits of its marks."""
REASONS: Final = ("blacklist", "other-aid", "already-member")
"""In the order in which the filters are applied; an excluded application has exactly one reason."""


@dataclass(frozen=True, slots=True, eq=False)
class ApplicationColumns:
    """The standing applications of a wave in canonical order: ascending by id."""

    ids: Bytes  # (n, 16)
    households: Bytes  # (n, 16)
    cells: NDArray[np.uint16]
    marks: NDArray[np.uint8]
    members: NDArray[np.uint16]
    """How many members of the household hold a membership of this programme that was not revoked."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class FrozenColumns:
    """The result of the filters. `reasons` are places in REASONS, one for each excluded id."""

    pool: PoolColumns
    excluded: Bytes  # (m, 16)
    reasons: NDArray[np.uint8]

    def excluded_counts(self) -> dict[str, int]:
        """How many applications each filter took out, by reason; filters that took none are named with 0."""
        counts = np.bincount(self.reasons, minlength=len(REASONS)).tolist()
        return dict(zip(REASONS, counts, strict=True))


def cell_of(stratum: Stratum) -> int:
    """The number of a stratum: ascending as strata do."""
    return 2 * int(stratum.province) + TIERS.index(stratum.tier)


def stratum_of(cell: int) -> Stratum:
    """The stratum of a number."""
    return Stratum(f"{cell // 2:02}", TIERS[cell % 2])


def intake_digest(ids: Bytes) -> str:
    """SHA-256 of the standing applications' ids, 16 raw bytes each, ascending: the digest `intake-closed` states."""
    return sha256(np.ascontiguousarray(ids).data).hexdigest()


def freeze_columns(applications: ApplicationColumns, rules: Rules) -> FrozenColumns:
    """Apply the filters and number the households. Raises ValueError unless the ids ascend: each counts once."""
    if not _ascend(applications.ids):
        raise ValueError("applications must come in ascending order of their ids, each once")
    marks = applications.marks & ~np.uint8(OTHER_AID) if rules.other_aid else applications.marks
    stays = marks == 0
    left = marks[~stays]
    # The lowest bit is the filter that comes first.
    reasons = np.where(left & BLACKLIST, 0, np.where(left & OTHER_AID, 1, 2)).astype(np.uint8)
    places = np.maximum(0, rules.household_cap - applications.members[stays].astype(np.int32))
    if len(places) and int(places.max()) > PLACES_MAX:
        raise ValueError(f"a household has at most {PLACES_MAX} places")
    pool = PoolColumns(
        ids=applications.ids[stays],
        cells=applications.cells[stays],
        groups=_numbered(applications.households[stays]),
        places=places.astype(np.uint8),
    )
    return FrozenColumns(pool, applications.ids[~stays], reasons)


def _halves(ids: Bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Ids of 16 bytes as two numbers each, the leading one first."""
    words = np.ascontiguousarray(ids).view(">u8").reshape(-1, 2)
    return words[:, 0].astype(np.uint64), words[:, 1].astype(np.uint64)


def _ascend(ids: Bytes) -> bool:
    high, low = _halves(ids)
    return bool(((high[1:] > high[:-1]) | ((high[1:] == high[:-1]) & (low[1:] > low[:-1]))).all())


def _numbered(households: Bytes) -> NDArray[np.uint32]:
    """A number for each household by first appearance: 0, 1, 2 ... It means nothing outside the wave."""
    if not len(households):
        return np.zeros(0, np.uint32)
    high, low = _halves(households)
    order = np.lexsort((low, high))  # stable: the first of each household is its first appearance
    high, low = high[order], low[order]
    begins = np.r_[True, (high[1:] != high[:-1]) | (low[1:] != low[:-1])]
    firsts = order[begins]
    appears = np.zeros(len(order), np.bool_)
    appears[firsts] = True
    numbers = (np.cumsum(appears, dtype=np.uint32) - np.uint32(1))[firsts]
    groups = np.empty(len(order), np.uint32)
    groups[order] = numbers[np.cumsum(begins) - 1]
    return groups
