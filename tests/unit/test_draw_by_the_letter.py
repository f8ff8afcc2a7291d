"""The production draw and a program by the letter of docs/draw.md: byte-identical, at 100,000 applicants too."""

import hashlib
import random
from collections import Counter

import pytest

from services.selection.domain.tickets import seed_of
from tests.reference import draw_by_the_letter as letter
from tests.unit.draw_pools import crowd, entries_of
from tests.unit.listed_draw import draw, leaf_hashes, levels_of, root_of

RANDOMNESS = hashlib.sha256(b"randomness").digest()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1_000, 100_000])
def test_two_programs_by_one_page_agree_on_every_byte(count: int) -> None:
    pool, quotas = crowd(count)
    salts = random.Random(2).randbytes(16 * len(pool))
    entries = entries_of(pool)
    root = root_of(levels_of(leaf_hashes(pool, salts)))
    leaves = [letter.leaf_hash(salts[16 * at : 16 * at + 16], entry) for at, entry in enumerate(entries)]
    assert root == letter.tree_hash(leaves)
    seed = seed_of(root, RANDOMNESS)
    assert seed == letter.seed(root, RANDOMNESS)
    ours = draw(pool, quotas, seed)
    theirs = letter.draw(entries, {(s.province, s.tier): n for s, n in quotas.items()}, seed)
    assert [tuple(each) for each in theirs] == list(zip(ours.tickets, ours.ranks, ours.seats, strict=True))
    if count == 100_000:
        # Every rule was at work, so that the agreement means something.
        spilled = Counter(
            "own" if seat == own else "tier" if seat.province == own.province else "country"
            for seat, own in zip(ours.seats, pool.strata, strict=True)
            if seat
        )
        assert min(spilled["own"], spilled["tier"], spilled["country"]) > 50
        assert sum(rank is None for rank in ours.ranks) > 1_000
