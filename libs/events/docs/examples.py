"""Golden examples: one record per event type and version, exactly as it appears on the bus. Written once."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from libs.events import codec, ids
from libs.events.contracts import Event, catalogue

EXAMPLES: Final = Path(__file__).parents[1] / "examples"

AT: Final = datetime(2020, 4, 17, 3, 0, tzinfo=UTC)
HEX: Final = "5f2b9c0d7e1a48366c3d0b9f4e2a71850c6d1f3b8a9e4752d0f1c2b3a4958677"

# A value for each field that is no opaque id. The names carry the meaning, so one value fits every contract.
VALUES: Final[Mapping[str, Any]] = {
    "at": AT,
    "algorithm": "draw/1",
    "amount_rupiah": 600_000,
    "attempt": 1,
    "beacon": "drand-quicknet",
    "beacon_round": 7_000_000,
    "change": 1,
    "closes_at": datetime(2020, 4, 16, 9, 0, tzinfo=UTC),
    "contested": ids.derive("example", "contested"),
    "count": 5_965_048,
    "cutoff": HEX,
    "digest": HEX,
    "draws_at": AT,
    "exclusions": ("other-aid",),
    "finding": "record-wrong",
    "first": True,
    "ground": "record-wrong",
    "lanes": ({"lane": 7, "last": 248_612, "count": 248_543, "digest": HEX},),
    "milestone": "incentive-1",
    "not_selected": 5_765_048,
    "number": 1,
    "opens_at": datetime(2020, 4, 11, 10, 0, tzinfo=UTC),
    "partner_id": "partner-a",
    "pool_count": 5_965_048,
    "price_rupiah": 350_000,
    "programme": "prakerja-2020",
    "province": "31",
    "quotas": (
        {"province": "31", "tier": "priority", "seats": 6_300},
        {"province": "31", "tier": "public", "seats": 1_575},
    ),
    "rail": "bank",
    "rank": 17,
    "recycled_seats": 0,
    "released_rupiah": 1_000_000,
    "root": HEX,
    "seed": HEX,
    "stars": 5,
    "ticket": HEX,
    "tier": "priority",
    "upheld": True,
    "wave": 1,
    "winners": 200_000,
}  # fmt: skip

# Where one value does not fit all.
VALUES_OF: Final[Mapping[tuple[str, str], Any]] = {
    ("appropriation-granted", "amount_rupiah"): 20_000_000_000_000,
    ("appropriation-returned", "amount_rupiah"): 9_007_199_254_740_993,  # above 2^53 - 1, hence a string on the wire
    ("money-reserved", "amount_rupiah"): 3_550_000,
    ("reservation-released", "amount_rupiah"): 2_950_000,
    ("incentive-failed", "reason"): "account-closed",
    ("incentive-returned", "reason"): "account-closed",
    ("membership-revoked", "reason"): "no-purchase-in-time",
    ("not-selected", "reason"): "lost-draw",
    ("reservation-released", "reason"): "year-end",
    ("appeal-lodged", "reason"): "blacklist",
    ("wave-draw-set-aside", "reason"): "quota-table-wrong",
    ("wave-rescheduled", "reason"): "offices-flooded",
    ("wave-voided", "reason"): "beacon-unavailable",
}


class NoExample(Exception):
    """A contract has a field for which no example value is known."""


def path_of(contract: type[Event]) -> Path:
    return EXAMPLES / f"{contract.TYPE}.{contract.VERSION}.json"


def example(contract: type[Event]) -> Event:
    """An event with a value for every field. Raises NoExample, naming the field."""
    return contract(**{field: _value(contract, field) for field in contract.model_fields})


def _value(contract: type[Event], field: str) -> Any:
    if (contract.TYPE, field) in VALUES_OF:
        return VALUES_OF[contract.TYPE, field]
    if field in VALUES:
        return VALUES[field]
    if field.endswith("_id"):
        return ids.derive("example", field)
    raise NoExample(f"{contract.TYPE}: give {field} an example value in libs/events/docs/examples.py")


def record(contract: type[Event]) -> str:
    """The example as a record on the bus, numbered as the first of its partition."""
    return codec.numbered(codec.encode(example(contract)), 1, 1).decode() + "\n"


def missing() -> dict[Path, str]:
    """The examples that do not exist yet."""
    return {path_of(c): record(c) for c in catalogue().values() if not path_of(c).exists()}
