"""What a consumer knows of one record before anything is applied: where it stood, its number, its event or fault."""

from dataclasses import dataclass
from typing import Any

from libs.events import codec
from libs.events.contracts import Event
from libs.events.numbering import Lane
from libs.events.topics import TOPICS


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


def look_at(record: Any) -> Read:
    """Parse the envelope and the event of a Kafka record; what is wrong with it is noted, not raised."""
    read = Read((record.topic, record.partition), record.offset, None, record.value or b"")
    try:
        if not record.key:
            raise codec.Poison("no-key", "the record has no key, so it belongs to nobody")
        read.key = record.key.decode()
        if "\0" in read.key:
            read.key = None
            raise codec.Poison("no-key", "the key holds a NUL, which no store can keep")
        envelope = codec.read_envelope(record.value)
        if envelope.source != TOPICS[record.topic].producer:
            raise codec.Poison("wrong-source", f"only {TOPICS[record.topic].producer} may write here")
        read.number, read.epoch, read.type = (
            codec.number_of(envelope),
            envelope.epoch,
            envelope.type[:60],
        )
        read.event = codec.read_event(envelope, record.topic)
        if read.event.key() != read.key:
            raise codec.Poison("wrong-key", "the key of the record is not the key of its event")
        if read.number is None:
            raise codec.Poison("no-number", "no relay has numbered the record")
    except UnicodeDecodeError:
        read.key, read.poison = None, codec.Poison("no-key", "the key is not text")
    except codec.Poison as poison:
        read.event, read.poison = None, poison
    return read
