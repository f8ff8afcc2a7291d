"""Events to bytes and back: CloudEvents 1.0, JSON, structured mode (one header; eight would halve the read rate).

The writer builds the envelope without `sequence` and `epoch`; the relay puts both in front when it numbers the record.
The reader is tolerant of unknown fields and strict about what it relies on. What it can not use it names with a
`Poison`, whose text never repeats a value from the record.
"""

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import TypeAdapter, ValidationError

from libs.events.contracts import Event, catalogue
from libs.events.topics import TOPIC_OF

CONTENT_TYPE: Final = ("content-type", b"application/cloudevents+json; charset=utf-8")
VALUE_BYTES_MAX: Final = 64 * 1024
"""Our largest events, the quotas of a wave and the count of an intake, have a few thousand bytes. What is larger comes
from a stranger, and every reader of the topic has to carry it."""
TOO_LARGE: Final = "too-large"
NUL: Final = b"\\u0000"
LIST_FROM: Final = 24
"""So many events of one type are read as a list. Of fewer it is soon told which is bad: a list is read in vain then."""
NUMBER_DIGITS_MAX: Final = 18
VERSION_DIGITS_MAX: Final = 6
EPOCH_MAX: Final = 2**31 - 1
CATALOGUE: Final = catalogue()

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTERS: Final[Mapping[tuple[str, int], Upcaster]] = {
    ("intake-closed", 1): lambda data: data | {"lanes": []},
    ("selected-in-batch", 1): lambda data: data | {"appeal_id": None},
    ("wave-committed", 1): lambda data: data | {"attempt": 1},
    ("wave-drawn", 1): lambda data: data | {"attempt": 1},
}
"""Pure functions from the data of one version to the next, by `(type, from version)`."""


class Poison(Exception):
    """A record this service can not apply. `reason` is one of a few words; `detail` says more, without its content."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def alone(self) -> "Poison":
        """Itself, to be kept: without the frames it was raised in, which would hold all that a poll brought."""
        self.__traceback__ = self.__context__ = self.__cause__ = None
        return self


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """The CloudEvent around the data, as read. `number` is None on a record that no relay has numbered."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    dataschema: str
    data: msgspec.Raw
    sequence: str | None = None
    epoch: Annotated[int, msgspec.Meta(ge=0, le=EPOCH_MAX)] = 0
    traceparent: str | None = None

    @property
    def version(self) -> int:
        """The version of the data, from the schema's name `urn:gelombang:TYPE:VERSION`; 0 when it is none of ours."""
        name, _, version = self.dataschema.rpartition(":")
        known = name == f"urn:gelombang:{self.type}" and version.isdecimal() and len(version) <= VERSION_DIGITS_MAX
        return int(version) if known else 0


_read_envelope = msgspec.json.Decoder(Envelope).decode


def encode(event: Event, traceparent: str | None = None) -> bytes:
    """The CloudEvent of an event, as the outbox keeps it: a JSON object that still lacks its number."""
    kind = event.TYPE
    trace = f'"traceparent":"{traceparent}",' if traceparent else ""
    head = (
        f'{{"specversion":"1.0","id":"{event.event_id()}","source":"{TOPIC_OF[kind].producer}","type":"{kind}",'
        f'"time":"{event.at.isoformat()}","dataschema":"urn:gelombang:{kind}:{event.VERSION}",{trace}"data":'
    )
    return head.encode() + event.__pydantic_serializer__.to_json(event) + b"}"


def numbered(value: bytes, number: int, epoch: int) -> bytes:
    """The record as it goes out: the stored envelope with its number and epoch in front."""
    return b'{"sequence":"%016d","epoch":%d,' % (number, epoch) + value[1:]


def read_envelope(value: bytes | None) -> Envelope:
    """Parse the envelope of a record. Raises Poison: empty, too-large, bad-json, not-a-cloud-event."""
    if not value:
        raise Poison("empty", "the record has no value")
    if len(value) > VALUE_BYTES_MAX:
        raise Poison(
            TOO_LARGE,
            f"the record has {len(value)} bytes; {VALUE_BYTES_MAX} are allowed",
        )
    try:
        envelope = _read_envelope(value)
    except msgspec.ValidationError:
        raise Poison("not-a-cloud-event", "a required attribute is missing, or is not what it must be") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Poison("bad-json", "the record is not JSON") from None
    if "\0" in envelope.type:
        raise Poison("not-a-cloud-event", "the type is not one a relay could have written")
    return envelope


def number_of(envelope: Envelope) -> int | None:
    """The number the relay gave, or None. Raises Poison when it is not a number."""
    if envelope.sequence is None:
        return None
    if not envelope.sequence.isdecimal() or len(envelope.sequence) > NUMBER_DIGITS_MAX:
        raise Poison("not-a-cloud-event", "sequence is not a whole number")
    return int(envelope.sequence)


def read_events(envelopes: Sequence[Envelope], topic: str) -> list[Event | Poison]:
    """The events inside envelopes of one type and schema, read together; in the place of a bad one its Poison."""
    contract, data = (
        CATALOGUE.get(envelopes[0].type),
        b"[" + b",".join([envelope.data for envelope in envelopes]) + b"]",
    )
    if contract and len(envelopes) >= LIST_FROM and _is_newest(envelopes[0], contract, topic) and NUL not in data:
        with contextlib.suppress(ValidationError, RecursionError):
            events: list[Event | Poison] = _reader_of_lists(contract).validate_json(data)
            if len(events) == len(envelopes):
                return events
    return [_event_or_poison(envelope, topic) for envelope in envelopes]


@functools.cache
def _reader_of_lists(contract: type[Event]) -> TypeAdapter[Any]:
    return TypeAdapter(list[contract])  # type: ignore[valid-type]


def _is_newest(envelope: Envelope, contract: type[Event], topic: str) -> bool:
    return TOPIC_OF[envelope.type].name == topic and envelope.version == contract.VERSION


def _event_or_poison(envelope: Envelope, topic: str) -> Event | Poison:
    try:
        return read_event(envelope, topic)
    except Poison as poison:
        return poison.alone()


def read_event(envelope: Envelope, topic: str) -> Event:
    """The event inside an envelope, in today's version.

    Raises Poison: unknown-type, wrong-topic, unknown-version, nul, bad-data.
    """
    contract = CATALOGUE.get(envelope.type)
    if contract is None:
        raise Poison(
            "unknown-type",
            "no contract has this type; is this service older than the producer?",
        )
    if TOPIC_OF[envelope.type].name != topic:
        raise Poison("wrong-topic", f"{envelope.type} does not belong on {topic}")
    version = envelope.version
    if not 1 <= version <= contract.VERSION:
        raise Poison(
            "unknown-version",
            f"{envelope.type} is known up to version {contract.VERSION}; update this service",
        )
    data = bytes(envelope.data)
    if NUL in data:
        raise Poison("nul", "a text contains NUL, which no store can keep")
    try:
        if version == contract.VERSION:
            return contract.model_validate_json(data)
        return contract.model_validate(upcast(envelope.type, version, contract.VERSION, msgspec.json.decode(data)))
    except RecursionError:
        raise Poison("bad-json", "the data is nested too deeply") from None
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        fields = sorted({".".join(str(part) for part in problem["loc"]) for problem in problems})
        raise Poison("bad-data", f"{envelope.type}: wrong or missing: {', '.join(fields)}") from None


def upcast(kind: str, version: int, newest: int, data: dict[str, Any]) -> dict[str, Any]:
    """Lift data of an old version to the newest, one version at a time."""
    for step in range(version, newest):
        data = UPCASTERS[kind, step](data)
    return data
