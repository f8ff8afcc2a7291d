"""One world of the model: a source, a broker, a sink, their processes, and the faults that may befall them.

A schedule is a list of steps `(name, a, b)`; numbers pick among what there is, and a step that finds nothing to do is
none. So every sublist of a schedule is a schedule too, and a failing one can be made shorter.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from libs.events.acknowledged import TopicMoved, TopicTooShort
from libs.events.numbering import Ahead, Lane
from tests.model.decisions import Decisions
from tests.model.processes import Dead, Process, Worker, relay
from tests.model.redriving import redrive
from tests.model.stores import KEYS, Broker, Happened, Sink, Source

Step = tuple[str, int, int]
PROCESSES_MAX = 3


class Violation(AssertionError):
    """A promise is broken."""


class Refused(Exception):
    """The relay refuses to run: restore.OlderThanTopics."""


@dataclass(frozen=True)
class Faults:
    """What may happen beyond the faults of every world; each is a limit that `test_model_limits.py` looks at."""

    late_locks: bool = False
    """A transaction writes about a key whose lock it got after its own xid: batches, and workers, do so."""
    disturbed_checks: bool = False
    """Another relay takes over while one is still comparing topics and numbers."""
    sudden_loss: bool = False
    """A log is lost while everybody goes on. Otherwise all restart and come to rest before anything else happens, no
    backup of a sink from before is restored, and no stranger's records stood there."""
    restored_after_repeats: bool = False
    """A source is restored while the last record of a lane is a repeat, sent late by a relay that woke up."""
    live_restore: bool = False
    """Workers live through the restore of their own store. Otherwise they are stopped before."""


class World:
    def __init__(self, decisions: Decisions, faults: Faults) -> None:
        self.decisions, self.faults = decisions, faults
        self.source, self.sink, self.broker = Source(), Sink(), Broker()
        self.relays: dict[str, Process] = {}
        self.workers: dict[str, Process] = {}
        self.redriving: Process | None = None
        self.standing: dict[str, str] = {}
        self.born = self.generation = 0
        self.broken: set[str] = set()
        self.unreadable: set[str] = set()
        self.numbered: dict[tuple[Lane, int], str] = {}
        self.strange: set[str] = set()
        self.refusal: list[Ahead] = []
        self.must_refuse = self.lost = False
        self.history: dict[str, list[str]] | None = None
        self.backups: dict[str, Source | Sink] = {}
        self.seen: Counter[str] = Counter()

    # What the processes do to the world, with the promises that hold at every moment.

    def append(self, lane: Lane, key: str | None, event_id: str, number: int | None) -> int:
        if number is not None and self.numbered.setdefault((lane, number), event_id) != event_id:
            raise Violation(f"two events have number {number} in {lane}: {self.numbered[lane, number]}, {event_id}")
        return self.broker.append(lane, key, event_id, number, 1)

    def effect(self, events: Sequence[Happened]) -> None:
        said = self.source.said if self.history is None else self.history
        for event in events:
            done = self.sink.effects[event.of]
            if len(done) >= len(said[event.of]) or said[event.of][len(done)] != event.id:
                raise Violation(f"key {event.of}: after {done} came {event.id}, but committed was {said[event.of]}")
            done.append(event.id)

    def refuse(self, ahead: list[Ahead]) -> None:
        if not self.must_refuse:
            raise Violation(f"the relay refuses to run, though nothing was restored: {ahead}")
        self.refusal = ahead
        self.seen["refused"] += 1
        raise Refused

    def lanes_of(self, name: str) -> list[Lane]:
        """The lanes of a worker, shuffled anew with every generation."""
        names = sorted(self.workers)
        return [
            lane
            for index, lane in enumerate(self.broker.logs)
            if names and names[(index + self.generation) % len(names)] == name
        ]

    # Steps.

    def do(self, step: Step) -> None:
        name, a, b = step
        getattr(self, name)(a, b)

    def write(self, a: int, b: int) -> None:
        """A transaction starts, takes its locks and writes up to three events."""
        if len(self.source.running) >= 4:
            return
        free = [key for key in KEYS if self.source.locked(key) is None]
        if not free:
            return
        xid = self.source.begin()
        for index in range(1 + b % 3):
            self.source.add(xid, free[(a + index * (b % 2)) % len(free)], self.decisions)

    def write_more(self, a: int, b: int) -> None:
        """A running transaction writes one more event, about a key it has locked."""
        if not self.source.running:
            return
        xid = sorted(self.source.running)[a % len(self.source.running)]
        key = KEYS[b % len(KEYS)]
        holder = self.source.locked(key)
        if holder == xid or (holder is None and self.faults.late_locks):
            self.source.add(xid, key, self.decisions)

    def commit(self, a: int, _b: int) -> None:
        if self.source.running:
            self.source.commit(sorted(self.source.running)[a % len(self.source.running)])

    def roll_back(self, a: int, _b: int) -> None:
        if self.source.running:
            del self.source.running[sorted(self.source.running)[a % len(self.source.running)]]

    def start_relay(self, _a: int, _b: int) -> None:
        checking = any(self.standing.get(name, "").startswith("relay.check") for name in self.relays)
        if len(self.relays) < PROCESSES_MAX and not self.refusal and (self.faults.disturbed_checks or not checking):
            name = self._name("relay")
            self.relays[name] = relay(self, name)

    def start_worker(self, _a: int, _b: int) -> None:
        if len(self.workers) < PROCESSES_MAX:
            name = self._name("worker")
            self.workers[name] = Worker(self, name).run()
            self.generation += 1

    def _name(self, kind: str) -> str:
        self.born += 1
        return f"{kind} {self.born}"

    def move_relay(self, a: int, b: int) -> None:
        if self.relays:
            name = sorted(self.relays)[a % len(self.relays)]
            for _ in range(1 + b % 5):
                self._move(self.relays, name, b)

    def move_worker(self, a: int, b: int) -> None:
        if self.workers:
            name = sorted(self.workers)[a % len(self.workers)]
            for _ in range(1 + b % 5):
                self._move(self.workers, name, b)

    def move_redrive(self, _a: int, b: int) -> None:
        if self.redriving is None:
            self.redriving = redrive(self, "redrive")
        running = {"redrive": self.redriving}
        for _ in range(1 + b % 3):
            self._move(running, "redrive", b)
        self.redriving = running.get("redrive")

    def _move(self, processes: dict[str, Process], name: str, luck: int) -> str | None:
        """Let a process go on to its next stop; None when it has ended."""
        process = processes.get(name)
        if process is None:
            return None
        if name not in self.standing and self._would_disturb(name):
            return "waits"
        try:
            self.standing[name] = process.send(luck) if name in self.standing else next(process)
            return self.standing[name]
        except (Dead, Refused, TopicTooShort, TopicMoved) as end:
            self.seen[f"ended: {end if isinstance(end, Dead) else type(end).__name__}"] += 1
        except StopIteration:
            self.seen["ended"] += 1
        self._forget(processes, name)
        return None

    def _would_disturb(self, name: str) -> bool:
        others = (self.standing.get(other, "") for other in self.relays if other != name)
        return (
            name in self.relays
            and not self.faults.disturbed_checks
            and any(stand.startswith(("relay.check", "relay.rewinds", "relay.waits")) for stand in others)
        )

    def _forget(self, processes: dict[str, Process], name: str) -> None:
        processes.pop(name, None)
        self.standing.pop(name, None)
        for lane in [lane for lane, holder in self.sink.locks.items() if holder == name]:
            del self.sink.locks[lane]

    def kill_relay(self, a: int, _b: int) -> None:
        self._kill(self.relays, a)

    def kill_worker(self, a: int, _b: int) -> None:
        if self._kill(self.workers, a):
            self.generation += 1

    def kill_redrive(self, _a: int, _b: int) -> None:
        if self.redriving:
            self._forget({}, "redrive")
            self.redriving = None

    def _kill(self, processes: dict[str, Process], a: int) -> bool:
        if not processes:
            return False
        name = sorted(processes)[a % len(processes)]
        self.seen[f"killed at {self.standing.get(name, 'start')}"] += 1
        self._forget(processes, name)
        return True

    def rebalance(self, a: int, _b: int) -> None:
        self.generation += 1 + a % 2

    def stranger(self, a: int, b: int) -> None:
        """Somebody writes a record that no relay has numbered."""
        key = KEYS[a % len(KEYS)] if b % 2 else None
        event_id = f"stranger {len(self.strange)}"
        self.strange.add(event_id)
        self.append(sorted(self.broker.logs)[b % len(self.broker.logs)], key, event_id, None)

    def break_event(self, a: int, b: int) -> None:
        """Until somebody repairs it, an event contradicts the state of the sink, or its version is unknown there."""
        if self.source.rows and len(self.broken) + len(self.unreadable) < 3:
            event_id = self.source.rows[-1 - a % min(4, len(self.source.rows))][5].decode()
            (self.unreadable if b % 2 else self.broken).add(event_id)

    def repair(self, _a: int, _b: int) -> None:
        self.broken.clear()
        self.unreadable.clear()

    def backup_source(self, _a: int, _b: int) -> None:
        self.backups["source"] = self.source.backup()

    def backup_sink(self, _a: int, _b: int) -> None:
        self.backups["sink"] = self.sink.backup()

    def restore_source(self, _a: int, _b: int) -> None:
        """The source goes back to its backup; its processes were stopped before. Not in a world that lost a log."""
        backup = self.backups.get("source")
        if not isinstance(backup, Source) or self.history is not None or self.lost:
            return
        if self._a_tail_is_a_repeat() and not self.faults.restored_after_repeats:
            return
        self.relays.clear()
        before, self.source = self.source, backup.backup()
        self.source.life = before.life + 1
        kept = {row[5].decode() for row in self.source.rows}
        self.seen["source restored"] += 1
        self.must_refuse = any(event_id not in kept for event_id in self.numbered.values())
        if self.must_refuse:
            self.history = {key: before.said[key] for key in KEYS}

    def _a_tail_is_a_repeat(self) -> bool:
        logs = ([read.number for read in log if read.number is not None] for log in self.broker.logs.values())
        return any(numbers[-1] < max(numbers) for numbers in logs if numbers)

    def restore_sink(self, _a: int, _b: int) -> None:
        backup = self.backups.get("sink")
        if not isinstance(backup, Sink):
            return
        if not self.faults.live_restore:
            for name in list(self.workers):
                self._forget(self.workers, name)
        self.kill_redrive(0, 0)
        self.seen["sink restored"] += 1
        self.sink = backup.backup()

    def lose_log(self, a: int, _b: int) -> None:
        """Kafka loses one lane, or all. The source must still be the one that sent it."""
        if self.source.life > 1 or (self.strange and not self.faults.sudden_loss):
            return
        self.lost = True
        self.seen["log lost"] += 1
        lanes = sorted(self.broker.logs)
        for lane in lanes if a % 2 else [lanes[a // 2 % len(lanes)]]:
            self.broker.logs[lane] = []
            self.broker.lives[lane] += 1
        if not self.faults.sudden_loss:
            self.backups.pop("sink", None)  # its positions point into a log that is gone
            self.restart_all()

    def restart_all(self) -> None:
        """Every relay and worker ends; new ones come to rest. Workers first: they see how short the log has become."""
        from tests.model.healing import come_to_rest

        self.kill_redrive(0, 0)
        for processes in (self.relays, self.workers):
            for name in list(processes):
                self._forget(processes, name)
        come_to_rest(self)
