"""Ids that derive from meaning, so that a retry can not mint a second one, and new opaque ids where nothing exists yet.

Every id is 128 bits written as 32 lower-case hexadecimal digits; PostgreSQL stores it as `uuid` (16 bytes).
"""

import hashlib
import os
from collections.abc import Iterable
from datetime import datetime


def derive(*parts: str) -> str:
    """The id of what `parts` mean together: the first 128 bits of SHA-256 over the length-prefixed parts.

    Length prefixes keep ("ab", "c") and ("a", "bc") apart.
    """
    told = hashlib.sha256()
    for part in parts:
        told.update(_prefixed(part))
    return told.hexdigest()[:32]


def derive_each(first: str, *columns: Iterable[str]) -> list[str]:
    """`derive` of `first` and each row of the columns."""
    head = _prefixed(first)
    told = map(head.__add__, map(b"".join, zip(*(map(_prefixed, column) for column in columns), strict=True)))
    return [digest.hexdigest()[:32] for digest in map(hashlib.sha256, told)]


def _prefixed(part: str) -> bytes:
    data = part.encode()
    return len(data).to_bytes(4, "big") + data


def new(now: datetime) -> str:
    """A fresh opaque id that sorts by `now`: 48 bits of milliseconds, 80 random bits. Neighbours share index pages."""
    milliseconds = int(now.timestamp() * 1000)
    return (milliseconds.to_bytes(6, "big") + os.urandom(10)).hex()
