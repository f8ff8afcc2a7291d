"""What holds for every draw, whatever the pool, the quotas and the seed."""

from array import array
from collections import Counter
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.selection import verify_draw
from services.selection.domain import merkle
from services.selection.domain.pool import Rules
from services.selection.domain.quotas import TIERS, Province, Stratum, Tier, split
from services.selection.domain.tickets import TICKET_TAG, tickets_of
from tests.unit.draw_pools import crowd
from tests.unit.listed_draw import Application, Outcome, Pool, draw, freeze, levels_of, root_of

STRATA = [Stratum(province, tier) for province in ("11", "31", "32", "91") for tier in TIERS]
Crowd = list[Application]
Quotas = dict[Stratum, int]
RULES = Rules(other_aid=False, household_cap=2)

applications = st.builds(
    Application,
    application_id=st.binary(min_size=16, max_size=16).filter(any),
    household_id=st.sampled_from([bytes([at]) * 16 for at in range(12)]),
    stratum=st.sampled_from(STRATA),
    exclusions=st.lists(st.sampled_from(["blacklist", "other-aid"]), max_size=1),
    member=st.booleans(),
    household_members=st.integers(0, 3),
)
crowds = st.lists(applications, max_size=60, unique_by=lambda each: each.application_id)
quotas = st.dictionaries(st.sampled_from(STRATA), st.integers(0, 8))
seeds = st.binary(min_size=32, max_size=32)


def frozen(people: list[Application]) -> Pool:
    """One household, one number of members: the last one's."""
    members = {each.household_id: each.household_members for each in people}
    same = [
        Application(e.application_id, e.household_id, e.stratum, e.exclusions, e.member, members[e.household_id])
        for e in people
    ]
    return freeze(sorted(same, key=lambda each: each.application_id), RULES).pool


def won(pool: Pool, outcome: Outcome) -> dict[bytes, Stratum]:
    return {pool.ids[at]: seat for at, seat in enumerate(outcome.seats) if seat}


@given(crowds, quotas, seeds)
def test_no_seat_is_wasted_and_none_is_given_twice(people: Crowd, seats: Quotas, seed: bytes) -> None:
    pool = frozen(people)
    outcome = draw(pool, seats, seed)
    stayed = sum(rank is not None for rank in outcome.ranks)
    assert outcome.winners == min(sum(seats.values()), stayed)
    given_out = Counter(seat for seat in outcome.seats if seat)
    assert all(count <= seats[stratum] for stratum, count in given_out.items())


@given(crowds, quotas, seeds)
def test_no_household_gets_more_than_its_places(people: Crowd, seats: Quotas, seed: bytes) -> None:
    pool = frozen(people)
    outcome = draw(pool, seats, seed)
    winners = Counter(pool.groups[at] for at, seat in enumerate(outcome.seats) if seat)
    places = dict(zip(pool.groups, pool.places, strict=True))
    assert all(count <= places[group] for group, count in winners.items())


@given(crowds, quotas, seeds)
def test_the_cutoff_tells_winners_from_losers(people: Crowd, seats: Quotas, seed: bytes) -> None:
    pool = frozen(people)
    outcome = draw(pool, seats, seed)
    for at, ticket in enumerate(outcome.tickets):
        cutoff = outcome.strata[pool.strata[at]].cutoff if outcome.ranks[at] else None
        assert (outcome.seats[at] is not None) == (cutoff is not None and ticket <= cutoff)


@given(crowds, quotas, seeds)
def test_a_stratum_with_enough_applicants_keeps_its_own_seats(people: Crowd, seats: Quotas, seed: bytes) -> None:
    pool = frozen(people)
    outcome = draw(pool, seats, seed)
    for stratum, result in outcome.strata.items():
        assert result.winners >= min(result.seats, result.applicants), stratum


@given(crowds, applications, quotas, seeds)
def test_adding_somebody_never_changes_anybody_elses_ticket(
    people: Crowd, late: Application, seats: Quotas, seed: bytes
) -> None:
    before = frozen([each for each in people if each.application_id != late.application_id])
    after = frozen([*[each for each in people if each.application_id != late.application_id], late])
    tickets = dict(zip(after.ids, draw(after, seats, seed).tickets, strict=True))
    for application_id, ticket in zip(before.ids, draw(before, seats, seed).tickets, strict=True):
        assert tickets[application_id] == ticket


@given(crowds, quotas, seeds)
def test_the_order_of_arrival_and_the_names_of_households_do_not_matter(
    people: Crowd, seats: Quotas, seed: bytes
) -> None:
    renamed = [
        Application(e.application_id, sha256(e.household_id).digest()[:16], e.stratum, e.exclusions, e.member, 0)
        for e in people
    ]
    same = [
        Application(e.application_id, e.household_id, e.stratum, e.exclusions, e.member, 0) for e in reversed(people)
    ]
    first, second = frozen(renamed), frozen(same)
    assert won(first, draw(first, seats, seed)) == won(second, draw(second, seats, seed))


def verifier_of(pool: Pool, seats: Quotas, seed: bytes) -> verify_draw.Verifier:
    """The verifier, as it stands after it has read this pool."""
    verifier = verify_draw.Verifier()
    verifier.promise = {"quotas": [[*stratum, count] for stratum, count in sorted(seats.items())], "household_cap": 3}
    verifier.prefix = TICKET_TAG + seed
    verifier.ids = list(pool.ids)
    verifier.groups.extend(pool.groups)
    verifier.places.extend(pool.places)
    verifier.heads.extend(int.from_bytes(ticket[:8], "big") for ticket in tickets_of(seed, pool.ids))
    verifier.cells.extend(2 * int(stratum.province) + TIERS.index(stratum.tier) for stratum in pool.strata)
    return verifier


def seats_of(verifier: verify_draw.Verifier) -> dict[int, tuple[int, str, Tier]]:
    won = verifier.draw(verifier.staying())
    return {leaf: (rank, f"{cell >> 1:02}", TIERS[cell & 1]) for leaf, (rank, cell) in won.items()}


@given(crowds, quotas, seeds, st.booleans())
@settings(max_examples=300)
def test_the_verifiers_own_implementation_agrees(people: Crowd, seats: Quotas, seed: bytes, alike: bool) -> None:
    """Two programs by one specification: the same winners, ranks and seats; also where tickets begin alike."""
    pool = frozen(people)
    outcome = draw(pool, seats, seed)
    verifier = verifier_of(pool, seats, seed)
    if alike:
        verifier.heads = array("Q", [head >> 63 for head in verifier.heads])
    assert seats_of(verifier) == {at: (outcome.ranks[at], *seat) for at, seat in enumerate(outcome.seats) if seat}
    assert verifier.differences == 0


@pytest.mark.parametrize("seed", [b"a" * 32, b"b" * 32])
def test_so_it_does_in_a_crowd_where_most_need_no_sorting(seed: bytes) -> None:
    """Below its bar the verifier sorts a few; here every rule of the spill-over also bites."""
    pool, seats = crowd(30_000)
    outcome = draw(pool, seats, seed)
    assert seats_of(verifier_of(pool, seats, seed)) == {
        at: (outcome.ranks[at], *seat) for at, seat in enumerate(outcome.seats) if seat
    }


@given(st.integers(0, 10_000_000), st.integers(0, 100), st.lists(st.integers(1, 5_000), min_size=1, max_size=40))
def test_the_quotas_add_up_and_none_is_more_than_a_seat_off(seats: int, percent: int, populations: list[int]) -> None:
    places = [Province(f"{at:02}", "", population) for at, population in enumerate(populations, 11)]
    quotas = split(seats, places, percent)
    assert sum(quotas.values()) == seats
    whole = 100 * sum(populations)
    for place in places:
        for tier, share in (("priority", percent), ("public", 100 - percent)):
            exact = seats * place.population * share
            assert abs(quotas[Stratum(place.code, tier)] * whole - exact) < whole  # type: ignore[arg-type]


@given(st.integers(1, 200), st.data())
def test_every_leaf_has_a_proof_and_no_other_leaf_fits_it(size: int, data: st.DataObject) -> None:
    leaves = [sha256(at.to_bytes(4, "big")).digest() for at in range(size)]
    levels = levels_of(b"".join(leaves))
    root = root_of(levels)
    leaf = data.draw(st.integers(0, size - 1))
    proof = [levels[level][at * 32 : at * 32 + 32] for level, at in merkle.proof_positions(leaf, size)]
    assert merkle.is_included(leaves[leaf], leaf, size, proof, root)
    other = data.draw(st.integers(0, size - 1))
    if other != leaf:
        assert not merkle.is_included(leaves[other], other, size, proof, root)
        assert not merkle.is_included(leaves[other], leaf, size, proof, root)
    assert not merkle.is_included(leaves[leaf], leaf, size, [*proof, root], root)


def wins_per_person(draws: int, biased: bool) -> list[int]:
    """How often each of 20 people wins one of 5 seats; a biased draw favours the lower ids a little."""
    pool = Pool([at.to_bytes(16, "big") for at in range(1, 21)], [STRATA[0]] * 20, list(range(20)), [1] * 20)
    counts = [0] * 20
    for number in range(draws):
        outcome = draw(pool, {STRATA[0]: 5}, sha256(number.to_bytes(4, "big")).digest())
        winners = [at for at, seat in enumerate(outcome.seats) if seat]
        if biased and number % 10 == 0:
            winners = [0, 1, 2, 3, 4]
        for at in winners:
            counts[at] += 1
    return counts


def test_everybody_has_the_same_chance_and_a_planted_bias_would_show() -> None:
    """Chi-square over 4,000 fixed seeds. 19 degrees of freedom: 43.8 is passed by one fair draw in a thousand."""
    draws = 4_000

    def chi_square(counts: list[int]) -> float:
        # Drawn without replacement, so the variance of a count is draws x p x (1 - p) x 20/19.
        expected = draws * 5 / 20
        return sum((count - expected) ** 2 for count in counts) / (expected * 15 / 20 * 20 / 19)

    assert chi_square(wins_per_person(draws, biased=False)) < 43.8
    assert chi_square(wins_per_person(draws, biased=True)) > 43.8
