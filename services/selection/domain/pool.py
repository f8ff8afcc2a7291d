"""The canonical bytes of an entry of the pool, and what a programme allows. See docs/draw.md, section 3."""

from dataclasses import dataclass
from typing import Final

from services.selection.domain.quotas import Stratum, Tier

SALT_BYTES: Final = 16
PLACES_MAX: Final = 255
TIER_BYTES: Final[dict[Tier, bytes]] = {"priority": b"\x01", "public": b"\x02"}


@dataclass(frozen=True, slots=True)
class Rules:
    """What the programme allows."""

    other_aid: bool
    household_cap: int


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
