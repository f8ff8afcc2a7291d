"""What is found in savepoints is what would be found event by event: each effect once, in order, the rest behind."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libs.events.codec import Poison
from libs.events.contracts import Event, TrainingCompleted, TrainingRated
from libs.events.ordering import CanNotApply, Refusals, Refused, TooManyRefused, leave_out
from tests.support import NOON

TOLD: Final[dict[str, Any]] = {
    "enrolment_id": "e" * 32,
    "programme": "prakerja-2020",
    "course_id": "c" * 32,
    "at": NOON,
}


class Store:
    """Effects, and savepoints that take them back."""

    def __init__(self) -> None:
        self.effects: list[int] = []
        self.savepoints = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        before = len(self.effects)
        self.savepoints += 1
        try:
            yield
        except BaseException:
            del self.effects[before:]
            raise


class Reacting:
    """Refuses some waves, after a part of the effects. One that `names` says which, the first alone or all; or leaves
    them out."""

    def __init__(self, store: Store, bad: set[int], names: str) -> None:
        self.store, self.bad, self.names = store, bad, names

    async def __call__(self, *, tx: Any, events: Sequence[Any]) -> Refused:
        assert events
        refused: Refused = []
        if self.names.startswith("out"):
            bad = [event for event in events if event.wave in self.bad]
            events, refused = leave_out(events, bad, "contradiction", "")
        for event in events:
            if self.names == "none" and event.wave in self.bad:
                raise ValueError
            self.store.effects.append(event.wave)
        named = [(event, Poison("contradiction", "")) for event in events if event.wave in self.bad]
        if named:
            raise CanNotApply(named if self.names == "all" else named[:1])
        return refused


def event(wave: int, who: int, other: bool) -> Event:
    told: dict[str, Any] = TOLD | {"citizen_id": f"{who:032x}", "wave": wave}
    if other:
        return TrainingCompleted.model_construct(**told)
    return TrainingRated.model_construct(**told, stars=5)


async def applied(
    events: Sequence[Event], bad: set[int], names: str, most: float = 1e9, store: Store | None = None
) -> tuple[Store, Refusals]:
    store, refusals = store or Store(), Refusals(most, wary=names != "out")
    reaction = cast(Any, Reacting(store, bad, names))
    reactions: dict[type[Event], Any] = {TrainingRated: reaction, TrainingCompleted: reaction}
    await refusals.apply(cast(Any, store), reactions, events, [event.key() for event in events])
    return store, refusals


@settings(max_examples=500)
@example([(1, False), (1, False), (1, False), (2, False)], {1, 3}, "first")  # the first of all is still to be applied
@given(
    st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=60),
    st.sets(st.integers(0, 59)),
    st.sampled_from(["all", "first", "none", "out", "out, wary"]),
)
def test_each_event_has_one_effect_or_waits(told: list[tuple[int, bool]], bad: set[int], names: str) -> None:
    events = [event(wave, who, other) for wave, (who, other) in enumerate(told)]
    store, refusals = asyncio.run(applied(events, bad, names))
    expected: dict[str, list[int]] = {}
    refused, waiting = set(), set()
    for wave, one in enumerate(events):
        if one.key() in waiting:
            continue
        if wave in bad:
            refused.add(id(one))
            waiting.add(one.key())
        else:
            expected.setdefault(one.key(), []).append(wave)
    found: dict[str, list[int]] = {}
    for wave in store.effects:
        found.setdefault(events[wave].key(), []).append(wave)
    assert found == expected
    in_turn = {id(one) for one in events if id(one) in refusals.reasons}
    assert refused <= in_turn, "and whatever else is named stands behind one of these"


def test_few_bad_events_among_thousands_cost_few_savepoints() -> None:
    events = [event(wave, wave, other=False) for wave in range(5_000)]
    bad = {7, 1_200, 2_203, 3_600, 4_999}
    store, refusals = asyncio.run(applied(events, bad, "none"))
    assert len(refusals.reasons) == 5
    assert store.savepoints < 200
    assert len(store.effects) == 4_995
    named, _ = asyncio.run(applied(events, bad, "all"))
    assert named.savepoints == 2
    left_out, refusals = asyncio.run(applied(events, bad, "out"))
    assert (left_out.savepoints, len(refusals.reasons), len(left_out.effects)) == (0, 5, 4_995)


def test_too_many_refusals_end_the_search() -> None:
    events = [event(wave, wave, other=False) for wave in range(1_000)]
    with pytest.raises(TooManyRefused):
        asyncio.run(applied(events, set(range(1_000)), "none", 20))
    store = Store()
    with pytest.raises(TooManyRefused):
        asyncio.run(applied(events, set(range(1_000)), "out, wary", 20, store))
    assert store.savepoints == 1
