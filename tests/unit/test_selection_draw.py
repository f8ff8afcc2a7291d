"""The pool and the draw, rule by rule, and the test vectors of the specification."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from services.selection.domain import bulk_draw, merkle
from services.selection.domain.pool import Rules, entry_bytes
from services.selection.domain.quotas import Stratum, Tier
from services.selection.domain.tickets import seed_of, tickets_of
from tests.unit.listed_draw import Application, Pool, draw, freeze, intake_digest, leaf_hashes, levels_of, root_of

RULES = Rules(other_aid=False, household_cap=2)
PRIORITY, PUBLIC = Stratum("31", "priority"), Stratum("31", "public")
SEED = bytes(32)


def entry(
    number: int, *exclusions: str, member: bool = False, household: int | None = None, members: int = 0
) -> Application:
    kk = number if household is None else household
    return Application(number.to_bytes(16, "big"), kk.to_bytes(16, "big"), PUBLIC, exclusions, member, members)


def pool(*strata: Stratum, groups: list[int] | None = None, places: int = 2) -> Pool:
    count = len(strata)
    return Pool(
        [at.to_bytes(16, "big") for at in range(1, count + 1)], strata, groups or list(range(count)), [places] * count
    )


def by_ticket(entries: Pool) -> list[int]:
    tickets = tickets_of(SEED, entries.ids)
    return sorted(range(len(entries)), key=lambda at: tickets[at])


def test_the_filters_apply_in_their_order_and_give_one_reason() -> None:
    everything = entry(1, "other-aid", "blacklist", member=True)
    frozen = freeze([everything, entry(2, "other-aid", member=True), entry(3, member=True), entry(4)], RULES)
    assert [reason for _, reason in frozen.excluded] == ["blacklist", "other-aid", "already-member"]
    assert frozen.counts == {"blacklist": 1, "other-aid": 1, "already-member": 1}
    assert list(frozen.pool.ids) == [(4).to_bytes(16, "big")]


def test_from_2023_recipients_of_other_aid_take_part() -> None:
    assert not freeze([entry(1, "other-aid")], Rules(other_aid=True, household_cap=2)).excluded


def test_households_are_numbered_by_first_appearance_and_members_use_up_places() -> None:
    frozen = freeze(
        [entry(1, household=9), entry(2, household=3, members=1), entry(3, household=9), entry(4, members=5)], RULES
    )
    assert list(frozen.pool.groups) == [0, 1, 0, 2]
    assert list(frozen.pool.places) == [2, 1, 2, 0]


def test_an_application_that_comes_twice_or_out_of_order_is_refused() -> None:
    for wrong in ([entry(1), entry(1)], [entry(2), entry(1)]):
        with pytest.raises(ValueError, match="ascending"):
            freeze(wrong, RULES)


def test_the_lowest_tickets_win_within_a_stratum() -> None:
    entries = pool(*[PUBLIC] * 10)
    outcome = draw(entries, {PUBLIC: 3}, SEED)
    order = by_ticket(entries)
    assert [at for at in order if outcome.seats[at]] == order[:3]
    assert [outcome.ranks[at] for at in order] == list(range(1, 11))
    assert outcome.strata[PUBLIC].cutoff == outcome.tickets[order[2]]


def test_a_household_keeps_only_its_lowest_tickets() -> None:
    entries = pool(*[PUBLIC] * 6, groups=[0, 0, 0, 0, 1, 2])
    outcome = draw(entries, {PUBLIC: 6}, SEED)
    family = [at for at in by_ticket(entries) if entries.groups[at] == 0]
    assert [outcome.ranks[at] is not None for at in family] == [True, True, False, False]
    assert outcome.winners == 4


def test_who_loses_among_priority_does_not_compete_among_public() -> None:
    entries = pool(*[PRIORITY] * 5, *[PUBLIC] * 5)
    outcome = draw(entries, {PRIORITY: 2, PUBLIC: 2}, SEED)
    assert all(outcome.seats[at] in (None, entries.strata[at]) for at in range(10))
    assert outcome.winners == 4


def test_unfilled_seats_go_to_the_other_tier_of_the_province_first() -> None:
    elsewhere = Stratum("11", "public")
    entries = pool(PRIORITY, *[PUBLIC] * 5, *[elsewhere] * 5)
    outcome = draw(entries, {PRIORITY: 3, PUBLIC: 1}, SEED)
    assert outcome.strata[PRIORITY].winners == 1
    assert outcome.strata[PUBLIC].winners == 3
    assert outcome.strata[elsewhere].winners == 0
    # The seats they got are priority seats: that is where they return to when they are freed.
    assert sorted(str(seat) for seat in outcome.seats if seat == PRIORITY) == [str(PRIORITY)] * 3


def test_seats_nobody_of_the_province_can_fill_go_to_the_lowest_tickets_of_the_country() -> None:
    aceh, papua = Stratum("11", "public"), Stratum("91", "priority")
    entries = pool(PUBLIC, *[aceh] * 3, *[papua] * 3)
    outcome = draw(entries, {PUBLIC: 4, PRIORITY: 1}, SEED)
    assert outcome.winners == 5
    rest = [at for at in by_ticket(entries) if entries.strata[at] != PUBLIC]
    # Seats in the order of their strata (priority first) meet the lowest tickets.
    assert [outcome.seats[at] for at in rest] == [PRIORITY, PUBLIC, PUBLIC, PUBLIC, None, None]


def test_equal_tickets_go_by_the_lower_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_draw, "tickets_of", lambda seed, ids: np.ones((len(ids), 32), np.uint8))
    outcome = draw(pool(*[PUBLIC] * 5), {PUBLIC: 2}, SEED)
    assert [seat is not None for seat in outcome.seats] == [True, True, False, False, False]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 13])
def test_the_tree_is_the_tree_of_rfc_9162(size: int) -> None:
    """Against the recursive definition of section 2.1.1."""
    leaves = [merkle.leaf_hash(bytes([at])) for at in range(size)]

    def recursive(part: list[bytes]) -> bytes:
        if len(part) == 1:
            return part[0]
        split = 1 << (len(part) - 1).bit_length() - 1
        return sha256(b"\x01" + recursive(part[:split]) + recursive(part[split:])).digest()

    assert root_of(levels_of(b"".join(leaves))) == recursive(leaves)


def test_a_tree_of_nothing_has_the_hash_of_nothing() -> None:
    assert root_of(levels_of(b"")) == sha256(b"").digest()


def test_the_vectors_of_the_specification() -> None:
    """Computed here, compared with the text of docs/draw.md: the two can not drift apart."""
    text = (Path(__file__).parents[2] / "docs" / "draw.md").read_text()
    tiers: list[Tier] = ["priority", "public", "public", "priority", "public"]
    ids = [sha256(f"vector {at}".encode()).digest()[:16] for at in range(5)]
    ids.sort()
    entries = Pool(
        ids, [Stratum("31" if at < 3 else "11", tiers[at]) for at in range(5)], [0, 1, 0, 2, 0], [2, 1, 2, 2, 2]
    )
    salts = b"".join(sha256(f"salt {at}".encode()).digest()[:16] for at in range(5))
    levels = levels_of(leaf_hashes(entries, salts))
    root = root_of(levels)
    seed = seed_of(root, sha256(b"randomness").digest())
    quotas = {Stratum("11", "priority"): 1, Stratum("31", "priority"): 1, Stratum("31", "public"): 1}
    outcome = draw(entries, quotas, seed)
    for at in range(5):
        line = f"| {at} | `{entry_bytes(ids[at], entries.strata[at], entries.groups[at], entries.places[at]).hex()}` |"
        assert line in text
        seat = outcome.seats[at]
        told = f"{seat.province} {seat.tier}" if seat else ("lost-draw" if outcome.ranks[at] else "household-cap")
        assert f"| {at} | `{outcome.tickets[at].hex()}` | {outcome.ranks[at] or '–'} | {told} |" in text
    for value in (intake_digest(ids), root.hex(), seed.hex()):
        assert f"`{value}`" in text
