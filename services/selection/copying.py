"""Rows in PostgreSQL's binary COPY form, to and from columns of numpy: a million rows without a Python value for each.

Only rows whose fields all have one length are read and made here, so a page of them is one matrix of bytes. The form is
that of the manual's page on COPY, "Binary Format": per row the number of fields, then each field's length and bytes,
big-endian; -1 for the length of a NULL.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from libs.events.database import Transaction
from services.selection.domain.bulk_sha256 import Bytes
from services.selection.store import QUERIES

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
CHUNK_BYTES: Final = 1 << 18
"""The server reads one message while the next is on its way."""

HEXADECIMAL: Final = np.frombuffer(b"".join(b"%02x" % at for at in range(256)), np.uint16)
"""Both digits of a byte as one value: half the work of two."""
POWERS: Final = 10 ** np.arange(10, dtype=np.int64)

Field: TypeAlias = "Bytes | NDArray[Any] | bytes | None"
"""(n, k) bytes or n integers: a value for each row. Bytes: the same for all. None: NULL in all."""


async def read(tx: Transaction, query: Any, fields: Sequence[tuple[str, str]], **parameters: Any) -> NDArray[np.void]:
    """What a named query finds, as a structured array. `fields`: name and numpy type of each column, big-endian.

    Raises ValueError where a row has another form.
    """
    found = bytearray()

    async def keep(data: bytes) -> None:
        found.extend(data)

    ordered = QUERIES.driver_adapter.maybe_order_params(query.__name__, parameters)
    await tx.copy_from_query(query.sql.rstrip().removesuffix(";"), *ordered, output=keep, format="binary")
    kind = np.dtype(
        [("", ">i2"), *[part for name, code in fields for part in ((f"{name} bytes", ">i4"), (name, code))]]
    )
    body = memoryview(found)[len(HEADER) : -len(TRAILER)]
    if len(body) % kind.itemsize:
        raise ValueError("a row of COPY has a field that is NULL or of another length")
    rows = np.frombuffer(body, kind)
    if any((rows[f"{name} bytes"] != kind[name].itemsize).any() for name, _ in fields):
        raise ValueError("a row of COPY has a field that is NULL or of another length")
    return rows


def rows_of(count: int, *fields: Field) -> Bytes:
    """The rows of a COPY, (count, width) bytes, without its header."""
    parts = [_bytes_of(field) for field in fields]
    widths = [0 if part is None else part.shape[-1] for part in parts]
    rows = np.empty((count, 2 + 4 * len(parts) + sum(widths)), np.uint8)
    rows[:, :2] = _big_endian(len(parts), 2)
    at = 2
    for part, width in zip(parts, widths, strict=True):
        rows[:, at : at + 4] = _big_endian(-1 if part is None else width, 4)
        at += 4
        if part is not None:
            rows[:, at : at + width] = part
            at += width
    return rows


async def write(tx: Transaction, table: str, columns: Sequence[str], pieces: Iterable[Bytes]) -> None:
    """COPY rows made by `rows_of` into a table; pieces may have rows of different width."""
    await tx.copy_to_table(table, columns=columns, format="binary", source=messages(pieces))


async def messages(pieces: Iterable[Bytes]) -> AsyncIterator[bytes]:
    """A whole binary COPY of pieces made by `rows_of`."""
    yield HEADER
    for piece in pieces:
        for message in messages_of(piece):
            yield message
    yield TRAILER


def messages_of(piece: Bytes) -> Iterator[bytes]:
    """Rows in parts of a size the server can work on while the next one is sent."""
    flat = piece.reshape(-1)
    return (flat[first : first + CHUNK_BYTES].tobytes() for first in range(0, len(flat), CHUNK_BYTES))


def raw(column: NDArray[np.void]) -> Bytes:
    """A column of bytes as (n, k) bytes."""
    return np.ascontiguousarray(column).view(np.uint8).reshape(len(column), column.itemsize)


def hexadecimal(values: Bytes) -> Bytes:
    """(n, k) bytes as (n, 2k) lower-case digits in ASCII."""
    return HEXADECIMAL.take(values).view(np.uint8).reshape(len(values), 2 * values.shape[1])


def decimal(numbers: NDArray[np.integer[Any]], digits: int) -> Bytes:
    """Whole numbers as (n, digits) digits in ASCII, with zeros in front."""
    return (numbers.astype(np.int64)[:, None] // POWERS[:digits][::-1] % 10 + ord("0")).astype(np.uint8)


def _bytes_of(field: Field) -> Bytes | None:
    if field is None:
        return None
    if isinstance(field, bytes):
        return np.frombuffer(field, np.uint8)
    if field.ndim == 2:
        return field
    big = np.ascontiguousarray(field.astype(field.dtype.newbyteorder(">")))
    return big.view(np.uint8).reshape(len(field), field.itemsize)


def _big_endian(number: int, width: int) -> Bytes:
    return np.frombuffer(number.to_bytes(width, "big", signed=True), np.uint8)
