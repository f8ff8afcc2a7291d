"""What the reactions of the model do with a batch: run by production's own `Refusals`, in a transaction that waits for
nothing."""

import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, cast

from libs.events import codec
from libs.events.ordering import Refusals, Refused, refuse
from tests.model.stores import Happened, Undone

if TYPE_CHECKING:
    from tests.model.world import World

REASON, DETAIL = "contradiction", "it contradicts what is known"


class Transaction:
    """What was done in it, in order; a savepoint that fails takes back its own."""

    def __init__(self) -> None:
        self.done: list[Happened] = []

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        before = len(self.done)
        try:
            yield
        except Exception:
            del self.done[before:]
            raise


def react(
    world: "World", events: Sequence[Happened], keys: Sequence[str], *, wary: bool
) -> tuple[Refusals, list[Happened]]:
    """What can not be applied of these, and what was. Raises what a reaction raises where the worker is not wary."""
    tx, refusals = Transaction(), Refusals(inf, wary=wary, in_order=world.decisions.in_order)

    def bad(given: Sequence[Happened]) -> list[Happened]:
        return [event for event in given if event.id in world.broken]

    async def on_happened(*, tx: Transaction, events: Sequence[Happened]) -> None:
        """Applies everything or fails: now it names what it can not apply, now it just fails."""
        tx.done += events
        if found := bad(events):
            named = found if found[0].id[-1] in "1479" else []
            if wary:
                world.seen["refused by name" if named else "refused without a name"] += 1
            refuse(REASON, DETAIL, cast(Any, named))
            raise codec.Poison(REASON, DETAIL)

    async def on_undone(*, tx: Transaction, events: Sequence[Happened]) -> Refused:
        """Leaves out what it can not apply."""
        applied, left = world.decisions.leave_out(events, bad(events), REASON, DETAIL, [one.key() for one in events])
        world.seen["left out"] += bool(left)
        tx.done += applied
        return cast(Refused, left)

    reactions = cast(Any, {Happened: on_happened, Undone: on_undone})
    _through(refusals.apply(cast(Any, tx), reactions, cast(Any, events), keys))
    return refusals, tx.done


def _through(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run what never waits."""
    with contextlib.suppress(StopIteration):
        coroutine.send(None)
        raise AssertionError("a reaction of the model waits for something")
