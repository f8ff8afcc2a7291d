"""SHA-256 of short messages of one length: of millions by DataFusion's vectorised function over all cores.

A loop over `hashlib` spends ten times as long on calls as on hashing. See docs/adr/0008.
"""

from hashlib import sha256
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]

HASH_BYTES: Final = 32
BATCH_ROWS: Final = 1 << 15
SLAB_ROWS: Final = 1 << 20
"""Rows that are laid out and hashed at a time: whoever calls this a slab at a time needs no memory for the rest."""


def sha256_of(messages: Bytes) -> Bytes:
    """The hashes of the rows, in their order: (n, k) bytes in, (n, 32) bytes out. Holds the input twice at most."""
    if len(messages) < BATCH_ROWS:
        return _one_by_one(messages)
    return _in_batches(np.ascontiguousarray(messages))


def _one_by_one(messages: Bytes) -> Bytes:
    """Some milliseconds for a wave of thousands, which so needs no DataFusion: 0.3 s and 50 MB to load it."""
    length, data = messages.shape[1], messages.tobytes()
    found = b"".join([sha256(data[at : at + length]).digest() for at in range(0, len(data), length)])
    return np.frombuffer(found, np.uint8).reshape(-1, HASH_BYTES)


def _in_batches(flat: Bytes) -> Bytes:
    # Only here, so that a process that never meets so many messages starts as if there were no DataFusion.
    import pyarrow as pa
    from datafusion import SessionConfig, SessionContext, col, functions

    rows, length = flat.shape
    hashes = np.empty((rows, HASH_BYTES), np.uint8)
    offsets = pa.py_buffer(np.arange(BATCH_ROWS + 1, dtype=np.int32) * np.int32(length))
    parts = []
    for first in range(0, rows, BATCH_ROWS):
        part = flat[first : first + BATCH_ROWS]
        column = pa.Array.from_buffers(pa.binary(), len(part), [None, offsets, pa.py_buffer(part)])
        parts.append([pa.record_batch([column], names=["message"])])
    # One partition for each batch, and each asked for by its place: the order can not depend on who is done first.
    config = SessionConfig().with_batch_size(BATCH_ROWS).with_repartition_file_scans(False)
    hashed = SessionContext(config).create_dataframe(parts).select(functions.sha256(col("message")))
    at = 0
    for batches in hashed.collect_partitioned():
        for batch in batches:
            found = batch.column(0)
            begin = HASH_BYTES * found.offset
            data = np.frombuffer(found.buffers()[2], np.uint8, HASH_BYTES * len(found), begin)
            hashes[at : at + len(found)] = data.reshape(-1, HASH_BYTES)
            at += len(found)
    if at != rows:
        raise RuntimeError(f"{at} hashes of {rows} messages")
    return hashes
