"""Reads many records at once where each is just what a relay writes of a contract in today's version.

What may stand in a record is derived from pydantic's own schema of each contract, and read by msgspec, which costs a
fraction. It is narrower than the contract: no unknown field, no number as text, no time finer than a microsecond. So
what is read here pydantic reads too, and as the same event (tests/property/test_events_runs.py). What is not read here
need not be wrong: `records.look_at` judges it.
"""

import functools
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from operator import or_
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from pydantic import BaseModel

from libs.events.codec import CATALOGUE, EPOCH_MAX
from libs.events.contracts import Event
from libs.events.topics import TOPICS

STRICT: Final[dict[str, Any]] = {"frozen": True, "gc": False, "forbid_unknown_fields": True, "kw_only": True}
TIME_LENGTH_MAX: Final = len("2020-05-01T03:04:05.678901Z")  # a longer one may have more digits: the two readers differ
TIMES: Final = list[Annotated[datetime, msgspec.Meta(tz=True)]]
HEX: Final = re.compile(r"\^\[0-9a-f\]\{(\d+)\}\$")

_SLOTS: Final = [
    vars(BaseModel)[name].__set__
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
]


class Envelope(msgspec.Struct, **STRICT):
    """The CloudEvent as `codec.encode` and the relay write it; the type decides about source, schema and data."""

    specversion: Literal["1.0"]
    id: str
    time: str
    sequence: str
    epoch: Annotated[int, msgspec.Meta(ge=0, le=EPOCH_MAX)]
    traceparent: str | None = None


class Unknown(Exception):
    """A schema that is not understood here, or not in full: its events are left to pydantic."""


class Irregular(Exception):
    """One of the records, at least, is not just what a relay writes."""


WRONG: Final = (msgspec.DecodeError, Irregular, ValueError, RecursionError)


class Told(NamedTuple):
    """What records say, by column."""

    envelopes: Sequence[Any]
    keys: Sequence[str]
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Shape:
    """What the type of a contract's data does not say by itself. Column by column: one check for a whole list."""

    contract: type[Event]
    columns: dict[str, Callable[[list[Any]], list[Any]]]
    """Checks of a field's values; each gives them as they stand in the event, or raises."""

    def events(self, data: Sequence[Any]) -> list[Event]:
        """The events of this data."""
        rows = list(map(msgspec.structs.asdict, data))
        for name, check in self.columns.items():
            column = check(told := [row[name] for row in rows])
            if column is not told:
                _for_each(dict.__setitem__, rows, repeat(name), column)
        models = list(map(object.__new__, repeat(self.contract, len(rows))))
        fields: list[Iterable[Any]] = [rows, repeat(set(self.contract.model_fields)), repeat(None), repeat(None)]
        for put, values in zip(_SLOTS, fields, strict=True):
            _for_each(put, models, values)
        return models


def opened(values: Sequence[bytes], topic: str) -> tuple[list[Any], list[int]]:
    """Envelope and data of the records that can be read here, still to be checked by `columns`; and where the others
    stand."""
    decode, _ = _reader(topic)
    found, others = list[Any](), list[int]()
    for value in values:  # each by itself: no record can reach into the next
        try:
            found.append(decode(value))
        except WRONG:
            others.append(len(found) + len(others))
    return found, others


def columns(told: Sequence[Any], topic: str) -> Told:
    """Envelopes, keys and events of records that were opened. Raises one of WRONG."""
    _, shapes = _reader(topic)
    kinds = list(map(type, told))
    if len(of := set(kinds)) == 1:
        shape, data = shapes[of.pop()], [one.data for one in told]
        return Told(told, shape.contract.keys(data), shape.events(data))
    keys: list[Any] = [None] * len(told)
    events: list[Any] = [None] * len(told)
    for kind in of:
        alike = [index for index, other in enumerate(kinds) if other is kind]
        data = [told[index].data for index in alike]
        _for_each(keys.__setitem__, alike, shapes[kind].contract.keys(data))
        _for_each(events.__setitem__, alike, shapes[kind].events(data))
    return Told(told, keys, events)


@functools.cache
def _reader(topic: str) -> tuple[Callable[[bytes], Any], dict[type, Shape]]:
    shapes: dict[Any, Shape] = {}
    for name in TOPICS[topic].events:
        try:
            data, shape = _shape(CATALOGUE[name])
        except Unknown:
            continue
        source, schema = TOPICS[topic].producer, f"urn:gelombang:{name}:{shape.contract.VERSION}"
        fields = [("source", Literal[source]), ("dataschema", Literal[schema]), ("data", data)]
        shapes[msgspec.defstruct(name, fields, bases=(Envelope,), tag_field="type", tag=name, **STRICT)] = shape
    return msgspec.json.Decoder(functools.reduce(or_, shapes)).decode, shapes


def _shape(contract: type[Event]) -> tuple[type, Shape]:
    """The type of a contract's data. Raises Unknown."""
    match contract.__pydantic_core_schema__:
        case {"type": "model", "custom_init": False, "schema": {"type": "model-fields", "fields": fields}} as model:
            if "post_init" in model or contract.key is not Event.key:
                raise Unknown
        case _:
            raise Unknown
    columns: dict[str, Any] = {}
    types = [(name, *_field(columns, name, field["schema"])) for name, field in fields.items()]
    return msgspec.defstruct(contract.__name__, types, **STRICT), Shape(contract, columns)


def _field(columns: dict[str, Any], name: str, schema: Any) -> tuple[Any, ...]:
    """The type of a field, and its default if it has one; what the type can not say becomes a check of its column."""
    match {key: value for key, value in schema.items() if key not in ("serialization", "metadata")}:
        case {"type": "default", "schema": inner, "default": value, **rest} if not rest:
            return *_field(columns, name, inner), value
        case {"type": "nullable", "schema": inner, **rest} if not rest and inner["type"] != "datetime":
            return (_field(columns, name, inner)[0] | None,)
        case {"type": "str", "pattern": str(pattern), **rest} if not rest:
            columns[name] = functools.partial(_fits, _checker(pattern))
            return (str,)
        case {"type": "literal", "expected": words, **rest} if not rest:
            return (Literal[tuple(words)],)
        case {"type": "int", **rest} if rest.keys() <= {"ge", "le"}:
            return (Annotated[int, msgspec.Meta(**rest)],)
        case {"type": "datetime", "tz_constraint": "aware", "microseconds_precision": "truncate", **rest} if not rest:
            columns[name] = functools.partial(msgspec.convert, type=TIMES)
            return (Annotated[str, msgspec.Meta(max_length=TIME_LENGTH_MAX)],)
        case {"type": "tuple", "items_schema": [{"type": "str", **more}], "variadic_item_index": 0, **rest} if not (
            rest or more
        ):
            return (tuple[str, ...],)
        case {"type": "str" | "bool" as kind, **rest} if not rest:
            return ({"str": str, "bool": bool}[kind],)
    raise Unknown


def _fits(check: Callable[[list[str]], bool], column: list[Any]) -> list[Any]:
    if not check([value for value in column if value is not None]):
        raise Irregular
    return column


def _checker(pattern: str) -> Callable[[list[str]], bool]:
    """A test of many texts against a pattern. Ids and digests, of which no two are alike, are tested as one."""
    if found := HEX.fullmatch(pattern):
        return functools.partial(_are_hex, int(found[1]))
    if not re.fullmatch(r"\^[\w\[\]{}-]*\$", pattern):
        raise Unknown
    fits = re.compile(pattern[1:-1]).fullmatch
    return lambda texts: all(map(fits, set(texts)))


def _are_hex(length: int, texts: list[str]) -> bool:
    joined = "".join(texts)
    return {length}.issuperset(map(len, texts)) and bytes.fromhex(joined).hex() == joined


def _for_each(call: Callable[..., object], *columns: Iterable[Any]) -> None:
    """Call it for each row of these columns, without a loop in Python."""
    deque(map(call, *columns), maxlen=0)
