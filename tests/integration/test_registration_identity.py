"""Identities and the civil registry, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest

from deploy.local.databases import ServiceDatabase
from libs.events.refusal import Refusal, Refused
from services.registration import commands
from services.registration.domain.identity import SUBMISSIONS_MAX
from services.registration.outside import Unavailable
from services.registration.store_due import Check, Finding
from tests.integration.registration_desk import Desk, Registry, open_desk
from tests.unit.registration_examples import VAULT, claim, numbered, registration, submission


@pytest.fixture
async def desk(database: Callable[[str], ServiceDatabase]) -> AsyncIterator[Desk]:
    async with open_desk(database("registration")) as opened:
        yield opened


def code(result: object) -> str:
    assert isinstance(result, Refusal), result
    return result.code


async def test_who_matches_the_registry_is_verified(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1, check=False)
    assert (await desk.me(citizen))["identity"] == "checking"
    assert await desk.check() == 1
    me = await desk.me(citizen)
    assert (me["identity"], me["eligible"], me["reasons"]) == ("verified", True, [])
    assert (await desk.steps(citizen))[-2:] == ["identity-submitted", "identity-verified"]
    assert await desk.check() == 0


async def test_a_mismatch_can_be_corrected_and_sent_again(desk: Desk) -> None:
    desk.registry = Registry(
        lambda check: {} if check.claim.name == "Siti Aminah" else {"state": "mismatch", "mismatch_field": "name"}
    )
    (citizen,) = await desk.citizens(1)
    me = await desk.me(citizen)
    assert (me["identity"], me["mismatch_field"], me["eligible"]) == ("mismatch", "name", False)
    await desk.submit(submission(citizen))
    await desk.check()
    assert (await desk.me(citizen))["identity"] == "verified"
    assert code((await desk.submit(submission(citizen)))[0]) == "identity-already-verified"


async def test_the_email_comes_first(desk: Desk) -> None:
    (citizen,) = await desk.register(registration(1))
    assert code((await desk.submit(submission(str(citizen))))[0]) == "email-not-confirmed"
    assert code((await desk.submit(submission("f" * 32)))[0]) == "unknown-citizen"


async def test_one_nik_is_one_person_within_a_batch_and_after_it(desk: Desk) -> None:
    siti, budi, cici = await desk.citizens(3)
    await _set_back(desk)
    first, second = await desk.submit(submission(siti), submission(budi))
    assert not isinstance(first, Refusal)
    assert code(second) == "nik-taken"
    assert code((await desk.submit(submission(cici)))[0]) == "nik-taken"


async def test_a_nik_the_registry_refused_is_free_for_its_owner(desk: Desk) -> None:
    desk.registry = Registry(lambda check: {"state": "not-found"})
    siti, budi = await desk.citizens(2)
    desk.registry = Registry()
    answers = await desk.submit(submission(budi, numbered(1)))
    assert not isinstance(answers[0], Refusal)
    await desk.check()
    assert (await desk.me(budi))["identity"] == "verified"
    assert code((await desk.submit(submission(siti, numbered(1))))[0]) == "nik-taken"


async def test_two_batches_at_the_same_moment_can_not_share_a_nik(desk: Desk) -> None:
    siti, budi = await desk.citizens(2)
    await _set_back(desk)
    held = asyncio.Event()

    async def slow() -> object:
        async with desk.database.transaction() as tx:
            results = await commands.submit_identities(tx, [submission(siti)], desk.now, store=desk.store, vault=VAULT)
            held.set()
            await asyncio.sleep(0.1)
        return results[0]

    async def quick() -> object:
        await held.wait()
        return (await desk.submit(submission(budi)))[0]

    first, second = await asyncio.gather(slow(), quick(), return_exceptions=True)
    assert isinstance(first, commands.Submitted)
    assert isinstance(second, Refused)
    assert second.refusals[0].code == "nik-taken"
    assert second.__cause__ is None


async def test_the_last_submission_counts_and_an_answer_to_an_older_one_is_dropped(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1, check=False)

    class Slow(Registry):
        async def check(self, checks: Sequence[Check]) -> list[Finding]:
            if not self.asked:
                self.asked += checks
                await desk.submit(submission(citizen))  # corrected while the registry was thinking
            return await super().check(checks)

    desk.registry = Slow(lambda check: {"state": "mismatch", "mismatch_field": "kk"} if check.claim != claim() else {})
    await desk.check()
    assert (await desk.me(citizen))["identity"] == "checking"
    await desk.check()
    assert (await desk.me(citizen))["identity"] == "verified"


async def test_a_registry_that_is_away_is_asked_again_with_growing_pauses(desk: Desk) -> None:
    class Away(Registry):
        async def check(self, checks: Sequence[Check]) -> list[Finding]:
            self.asked += checks
            raise Unavailable("away")

    (citizen,) = await desk.citizens(1, check=False)
    desk.registry = away = Away()
    assert await desk.check() == 0
    for minutes, asked in ((0.9, 1), (1.0, 2), (2.9, 2), (3.0, 3)):
        start = desk.now.replace(hour=9, minute=0, second=0)
        desk.now = start + timedelta(minutes=minutes)
        await desk.check()
        assert len(away.asked) == asked
    assert (await desk.me(citizen))["identity"] == "checking"
    desk.registry = Registry()
    desk.now += timedelta(hours=1)
    assert await desk.check() == 1


async def test_several_lists_are_under_way_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.registration.jobs.CHECKS_PER_REQUEST", 2)
    at_once = 0

    class Counting(Registry):
        running = 0

        async def check(self, checks: Sequence[Check]) -> list[Finding]:
            nonlocal at_once
            assert len(checks) <= 2
            self.running += 1
            at_once = max(at_once, self.running)
            await asyncio.sleep(0.02)
            self.running -= 1
            return await super().check(checks)

    citizens = await desk.citizens(10, check=False)
    desk.registry = Counting()
    assert await desk.check() == 8
    assert at_once == 4
    assert await desk.check() == 2
    assert {(await desk.me(citizen))["identity"] for citizen in citizens} == {"verified"}


async def test_a_nik_with_another_birth_date_warns_and_does_not_bar(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1, claims=lambda n: claim(born=date(1995, 5, 1)))
    me = await desk.me(citizen)
    assert (me["nik_disagrees"], me["identity"], me["eligible"]) == (True, "verified", True)


async def test_one_family_card_is_one_household_and_correcting_it_is_another(desk: Desk) -> None:
    await desk.citizens(3, claims=lambda n: replace(numbered(n), kk="3273010101100007"))
    assert await desk.value("SELECT count(DISTINCT household_id) FROM identity") == 1
    assert await desk.value("SELECT count(*) FROM household") == 1


async def test_there_is_an_end_to_trying(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1, check=False)
    for _ in range(SUBMISSIONS_MAX - 1):
        await desk.submit(submission(citizen))
    assert code((await desk.submit(submission(citizen)))[0]) == "too-many-submissions"


async def _set_back(desk: Desk) -> None:
    """As if the registry had refused everybody: nobody holds a NIK."""
    async with desk.database.transaction() as tx:
        await tx.execute("UPDATE identity SET state = 'not-found'")
