"""Events to bytes and back, and a word for everything that can not be read."""

import json
import zlib
from types import SimpleNamespace
from typing import Any

import pytest

from libs.events import codec, ids, records
from libs.events.contracts import TrainingRated
from libs.events.records import Read
from tests.support import NOON

CITIZEN = f"{7:032x}"
RATED = TrainingRated(
    at=NOON, enrolment_id=ids.derive("e"), citizen_id=CITIZEN, programme="prakerja-2020", wave=1,
    course_id=ids.derive("c"), stars=5,
)  # fmt: skip
GOOD = codec.numbered(codec.encode(RATED), 12, 1)
TOPIC = "training-completed"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def record(value: bytes | None = GOOD, key: bytes | None = CITIZEN.encode()) -> Any:
    return SimpleNamespace(topic=TOPIC, partition=3, offset=40, key=key, value=value)


def look_at(record: Any) -> Read:
    (read,) = records.look_at([record])
    return read


def changed(**attributes: Any) -> bytes:
    return json.dumps(json.loads(GOOD) | attributes).encode()


def data(**fields: Any) -> bytes:
    return changed(data=json.loads(GOOD)["data"] | fields)


def test_an_event_comes_back_as_it_was_with_its_number() -> None:
    read = look_at(record())
    assert (read.event, read.poison) == (RATED, None)
    assert (read.lane, read.offset, read.key, read.number, read.epoch) == ((TOPIC, 3), 40, CITIZEN, 12, 1)


def test_the_envelope_is_a_cloud_event_whose_number_sorts_as_text() -> None:
    envelope = json.loads(codec.numbered(codec.encode(RATED, TRACE), 12, 3))
    assert envelope.pop("data")["stars"] == 5
    assert envelope == {
        "sequence": "0000000000000012", "epoch": 3, "specversion": "1.0", "id": RATED.event_id(), "source": "training",
        "type": "training-rated", "time": NOON.isoformat(), "dataschema": "urn:gelombang:training-rated:1",
        "traceparent": TRACE,
    }  # fmt: skip


def test_a_reader_ignores_what_it_does_not_know() -> None:
    value = json.loads(GOOD) | {"partitionkey": "x"}
    value["data"] |= {"added_later": [1]}
    assert look_at(record(json.dumps(value).encode())).event == RATED


BARE = json.loads(GOOD)
POISON = {
    "no key": (record(key=None), "no-key", False),
    "empty key": (record(key=b""), "no-key", False),
    "key not text": (record(key=b"\xff"), "no-key", False),
    "no value": (record(None), "empty", False),
    "empty value": (record(b""), "empty", False),
    "not JSON": (record(b'{"specversion":'), "bad-json", False),
    "not text": (record(GOOD.replace(b"training-rated", b"\xff")), "bad-json", False),
    "half a surrogate": (record(GOOD.replace(b"training-rated", b"\\ud800")), "bad-json", False),
    "a list": (record(b"[]"), "not-a-cloud-event", False),
    "no id": (record(json.dumps({k: v for k, v in BARE.items() if k != "id"}).encode()), "not-a-cloud-event", False),
    "an older standard": (record(changed(specversion="0.3")), "not-a-cloud-event", False),
    "a number that is none": (record(changed(sequence="-1")), "not-a-cloud-event", False),
    "a number as number": (record(changed(sequence=12)), "not-a-cloud-event", False),
    "10 MB": (record(b'{"x":"' + b"y" * 10_000_000 + b'"}'), "too-large", False),
    "another producer": (record(changed(source="finance")), "wrong-source", False),
    "no number": (record(codec.encode(RATED)), "no-number", False),
    "unknown type": (record(changed(type="training-undone")), "unknown-type", True),
    "another topic's type": (
        record(changed(type="applied", dataschema="urn:gelombang:applied:1")), "wrong-topic", True,
    ),
    "a version to come": (record(changed(dataschema="urn:gelombang:training-rated:2")), "unknown-version", True),
    "version 0": (record(changed(dataschema="urn:gelombang:training-rated:0")), "unknown-version", True),
    "another schema": (record(changed(dataschema="urn:other:training-rated:1")), "unknown-version", True),
    "wrong type of data": (record(changed(data="text")), "bad-data", True),
    "wrong field": (record(data(stars="3201010101010001")), "bad-data", True),
    "missing field": (record(changed(data={})), "bad-data", True),
    "NUL": (record(data(programme="prakerja\0")), "nul", True),
    "another's key": (record(key=f"{8:032x}".encode()), "wrong-key", True),
}  # fmt: skip


@pytest.mark.parametrize("name", POISON)
def test_what_can_not_be_applied_has_a_word_and_keeps_its_number_where_it_has_one(name: str) -> None:
    strange, reason, numbered = POISON[name]
    read = look_at(strange)
    assert read.event is None
    assert read.poison is not None
    assert read.poison.reason == reason
    assert (read.number == 12) is numbered
    for secret in ("3201010101010001", CITIZEN, f"{8:032x}", "training-undone", "prakerja", "yyyy"):
        assert secret not in str(read.poison)


def test_a_wrong_field_is_named_and_its_value_is_not() -> None:
    read = look_at(record(data(stars="3201010101010001", wave=None)))
    assert str(read.poison) == "bad-data: training-rated: wrong or missing: stars, wave"


@pytest.mark.parametrize(
    "value",
    [
        changed(sequence="9" * 5_000),
        changed(dataschema="urn:gelombang:training-rated:" + "9" * 5_000),
        GOOD.replace(b'"data":{', b'"data":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b","),
    ],
    ids=["number of 5,000 digits", "version of 5,000 digits", "100,000 brackets"],
)
def test_no_record_may_stop_the_reader(value: bytes) -> None:
    assert look_at(record(value)).poison is not None


@pytest.mark.parametrize(("at", "expected"), [(1, {"a": 1, "b": 2, "c": 3}), (2, {"a": 1, "c": 3}), (3, {"a": 1})])
def test_old_data_is_lifted_one_version_at_a_time(
    monkeypatch: pytest.MonkeyPatch, at: int, expected: dict[str, int]
) -> None:
    steps = {("t", 1): lambda old: old | {"b": 2}, ("t", 2): lambda old: old | {"c": 3}}
    monkeypatch.setattr(codec, "UPCASTERS", steps)
    assert codec.upcast("t", at, 3, {"a": 1}) == expected


def test_an_event_of_the_first_version_is_read_in_todays(monkeypatch: pytest.MonkeyPatch) -> None:
    """What will happen on the day `training-rated` gets a second version that renames `stars`."""
    monkeypatch.setattr(TrainingRated, "VERSION", 2)
    monkeypatch.setattr(codec, "UPCASTERS", {("training-rated", 1): lambda old: old | {"stars": old["given"]}})
    old = json.loads(GOOD)
    old["data"]["given"] = old["data"].pop("stars")
    assert look_at(record(json.dumps(old).encode())).event == RATED
    monkeypatch.setattr(codec, "UPCASTERS", {("training-rated", 1): lambda old: old})
    poison = look_at(record(json.dumps(old).encode())).poison
    assert poison is not None
    assert poison.reason == "bad-data"


def test_one_bad_record_among_many_alike_spoils_none_of_them() -> None:
    """They are read together, so each kind of fault must send its neighbours back to be read one by one."""
    for strange, reason, _ in POISON.values():
        reads = records.look_at([record(), strange, record(), record(data(stars=4))])
        assert [read.poison.reason if read.poison else None for read in reads] == [None, reason, None, None]
        assert [read.event.stars for read in reads if isinstance(read.event, TrainingRated)] == [5, 5, 4]


def test_a_lane_is_the_one_that_other_clients_would_choose() -> None:
    """CRC-32 of the key, as librdkafka's `consistent` partitioner: 0xCBF43926 is the check value of CRC-32/ISO-HDLC."""
    from libs.events.topics import TOPICS

    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert TOPICS[TOPIC].lane("123456789") == 0xCBF43926 % 24
