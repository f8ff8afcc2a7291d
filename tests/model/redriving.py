"""The redrive of the model, step by step as `parking.redrive`."""

from typing import TYPE_CHECKING, Any

from libs.events.numbering import Lane
from tests.model.processes import Process, lock, same, unlock
from tests.model.stores import Sink, event_of

if TYPE_CHECKING:
    from tests.model.world import World


def redrive(world: "World", name: str) -> Process:
    """parking.redrive"""
    sink, decisions = world.sink, world.decisions
    heads: dict[Any, tuple[int, Lane, str | None]] = {}
    for parked_id, record in sorted(sink.parked, key=lambda row: row[0]):
        heads.setdefault((record.lane, record.key or parked_id), (parked_id, record.lane, record.key))
    yield "redrive.read"
    for head, lane, key in heads.values():
        while True:
            same(world, sink)
            yield from lock(world, sink, [lane], name)
            rows = sorted(row for row in _of_key(sink, head, lane, key))
            if not rows:
                break
            parked_id, record = rows[0] if decisions.redrive_from_oldest else rows[-1]
            event = event_of(record.value.decode(), record.key or "?")
            if record.number is None or event.id in world.broken | world.unreadable:
                break
            yield "redrive.applied"
            same(world, sink)
            world.effect([event])
            if decisions.redrive_deletes:
                sink.remove([parked_id])
            unlock(sink, name)
            world.seen["redriven"] += 1
            yield "redrive.committed"
            if not decisions.redrive_deletes:
                sink.remove([parked_id])
        unlock(sink, name)


def _of_key(sink: Sink, head: int, lane: Lane, key: str | None) -> list[tuple[int, Any]]:
    return [row for row in sink.parked if (row[1].lane == lane and row[1].key == key if key else row[0] == head)]
