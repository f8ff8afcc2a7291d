"""A batch of mixed events as lists of one type, such that the events of each key keep their order; and what becomes of
a list of which some can not be applied."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence, Set
from contextlib import nullcontext
from itertools import compress
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from libs.events.codec import Poison
from libs.events.contracts import Event
from libs.events.database import Transaction, is_transient
from libs.events.logs import get_logger
from libs.events.records import without
from libs.events.topics import TOPIC_OF

PARTS: Final = 8
"""A list that fails is tried again in so many parts. Fewer would repeat more work, more would ask the store more often:
with five bad events among thousands, eight cost about 150 savepoints and half of the work once more."""

E = TypeVar("E", bound=Event)

log = get_logger()


Refused: TypeAlias = Sequence[tuple[Event, Poison]]
"""Events that can not be applied, each with the reason."""


class CanNotApply(Exception):
    """Raised by a reaction that knows which of its events it can not apply: `reasons` are pairs of event and reason.

    The others are then applied at once. A reaction that raises anything else has its list tried in ever smaller parts.
    """

    def __init__(self, reasons: Refused) -> None:
        super().__init__(f"{len(reasons)} events can not be applied, the first for {reasons[0][1]}")
        self.reasons = reasons


def refuse(reason: str, detail: str, events: Iterable[Event]) -> None:
    """Raise CanNotApply with these events, if there are any, all for one reason."""
    if reasons := [(event, Poison(reason, detail)) for event in events]:
        raise CanNotApply(reasons)


def leave_out(
    events: Sequence[E], bad: Iterable[E], reason: str, detail: str, keys: Sequence[str] | None = None
) -> tuple[Sequence[E], Refused]:
    """These events of one type without the bad ones, and without what stands behind one of its key; and the bad ones,
    all for one reason.

    For a reaction that finds out before it writes: it applies the rest and gives the bad ones back, and nothing is done
    twice. `keys` are those of the events, where the caller has them.
    """
    refused = [(event, Poison(reason, detail)) for event in bad]
    if not refused:
        return events, []
    named, suspects = {id(event) for event, _ in refused}, {event.key() for event, _ in refused}
    keys = keys or type(events[0]).keys(events)
    return without(events, _places(events, keys, named, suspects, set())), refused


def _places(
    events: Sequence[Event], keys: Sequence[str], refused: Container[int], suspects: Set[str], waiting: set[str]
) -> list[int]:
    """Where the refused events stand, by `id`, and what stands behind one of its key, or has a key that waits. Only
    suspects are looked at. The keys of the refused are added to those that wait."""
    places = list[int]()
    for at in compress(range(len(keys)), map(suspects.__contains__, keys)):
        if id(events[at]) in refused:
            waiting.add(keys[at])
        if keys[at] in waiting:
            places.append(at)
    return places


class TooManyRefused(Exception):
    """More events can not be applied than the caller puts up with."""


class Reaction(Protocol):
    """What a service does about a list of events of one type: set-based, inside the caller's transaction.

    It raises for what it can not apply, and then nothing of it is kept; or gives back what it left out (`leave_out`).
    """

    async def __call__(self, *, tx: Transaction, events: Any) -> Refused | None: ...


async def react(reaction: Reaction, tx: Transaction, events: Sequence[Event]) -> None:
    """Apply these events, all of them. Raises CanNotApply where the reaction left some out, and what it raises."""
    if left := await reaction(tx=tx, events=events):
        raise CanNotApply(left)


Group: TypeAlias = tuple[type[Event], Sequence[Event], Sequence[str]]
"""Events of one type, and the key of each."""
InOrder: TypeAlias = Callable[[Sequence[Event], Sequence[str]], list[Group]]


def in_order(events: Sequence[Event], keys: Sequence[str]) -> list[Group]:
    """Group events by type, and the key of each. A key that changes its type goes into a later group, so nobody's order
    is broken.

    Events of different keys may change places: no order is promised between them.
    """
    if len(kinds := set(map(type, events))) == 1:
        return [(kinds.pop(), events, keys)]
    last: dict[str, tuple[int, type[Event]]] = {}
    groups: dict[tuple[int, str], tuple[type[Event], list[Event], list[str]]] = {}
    for event, key in zip(events, keys, strict=True):
        kind = type(event)
        step, before = last.get(key, (0, kind))
        if before is not kind:
            step += 1
        last[key] = (step, kind)
        _, those, theirs = groups.setdefault((step, kind.TYPE), (kind, [], []))
        those.append(event)
        theirs.append(key)
    return [groups[name] for name in sorted(groups)]


class Refusals:
    """Applies what can be applied, and knows what can not.

    What a reaction raises goes on to the caller, whose transaction is spoilt by it. Where that has happened before the
    caller is `wary`: each list is then applied in a savepoint, and what can not be applied of it is found.

    `reasons` are those of the refused events, by `id`, and `keys` their keys. What follows a refused event of its key
    is left out too: the caller parks it behind.
    """

    def __init__(self, refused_max: float, *, wary: bool, in_order: InOrder = in_order) -> None:
        self.in_order = in_order
        self.reasons: dict[int, Poison] = {}
        self.keys: set[str] = set()
        self.refused_max, self.wary = refused_max, wary
        self.failed = False
        """Whether a reaction raised something, so that savepoints were of use."""

    async def apply(
        self, tx: Transaction, reactions: Mapping[type[Event], Reaction], events: Sequence[Event], keys: Sequence[str]
    ) -> None:
        """Apply these, in their order per key. Raises TooManyRefused, and what may pass when it is tried again."""
        waiting: dict[str, set[str]] = {}
        for kind, group, theirs in self.in_order(events, keys):
            if reaction := reactions.get(kind):
                # Only events of one topic wait for each other: the lanes of others do not stop.
                await self._try(tx, reaction, group, theirs, waiting.setdefault(TOPIC_OF[kind.TYPE].name, set()))

    async def _try(
        self, tx: Transaction, reaction: Reaction, group: Sequence[Event], keys: Sequence[str], waiting: set[str]
    ) -> None:
        """Apply what can be applied of the group, and add the keys of the rest to those that wait."""
        while True:
            places, behind = self._left_out(group, keys, waiting)
            events = without(group, places)
            if not events:
                break
            try:
                async with tx.transaction() if self.wary else nullcontext():
                    left = await reaction(tx=tx, events=events)
            except Exception as error:
                if not self.wary or is_transient(error):
                    raise
                self.failed = True
                if self._name(error, events):
                    continue
                size, theirs = -(-len(events) // PARTS), without(keys, places)
                for part in (slice(start, start + size) for start in range(0, len(events), size)):
                    await self._try(tx, reaction, events[part], theirs[part], waiting)
            else:
                behind |= self._note(left or [])
            break
        waiting |= behind

    def _name(self, error: Exception, events: Sequence[Event]) -> bool:
        """Note which events it was, if that is known. Raises TooManyRefused."""
        named = [(events[0], as_poison(error))] if len(events) == 1 else []
        if isinstance(error, CanNotApply):
            here = {id(event) for event, _ in error.reasons}.intersection(map(id, events))
            named = [(event, poison) for event, poison in error.reasons if id(event) in here] or named
        if named and not isinstance(error, CanNotApply | Poison):
            log.warning("a reaction failed on an event", type=events[0].TYPE, exc_info=error)
        return bool(self._note(named))

    def _note(self, refused: Refused) -> set[str]:
        """Remember these, and give their keys. Raises TooManyRefused."""
        keys = {event.key() for event, _ in refused}
        self.reasons |= {id(event): poison for event, poison in refused}
        self.keys |= keys
        if len(self.reasons) > self.refused_max:
            raise TooManyRefused
        return keys

    def _left_out(self, group: Sequence[Event], keys: Sequence[str], waiting: set[str]) -> tuple[list[int], set[str]]:
        """Where the refused events stand, and what stands behind one of its key; and which keys wait after it.

        Looked at anew each time: what stands before an event that was refused later on is still in turn.
        """
        if not self.reasons:
            return [], set()
        behind = set(waiting)
        return _places(group, keys, self.reasons, waiting | self.keys, behind), behind


def as_poison(error: Exception) -> Poison:
    """The reason for parking: what the reaction gave, or the kind of failure without its text, which may quote data."""
    if isinstance(error, Poison):
        return error.alone()
    if isinstance(error, CanNotApply) and len(error.reasons) == 1:
        return error.reasons[0][1]
    constraint = getattr(error, "constraint_name", None)
    return Poison("refused", f"{type(error).__name__}{f' on {constraint}' if constraint else ''}")
