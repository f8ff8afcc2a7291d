"""The draw over columns is the draw, and its tree is the tree: whatever the pool, the quotas and the seed."""

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy", reason="numpy is not installed: the draw over columns is not tested")
pytest.importorskip("datafusion", reason="datafusion is not installed: the draw over columns is not tested")

from services.selection.domain import bulk_draw, bulk_merkle, bulk_sha256, merkle  # noqa: E402
from services.selection.domain.draw import draw  # noqa: E402
from services.selection.domain.pool import Pool, leaf_hashes  # noqa: E402
from services.selection.domain.quotas import TIERS, Stratum  # noqa: E402
from tests.unit.draw_pools import crowd  # noqa: E402

AREAS = 100


def cell(stratum: Stratum) -> int:
    return 2 * int(stratum.province) + TIERS.index(stratum.tier)


def columns(pool: Pool) -> bulk_draw.PoolColumns:
    return bulk_draw.PoolColumns(
        ids=np.frombuffer(b"".join(pool.ids), np.uint8).reshape(-1, 16),
        cells=np.array([cell(stratum) for stratum in pool.strata], np.uint16),
        groups=np.array(pool.groups, np.uint32),
        places=np.array(pool.places, np.uint8),
    )


def agree(pool: Pool, quotas: dict[Stratum, int], seed: bytes) -> None:
    seats = np.zeros(2 * AREAS, np.int64)
    for stratum, count in quotas.items():
        seats[cell(stratum)] = count
    plain, bulk = draw(pool, quotas, seed), bulk_draw.draw_columns(columns(pool), seats, seed)
    assert [row.tobytes() for row in bulk.tickets] == list(plain.tickets)
    assert [rank or None for rank in bulk.ranks.tolist()] == list(plain.ranks)
    assert bulk.seats.tolist() == [cell(seat) if seat else -1 for seat in plain.seats]


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


def test_so_it_is_at_a_hundred_thousand() -> None:
    pool, quotas = crowd(100_000)
    agree(pool, quotas, hashlib.sha256(b"seed").digest())


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 1_000, 70_001])
def test_the_tree_over_columns_is_the_tree(count: int) -> None:
    pool, _ = crowd(count)
    salts = random.Random(3).randbytes(16 * len(pool))
    leaves = bulk_merkle.leaf_hashes(columns(pool), np.frombuffer(salts, np.uint8).reshape(-1, 16))
    assert leaves.tobytes() == leaf_hashes(pool, salts)
    assert [level.tobytes() for level in bulk_merkle.levels_of(leaves)] == merkle.levels_of(leaves.tobytes())


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
