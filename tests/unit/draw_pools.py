"""Large synthetic pools, the same for one seed on every machine."""

import random

from services.selection.domain.quotas import TIERS, Stratum
from tests.reference.draw_by_the_letter import Entry
from tests.unit.listed_draw import Pool

PROVINCES = [f"{number}" for number in range(11, 49)]


def crowd(count: int, seed: int = 1, cap: int = 2) -> tuple[Pool, dict[Stratum, int]]:
    """A pool whose provinces differ in size, with some large households, and quotas that make every rule bite."""
    chance = random.Random(seed)
    ids = sorted({chance.randbytes(16) for _ in range(count)})
    strata = [Stratum(PROVINCES[int(38 * chance.random() ** 2)], TIERS[chance.random() < 0.3]) for _ in ids]
    numbers: dict[int, int] = {}
    groups = [numbers.setdefault(chance.randrange(max(1, count // 2)), len(numbers)) for _ in ids]
    free = [chance.choice((0, 1, cap, cap)) for _ in numbers]
    # Few of the last provinces apply: their seats spill over, first to the other tier and then over the country.
    quotas = {
        Stratum(province, tier): count // 250 + 20 * at for at, province in enumerate(PROVINCES) for tier in TIERS
    }
    return Pool(ids, strata, groups, [free[group] for group in groups]), quotas


def entries_of(pool: Pool) -> list[Entry]:
    columns = zip(pool.ids, pool.strata, pool.groups, pool.places, strict=True)
    return [Entry(i, stratum.province, stratum.tier, group, places) for i, stratum, group, places in columns]
