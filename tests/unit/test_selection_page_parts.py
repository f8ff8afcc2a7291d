"""What pages say of a ceremony and of appeals at each point of a wave's life."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.events.programme import load_programmes
from services.selection.domain.ceremony import Official
from services.selection.domain.quotas import Stratum
from services.selection.page_parts import appeal_until, by_province, ceremony_parts, waits
from tests.support import jakarta

SPOKE, SILENT = Official("Ombudsman", b"a" * 32, b"s" * 32), Official("Treasury", b"b" * 32)
DEADLINE = datetime(2020, 4, 17, 3, tzinfo=UTC)


def view(state: str = "committed", **told: Any) -> dict[str, Any]:
    return {"state": state, "root": b"r" * 32, "reveal_until": DEADLINE, "reveals": None, "waiting": None} | told


@pytest.mark.parametrize(
    ("seen", "stage", "of_the_silent"),
    [
        (view("open", root=None, reveal_until=None), "gathering", "committed"),
        (view(reveal_until=None), "alone", "committed"),
        (view(), "revealing", "waiting"),
        (view(waiting="reveals-too-late"), "late", "silent"),
        (view(reveals="[]"), "closed", "silent"),
        (view("published", reveals="[]"), "closed", "silent"),
        (view("voided"), "stopped", "committed"),
    ],
)
def test_nobody_is_called_silent_while_there_is_time(seen: dict[str, Any], stage: str, of_the_silent: str) -> None:
    told = ceremony_parts([SPOKE, SILENT], seen)
    assert told
    assert (told["stage"], told["revealed"]) == (stage, 1)
    assert [official["stage"] for official in told["officials"]] == ["revealed", of_the_silent]
    assert told["officials"][1]["secret"] is None


def test_a_wave_without_officials_says_nothing_of_them() -> None:
    assert ceremony_parts([], view()) is None


def test_an_exclusion_can_be_contested_until_the_end_of_the_last_day_in_jakarta() -> None:
    rules = load_programmes()["prakerja-2020"]
    published = {"state": "published", "published_at": jakarta("2020-04-17 10:00:00")}
    last = appeal_until(published, rules)
    assert last
    assert last.replace(microsecond=0) == jakarta("2020-05-01 23:59:59")
    assert appeal_until({"state": "drawn", "published_at": None}, rules) is None
    assert appeal_until(published, None) is None


def request(kind: str, state: str = "committed", **told: Any) -> dict[str, Any]:
    draw = {"draw_due_at": DEADLINE, "waiting": None, "reveal_until": None, "results_sent": False}
    return {"kind": kind, "state": state, "person": "ani", "at": DEADLINE} | draw | told


@pytest.mark.parametrize(
    ("asked", "person", "late", "waiting"),
    [
        (request("proposal", "proposed", draw_due_at=None), "budi", False, True),
        (request("void"), "budi", False, True),
        (request("void"), "budi", True, False),  # the round is out: the draw comes first
        (request("void", waiting="pool-changed"), "budi", True, True),
        (request("void", "drawn", results_sent=True), "budi", True, False),
        (request("redraw"), "budi", False, True),
        (request("redraw", reveal_until=DEADLINE), "budi", False, False),
        (request("reschedule", "closed", draw_due_at=None), "budi", False, True),
        (request("reschedule"), "budi", False, False),
        (request("reveal"), "ani", False, True),
        (request("reveal"), "ani", True, False),
        (request("reveal"), "budi", False, False),
    ],
)
def test_a_request_waits_for_whoever_can_still_decide_it(
    asked: dict[str, Any], person: str, late: bool, waiting: bool
) -> None:
    assert waits(asked, person, DEADLINE + timedelta(seconds=1 if late else -1)) is waiting


def test_seats_of_appeals_are_counted_beside_the_quota_they_left() -> None:
    seats = [
        {"from_wave": wave, "province": place, "tier": "public", "seats": count}
        for wave, place, count in ((1, "31", 1), (2, "31", 2), (2, "11", 1))
    ]
    first, second = by_province({Stratum("31", "public"): (117, 0)}, [], {"31": "DKI Jakarta"}, seats)
    assert [(tier["seats"], tier["appealed"]) for tier in first["tiers"]] == [(0, 0), (0, 1)]
    assert [(tier["seats"], tier["appealed"]) for tier in second["tiers"]] == [(0, 0), (117, 3)]
