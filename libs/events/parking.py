"""Sets aside what can not be applied, with the reason, and everything later of the same key; the rest goes on.

`redrive` replays parked events in their order once the cause is repaired, in the same kind of transaction that would
have applied them, under the lock of their lane. An event that fails again stays, with one more attempt, and holds up
its key.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from types import SimpleNamespace
from typing import Any, Final

from libs.events import codec, metrics
from libs.events.contracts import Event
from libs.events.database import QUERIES, Database, Transaction, is_transient
from libs.events.logs import get_logger
from libs.events.numbering import Lane
from libs.events.ordering import Reaction, as_poison, react
from libs.events.records import Held, Read, look_at
from libs.events.sifting import OLD_EPOCH, Standing
from libs.events.waiting import draw

ALL_MAX: Final = 100_000
"""As long as fewer are parked in the lanes at hand, a worker reads and remembers them all. Where there are more, which
nobody can have looked after, each poll asks for its own keys."""

BEHIND: Final = "behind"
"""The reason of what is well by itself."""
WAITS: Final = codec.Poison(BEHIND, "an earlier event of this key is parked")

SAY_SECONDS: Final = 1.0

log = get_logger()


@dataclass(slots=True)
class Parked:
    """A record that waits, why, and where it stood."""

    lane: Lane
    offset: int
    key: str | None
    number: int | None
    type: str
    reason: codec.Poison
    value: bytes


def divide(news: Sequence[Read], held: Held) -> tuple[list[Event], list[Parked]]:
    """Healthy events on one side; poison, and whatever stands behind parked events of its key, on the other.

    The keys of new poison are added to those that are `held`.
    """
    healthy: list[Event] = []
    poison: list[Parked] = []
    for read in news:
        key, reason = read.key, read.poison
        if reason is None and key and key in held.get(read.lane, ()):
            reason = WAITS
        if reason is None and read.event is not None:
            healthy.append(read.event)
        elif reason is not None:
            poison.append(Parked(read.lane, read.offset, key, read.number, read.type, reason, read.value))
            if key:
                held.setdefault(read.lane, set()).add(key)
    return healthy, poison


async def parked_keys(tx: Transaction, lanes: Sequence[Lane], keys: Callable[[], Sequence[str]]) -> tuple[Held, bool]:
    """The keys that have something parked in these lanes, and whether these are all; where very many have, only those
    that are among `keys`. Ask under the locks of the lanes."""
    if not lanes:
        return {}, True
    topics, numbers = zip(*lanes, strict=True)
    rows = await QUERIES.parked_some(tx, topics=topics, lanes=numbers, limit=ALL_MAX)
    whole = sum(len(row["keys"]) for row in rows) < ALL_MAX
    if not whole:
        rows = await QUERIES.parked_keys(tx, topics=topics, lanes=numbers, keys=keys())
    return {(row["topic"], row["lane"]): set(row["keys"]) for row in rows}, whole


async def parked_before(tx: Transaction, strays: Sequence[Read]) -> set[Standing]:
    """Which of these strays are parked already."""
    if not strays:
        return set()
    rows = await QUERIES.parked_at(
        tx,
        topics=[read.lane[0] for read in strays],
        lanes=[read.lane[1] for read in strays],
        offsets=[read.offset for read in strays],
    )
    return {((row["topic"], row["lane"]), row["offset"], row["value"]) for row in rows}


def columns(records: Sequence[Parked]) -> dict[str, Sequence[Any]]:
    """What is to be kept of these records until somebody repairs the cause, as `position_advance` takes it."""
    return {
        "parked_topics": [record.lane[0] for record in records],
        "parked_lanes": [record.lane[1] for record in records],
        "parked_offsets": [record.offset for record in records],
        "keys": [record.key for record in records],
        "parked_numbers": [record.number for record in records],
        "types": [record.type for record in records],
        "reasons": [record.reason.reason for record in records],
        "details": [record.reason.detail for record in records],
        "values": [record.value for record in records],
    }


class Notices:
    """Counts what was parked, and says it at most once a second: there may be something in every poll."""

    def __init__(self) -> None:
        self._new: dict[str, Counter[str]] = defaultdict(Counter)
        self._said = -inf

    def note(self, records: Sequence[Parked]) -> None:
        """These are parked, and that is committed. What only waits behind something is counted, not said."""
        kinds = Counter((record.lane[0], record.type, record.reason.reason) for record in records)
        for (topic, kind, reason), events in kinds.items():
            metrics.consumer_parked.labels(topic, reason).inc(events)
            if reason != BEHIND:
                self._new[topic][f"{kind if kind in codec.CATALOGUE else '?'} {reason}"] += events

    def say(self, *, at_once: bool = False) -> None:
        """Say what is new, if it is time."""
        if not self._new or (time.monotonic() - self._said < SAY_SECONDS and not at_once):
            return
        for topic, events_by_reason in self._new.items():
            log.error("events can not be applied and are parked", topic=topic, events=events_by_reason)
        self._new.clear()
        self._said = time.monotonic()


async def redrive(database: Database, reactions: Mapping[type[Event], Reaction]) -> tuple[int, int]:
    """Try everything that is parked again, key by key and in order. Returns how many were applied, how many remain."""
    async with database.connection() as connection:
        heads = await QUERIES.parked_heads(connection)
    applied = 0
    for head in heads:
        applied += await _redrive_key(database, reactions, head["topic"], head["lane"], head["key"], head["id"])
    async with database.connection() as connection:
        return applied, await QUERIES.parked_count(connection)


async def _redrive_key(
    database: Database, reactions: Mapping[type[Event], Reaction], topic: str, lane: int, key: str | None, head: int
) -> int:
    """Apply the parked events of one key until one fails; each in a transaction of its own."""
    applied = 0
    while True:
        try:
            async with database.transaction() as tx:
                await QUERIES.position_lock(tx, topics=[topic], lanes=[lane])
                rows = await QUERIES.parked_of_key(tx, topic=topic, lane=lane, key=key, id=head)
                if not rows:
                    return applied
                head = rows[0]["id"]
                event = _healthy(rows[0])
                if reaction := reactions.get(type(event)):
                    await react(reaction, tx, [event])
                await QUERIES.parked_done(tx, ids=[head])
                await QUERIES.position_mark(tx, topics=[topic], lanes=[lane], mark=draw())
            applied += 1
        except Exception as error:
            if is_transient(error):
                raise
            poison = as_poison(error)
            async with database.transaction() as tx:
                await QUERIES.parked_again(tx, id=head, reason=poison.reason, detail=poison.detail)
            return applied


def _healthy(row: Mapping[str, Any]) -> Event:
    """The event of a parked record, after the same checks as at its first arrival. Raises Poison.

    What was news when it arrived stays so in a later epoch; what a dead relay had sent never is, and of what was too
    large only the beginning is here.
    """
    if row["reason"] in (OLD_EPOCH, codec.TOO_LARGE):
        raise codec.Poison(row["reason"], row["detail"])
    key = row["key"].encode() if row["key"] else None
    record = SimpleNamespace(
        topic=row["topic"], partition=row["lane"], offset=row["offset"], key=key, value=row["value"]
    )
    (read,) = look_at([record])
    if read.event is None:
        raise read.poison or codec.Poison("bad-data", "the record holds no event")
    return read.event


async def drop(database: Database, ids: Sequence[int]) -> int:
    """Give up parked records for good, by an operator's decision; gives how many there were."""
    async with database.transaction() as tx:
        rows = await QUERIES.parked_lanes(tx, ids=ids)
        lanes = {"topics": [row["topic"] for row in rows], "lanes": [row["lane"] for row in rows]}
        await QUERIES.position_lock(tx, **lanes)
        dropped = int(await QUERIES.parked_drop(tx, ids=ids))
        await QUERIES.position_mark(tx, **lanes, mark=draw())
        return dropped


async def listed(database: Database, limit: int = 100) -> list[Mapping[str, object]]:
    """What is parked, oldest first, without the records themselves."""
    async with database.connection() as connection:
        return [dict(row) for row in await QUERIES.parked_list(connection, limit=limit)]
