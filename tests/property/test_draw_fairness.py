"""Nobody is favoured: thousands of draws by the service's code, counted by everything a favour could hang on.

Every draw has fresh ids, an order of arrival that has nothing to do with them, two provinces, both tiers, and
households with fewer places than applicants. The seeds are fixed, so nothing here flickers; FALSE_ALARM says how
improbable a fair draw is that fails. Every favour planted below must be that improbable, and is found.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from services.selection.domain import bulk_draw
from services.selection.domain.bulk_draw import NO_SEAT, PoolColumns
from services.selection.domain.quotas import TIERS, Province, Stratum, split
from services.selection.domain.tickets import seed_of, tickets_of

DRAWS: Final = 2_000
PEOPLE: Final = 240
CELLS: Final = (22, 23, 62, 63)  # 11 and 31, priority and public
SEATS: Final = (16, 4, 8, 2)
FALSE_ALARM: Final = 1e-9

Counts = NDArray[np.int64]
Tickets = Callable[[bytes, Sequence[bytes]], list[bytes]]
Won = NDArray[np.bool_]


@dataclass(frozen=True)
class Round:
    """One draw, in the order of its pool; `arrivals`: who came as which, from 0."""

    pool: PoolColumns
    arrivals: Counts
    seed: bytes


def round_of(number: int) -> Round:
    """60 people in every stratum; 30 pairs share a household with one place."""
    chance = random.Random(number)
    ids = b"".join(sorted(chance.randbytes(16) for _ in range(PEOPLE)))
    cells, arrivals, homes = list(CELLS) * (PEOPLE // 4), list(range(PEOPLE)), [*range(PEOPLE - 30), *range(30)]
    for each in (cells, arrivals, homes):
        chance.shuffle(each)
    numbers: dict[int, int] = {}
    groups = [numbers.setdefault(home, len(numbers)) for home in homes]
    pool = PoolColumns(
        np.frombuffer(ids, np.uint8).reshape(-1, 16), np.array(cells, np.uint16), np.array(groups, np.uint32),
        np.ones(PEOPLE, np.uint8),
    )  # fmt: skip
    seed = seed_of(sha256(ids).digest(), sha256(number.to_bytes(4, "big")).digest())
    return Round(pool, np.array(arrivals), seed)


ROUNDS: Final = cache(lambda: [round_of(number) for number in range(DRAWS)])


def won_by(tickets: Tickets, each: Round) -> Won:
    """The service's seats for these tickets. (That its own tickets are these is held by the tests of the bulk draw.)"""

    def columns(seed: bytes, ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
        found = b"".join(tickets(seed, [row.tobytes() for row in ids]))
        return np.frombuffer(found, np.uint8).reshape(-1, 32).copy()

    quotas = np.zeros(200, np.int64)
    quotas[list(CELLS)] = SEATS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk_draw, "tickets_of", columns)
        seats = bulk_draw.draw_columns(each.pool, quotas, each.seed).seats
    return np.array(seats != NO_SEAT, np.bool_)


def honest(each: Round) -> Won:
    return won_by(tickets_of, each)


fair = cache(lambda: [honest(each) for each in ROUNDS()])

LOOKS: Final[Mapping[str, tuple[int, Callable[[Round], Counts]]]] = {
    "applicant by place in the pool": (PEOPLE, lambda each: np.arange(PEOPLE)),
    "twelfth of the pool": (12, lambda each: np.arange(PEOPLE) * 12 // PEOPLE),
    "parity in the pool": (2, lambda each: np.arange(PEOPLE) % 2),
    "applicant by arrival": (PEOPLE, lambda each: each.arrivals),
    "twelfth of the arrivals": (12, lambda each: each.arrivals * 12 // PEOPLE),
    "beginning of the id": (16, lambda each: each.pool.ids[:, 0].astype(np.int64) >> 4),
    "end of the id": (16, lambda each: each.pool.ids[:, 15].astype(np.int64) >> 4),
}
"""Into how many classes, and how, the applicants of a draw are sorted; all of one stratum have the same chance."""


def improbable(won: Sequence[Won], look: str, cell: int) -> float:
    """An upper bound of the chance that a fair draw is as far from equal chances as this, within one stratum.

    Chi-square, and Chernoff's bound of its tail. Seats are drawn without replacement and households keep some of their
    members out, so counts vary a little less than the binomial ones assumed here: the bound stays one.
    """
    classes, sorted_by = LOOKS[look]
    wins, people = np.zeros(classes), np.zeros(classes)
    for each, winners in zip(ROUNDS(), won, strict=True):
        own = each.pool.cells == cell
        kinds = sorted_by(each)
        people += np.bincount(kinds[own], minlength=classes)
        wins += np.bincount(kinds[own & winners], minlength=classes)
    rate = wins.sum() / people.sum()
    ratio = float(((wins - rate * people) ** 2 / (rate * (1 - rate) * people)).sum()) / (classes - 1)
    return 1.0 if ratio <= 1 else math.exp((classes - 1) / 2 * (1 - ratio + math.log(ratio)))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("look", LOOKS)
def test_however_one_looks_all_of_a_stratum_have_the_same_chance(look: str, cell: int) -> None:
    assert improbable(fair(), look, cell) > FALSE_ALARM


def test_every_province_and_tier_has_exactly_its_seats_in_every_draw() -> None:
    for each, winners in zip(ROUNDS(), fair(), strict=True):
        assert tuple(int((winners & (each.pool.cells == cell)).sum()) for cell in CELLS) == SEATS


def low_ids(seed: bytes, ids: Sequence[bytes]) -> list[bytes]:
    """Every other one of the lower half of all ids gets the better of two tickets."""
    return [
        min(ticket, sha256(ticket).digest()) if application[0] < 128 and ticket[31] < 128 else ticket
        for application, ticket in zip(ids, tickets_of(seed, ids), strict=True)
    ]


def modulo(seed: bytes, ids: Sequence[bytes]) -> list[bytes]:
    """One byte modulo ten, ties to the lower id: the old mistake of many a raffle."""
    return [bytes((ticket[0] % 10, *bytes(31))) for ticket in tickets_of(seed, ids)]


def leaking(seed: bytes, ids: Sequence[bytes]) -> list[bytes]:
    """In one of five tickets the last byte of the id stands in front."""
    tickets = zip(ids, tickets_of(seed, ids), strict=True)
    return [i[15:] + ticket[:31] if ticket[31] < 52 else ticket for i, ticket in tickets]


def first_comes(each: Round) -> Won:
    """In one of five draws one of 16 seats goes by arrival: the last winner gives way to the first of the others."""
    won = honest(each)
    if each.seed[0] < 52:
        own = np.flatnonzero(each.pool.cells == CELLS[0])
        last = max((at for at in own if won[at]), key=each.arrivals.__getitem__)
        first = min((at for at in own if not won[at]), key=each.arrivals.__getitem__)
        won[last], won[first] = False, True
    return won


@pytest.mark.parametrize(
    ("look", "favour"),
    [
        ("beginning of the id", lambda each: won_by(low_ids, each)),
        ("twelfth of the pool", lambda each: won_by(modulo, each)),
        ("end of the id", lambda each: won_by(leaking, each)),
        ("twelfth of the arrivals", first_comes),
    ],
    ids=["low ids", "modulo", "the id leaks into the ticket", "first come, first served"],
)
def test_a_planted_favour_is_found(look: str, favour: Callable[[Round], Won]) -> None:
    assert improbable([favour(each) for each in ROUNDS()], look, CELLS[0]) < FALSE_ALARM


def off_by(rule: Callable[[int, Sequence[Province], int], Mapping[Stratum, int]]) -> float:
    """By how many seats the priority tier is above its 80 percent on average, over many tables of 35 provinces."""
    places = [Province(f"{number}", "", population) for number, population in enumerate(range(40, 2_000, 57), 11)]
    tables = [(seats, rule(seats, places, 80)) for seats in range(1_000, 3_000, 37)]
    above = [sum(quotas[Stratum(each.code, TIERS[0])] for each in places) - 0.8 * seats for seats, quotas in tables]
    return sum(above) / len(above)


def rounded_up(seats: int, places: Sequence[Province], percent: int) -> Mapping[Stratum, int]:
    """Each province's seats as they should be, but the share of the whitelist in them rounded up."""
    quotas = split(seats, places, percent)
    for each in places:
        both = sum(quotas[Stratum(each.code, tier)] for tier in TIERS)
        quotas[Stratum(each.code, "priority")] = -(-both * percent // 100)
    return quotas


def test_the_whitelist_has_its_share_and_a_share_that_is_rounded_up_is_found() -> None:
    """Exact, no chance in it: what one table rounds up another rounds down."""
    assert abs(off_by(split)) < 2
    assert off_by(rounded_up) > 5
