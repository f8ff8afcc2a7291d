"""A run that is taken as a whole is what its records are one by one: the same events, verdict and poison."""

import asyncio
import gc
import json
import weakref
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from libs.events import codec, regular
from libs.events.parking import Parked, divide
from libs.events.polls import read_poll
from libs.events.position import Position, in_step, sort_out
from libs.events.records import Read, look_at
from libs.events.runs import Run, keys_of, one_by_one, take
from libs.events.topics import TOPIC_OF, TOPICS
from tests.support import NOON

LANE: Final = ("incentive-paid", 3)
EXAMPLES: Final = Path(codec.__file__).parent / "examples"
KEYS: Final = [f"{who:032x}" for who in range(1, 4)]
EVENT: Final = {
    "at": "2020-05-01T03:04:05.678901Z", "citizen_id": KEYS[0], "programme": "prakerja-2020", "wave": 3,
    "province": "31", "amount_rupiah": 600_000, "payout_id": "a" * 32, "milestone": "incentive-1", "rail": "bank",
    "attempt": 1, "batch_id": "b" * 32, "reason": "wallet-full", "appropriation_id": "c" * 32,
}  # fmt: skip
TYPES: Final = ["incentive-submitted", "incentive-paid", "money-reserved", "reservation-released"]


def value(kind: str, number: int, key: str, **changed: Any) -> bytes:
    event = codec.CATALOGUE[kind].model_validate(EVENT | {"citizen_id": key} | changed)
    return codec.numbered(codec.encode(event), number, 1)


def records(*told: tuple[bytes | None, bytes | None], lane: tuple[str, int] = LANE) -> list[Any]:
    return [
        SimpleNamespace(topic=lane[0], partition=lane[1], offset=100 + index, key=key, value=value)
        for index, (value, key) in enumerate(told)
    ]


HOSTILE_DATA: Final[dict[str, bytes]] = {
    "at": b'"2020-05-01T03:04:05.6789019Z" "2020-05-01T03:04:05.9999999Z" "2020-05-01T03:04Z" 1588300000 '
    b'"2020-05-01T03:04:05" "2020-05-01 03:04:05+07:00" "2020-05-01T03:04:05.678901+07:00" "2020-05-01T03:04:05-00:00" '
    b'"0001-01-01T00:00:00+07:00" "2020-05-01T23:59:60Z" "20200501T030405Z" null',
    "wave": b'5.0 1e3 true "5" -0 9223372036854775808 18446744073709551616 01 NaN 5.5 null 1e999 -7',
    "amount_rupiah": b'"9007199254740993" -1 9007199254740993 0 1.0 false',
    "attempt": b"0 1 -1 99999999999999999999999",
    "programme": b'"\\u0000" "\\ud800" "\\ud83d\\ude00" "\xc3\xa9" "\xff" "\\u0061" "" 7 "a\\\\u0000" "\\t" "}],[{"',
    "payout_id": b'"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" "aa" "%s" "%s" 1 "\xd9\xa1" null' % (b"a" * 33, b" a" * 16),
    "province": b'"3" "311" "\xd9\xa1\xd9\xa2" "31\\n" 31',
    "rail": b'"cash" "BANK" null 1',
    "number": b'2 0 "3" null',
    "added_later": b'[1] {"a":{"a":1}} "\xff" NaN null %s %s' % (b"[" * 300 + b"]" * 300, b'"\\ud800"'),
}


@st.composite
def hostile(draw: Any, good: bytes) -> Any:
    """A record that a relay did not write, or not like this; some of them are fine all the same."""
    whole = json.loads(good)
    match draw(st.integers(0, 9)):
        case 0:
            name = draw(st.sampled_from(sorted(HOSTILE_DATA)))
            raw = draw(
                st.sampled_from(
                    HOSTILE_DATA[name].split(b" ")
                    if name != "added_later"
                    else [b"[1]", b'"\xff"', b"NaN", b"[" * 300 + b"]" * 300]
                )
            )
            whole["data"].pop(name, None)
            return json.dumps(whole).encode()[:-2] + b',"' + name.encode() + b'":' + raw + b"}}"
        case 1:
            name = draw(st.sampled_from(sorted(whole)))
            other = draw(
                st.sampled_from(
                    [
                        None,
                        1,
                        "",
                        "x",
                        "training",
                        "incentive-paid",
                        "urn:gelombang:incentive-paid:2",
                        "9" * 19,
                        " 1",
                        "1_0",
                        "٣",
                        2**31,
                        -1,
                    ]
                )
            )
            return json.dumps(whole | {name: other}).encode()
        case 2:
            del whole[draw(st.sampled_from(sorted(whole)))]
            return json.dumps(whole).encode()
        case 3:
            whole["data"].pop(draw(st.sampled_from(sorted(whole["data"]))))
            return json.dumps(whole).encode()
        case 4:
            return draw(
                st.sampled_from(
                    [b"", None, b"[]", b"{", b"1],[2", good + b"," + good, good + b" ", b" " + good, good[:-1], b"null"]
                )
            )
        case 5:  # twice the same attribute
            name = draw(st.sampled_from(sorted(whole)))
            other = draw(st.sampled_from([whole[name], "incentive-paid", "money-reserved", 7, {}]))
            return good[:-1] + b"," + json.dumps({name: other}).encode()[1:]
        case 6:
            return json.dumps(whole | {"subject": "x"}).encode()
        case 7:
            return json.dumps(dict(reversed(whole.items()))).encode()
        case 8:
            return good + b" " * codec.VALUE_BYTES_MAX
        case _:
            cut = draw(st.integers(0, len(good) - 1))
            return good[:cut] + draw(st.binary(max_size=3)) + good[cut + 1 :]


@st.composite
def lanes(draw: Any) -> list[Any]:
    """What a poll may bring of a lane: mostly regular, now and then anything."""
    told: list[Any] = []
    number = draw(st.integers(1, 3))
    for _ in range(draw(st.integers(1, 6))):
        key = draw(st.sampled_from(KEYS))
        record: bytes | None = value(draw(st.sampled_from(TYPES)), number, key)
        name: bytes | None = key.encode()
        match draw(st.integers(0, 24)):
            case 0 | 1 | 2:
                record = draw(hostile(record or b""))
            case 3:
                name = draw(
                    st.sampled_from([None, b"", b"\xff", b"x", name + b"\0" if name else b"", KEYS[0].encode()])
                )
            case 4:
                number += draw(st.sampled_from([-1, 1]))
        number += 1
        told.append((record, name))
    return records(*told)


async def read_run(lane: tuple[str, int], fetched: Sequence[Any]) -> Run | None:
    """What a poll of one lane brought, if that is a run."""
    runs, _ = await read_poll({TopicPartition(*lane): fetched})
    return runs[0] if runs else None


def said(reads: Sequence[Read]) -> list[Any]:
    """All that is known of records; a Poison is what it says."""
    return [(replace(read, poison=None), str(read.poison)) for read in reads]


@given(lanes(), st.integers(0, 3), st.integers(0, 2), st.sets(st.sampled_from(KEYS), max_size=1))
def test_a_run_taken_as_a_whole_is_what_its_records_are_one_by_one(
    fetched: list[Any], number: int, epoch: int, held: set[str]
) -> None:
    position, parked = Position(100, number, epoch, 99), {LANE: held}
    reads = look_at(fetched)
    verdict = sort_out(position, reads)
    healthy, poison = divide([reads[index] for index in sorted([*verdict.news, *verdict.strays])], deepcopy(parked))

    runs, others = asyncio.run(read_poll({TopicPartition(*LANE): fetched}))
    assert said(one_by_one(others, runs)) == said(reads)
    assert sorted(keys_of(others, runs)) == sorted(read.key for read in reads if read.key)
    taken = take({LANE: position}, parked, runs)
    if not taken.verdicts:
        assert said([*others, *taken.others]) == said(reads), "what is not taken as a whole is looked at one by one"
        return
    free, parked_here = divide(taken.mixed, deepcopy(parked))
    assert taken.keys == [event.key() for event in taken.events]
    assert [vars_of(one) for one in parked_here] == [vars_of(one) for one in poison]
    found = taken.verdicts[LANE]
    assert (len(found.news), found.repeats, found.gap, found.after) == (
        len(verdict.news), verdict.repeats, verdict.gap, verdict.after,
    )  # fmt: skip
    assert by_key([*taken.events, *free]) == by_key(healthy)
    assert by_key([*taken.events, *free], repr_of_time) == by_key(healthy, repr_of_time)


def by_key(events: Sequence[Any], told: Any = lambda event: event) -> dict[str, list[Any]]:
    """Order is promised per key."""
    found: dict[str, list[Any]] = {}
    for event in events:
        found.setdefault(event.key(), []).append(told(event))
    return found


def repr_of_time(event: Any) -> str:
    return repr(vars(event)["at"].utcoffset())


def vars_of(parked: Parked) -> Any:
    return replace(parked, reason=None), str(parked.reason)  # type: ignore[arg-type]


@given(st.integers(1, 5), st.integers(0, 5), st.integers(1, 3), st.integers(0, 3), st.integers(1, 4))
def test_the_verdict_on_a_run_is_the_one_on_its_records(
    first: int, number: int, epoch: int, stored: int, count: int
) -> None:
    position = Position(7, number, stored, 6)
    run = SimpleNamespace(first=first, epoch=epoch, offset=19 + count, keys=["k"] * count)
    seen = [SimpleNamespace(offset=20 + index, number=first + index, epoch=epoch) for index in range(count)]
    whole = in_step(position, run)
    one_by_one = sort_out(position, seen)
    if whole:
        assert (list(whole.news), whole.after, one_by_one.gap) == (one_by_one.news, one_by_one.after, None)
    else:
        assert len(one_by_one.news) < count


def regular_types() -> list[str]:
    return sorted(shape.contract.TYPE for topic in TOPICS for shape in regular._reader(topic)[1].values())


@pytest.mark.parametrize("kind", regular_types())
def test_each_regular_type_is_read_as_pydantic_reads_it(kind: str) -> None:
    contract = codec.CATALOGUE[kind]
    golden = json.loads((EXAMPLES / f"{kind}.{contract.VERSION}.json").read_text())
    plain = {name: EVENT[name] for name in ("at", "amount_rupiah") if name in golden["data"]}  # no sum beyond 2^53
    event = contract.model_validate(golden["data"] | plain)
    key = event.key().encode()
    fetched = records((codec.numbered(codec.encode(event), 1, 1), key), lane=(TOPIC_OF[kind].name, 0))
    run = asyncio.run(read_run((TOPIC_OF[kind].name, 0), fetched))
    assert run is not None
    assert list(run.events) == [event]
    (told,) = run.events
    assert type(told) is contract
    assert {name: type(what) for name, what in vars(told).items()} == {
        name: type(what) for name, what in vars(event).items()
    }
    assert told.model_dump_json() == event.model_dump_json()
    assert (told.model_copy(update={"at": NOON}), hash(told)) == (event.model_copy(update={"at": NOON}), hash(event))


def test_what_comes_in_millions_is_regular() -> None:
    """The others are few, or hold lists of things."""
    assert set(codec.CATALOGUE) - set(regular_types()) <= {"intake-closed", *TOPICS["waves"].events}


def test_a_long_run_of_mixed_types_is_one() -> None:
    told = [(value(TYPES[n % 4], n, KEYS[n % 3]), KEYS[n % 3].encode()) for n in range(1, 1_302)]
    run = asyncio.run(read_run(LANE, fetched := records(*told)))
    assert run is not None
    assert list(run.events) == [read.event for read in look_at(fetched)]
    assert (run.first, run.epoch, run.offset, len(run.keys)) == (1, 1, 1_400, 1_301)


@pytest.mark.parametrize(
    "bad", [None, b"", b"{", b'{"hello":1}', value(TYPES[0], 2, KEYS[1], wave=3).replace(b'"wave":3', b'"wave":"x"')]
)
def test_what_is_noted_of_a_bad_record_keeps_nothing_else_alive(bad: bytes | None) -> None:
    """A raised Poison holds the frames it came through, and they all that a poll brought, until the collector runs."""

    class Brought(SimpleNamespace):
        """A record one can have a weak reference to."""

    gc.disable()
    try:
        fetched = [
            Brought(**vars(one)) for one in records((value(TYPES[0], 1, KEYS[0]), b"k"), (bad, KEYS[1].encode()))
        ]
        good = weakref.ref(fetched[0])
        *_, noted = look_at(fetched)
        assert noted.poison
        del fetched, _
        assert good() is None
    finally:
        gc.enable()
