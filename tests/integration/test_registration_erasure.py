"""Erasing a person, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from deploy.local.databases import ServiceDatabase
from libs.events.contracts import Applied
from libs.events.refusal import Refused
from services.registration.erasure import erase
from services.registration.store_erasure import ErasureStore
from services.registration.vault import Unsealable, Vault
from tests.integration.registration_desk import Desk, open_desk, selection_of
from tests.unit.registration_examples import VAULT, numbered, registration, submission


@pytest.fixture
async def desk(database: Callable[[str], ServiceDatabase]) -> AsyncIterator[Desk]:
    async with open_desk(database("registration")) as opened:
        yield opened


async def forget(desk: Desk, citizen: str) -> str | None:
    """Erase a citizen; the code of the refusal, if there is one."""
    try:
        async with desk.database.transaction() as tx:
            await erase(tx, ErasureStore(), citizen, desk.now)
    except Refused as refused:
        return refused.refusals[0].code
    return None


async def test_nothing_that_leads_to_the_person_is_left(desk: Desk) -> None:
    citizen, other = await desk.citizens(2)
    await desk.request_sign_in("+628120000001")
    assert await forget(desk, citizen) is None
    for table in ("citizen_key", "identity", "code", "message", "timeline"):
        assert await desk.value(f"SELECT count(*) FROM {table} WHERE citizen_id = $1", citizen) == 0, table
        assert table == "code" or await desk.value(f"SELECT count(*) FROM {table} WHERE citizen_id = $1", other) > 0
    assert (
        await desk.value(
            "SELECT num_nonnulls(email_index, phone_index, contact) FROM citizen WHERE citizen_id = $1", citizen
        )
        == 0
    )
    assert await desk.value("SELECT count(*) FROM household") == 1
    assert await forget(desk, citizen) is None


async def test_a_backup_without_the_key_table_does_not_open(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1)
    backup = await desk.value("SELECT sealed FROM identity WHERE citizen_id = $1", citizen)
    wrapped = await desk.value("SELECT wrapped FROM citizen_key WHERE citizen_id = $1", citizen)
    assert VAULT.seal(citizen, wrapped).open_claim(backup) == numbered(1)
    await forget(desk, citizen)
    seal, _ = VAULT.new_key(citizen)
    with pytest.raises(Unsealable):
        seal.open_claim(backup)
    with pytest.raises(Unsealable):
        Vault(b"n" * 32, b"k" * 32, b"z" * 32).seal(citizen, wrapped)


async def test_the_person_may_come_back_as_somebody_new(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1)
    await forget(desk, citizen)
    (again,) = await desk.register(registration(2, email="warga1@contoh.id", phone="+628120000001"))
    assert again != citizen
    await desk.send()
    assert await desk.confirm((str(again), desk.gateway.code("warga1@contoh.id"))) == ["confirmed"]
    await desk.submit(submission(str(again), numbered(1)))
    await desk.check()
    assert (await desk.me(str(again)))["identity"] == "verified"


async def test_a_family_card_stays_while_somebody_is_on_it(desk: Desk) -> None:
    siti, budi = await desk.citizens(2, claims=lambda n: replace(numbered(n), kk="3273010101100007"))
    await forget(desk, siti)
    assert await desk.value("SELECT count(*) FROM household") == 1
    await forget(desk, budi)
    assert await desk.value("SELECT count(*) FROM household") == 0


async def test_an_erased_citizen_can_do_nothing_any_more(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1)
    await desk.open_wave()
    await forget(desk, citizen)
    assert [getattr(one, "code", "") for one in await desk.join(citizen)] == ["unknown-citizen"]
    assert [getattr(one, "code", "") for one in await desk.submit(submission(citizen))] == ["unknown-citizen"]
    assert [getattr(one, "code", "") for one in await desk.confirm((citizen, "123456"))] == ["unknown-citizen"]
    with pytest.raises(Refused):
        await desk.me(citizen)


async def test_whoever_stands_in_a_wave_or_was_accepted_is_kept(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1)
    await desk.open_wave()
    (event,) = await desk.join(citizen)
    assert isinstance(event, Applied)
    assert await forget(desk, citizen) == "application-stands"
    await desk.hear(selection_of(event))
    assert await forget(desk, citizen) == "member-stays"
    assert await forget(desk, "f" * 32) == "unknown-citizen"


async def test_a_citizen_is_not_erased_in_the_middle_of_joining(desk: Desk) -> None:
    (citizen,) = await desk.citizens(1)
    await desk.open_wave()
    for _ in range(5):
        joined, erased = await asyncio.gather(desk.join(citizen), forget(desk, citizen))
        stands = await desk.value("SELECT count(*) FROM application WHERE state = 'applied'")
        key = await desk.value("SELECT count(*) FROM citizen_key")
        assert (stands, key) in ((1, 1), (0, 0)), (joined, erased)
        if not key:
            break
        await desk.withdraw(citizen)
