"""Who joins when: those not drawn come back, newcomers fill the rest, lost answers are looked up."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.demo import figures, population
from deploy.demo.citizens import Citizen, Crowd, winners_of
from deploy.demo.client import Answer, Client, History
from deploy.demo.figures import Figures
from deploy.demo.population import Person, Reach
from deploy.demo.world import World
from libs.events.clock import FileClock

TOLD = replace(figures.load(10_000), applicants={1: 10, 2: 12})
PEOPLE = [person for person in population.make(figures.load(10_000), "2020") if person.reach is Reach.VERIFIED]
PLAIN = [one for one in PEOPLE if not (one.barred or one.excluded or one.mistypes)]


class Programme(Client):
    """Answers as the services would: every application gets an id of its own; `draw` says who wins."""

    def __init__(self) -> None:
        super().__init__()
        self.applications: dict[str, tuple[str, int]] = {}
        self.won: set[str] = set()
        self.refuse: dict[str, Answer] = {}
        self.asked: list[tuple[str, str]] = []

    async def call(
        self, method: str, url: str, body: Any = None, token: str | None = None, *, raw: bool = False
    ) -> Answer:
        self.asked.append((method, url))
        assert token
        if url.endswith("/v1/me"):
            mine = [
                {"application_id": name, "wave": wave} for name, (of, wave) in self.applications.items() if of == token
            ]
            return Answer(200, {"applications": mine})
        if method == "DELETE":
            return Answer(200, {"state": "withdrawn"})
        if refusal := self.refuse.pop(token, None):
            if refusal.repeated:
                self.applications[f"{token}-{body['wave']}"] = (token, body["wave"])
            return refusal
        self.applications[f"{token}-{body['wave']}"] = (token, body["wave"])
        return Answer(201, {"application_id": f"{token}-{body['wave']}"})

    def bundle(self, wave: int) -> bytes:
        pool = [name for name, (_, of) in self.applications.items() if of == wave]
        lines = [["e", leaf, name] for leaf, name in enumerate(pool)]
        lines += [["w", leaf, 1, "31", "public"] for leaf, name in enumerate(pool) if name in self.won]
        return b"\n".join(json.dumps(line).encode() for line in [{"bundle": "draw/1"}, *lines])


def refusal(code: str, *, repeated: bool = False) -> Answer:
    return Answer(409, {"errors": [{"code": code}]}, repeated)


@pytest.fixture
def programme() -> Programme:
    return Programme()


def crowd_of(tmp_path: Path, programme: Programme, people: list[Person], told: Figures = TOLD) -> Crowd:
    clock = FileClock(tmp_path / "clock.json")
    clock.set(datetime(2020, 4, 13, tzinfo=UTC))
    world = World(
        client=programme,
        clock=clock,
        history=History(tmp_path / "acknowledged.jsonl", clock.now()),
        services={"registration": "http://registration"},
        simulators={},
        credentials=tmp_path,
    )
    crowd = Crowd(world, told, people, "2020")
    for citizen in crowd.citizens:
        citizen.citizen_id = citizen.token = str(citizen.person.number)
    crowd._fresh = list(crowd.citizens)
    return crowd


def applicants(crowd: Crowd, wave: int) -> list[Citizen]:
    return [citizen for citizen in crowd.citizens if wave in citizen.applications]


async def test_a_wave_fills_to_its_number_of_applicants(tmp_path: Path, programme: Programme) -> None:
    crowd = crowd_of(tmp_path, programme, PLAIN[:40])
    await crowd.join(1)
    assert len(applicants(crowd, 1)) == 10


async def test_who_was_not_drawn_joins_again_before_anybody_new(tmp_path: Path, programme: Programme) -> None:
    crowd = crowd_of(tmp_path, programme, PLAIN[:40])
    await crowd.join(1)
    programme.won = set(list(programme.applications)[:3])
    winners = crowd.learn(1, programme.bundle(1))
    assert {winner.applications[1] for winner in winners} == programme.won
    await crowd.join(2)
    second = applicants(crowd, 2)
    assert len(second) == 12
    assert sum(1 in citizen.applications for citizen in second) == 7
    assert not any(citizen.won for citizen in second)


async def test_who_is_barred_tries_and_is_refused_and_does_not_count(tmp_path: Path, programme: Programme) -> None:
    people = [*PLAIN[:20], *(replace(one, occupation="barred-office") for one in PLAIN[20:22])]
    crowd = crowd_of(tmp_path, programme, people)
    programme.refuse = {str(one.number): refusal("not-eligible") for one in people[20:]}
    await crowd.join(1)
    assert crowd.refusals == {"not-eligible": 2}
    assert len(applicants(crowd, 1)) == 10


async def test_who_is_on_other_aid_learns_the_reason_and_stays_away(tmp_path: Path, programme: Programme) -> None:
    people = [replace(one, other_aid=True) for one in PLAIN[:3]] + PLAIN[3:10]
    crowd = crowd_of(tmp_path, programme, people)
    await crowd.join(1)
    crowd.learn(1, programme.bundle(1))
    await crowd.join(2)
    assert len(applicants(crowd, 1)) == 10
    assert not any(citizen.person.excluded for citizen in applicants(crowd, 2))


async def test_a_family_with_two_members_does_not_try_for_a_third(tmp_path: Path, programme: Programme) -> None:
    people = [replace(one, kk="3" * 16) for one in PLAIN[:3]]
    crowd = crowd_of(tmp_path, programme, people)
    await crowd.join(1)
    programme.won = set(list(programme.applications)[:2])
    crowd.learn(1, programme.bundle(1))
    await crowd.join(2)
    assert applicants(crowd, 2) == []


async def test_who_is_still_being_checked_joins_a_little_later(tmp_path: Path, programme: Programme) -> None:
    crowd = crowd_of(tmp_path, programme, PLAIN[:10])
    programme.refuse = {str(PLAIN[0].number): refusal("identity-not-verified")}
    await crowd.join(1)
    assert len(applicants(crowd, 1)) == 9
    await crowd.join_late()
    assert len(applicants(crowd, 1)) == 10


async def test_an_answer_that_was_lost_is_looked_up(tmp_path: Path, programme: Programme) -> None:
    crowd = crowd_of(tmp_path, programme, PLAIN[:1])
    programme.refuse = {str(PLAIN[0].number): refusal("already-applied", repeated=True)}
    await crowd.join(1)
    assert crowd.citizens[0].applications == {1: f"{PLAIN[0].number}-1"}
    assert ("GET", "http://registration/v1/me") in programme.asked


async def test_who_withdraws_is_told_in_the_history_and_may_join_the_next_wave(
    tmp_path: Path, programme: Programme
) -> None:
    crowd = crowd_of(tmp_path, programme, PLAIN[:100], replace(TOLD, applicants={1: 100, 2: 100}))
    await crowd.join(1)
    await crowd.withdraw(1)
    withdrawn = crowd._world.history.read("withdrawn")
    assert len(withdrawn) == 1
    assert len(applicants(crowd, 1)) == 99
    crowd.learn(1, programme.bundle(1))
    await crowd.join(2)
    assert len(applicants(crowd, 2)) == 100


def test_winners_are_read_from_the_public_bundle() -> None:
    lines = [{"bundle": "draw/1"}, ["e", 0, "a"], ["e", 1, "b"], ["x", "c"], ["w", 1, 1, "31", "public"], {"end": {}}]
    assert winners_of(b"\n".join(json.dumps(line).encode() for line in lines)) == {"b"}


def with_mail(tmp_path: Path, programme: Programme) -> Crowd:
    """Two people who wait for their code."""
    crowd = crowd_of(tmp_path, programme, PLAIN[:2])
    crowd._world = replace(crowd._world, simulators={"messages": "http://messages"})
    return crowd


async def test_whoever_has_no_code_yet_waits_for_the_mail(
    tmp_path: Path, programme: Programme, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.demo.citizens.LOOK_SECONDS", 0.0)
    crowd = with_mail(tmp_path, programme)
    mails = [{"to": one.email, "text": f"Kode Anda 12345{place}."} for place, one in enumerate(PLAIN[:2])]
    pages = [mails[:1], [], mails[1:]]

    async def get(url: str, token: str | None = None) -> Any:
        return {"messages": pages.pop(0), "cursor": 0}

    async def call(method: str, url: str, body: Any = None, token: str | None = None, *, raw: bool = False) -> Answer:
        told.append(body)
        return Answer(200, {})

    told: list[Any] = []
    monkeypatch.setattr(programme, "get", get)
    monkeypatch.setattr(programme, "call", call)
    await crowd.confirm(crowd.citizens)
    assert not pages
    assert [body["code"] for body in told if "code" in body] == ["123450", "123451"]


async def test_a_mail_that_never_comes_ends_the_replay(
    tmp_path: Path, programme: Programme, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.demo.citizens.PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr("deploy.demo.citizens.LOOK_SECONDS", 0.0)
    crowd = with_mail(tmp_path, programme)

    async def get(url: str, token: str | None = None) -> Any:
        return {"messages": [], "cursor": 0}

    monkeypatch.setattr(programme, "get", get)
    with pytest.raises(LookupError, match="2 confirmation e-mails have not come"):
        await crowd.confirm(crowd.citizens)
