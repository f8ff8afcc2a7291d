"""The faults end, the system is left alone, and then every promise must be kept."""

from collections import Counter

from libs.events.position import Position
from tests.model.processes import Process
from tests.model.stores import KEYS, lane_of
from tests.model.world import Violation, World

ROUNDS_MAX = 400


def come_to_rest(world: World) -> None:
    """One relay and one worker at least run until nobody has anything to do."""
    if not world.workers:
        world.start_worker(0, 0)
    run(world, world.workers, "worker.idle")
    if not world.relays:
        world.start_relay(0, 0)
    run(world, world.relays, "relay.idle")
    run(world, world.workers, "worker.idle")


def run(world: World, processes: dict[str, Process], rest: str) -> None:
    """Move processes in turn until each has ended, or has rested twice in a row."""
    rested = dict.fromkeys(processes, 0)
    for _ in range(ROUNDS_MAX):
        busy = [name for name in processes if rested.get(name, 0) < 2]
        if not busy:
            return
        for name in busy:
            at_rest = world._move(processes, name, 1) == rest
            rested[name] = rested.get(name, 0) + 1 if at_rest else 0
    if world.redriving is None:
        raise Violation(f"these never come to rest: {[(name, world.standing.get(name)) for name in processes]}")


def heal(world: World) -> None:
    """Pauses end, transactions commit, causes are repaired, processes restart once, parked events are redriven."""
    while world.source.running:
        world.commit(0, 0)
    world.kill_redrive(0, 0)
    world.repair(0, 0)
    for _ in range(2):
        come_to_rest(world)  # everybody who was paused wakes up
        world.relays.clear()
        for name in list(world.workers):
            world._forget(world.workers, name)
        come_to_rest(world)
    check_strays(world)
    # An operator drops what no relay has sent, and redrives the rest.
    world.sink.remove([parked_id for parked_id, record in world.sink.parked if record.number is None])
    for _ in range(ROUNDS_MAX):
        world.move_redrive(0, 0)
        if world.redriving is None:
            break
    come_to_rest(world)


def check_strays(world: World) -> None:
    """Whatever no relay has numbered is parked, once. In a log that was lost it may stand where nobody looks."""
    if world.must_refuse:
        return
    parked = Counter((record.lane, record.offset, record.value) for _, record in world.sink.parked)
    for log in world.broker.logs.values():
        for read in log:
            times = parked[read.lane, read.offset, read.value]
            if read.number is None and times != 1 and not (world.lost and times == 0):
                raise Violation(f"{read.value!r} at {read.offset} of {read.lane} is parked {times} times")


def check(world: World) -> None:
    """Effects are the committed events, once each and in order per key; nothing waits; who had to refuse, did."""
    if world.must_refuse:
        if not world.refusal:
            raise Violation("a source older than its topics was not refused")
        return
    for key in KEYS:
        said, done = world.source.said[key], world.sink.effects[key]
        if said != done:
            raise Violation(f"key {key}: committed {said}, effects {done}")
    if world.sink.parked:
        raise Violation(f"parked for ever: {world.sink.parked}")
    for lane in world.broker.logs:
        count = sum(len(world.source.said[key]) for key in KEYS if lane_of(key) == lane[1])
        number = world.sink.positions.get(lane, Position()).number
        if number != count:
            raise Violation(f"{lane}: {count} events were committed, the position stands at {number}")
