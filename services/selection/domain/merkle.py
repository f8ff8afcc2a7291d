"""A Merkle tree as RFC 9162, section 2.1 defines it: leaves and nodes are hashed apart, an odd node is never doubled.

Level 0 holds the leaves; `bulk_merkle` makes the levels. The last node of an odd level moves up
unchanged, which gives exactly the tree of the RFC (the split at the largest power of two below the size).
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
LEAF: Final = b"\x00"
NODE: Final = b"\x01"
EMPTY: Final = sha256().digest()


def leaf_hash(data: bytes) -> bytes:
    return sha256(LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(NODE + left + right).digest()


def proof_positions(leaf: int, size: int) -> list[tuple[int, int]]:
    """Where the hashes of an inclusion proof stand, as (level, position), from the leaf upwards."""
    if not 0 <= leaf < size:
        raise ValueError("no such leaf")
    found = []
    level = 0
    while size > 1:
        sibling = leaf ^ 1
        if sibling < size:
            found.append((level, sibling))
        leaf, size, level = leaf // 2, (size + 1) // 2, level + 1
    return found


def is_included(leaf_digest: bytes, leaf: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof leads from this leaf to the root of a tree of this size (RFC 9162, section 2.1.3.2)."""
    if not 0 <= leaf < size:
        return False
    current, rest = leaf_digest, list(proof)
    while size > 1:
        if leaf ^ 1 < size:
            if not rest:
                return False
            sibling = rest.pop(0)
            current = node_hash(sibling, current) if leaf % 2 else node_hash(current, sibling)
        leaf, size = leaf // 2, (size + 1) // 2
    return not rest and current == root
