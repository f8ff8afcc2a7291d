"""What is parked is told: at once at first, then at most once a second, and nothing of it twice."""

from typing import Any

import pytest

from libs.events import parking
from libs.events.codec import Poison
from libs.events.parking import WAITS, Notices, Parked


def parked(reason: Poison, count: int = 1, kind: str = "training-rated") -> list[Parked]:
    return [Parked(("ratings", 0), offset, "somebody", offset, kind, reason, b"") for offset in range(count)]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the log is told."""
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(parking.log, "error", lambda _words, **told: lines.append(told))
    return lines


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still."""
    at = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: at[0])
    return at


def test_the_first_is_said_at_once_and_the_next_within_a_second(said: list[dict[str, Any]], now: list[float]) -> None:
    notices = Notices()
    for _ in range(3):
        notices.note(parked(Poison("nul", "")))
        notices.say()
    assert said == [{"topic": "ratings", "events": {"training-rated nul": 1}}]
    now[0] += parking.SAY_SECONDS
    notices.say()
    assert said[1:] == [{"topic": "ratings", "events": {"training-rated nul": 2}}]
    now[0] += parking.SAY_SECONDS
    notices.say()
    assert len(said) == 2, "nothing is said twice"


@pytest.mark.usefixtures("now")
def test_a_worker_that_stops_says_what_is_left(said: list[dict[str, Any]]) -> None:
    notices = Notices()
    for count in (1, 5):
        notices.note(parked(Poison("nul", ""), count))
        notices.say(at_once=count == 5)
    assert [line["events"] for line in said] == [{"training-rated nul": 1}, {"training-rated nul": 5}]


@pytest.mark.usefixtures("now")
def test_what_only_waits_is_not_said_and_an_unknown_type_not_repeated(said: list[dict[str, Any]]) -> None:
    notices = Notices()
    notices.note([*parked(WAITS, 4), *parked(Poison("unknown-type", ""), 2, kind="budi@example.org")])
    notices.say()
    assert said == [{"topic": "ratings", "events": {"? unknown-type": 2}}]
