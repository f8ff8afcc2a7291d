"""How a wave's seats are split over the strata: province x tier. Whole seats, and the sum is always exact.

Province quotas of the real programme were never published. The rule here: one largest-remainder split (Hare-Niemeyer)
over all strata at once, with the weight of a stratum = census population of the province x share of the tier.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

Tier = Literal["priority", "public"]
TIERS: Final[tuple[Tier, ...]] = ("priority", "public")


class Stratum(NamedTuple):
    """A province (Kemendagri code) and a tier. Sorts by code, priority before public, as the specification wants it."""

    province: str
    tier: Tier


class Province(NamedTuple):
    code: str
    name: str
    population: int
    """In units of 10,000 people: the published figure in millions has two decimals."""


def parse_provinces(table: str) -> tuple[Province, ...]:
    """The table of provinces (CSV), by ascending code. Raises ValueError when a figure has not exactly two decimals."""
    found = []
    for row in csv.DictReader(io.StringIO(table)):
        millions, dot, decimals = row["population_millions_2020"].partition(".")
        if not dot or len(decimals) != 2:
            raise ValueError(f"the population of province {row['code']} must have two decimals")
        found.append(Province(row["code"], row["name"], int(millions + decimals)))
    return tuple(sorted(found))


def split(seats: int, provinces: Sequence[Province], priority_percent: int) -> dict[Stratum, int]:
    """Seats per stratum by largest remainder; equal remainders go to the lower stratum first. The sum is `seats`."""
    shares: dict[Tier, int] = {"priority": priority_percent, "public": 100 - priority_percent}
    weights = {Stratum(place.code, tier): place.population * shares[tier] for place in provinces for tier in TIERS}
    whole = sum(weights.values())
    quotas = {stratum: seats * weight // whole for stratum, weight in weights.items()}
    left = seats - sum(quotas.values())
    by_remainder = sorted(weights, key=lambda stratum: (-(seats * weights[stratum] % whole), stratum))
    for stratum in by_remainder[:left]:
        quotas[stratum] += 1
    return dict(sorted(quotas.items()))


def add(quotas: Mapping[Stratum, int], recycled: Mapping[Stratum, int]) -> dict[Stratum, int]:
    """The quotas with recycled seats put back into the strata they were taken from."""
    strata = sorted(quotas.keys() | recycled.keys())
    return {stratum: quotas.get(stratum, 0) + recycled.get(stratum, 0) for stratum in strata}


def without(quotas: Mapping[Stratum, int], taken: Mapping[Stratum, int]) -> dict[Stratum, int]:
    """What is left of the quotas when some seats are given otherwise; never more than a stratum has."""
    return {stratum: seats - taken.get(stratum, 0) for stratum, seats in quotas.items()}
