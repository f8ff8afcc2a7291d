"""Who may contest what, for how long, and what two officers can decide."""

from dataclasses import replace

import pytest

from libs.events import ids
from libs.events.contracts import AppealLodged
from libs.events.refusal import Refusal
from services.selection.api_appeals import FindingBody, LodgeBody
from services.selection.domain.appeal import (
    CONTESTABLE,
    FINDINGS,
    GROUNDS,
    TRANSITIONS,
    Appeal,
    AppealState,
    AppealStep,
    Result,
    decide,
    examine,
    lodge,
    move,
)
from services.selection.domain.quotas import Stratum, without
from tests.support import jakarta

RESULT = Result(
    wave_id=1, programme="prakerja-2020", wave=1, application_id="a" * 32, citizen_id="c" * 32, province="31",
    tier="public", reason="blacklist", published_at=jakarta("2020-04-17 10:00:30"),
)  # fmt: skip
NOW = jakarta("2020-04-20 09:00:00")
EXAMINED = Appeal(
    "e" * 32, "a" * 32, "c" * 32, "prakerja-2020", 1, "d" * 32, AppealState.EXAMINED, "record-wrong", "ani"
)


def refused(decided: object) -> Refusal:
    assert isinstance(decided, Refusal)
    return decided


def test_an_exclusion_can_be_contested_until_the_end_of_the_fourteenth_day() -> None:
    last = jakarta("2020-05-01 23:59:59")
    assert isinstance(lodge(RESULT, "not-me", 14, last), AppealLodged)
    assert refused(lodge(RESULT, "not-me", 14, jakarta("2020-05-02 00:00:00"))).code == "appeal-too-late"


def test_an_appeal_is_bound_to_the_event_that_decided_it() -> None:
    event = lodge(RESULT, "not-me", 14, NOW)
    assert isinstance(event, AppealLodged)
    assert event.contested == ids.derive("not-selected", RESULT.application_id)
    assert (event.reason, event.ground) == ("blacklist", "not-me")
    # Lodged twice it is the same appeal.
    assert lodge(RESULT, "not-me", 14, NOW) == event


@pytest.mark.parametrize("reason", ["lost-draw", None])
def test_a_lost_draw_and_a_seat_are_no_exclusions(reason: str | None) -> None:
    assert refused(lodge(replace(RESULT, reason=reason), "not-me", 14, NOW)).code == "not-an-exclusion"


def test_nobody_contests_the_result_of_another() -> None:
    assert refused(lodge(None, "not-me", 14, NOW)).code == "no-such-result"


def test_the_finding_decides_and_another_person_agrees_to_it() -> None:
    decided = decide(EXAMINED, "record-wrong", "budi", NOW)
    assert not isinstance(decided, Refusal)
    assert (decided[0], decided[1].upheld) == (AppealState.UPHELD, True)
    for finding in ("record-right", "no-evidence"):
        decided = decide(replace(EXAMINED, finding=finding), finding, "budi", NOW)
        assert not isinstance(decided, Refusal)
        assert (decided[0], decided[1].upheld) == (AppealState.DISMISSED, False)
    assert refused(decide(EXAMINED, "record-wrong", "ani", NOW)).code == "same-person"
    assert refused(decide(EXAMINED, "record-right", "budi", NOW)).code == "finding-changed"


def test_a_member_gets_no_second_seat_by_appeal() -> None:
    member = replace(EXAMINED, is_member=True)
    assert refused(examine(member, "record-wrong")).code == "appellant-is-member"
    assert examine(member, "record-right") is AppealState.EXAMINED
    assert refused(decide(member, "record-wrong", "budi", NOW)).code == "appellant-is-member"


@pytest.mark.parametrize("state", AppealState)
@pytest.mark.parametrize("step", AppealStep)
def test_an_illegal_step_names_the_legal_ones(state: AppealState, step: AppealStep) -> None:
    if (state, step) in TRANSITIONS:
        return
    told = refused(move(state, step))
    legal = [other for other in AppealStep if (state, other) in TRANSITIONS]
    assert all(other in told.id and other in told.en for other in legal)


def test_a_decision_is_final() -> None:
    for state in (AppealState.UPHELD, AppealState.DISMISSED):
        assert not [step for step in AppealStep if (state, step) in TRANSITIONS]


def test_seats_of_appeals_leave_the_quota() -> None:
    jakarta_public, jakarta_priority = Stratum("31", "public"), Stratum("31", "priority")
    split = {jakarta_priority: 5, jakarta_public: 2}
    assert without(split, {jakarta_public: 2}) == {jakarta_priority: 5, jakarta_public: 0}


def test_the_api_offers_what_the_rules_know() -> None:
    assert LodgeBody.model_fields["ground"].annotation.__args__ == GROUNDS  # type: ignore[union-attr]
    assert FindingBody.model_fields["finding"].annotation.__args__ == tuple(FINDINGS)  # type: ignore[union-attr]
    assert "lost-draw" not in CONTESTABLE
