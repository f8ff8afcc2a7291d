"""Events made in bulk are, byte for byte, the events that one by one would be written into the outbox."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events import codec
from libs.events.contracts import Event, NotSelected, SelectedInBatch
from libs.events.topics import TOPIC_OF
from services.selection import result_events
from services.selection.copying import rows_of
from services.selection.domain.bulk_pool import stratum_of
from services.selection.pool_store import RESULT
from services.selection.result_events import REASONS, WON, Telling

Row = tuple[bytes, bytes, int, int, bytes, int]
AREAS = (11, 31, 91)


@st.composite
def results(draw: st.DrawFn) -> Row:
    fate, cell = draw(st.integers(1, WON)), 2 * draw(st.sampled_from(AREAS)) + draw(st.integers(0, 1))
    in_pool, ranked = fate > 3, fate > 4
    ids = st.binary(min_size=16, max_size=16)
    ticket = draw(st.binary(min_size=32, max_size=32)) if in_pool else bytes(32)
    rank = draw(st.integers(1, 10) | st.integers(1, 2**31 - 1)) if ranked else 0
    return draw(ids), draw(ids), cell, fate, ticket, rank


tellings = st.builds(
    Telling,
    programme=st.sampled_from(["prakerja-2020", 'a "rank":7 b', "zuré\\"]),
    wave=st.integers(1, 999),
    at=st.datetimes(datetime(2020, 1, 1), datetime(2039, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    cutoffs=st.dictionaries(
        st.sampled_from([2 * area + tier for area in AREAS for tier in (0, 1)]), st.binary(min_size=32, max_size=32)
    ),
    traceparent=st.none() | st.just(f"00-{'ab' * 16}-{'cd' * 8}-01"),
)


def one_by_one(row: Row, telling: Telling) -> Event:
    application, citizen, cell, fate, ticket, rank = row
    common: dict[str, Any] = {
        "at": telling.at, "application_id": application.hex(), "citizen_id": citizen.hex(),
        "programme": telling.programme, "wave": telling.wave,
    }  # fmt: skip
    cutoff = telling.cutoffs.get(cell)
    if fate > 3:
        common |= {"ticket": ticket.hex(), "rank": rank or None, "cutoff": cutoff.hex() if cutoff else None}
    if fate == WON:
        province, tier = stratum_of(cell)
        return SelectedInBatch(**common, province=province, tier=tier)
    return NotSelected(**common, reason=REASONS[fate - 1])


def copied(event: Event, traceparent: str | None) -> bytes:
    """The row of a binary COPY, written from the page of the manual."""
    topic, key = TOPIC_OF[event.TYPE], event.key()
    fields = (
        topic.name.encode(), topic.lane(key).to_bytes(2, "big"), key.encode(), codec.encode(event, traceparent),
    )  # fmt: skip
    return b"\x00\x04" + b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def structured(rows: list[Row]) -> Any:
    return np.array(rows, np.dtype([(name, code) for name, code in RESULT]))


@given(st.lists(results(), max_size=30), tellings)
@settings(max_examples=300, deadline=None)
def test_the_bytes_are_those_of_the_events_one_by_one(rows: list[Row], telling: Telling) -> None:
    made = [row.tobytes() for piece in result_events.outbox_rows(structured(rows), telling) for row in piece]
    assert sorted(made) == sorted(copied(one_by_one(row, telling), telling.traceparent) for row in rows)


def test_a_row_of_copy_knows_null_constants_numbers_and_bytes() -> None:
    rows = rows_of(2, None, b"x", np.array([1, -2], np.int32), np.array([[1, 2], [3, 4]], np.uint8))
    assert [row.tobytes().hex() for row in rows] == [
        "0004" "ffffffff" "0000000178" "0000000400000001" "000000020102",
        "0004" "ffffffff" "0000000178" "00000004fffffffe" "000000020304",
    ]  # fmt: skip
    assert rows_of(0, b"x", np.zeros(0, np.int32), np.zeros((0, 2), np.uint8)).shape == (0, 21)
