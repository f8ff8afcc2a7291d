"""Older databases under a whole programme: the run itself takes minutes, so `make test` holds its judgement alone."""

from collections import Counter
from pathlib import Path

import pytest

from deploy.local.programs import SERVICES
from libs.events.topics import read_by
from tests.conftest import stack_folder
from tests.fault import again, restores
from tests.fault.drill import PROJECTIONS, Holding, State

LANE = ("applied", 1)
BEFORE = State("a", 10, 0, {LANE: 5})


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (State("a", 10, 0, {LANE: 6}), 0),
        (State("b", 8, 2, {LANE: 5}), 0),
        (State("b", 8, 1, {LANE: 5}), 1),
        (State("a", 10, 0, {LANE: 4}), 1),
        (State("a", 10, 0, {}), 1),
        (State("b", 0, 0, {}), 2),
    ],
)
def test_a_lane_not_read_and_a_row_neither_there_nor_parked_are_found(after: State, found: int) -> None:
    assert len(restores._differences(BEFORE, after)) == found


def test_every_service_that_reads_has_a_projection_to_look_at() -> None:
    assert set(PROJECTIONS) == set(SERVICES)
    assert all(read_by(service) for service in SERVICES)


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        (Holding({"entry": Counter("ab")}, Counter(["paid"]), Counter()), 0),
        (Holding({"entry": Counter("abb")}, Counter(["paid"]), Counter()), 1),
        (Holding({"entry": Counter("ac")}, Counter(["paid"]), Counter()), 1),
        (Holding({"entry": Counter("ab")}, Counter(["paid", "paid"]), Counter()), 1),
        (Holding({"entry": Counter("ab")}, Counter(["paid"]), Counter(["a contradiction"])), 0),
    ],
)
def test_a_second_effect_is_a_row_or_an_event_and_what_is_parked_is_only_told(after: Holding, seconds: int) -> None:
    before = Holding({"entry": Counter("ab")}, Counter(["paid"]), Counter())
    found = again.difference(before, after)
    assert bool(found) == (after != before)
    told = {"sources": {"training": {"events": 1, "changed": {"finance": found}}}}
    assert len(again.wrong(told)) == seconds


@pytest.mark.slow
async def test_every_service_that_went_back_does_what_the_runbook_says() -> None:
    with stack_folder() as folder:
        told = await restores.whole("1", Path(folder) / "restores")
    print(told)
    assert restores.wrong(told) == []
    assert min(found.get("lanes_lost", 1) for found in told["services"].values()) > 0, "nothing was lost"
