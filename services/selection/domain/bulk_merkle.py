"""The leaves and the tree of docs/draw.md, sections 3 and 4, over columns."""

from typing import Final

import numpy as np

from services.selection.domain.bulk_draw import ID_BYTES, PoolColumns
from services.selection.domain.bulk_sha256 import HASH_BYTES, SLAB_ROWS, Bytes, sha256_of
from services.selection.domain.merkle import LEAF, NODE
from services.selection.domain.pool import SALT_BYTES

AREAS_MAX: Final = 100
ENTRY_AT: Final = len(LEAF) + SALT_BYTES
LEAF_BYTES: Final = ENTRY_AT + 24


def leaf_hashes(pool: PoolColumns, salts: Bytes) -> Bytes:
    """The leaf hashes of a pool, (n, 32) bytes; `salts` has 16 random bytes for each entry.

    Raises ValueError where an area is not a province of two digits.
    """
    if salts.shape != (len(pool), SALT_BYTES):
        raise ValueError("one salt of 16 bytes for each entry")
    if len(pool) and int(pool.cells.max()) >= 2 * AREAS_MAX:
        raise ValueError("a province has two digits")
    hashes = np.empty((len(pool), HASH_BYTES), np.uint8)
    for first in range(0, len(pool), SLAB_ROWS):
        part = slice(first, first + SLAB_ROWS)
        hashes[part] = sha256_of(_leaves(pool, salts, part))
    return hashes


def _leaves(pool: PoolColumns, salts: Bytes, part: slice) -> Bytes:
    """What is hashed for these entries: tag, salt, id, two digits, tier, group, places."""
    cells = pool.cells[part]
    areas = cells >> 1
    leaves = np.empty((len(cells), LEAF_BYTES), np.uint8)
    leaves[:, 0] = LEAF[0]
    leaves[:, 1:ENTRY_AT] = salts[part]
    leaves[:, ENTRY_AT : ENTRY_AT + ID_BYTES] = pool.ids[part]
    leaves[:, 33] = areas // 10 + ord("0")
    leaves[:, 34] = areas % 10 + ord("0")
    leaves[:, 35] = (cells & 1) + 1
    leaves[:, 36:40] = pool.groups[part].astype(">u4").view(np.uint8).reshape(-1, 4)
    leaves[:, 40] = pool.places[part]
    return leaves


def levels_of(leaves: Bytes) -> list[Bytes]:
    """Every level of the tree over leaf hashes, the root last. The last of an odd level moves up."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        pairs = len(below) // 2
        above = np.empty(((len(below) + 1) // 2, HASH_BYTES), np.uint8)
        above[-1] = below[-1]
        for first in range(0, pairs, SLAB_ROWS):
            last = min(first + SLAB_ROWS, pairs)
            nodes = np.empty((last - first, 1 + 2 * HASH_BYTES), np.uint8)
            nodes[:, 0] = NODE[0]
            nodes[:, 1:] = below[2 * first : 2 * last].reshape(-1, 2 * HASH_BYTES)
            above[first:last] = sha256_of(nodes)
        levels.append(above)
    return levels
