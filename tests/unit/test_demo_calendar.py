"""The script of the year: in order, complete, and true to the programme's own deadlines."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from deploy.demo import figures
from deploy.demo.calendar import CLOSING, COURSES, RECOVERY, YEAR_END, Replay, _session_starts
from deploy.demo.chaos import plan
from deploy.demo.client import Client, History
from deploy.demo.world import NotQuiet, World
from deploy.local.problem import Problem
from libs.events.clock import JAKARTA, FileClock
from libs.events.programme import last_moment, load_programmes

RULES = load_programmes()["prakerja-2020"]


class Anybody:
    """Stands for everyone whose deeds the script only names."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def replay() -> Replay:
    nobody = cast(Any, Anybody())
    return Replay(nobody, figures.load(1000), RULES, nobody, nobody, nobody, nobody)


def test_time_never_goes_back_and_no_moment_comes_twice() -> None:
    times = [step.at for step in replay().script()]
    assert times == sorted(times)
    assert len(set(times)) == len(times)


def test_every_wave_opens_closes_and_is_drawn_at_its_own_times() -> None:
    times = {step.at for step in replay().script()}
    for wave in (*RULES.waves, RECOVERY):
        assert {wave.opens, wave.closes, wave.draws} <= times


def test_a_minute_passes_where_services_tell_each_other_before_going_on() -> None:
    nudged = {step.at for step in replay().script() if step.nudged}
    for wave in (*RULES.waves, RECOVERY):
        assert {wave.closes, wave.draws} <= nudged


def test_the_recovery_wave_comes_when_every_forfeit_of_the_others_has_lapsed() -> None:
    last = RULES.waves[-1].draws + timedelta(days=RULES.training.purchase_days + 1)
    assert RECOVERY.opens > last
    assert RECOVERY.draws + timedelta(days=RULES.training.purchase_days) < last_moment(RULES.training.cut_off)


def test_courses_start_after_they_were_bought_and_within_the_deadline() -> None:
    times = {step.at for step in replay().script()}
    for wave in (*RULES.waves, RECOVERY):
        starts = _session_starts(wave)
        assert starts in times, "a step at the very start, or the redeem codes could not be claimed"
        assert wave.draws < starts < wave.draws + timedelta(days=RULES.training.purchase_days)
        assert starts.astimezone(JAKARTA).weekday() == 3


def test_every_course_keeps_to_the_rules_and_not_all_have_seats_for_everybody() -> None:
    for _, _, _, hours, price_rupiah, days, _ in COURSES:
        assert hours >= RULES.training.course_hours_min
        assert price_rupiah <= RULES.benefit.learning_credit
        assert 1 <= days <= 2
    assert any(share < 1 for *_, share in COURSES)
    assert sum(share for *_, share in COURSES) > 1


def test_the_year_ends_after_the_last_payment_and_its_statements() -> None:
    steps = replay().script()
    assert last_moment(RULES.payout.last_payment) < YEAR_END
    assert max(CLOSING) < YEAR_END
    payouts = [step.at for step in steps if "payouts" in step.title]
    assert max(payouts) <= last_moment(RULES.payout.link_by)
    assert steps[-1].at > YEAR_END


def test_kills_are_spread_over_the_middle_of_the_script() -> None:
    known = ["registration", "kafka", "postgres"]
    killed = plan(["kafka", "random", "registration"], known, steps=80, seed="1")
    assert list(killed) == [20, 40, 60]
    assert killed[20] == ["kafka"]
    assert killed[40][0] in known
    assert killed == plan(["kafka", "random", "registration"], known, steps=80, seed="1")
    chosen = Counter(plan(["random"], known, 80, str(seed))[40][0] for seed in range(60))
    assert set(chosen) == set(known)


def test_an_unknown_process_can_not_be_killed_and_the_known_ones_are_named() -> None:
    with pytest.raises(Problem, match="registration"):
        plan(["registry"], ["registration"], steps=80, seed="1")


class Answers(Client):
    """A client whose glances come from a list."""

    def __init__(self, *looks: dict[str, Any] | None) -> None:
        super().__init__()
        self.looks = list(looks)

    async def glance(self, url: str) -> Any | None:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


def world(tmp_path: Path, client: Client) -> World:
    clock = FileClock(tmp_path / "clock.json")
    clock.set(datetime(2020, 4, 1, tzinfo=UTC))
    return World(
        client=client,
        clock=clock,
        history=History(tmp_path / "acknowledged.jsonl", clock.now()),
        services={"training": "http://training"},
        simulators={},
        credentials=tmp_path / "clients.toml",
    )


def quiet(moved: int) -> dict[str, Any]:
    return {"quiet": True, "moved": moved, "outbox_unsent": 0, "behind": 0, "jobs_due": []}


async def test_quiet_must_be_told_twice_without_a_move_in_between(tmp_path: Path) -> None:
    busy = {**quiet(3), "quiet": False}
    client = Answers(quiet(1), quiet(2), None, quiet(3), quiet(3), busy, quiet(3), quiet(4), quiet(4), quiet(9))
    await world(tmp_path, client).settle()
    assert client.looks == [quiet(9)]


async def test_who_does_not_come_to_rest_is_named_with_what_it_still_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.demo.world.QUIET_SECONDS_MAX", 0.1)
    client = Answers({"quiet": False, "moved": 1, "outbox_unsent": 7, "behind": 0, "jobs_due": ["revoke-lapsed"]})
    with pytest.raises(NotQuiet, match=r"training \(outbox_unsent 7, jobs_due \['revoke-lapsed'\]\)"):
        await world(tmp_path, client).settle()


async def test_the_clock_is_stepped_forward_and_never_back(tmp_path: Path) -> None:
    stepped = world(tmp_path, Answers(quiet(1)))
    await stepped.step_to(datetime(2020, 5, 1, tzinfo=UTC))
    await stepped.step_to(datetime(2020, 4, 15, tzinfo=UTC))
    assert stepped.now() == datetime(2020, 5, 1, tzinfo=UTC)
