"""What a service has to say, written in the transaction that makes it true. The relay carries it to Kafka."""

import asyncio
from collections.abc import AsyncIterable, Callable, Sequence

from opentelemetry import trace

from libs.events import codec, faults, metrics
from libs.events.contracts import Event
from libs.events.database import QUERIES, Database, Spoken, Transaction
from libs.events.logs import get_logger
from libs.events.topics import TOPIC_OF

BYTES_MAX = codec.VALUE_BYTES_MAX - len(codec.numbered(b"", 10**codec.NUMBER_DIGITS_MAX - 1, codec.EPOCH_MAX))
"""What every reader takes, with room for the number that the relay adds. A larger event would hold up its lane."""
KEEP_ALL_ROWS = 2**62
ROOM_SECONDS = 2.0
"""How often every process of a service looks whether there is room ahead. In machine time: events are written in it."""
COPY_FROM = 64  # rows; below this one INSERT is cheaper than the round trips of COPY

log = get_logger()


class EventTooLarge(Exception):
    """An event has more bytes than its readers take. It was not written, and neither should be what it announces."""


async def add(tx: Transaction, events: Sequence[Event]) -> None:
    """Announce events together with the state that `tx` writes. Their order is kept for each key.

    Raises EventTooLarge before anything is written.
    """
    if not events:
        return
    traceparent = current_traceparent()
    rows = []
    for event in events:
        topic, key = TOPIC_OF[event.TYPE], event.key()
        value = codec.encode(event, traceparent)
        if len(value) > BYTES_MAX:
            raise EventTooLarge(
                f"a {event.TYPE} has {len(value)} bytes, and readers take {BYTES_MAX}; nothing was written. "
                "Say it in several events, or say less"
            )
        rows.append((topic.name, topic.lane(key), key, value))
    if len(rows) < COPY_FROM:
        topics, lanes, keys, values = zip(*rows, strict=True)
        await QUERIES.outbox_add(tx, topics=topics, lanes=lanes, keys=keys, values=values)
    else:
        await tx.copy_records_to_table("outbox", records=rows, columns=("topic", "lane", "key", "value"))
    Spoken.events += len(rows)
    faults.point("outbox.added")


async def add_copied(tx: Transaction, copied: AsyncIterable[bytes]) -> int:
    """Announce events that a service has encoded in bulk, with the state that `tx` writes; how many they were.

    `copied` is a whole binary COPY of topic, lane, key and value, each what `add` would write. Who makes it answers for
    that, BYTES_MAX included.
    """
    tag = await tx.copy_to_table("outbox", source=copied, columns=("topic", "lane", "key", "value"), format="binary")
    count = int(tag.rpartition(" ")[2])
    Spoken.events += count
    faults.point("outbox.added")
    return count


async def keep_room(database: Database, partition_rows: int, keep_rows: Callable[[], int]) -> None:
    """Keep room for `partition_rows` rows ahead, and drop what is sent and behind the newest `keep_rows`, for ever.

    Every process of a service does, whatever its roles: without room no write of the service succeeds, and then neither
    the relay nor programme time may be what it waits for.
    """
    while True:
        try:
            async with database.connection() as connection:
                await QUERIES.outbox_rotate(connection, size=partition_rows, keep=keep_rows())
        except Exception as error:
            metrics.job_failures.labels("outbox-room").inc()
            log.warning("the outbox could not be given room; trying again", in_seconds=ROOM_SECONDS, exc_info=error)
        await asyncio.sleep(ROOM_SECONDS)


def current_traceparent() -> str | None:
    """The W3C trace context of the request or batch at work, if it is being traced."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
