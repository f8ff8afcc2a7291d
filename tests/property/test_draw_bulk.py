"""The draw over columns is the draw by the letter of its page: whatever the pool, the quotas and the seed."""

import hashlib
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.selection.domain import bulk_draw, bulk_pool, bulk_sha256
from services.selection.domain.pool import Rules
from services.selection.domain.quotas import TIERS, Stratum
from tests.reference import draw_by_the_letter as letter
from tests.unit.draw_pools import crowd, entries_of
from tests.unit.listed_draw import Application, Pool, draw, freeze, leaf_hashes, levels_of, root_of


def agree(pool: Pool, quotas: dict[Stratum, int], seed: bytes) -> None:
    ours, theirs = (
        draw(pool, quotas, seed),
        letter.draw(entries_of(pool), {(each.province, each.tier): seats for each, seats in quotas.items()}, seed),
    )
    assert [tuple(each) for each in theirs] == list(zip(ours.tickets, ours.ranks, ours.seats, strict=True))


strata = st.builds(Stratum, st.sampled_from(["11", "31", "91"]), st.sampled_from(TIERS))


@st.composite
def pools(draw_from: st.DrawFn) -> Pool:
    ids = sorted(draw_from(st.sets(st.binary(min_size=16, max_size=16), max_size=40)))
    groups = draw_from(st.lists(st.integers(0, 9), min_size=len(ids), max_size=len(ids)))
    numbers: dict[int, int] = {}
    numbered = [numbers.setdefault(group, len(numbers)) for group in groups]
    free = draw_from(st.lists(st.integers(0, 3), min_size=10, max_size=10))
    own = draw_from(st.lists(strata, min_size=len(ids), max_size=len(ids)))
    return Pool(ids, own, numbered, [free[group] for group in numbered])


@given(pools(), st.dictionaries(strata, st.integers(0, 8)), st.binary(min_size=32, max_size=32))
@settings(max_examples=200, deadline=None)
def test_the_draw_over_columns_is_the_draw(pool: Pool, quotas: dict[Stratum, int], seed: bytes) -> None:
    agree(pool, quotas, seed)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 1_000, 70_001])
def test_the_tree_over_columns_is_the_tree(count: int) -> None:
    pool, _ = crowd(count)
    salts = random.Random(3).randbytes(16 * len(pool))
    leaves = leaf_hashes(pool, salts)
    theirs = [letter.leaf_hash(salts[16 * at :][:16], entry) for at, entry in enumerate(entries_of(pool))]
    assert leaves == b"".join(theirs)
    assert root_of(levels_of(leaves)) == letter.tree_hash(theirs)


marked = st.builds(
    Application,
    application_id=st.binary(min_size=16, max_size=16).filter(any),
    household_id=st.sampled_from(
        [bytes(8 * half) + bytes([at]) * (16 - 8 * half) for at in range(9) for half in (0, 1)]
    ),
    stratum=st.builds(Stratum, st.sampled_from(["11", "31"]), st.sampled_from(TIERS)),
    exclusions=st.lists(st.sampled_from(["blacklist", "other-aid", "unknown"]), max_size=3),
    member=st.booleans(),
    household_members=st.integers(0, 3),
)


@given(st.lists(marked, max_size=60, unique_by=lambda each: each.application_id), st.booleans())
@settings(deadline=None)
def test_filters_and_household_numbers_are_those_of_the_page(crowd: list[Application], other_aid: bool) -> None:
    people = sorted(crowd, key=lambda each: each.application_id)
    frozen = freeze(people, Rules(other_aid, 2))
    excluded, numbers, pool = list[tuple[bytes, str]](), dict[bytes, int](), []
    for each in people:
        reasons = [reason for reason in ("blacklist", "other-aid") if reason in each.exclusions]
        reasons = [reason for reason in reasons if reason == "blacklist" or not other_aid]
        if reasons or each.member:
            excluded.append((each.application_id, [*reasons, "already-member"][0]))
            continue
        group = numbers.setdefault(each.household_id, len(numbers))
        pool.append((each.application_id, each.stratum, group, max(0, 2 - each.household_members)))
    assert frozen.excluded == excluded
    found = frozen.pool
    assert list(zip(found.ids, found.strata, found.groups, found.places, strict=True)) == pool
    assert frozen.counts == {reason: sum(r == reason for _, r in excluded) for reason in bulk_pool.REASONS}


def test_tickets_that_begin_alike_go_by_all_their_bytes_and_then_by_their_leaf() -> None:
    tickets = np.zeros((6, 32), np.uint8)
    tickets[:, 0] = [9, 1, 1, 1, 1, 0]
    tickets[:, 31] = [0, 7, 3, 7, 5, 0]
    assert bulk_draw.ticket_order(tickets).tolist() == [5, 2, 4, 1, 3, 0]


def test_hashes_come_in_the_order_of_their_messages() -> None:
    messages = np.frombuffer(random.Random(4).randbytes(41 * 200_003), np.uint8).reshape(-1, 41)
    hashes = bulk_sha256.sha256_of(messages)
    for at in (0, 1, 32_767, 32_768, 100_000, 200_002):
        assert hashes[at].tobytes() == hashlib.sha256(messages[at].tobytes()).digest()
