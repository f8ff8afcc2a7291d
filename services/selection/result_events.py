"""The events of results, a page at a time: the bytes of the outbox from columns, without an object for each event.

What an event looks like is still said by its contract alone. One sample of each shape is encoded like any other event;
its copies then get their own values in the places where the sample has its own. Events of one shape have one length:
a tier or a reason, a number of digits of the rank.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from libs.events import codec
from libs.events.contracts import Event, NotSelected, SelectedInBatch
from libs.events.outbox import BYTES_MAX, EventTooLarge
from libs.events.topics import TOPIC_OF
from services.selection.copying import POWERS, decimal, hexadecimal, raw, rows_of
from services.selection.domain.bulk_pool import REASONS as EXCLUSIONS
from services.selection.domain.bulk_pool import stratum_of
from services.selection.domain.bulk_sha256 import HASH_BYTES, Bytes, sha256_of

UNKNOWN: Final = 0
"""An application that the draw knows nothing of."""
REASONS: Final = (*EXCLUSIONS, "household-cap", "lost-draw")
"""Why there is no seat: `fate` of `results_page` counts them from 1."""
WON: Final = len(REASONS) + 1
TICKETLESS_MAX: Final = len(EXCLUSIONS)
"""Up to this fate an application was never in the pool."""
ID, ANOTHER_ID, DIGEST = "0" * 32, "1" * 32, "0" * 64
CRC_ONES: Final = np.uint32(2**32 - 1)
CRC_TABLE: Final = np.array([zlib.crc32(bytes([at]), 2**32 - 1) ^ (2**32 - 1) for at in range(256)], np.uint32)
"""What one byte makes of an empty register; `zlib` turns all bits round before and after."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What all events of a page have in common. `cutoffs`: the highest winning ticket by cell, where somebody won."""

    programme: str
    wave: int
    at: datetime
    cutoffs: Mapping[int, bytes]
    traceparent: str | None = None


def outbox_rows(rows: NDArray[np.void], telling: Telling) -> Iterator[Bytes]:
    """The rows of COPY into the outbox (topic, lane, key, value) for a page of results, one matrix for each shape."""
    fates, cells = rows["fate"].astype(np.int64), rows["cell"].astype(np.int64)
    cut = np.zeros(int(cells.max(initial=0)) + 1, np.bool_)
    cut[[cell for cell in telling.cutoffs if cell < len(cut)]] = True
    digits = np.searchsorted(POWERS, rows["rank"].astype(np.int64), side="right")
    # One fate and length of rank, with a cut-off or without; winners of one tier.
    shapes = 64 * fates + 4 * digits + 2 * np.where(fates == WON, cells % 2, 0) + cut[cells]
    for shape in np.unique(shapes).tolist():
        yield _rows_of_shape(rows[shapes == shape], telling, fate=shape // 64)


def _rows_of_shape(rows: NDArray[np.void], telling: Telling, fate: int) -> Bytes:
    first = rows[0]
    cell = int(first["cell"])
    common: dict[str, Any] = {
        "at": telling.at, "application_id": ID, "citizen_id": ANOTHER_ID, "programme": telling.programme,
        "wave": telling.wave,
    }  # fmt: skip
    applications, citizens = hexadecimal(raw(rows["application"])), hexadecimal(raw(rows["citizen"]))
    values: dict[str, Bytes] = {"application_id": applications, "citizen_id": citizens}
    if fate > TICKETLESS_MAX:
        common |= {"ticket": DIGEST}
        values["ticket"] = hexadecimal(raw(rows["ticket"]))
        if first["rank"]:
            common |= {"rank": int(first["rank"])}
            values["rank"] = decimal(rows["rank"].astype(np.int64), len(str(first["rank"])))
        if cell in telling.cutoffs:
            common |= {"cutoff": DIGEST}
            values["cutoff"] = _cutoffs(rows["cell"], telling.cutoffs)
    sample: Event
    if fate == WON:
        stratum = stratum_of(cell)
        sample = SelectedInBatch(**common, province=stratum.province, tier=stratum.tier)
        values["province"] = decimal(rows["cell"].astype(np.int64) // 2, 2)
    else:
        sample = NotSelected(**common, reason=REASONS[fate - 1])
    values["id"] = _event_ids(sample.TYPE, applications)
    topic = TOPIC_OF[sample.TYPE]
    lanes = (_crc32(citizens) % topic.partitions).astype(np.int16)
    return rows_of(len(rows), topic.name.encode(), lanes, citizens, _filled(sample, telling.traceparent, values))


def _filled(sample: Event, traceparent: str | None, values: Mapping[str, Bytes]) -> Bytes:
    """Copies of the encoded sample, each with its own values in the named fields."""
    encoded = codec.encode(sample, traceparent)
    if len(encoded) > BYTES_MAX:
        raise EventTooLarge(f"a {sample.TYPE} has {len(encoded)} bytes, and readers take {BYTES_MAX}")
    events = np.empty((len(values["id"]), len(encoded)), np.uint8)
    events[:] = np.frombuffer(encoded, np.uint8)
    for name, column in values.items():
        # A quote inside a text is escaped, so a field's name in quotes stands only where the field is.
        field = f'"{name}":'.encode()
        at = encoded.index(field) + len(field)
        at += encoded[at : at + 1] == b'"'
        events[:, at : at + column.shape[1]] = column
    return events


def _cutoffs(cells: NDArray[np.int16], cutoffs: Mapping[int, bytes]) -> Bytes:
    table = np.zeros((max(cutoffs) + 1, 2 * HASH_BYTES), np.uint8)
    for cell, ticket in cutoffs.items():
        table[cell] = np.frombuffer(ticket.hex().encode(), np.uint8)
    return table[cells.astype(np.int64)]


def _event_ids(kind: str, applications: Bytes) -> Bytes:
    """`ids.derive(kind, application_id)` of every application, as hexadecimal digits."""
    told, width = kind.encode(), applications.shape[1]
    prefix = len(told).to_bytes(4, "big") + told + width.to_bytes(4, "big")
    messages = np.empty((len(applications), len(prefix) + width), np.uint8)
    messages[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
    messages[:, len(prefix) :] = applications
    return hexadecimal(sha256_of(messages)[:, : width // 2])


def _crc32(keys: Bytes) -> NDArray[np.uint32]:
    """`zlib.crc32` of every row, by which `Topic.lane` goes; some six times as fast as a call for each."""
    found = np.full(len(keys), CRC_ONES, np.uint32)
    for column in np.ascontiguousarray(keys.T):
        found = CRC_TABLE.take((found ^ column) & 255) ^ (found >> 8)
    return found ^ CRC_ONES
