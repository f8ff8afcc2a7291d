"""What a consumer knows of one record before anything is applied: where it stood, its number, its event or fault."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from libs.events import codec
from libs.events.contracts import Event
from libs.events.numbering import Lane
from libs.events.topics import TOPICS

TOGETHER: Final = 40
"""Events read at once: enough for the price of a call to vanish, few enough that one bad event costs little."""

LARGE_KEPT_BYTES: Final = 1_000
"""Of a record that is too large, for people to see what it is. No relay of ours has sent it, since no outbox takes it;
and whoever can write to a topic must not fill the store of everybody who reads it."""

KEY_BYTES_MAX: Final = 256
"""What a store looks up is indexed, and an index takes no long values."""

Held: TypeAlias = dict[Lane, set[str]]
"""By lane, the keys that have something parked."""


@dataclass(slots=True)
class Read:
    """One record and what is known of it. Exactly one of `event` and `poison` is set once it has been looked at."""

    lane: Lane
    offset: int
    key: str | None
    value: bytes
    number: int | None = None
    epoch: int = 0
    event: Event | None = None
    poison: codec.Poison | None = None
    type: str = "?"


def look_at(records: Sequence[Any]) -> list[Read]:
    """Parse the envelopes and events of Kafka records; what is wrong with one is noted, not raised.

    Events of one type are read together, which is a third cheaper than a call for each.
    """
    reads: list[Read] = []
    alike: dict[tuple[str, str, str], tuple[list[Read], list[codec.Envelope]]] = defaultdict(lambda: ([], []))
    lane: Lane = ("", -1)
    for record in records:
        if record.partition != lane[1] or record.topic != lane[0]:
            lane = (record.topic, record.partition)
        read = Read(lane, record.offset, None, _kept(record.value or b""))
        reads.append(read)
        try:
            envelope = _outside(read, record)
        except codec.Poison as poison:
            read.poison = poison.alone()
        else:
            group = alike[record.topic, envelope.type, envelope.dataschema]
            group[0].append(read)
            group[1].append(envelope)
    for (topic, _, _), (those, envelopes) in alike.items():
        for read, event in zip(those, _events(envelopes, topic), strict=True):
            if isinstance(event, codec.Poison):
                read.poison = event
            elif event.key() != read.key:
                read.poison = codec.Poison("wrong-key", "the key of the record is not the key of its event")
            elif read.number is None:
                read.poison = codec.Poison("no-number", "no relay has numbered the record")
            else:
                read.event = event
    return reads


def _kept(value: bytes) -> bytes:
    """What is kept of a record that can not be applied: all, or how it begins."""
    return value if len(value) <= codec.VALUE_BYTES_MAX else value[:LARGE_KEPT_BYTES]


def _events(envelopes: Sequence[codec.Envelope], topic: str) -> list[Event | codec.Poison]:
    """In pieces: a bad one makes its whole piece be read one by one."""
    pieces = [envelopes[start : start + TOGETHER] for start in range(0, len(envelopes), TOGETHER)]
    return [event for piece in pieces for event in codec.read_events(piece, topic)]


def _outside(read: Read, record: Any) -> codec.Envelope:
    """Note key, number, epoch and type of a record, and give its envelope. Raises Poison."""
    if not record.key:
        raise codec.Poison("no-key", "the record has no key, so it belongs to nobody")
    try:
        key: str = record.key.decode()
    except UnicodeDecodeError:
        raise codec.Poison("no-key", "the key is not text") from None
    if len(record.key) > KEY_BYTES_MAX:
        raise codec.Poison("no-key", f"the key has {len(record.key)} bytes, and no event's has {KEY_BYTES_MAX}")
    if "\0" in key:
        raise codec.Poison("no-key", "the key holds a NUL, which no store can keep")
    read.key = key
    envelope = codec.read_envelope(record.value)
    producer = TOPICS[record.topic].producer
    if envelope.source != producer:
        raise codec.Poison("wrong-source", f"only {producer} may write here")
    read.number, read.epoch, read.type = codec.number_of(envelope), envelope.epoch, envelope.type[:60]
    return envelope


def without(column: Sequence[Any], places: Sequence[int]) -> Sequence[Any]:
    """The same without these few places, which are in order."""
    if not places:
        return column
    rest = list(column)
    for place in reversed(places):
        del rest[place]
    return rest
