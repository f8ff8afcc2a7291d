"""Who takes part in a draw: the filters in their order, the frozen pool, and the canonical bytes of an entry.

The filters and their order are the programme's (tribun, May 2021: identity, blacklist, other aid, family card).
Identity was settled before somebody could apply at all. The household cap needs tickets, so the draw applies it: the
pool only says how many places each household has. See docs/draw.md, sections 3 and 4.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from services.selection.domain import merkle
from services.selection.domain.quotas import Stratum, Tier

SALT_BYTES: Final = 16
TIER_BYTES: Final[dict[Tier, bytes]] = {"priority": b"\x01", "public": b"\x02"}


@dataclass(frozen=True, slots=True)
class Application:
    """A standing application with what selection knows about its citizen and household."""

    application_id: bytes
    household_id: bytes
    stratum: Stratum
    exclusions: Sequence[str]
    member: bool
    """Whether the citizen was ever selected, by the programme's own rule on how often."""
    household_members: int
    """How many members of the household hold a membership of this programme that was not revoked."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the programme allows."""

    other_aid: bool
    household_cap: int


Filter = Callable[[Application, Rules], bool]

FILTERS: Final[tuple[tuple[str, Filter], ...]] = (
    ("blacklist", lambda entry, rules: "blacklist" in entry.exclusions),
    ("other-aid", lambda entry, rules: "other-aid" in entry.exclusions and not rules.other_aid),
    ("already-member", lambda entry, rules: entry.member),
)
"""Reason and test, in the order in which they are applied; an excluded application has exactly one reason."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The frozen pool as columns, in canonical order: ascending application id."""

    ids: Sequence[bytes]
    strata: Sequence[Stratum]
    groups: Sequence[int]
    """A number for the household that means nothing outside this wave: 0, 1, 2 ... by first appearance."""
    places: Sequence[int]
    """How many of the household may still become members; the same for the whole group."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Frozen:
    """The result of the filters."""

    pool: Pool
    excluded: Sequence[tuple[bytes, str]]

    def excluded_counts(self) -> dict[str, int]:
        """How many applications each filter took out, by reason; filters that took none are named with 0."""
        return {reason: 0 for reason, _ in FILTERS} | Counter(reason for _, reason in self.excluded)


def exclusion(application: Application, rules: Rules) -> str | None:
    """The reason of the first filter that excludes the application, or None."""
    return next((reason for reason, excludes in FILTERS if excludes(application, rules)), None)


def freeze(applications: Sequence[Application], rules: Rules) -> Frozen:
    """Apply the filters and number the households. Raises ValueError unless the ids ascend: each counts once."""
    excluded: list[tuple[bytes, str]] = []
    ids: list[bytes] = []
    strata: list[Stratum] = []
    groups: list[int] = []
    places: list[int] = []
    numbers: dict[bytes, int] = {}
    last = b""
    for entry in applications:
        if entry.application_id <= last:
            raise ValueError("applications must come in ascending order of their ids, each once")
        last = entry.application_id
        if reason := exclusion(entry, rules):
            excluded.append((entry.application_id, reason))
            continue
        ids.append(entry.application_id)
        strata.append(entry.stratum)
        groups.append(numbers.setdefault(entry.household_id, len(numbers)))
        places.append(max(0, rules.household_cap - entry.household_members))
    return Frozen(Pool(ids, strata, groups, places), excluded)


def entry_bytes(application_id: bytes, stratum: Stratum, group: int, places: int) -> bytes:
    """The 24 canonical bytes of an entry: id 16, province 2 (ASCII digits), tier 1, group 4 (big-endian), places 1."""
    return b"".join(
        (
            application_id,
            stratum.province.encode("ascii"),
            TIER_BYTES[stratum.tier],
            group.to_bytes(4, "big"),
            places.to_bytes(1, "big"),
        )
    )


def leaf_hashes(pool: Pool, salts: bytes) -> bytes:
    """The concatenated leaf hashes of a pool; `salts` holds 16 random bytes for each entry, one after the other."""
    if len(salts) != SALT_BYTES * len(pool):
        raise ValueError("one salt of 16 bytes for each entry")
    rows = zip(pool.ids, pool.strata, pool.groups, pool.places, strict=True)
    return b"".join(
        merkle.leaf_hash(salts[at * SALT_BYTES : (at + 1) * SALT_BYTES] + entry_bytes(*row))
        for at, row in enumerate(rows)
    )


def intake_digest(application_ids: Sequence[bytes]) -> str:
    """SHA-256 of the standing applications' ids, 16 raw bytes each, ascending: the digest `intake-closed` states."""
    return sha256(b"".join(application_ids)).hexdigest()
