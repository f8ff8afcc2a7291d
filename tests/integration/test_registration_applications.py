"""Joining, leaving, and the gate of a wave, on a real PostgreSQL."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from deploy.local.databases import ServiceDatabase
from libs.events.contracts import (
    Applied,
    MembershipRevoked,
    NotSelected,
    WaveAnnounced,
    WaveCommitted,
    WaveDrawn,
    WaveDrawSetAside,
    WaveOpened,
    WavePublished,
    WaveRescheduled,
    WaveVoided,
)
from libs.events.refusal import Refusal, Refused
from libs.events.topics import TOPICS
from services.registration import commands, views
from services.registration.commands import Join
from services.registration.store import Store
from tests.integration.registration_desk import Desk, Registry, closed, open_desk, selection_of
from tests.support import jakarta
from tests.unit.registration_examples import PROGRAMMES, VAULT


@pytest.fixture
async def desk(database: Callable[[str], ServiceDatabase]) -> AsyncIterator[Desk]:
    async with open_desk(database("registration")) as opened:
        yield opened


def code(result: object) -> str:
    assert isinstance(result, Refusal), result
    return result.code


async def joined(desk: Desk, *citizens: str, wave: int = 1) -> list[Applied]:
    answers = await desk.join(*citizens, wave=wave)
    assert all(isinstance(answer, Applied) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Applied)]


async def test_joining_is_announced_with_what_the_lists_say(desk: Desk) -> None:
    desk.registry = Registry(lambda check: {"laid_off_listed": True, "blacklisted": check.claim.name == "Warga 2"})
    one, two = await desk.citizens(2)
    await desk.open_wave()
    await joined(desk, one, two)
    events = await desk.announced()
    assert [(event["type"], event["topic"]) for event in events] == [("applied", "applied")] * 2
    assert {event["citizen_id"]: (event["tier"], event["exclusions"], event["province"]) for event in events} == {
        one: ("priority", [], "32"), two: ("priority", ["blacklist"], "32"),
    }  # fmt: skip
    assert len({event["household_id"] for event in events}) == 2


async def test_the_same_citizen_twice_in_a_batch_and_again_later_joins_once(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1)
    await desk.open_wave()
    first, second = await desk.join(citizen, citizen)
    assert isinstance(first, Applied)
    assert code(second) == "already-applied"
    assert code((await desk.join(citizen))[0]) == "already-applied"
    assert len(await desk.announced()) == 1


async def test_two_requests_at_the_same_moment_join_once(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1)
    await desk.open_wave()
    answers = [answer for (answer,) in await asyncio.gather(*(desk.join(citizen) for _ in range(5)))]
    assert sorted(type(answer).__name__ for answer in answers) == ["Applied"] + ["Refusal"] * 4
    assert len(await desk.announced()) == 1


async def test_everybody_hears_what_bars_them(desk: Desk) -> None:
    desk.registry = Registry(lambda check: {"state": "not-found"} if check.claim.name == "Warga 2" else {})
    one, two = await desk.citizens(2)
    assert [code(answer) for answer in await desk.join(one, two)] == ["wave-not-open"] * 2
    await desk.open_wave()
    answers = await desk.join(one, two, "f" * 32)
    assert isinstance(answers[0], Applied)
    assert [code(answer) for answer in answers[1:]] == ["identity-not-verified", "unknown-citizen"]
    desk.now = jakarta("2020-04-16 16:00:01")
    assert code((await desk.join(two))[0]) == "wave-not-open"


async def test_leaving_frees_the_citizen_to_join_again(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1)
    await desk.open_wave()
    (first,) = await joined(desk, citizen)
    assert await desk.withdraw(citizen) == "withdrawn"
    assert await desk.withdraw(citizen) == "withdrawn"
    (again,) = await joined(desk, citizen)
    assert first.application_id != again.application_id
    assert [event["type"] for event in await desk.announced()] == ["applied", "application-withdrawn", "applied"]
    assert [one["state"] for one in (await desk.me(citizen))["applications"]] == ["withdrawn", "applied"]


async def test_closing_states_count_and_digest_of_those_who_stand(desk: Desk) -> None:
    citizens = await desk.citizens(4)
    await desk.open_wave()
    events = await joined(desk, *citizens)
    await desk.withdraw(citizens[0])
    await desk.hear(closed())
    stated = (await desk.announced())[-1]
    ids = sorted(bytes.fromhex(event.application_id) for event in events[1:])
    assert (stated["type"], stated["topic"], stated["wave"], stated["count"]) == ("intake-closed", "applied", 1, 3)
    assert stated["digest"] == hashlib.sha256(b"".join(ids)).hexdigest()
    # Each partition by itself: the digest of those who stand there, and what was said there, withdrawals included.
    applied = TOPICS["applied"]
    assert [lane["lane"] for lane in stated["lanes"]] == sorted({applied.lane(one) for one in citizens})
    assert (sum(lane["count"] for lane in stated["lanes"]), sum(lane["last"] for lane in stated["lanes"])) == (3, 5)
    for lane in stated["lanes"]:
        here = [
            bytes.fromhex(event.application_id)
            for event in events[1:]
            if applied.lane(event.citizen_id) == lane["lane"]
        ]
        assert lane["digest"] == hashlib.sha256(b"".join(sorted(here))).hexdigest()
    assert code((await desk.join(citizens[0]))[0]) == "wave-not-open"
    with pytest.raises(Refused) as refused:
        await desk.withdraw(citizens[1])
    assert refused.value.refusals[0].code == "intake-closed"


async def test_an_empty_wave_closes_too_and_closing_twice_says_it_once(desk: Desk) -> None:
    await desk.open_wave()
    await desk.hear(closed())
    await desk.hear(closed())
    (stated,) = await desk.announced()
    assert (stated["count"], stated["digest"]) == (0, hashlib.sha256(b"").hexdigest())


async def test_a_wave_that_is_told_again_from_its_opening_stays_closed(desk: Desk) -> None:
    """As after a restore of selection, which then sends what it had sent in a new epoch."""
    await desk.open_wave()
    one, two = await desk.citizens(2)
    await desk.join(one)
    await desk.hear(closed())
    stated = await desk.announced()
    await desk.open_wave()
    assert code((await desk.join(two))[0]) == "wave-not-open"
    await desk.hear(closed())
    assert await desk.announced() == stated


async def test_nobody_is_lost_between_the_last_join_and_the_closing(desk: Desk) -> None:
    """A join that is under way when the wave closes is counted; one that comes later is refused."""
    early, late = await desk.citizens(2)
    await desk.open_wave()
    under_way, order = asyncio.Event(), list[str]()

    class Hesitating(Store):
        """Found the wave open, and takes its time before it writes the application."""

        async def applicants(self, *told: Any) -> Any:
            found = await super().applicants(*told)
            under_way.set()
            await asyncio.sleep(0.2)
            return found

    async def slow_join() -> None:
        async with desk.database.transaction() as tx:
            requests = [Join(early, "prakerja-2020", 1)]
            await commands.join(tx, requests, desk.now, store=Hesitating(), vault=VAULT, programmes=PROGRAMMES)
            order.append("joined")

    async def close() -> None:
        await under_way.wait()
        await desk.hear(closed())
        order.append("closed")

    async def late_join() -> object:
        await under_way.wait()
        await asyncio.sleep(0.1)  # the closing waits at the gate by now
        return (await desk.join(late))[0]

    _, _, answer = await asyncio.gather(slow_join(), close(), late_join())
    assert order == ["joined", "closed"]
    stated = next(event for event in await desk.announced() if event["type"] == "intake-closed")
    standing = await desk.value("SELECT count(*) FROM application WHERE state = 'applied'")
    assert stated["count"] == standing
    assert isinstance(answer, Applied) == (standing == 2)


async def test_results_move_applications_and_make_members(desk: Desk) -> None:
    winner, loser = await desk.citizens(2)
    await desk.open_wave()
    won, lost = await joined(desk, winner, loser)
    await desk.hear(closed())
    await desk.hear(selection_of(won))
    told = lost.model_dump(include={"application_id", "citizen_id", "programme", "wave"})
    await desk.hear(NotSelected(reason="lost-draw", at=desk.now, **told))
    assert [(await desk.me(one))["applications"][0]["state"] for one in (winner, loser)] == ["selected", "not-selected"]
    await desk.open_wave(2)
    answers = await desk.join(winner, loser, wave=2)
    assert code(answers[0]) == "already-member"
    assert isinstance(answers[1], Applied)
    me = await desk.me(winner)
    assert [reason["code"] for reason in me["reasons"]] == ["already-member"]


async def test_a_revocation_may_come_before_the_selection(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1)
    await desk.open_wave()
    (won,) = await joined(desk, citizen)
    told = {"citizen_id": citizen, "programme": "prakerja-2020", "wave": 1, "province": "32", "tier": "public"}
    await desk.hear(MembershipRevoked(reason="no-purchase-in-time", released_rupiah=1, at=desk.now, **told))
    await desk.hear(selection_of(won))
    assert (await desk.me(citizen))["applications"][0]["state"] == "revoked"
    assert await desk.value("SELECT state FROM membership") == "revoked"
    await desk.open_wave(2)
    assert code((await desk.join(citizen, wave=2))[0]) == "already-member"


async def test_a_void_wave_ends_its_applications_and_is_told_to_its_applicants(desk: Desk) -> None:
    applicant, bystander = await desk.citizens(2)
    await desk.open_wave()
    await joined(desk, applicant)
    await desk.hear(WaveVoided(programme="prakerja-2020", wave=1, reason="salah kuota", at=desk.now))
    assert (await desk.me(applicant))["applications"][0]["state"] == "voided"
    assert "wave-voided" in await desk.steps(applicant)
    assert "wave-voided" not in await desk.steps(bystander)
    assert [event["type"] for event in await desk.announced()] == ["applied"]


async def test_an_applicant_follows_the_wave_in_the_timeline(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1)
    await desk.open_wave()
    (won,) = await joined(desk, citizen)
    told = {"programme": "prakerja-2020", "wave": 1}
    await desk.hear(closed(at=jakarta("2020-04-16 16:00:00")))
    await desk.hear(
        WaveCommitted(
            algorithm="draw/1", pool_count=1, root="0" * 64, beacon="b", beacon_round=1,
            at=jakarta("2020-04-16 17:00:00"), **told,
        )
    )  # fmt: skip
    await desk.hear(selection_of(won, jakarta("2020-04-17 10:00:00")))
    await desk.hear(WaveDrawn(seed="0" * 64, winners=1, at=jakarta("2020-04-17 10:00:00"), **told))
    await desk.hear(WavePublished(winners=1, not_selected=0, at=jakarta("2020-04-17 10:00:00"), **told))
    await desk.hear(selection_of(won, jakarta("2020-04-17 10:00:00")))  # a repeat stands once
    assert await desk.steps(citizen) == [
        "registered", "email-confirmed", "identity-submitted", "identity-verified", "applied", "wave-closed",
        "wave-committed", "wave-drawn", "selected-in-batch", "wave-published",
    ]  # fmt: skip
    assert (await desk.me(citizen))["next_step"]["en"].startswith("You have been accepted")
    async with desk.database.connection() as connection:
        steps = await views.timeline(connection, PROGRAMMES, citizen)
    assert [step["programme"] for step in steps] == [None] * 4 + ["prakerja-2020"] * 6


async def test_a_wave_with_other_times_is_joined_by_them_and_its_applicants_are_told(desk: Desk) -> None:
    early, late = await desk.citizens(2)
    await desk.open_wave()
    await joined(desk, early)
    told = {"programme": "prakerja-2020", "wave": 1, "at": desk.now, "reason": "Banjir di Jakarta"}
    days = {"opens_at": jakarta("2020-04-01"), "draws_at": jakarta("2020-04-30 10:00:00")}
    await desk.hear(WaveRescheduled(change=1, closes_at=desk.now - timedelta(seconds=1), **days, **told))
    assert code((await desk.join(late))[0]) == "wave-not-open"
    await desk.hear(WaveRescheduled(change=2, closes_at=jakarta("2020-04-29 16:00:00"), **days, **told))
    await joined(desk, late)
    assert (await desk.steps(early)).count("wave-rescheduled") == 2
    async with desk.database.connection() as connection:
        *_, newest = await views.timeline(connection, PROGRAMMES, early)
    assert "29-04-2020 16.00 WIB" in newest["id"]
    assert "Banjir di Jakarta" in newest["en"]


async def test_a_draw_that_is_repeated_is_told_step_by_step(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1)
    await desk.open_wave()
    (won,) = await joined(desk, citizen)
    told = {"programme": "prakerja-2020", "wave": 1}
    pool = {"algorithm": "draw/1", "pool_count": 1, "root": "0" * 64, "beacon": "b", "beacon_round": 1}
    at = [jakarta(f"2020-04-17 1{hour}:00:00") for hour in range(6)]
    await desk.hear(closed(at=jakarta("2020-04-16 16:00:00")))
    await desk.hear(WaveCommitted(at=at[0], **pool, **told))
    await desk.hear(WaveDrawn(seed="0" * 64, winners=1, at=at[1], **told))
    await desk.hear(WaveDrawSetAside(attempt=1, reason="Kuota salah hitung", root="0" * 64, at=at[2], **told))
    assert (await desk.me(citizen))["applications"][0]["state"] == "applied"
    await desk.hear(WaveCommitted(attempt=2, at=at[3], **pool, **told))
    await desk.hear(WaveDrawn(attempt=2, seed="0" * 64, winners=1, at=at[4], **told))
    await desk.hear(selection_of(won, at[5]))
    assert (await desk.steps(citizen))[-6:] == [
        "wave-committed", "wave-drawn", "wave-draw-set-aside", "wave-committed", "wave-drawn", "selected-in-batch",
    ]  # fmt: skip


async def test_an_announcement_that_comes_again_changes_dates_and_not_the_state(desk: Desk) -> None:
    await desk.open_wave()
    told = {"programme": "prakerja-2020", "wave": 1, "at": desk.now}
    times = {"opens_at": desk.now, "closes_at": jakarta("2020-04-20"), "draws_at": jakarta("2020-04-21")}
    await desk.hear(WaveAnnounced(quotas=({"province": "32", "tier": "public", "seats": 7},), **times, **told))
    assert await desk.value("SELECT state || seats FROM wave") == "open7"
    await desk.hear(WaveOpened(**told))
    assert await desk.value("SELECT count(*) FROM wave") == 1
