"""Registering, confirming an e-mail address and signing in, on a real PostgreSQL."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from deploy.local.databases import ServiceDatabase
from libs.events.refusal import Refusal
from tests.integration.registration_desk import Desk, open_desk
from tests.unit.registration_examples import registration


@pytest.fixture
async def desk(database: Callable[[str], ServiceDatabase]) -> AsyncIterator[Desk]:
    async with open_desk(database("registration")) as opened:
        yield opened


def code(result: object) -> str:
    assert isinstance(result, Refusal), result
    return result.code


async def test_the_same_registration_gives_the_same_citizen(desk: Desk) -> None:
    first, again = await desk.register(registration(1), registration(1))
    assert first == again == (await desk.register(registration(1)))[0]
    assert await desk.value("SELECT count(*) FROM citizen") == 1


async def test_a_batch_with_the_same_email_and_phone_answers_everybody_rightly(desk: Desk) -> None:
    one, two, three, four = await desk.register(
        registration(1),
        registration(2, email="warga1@contoh.id"),
        registration(3, phone="+628120000001"),
        registration(4),
    )
    answers = {one, two, three, four}
    assert isinstance(four, str)
    assert len([answer for answer in answers if isinstance(answer, str)]) >= 2
    assert await desk.value("SELECT count(*) FROM citizen") == len([a for a in answers if isinstance(a, str)])
    # Which of the three that collide came first is the database's to say; the loser hears what stands in the way.
    assert {code(answer) for answer in answers if isinstance(answer, Refusal)} <= {"email-taken", "phone-taken"}


async def test_an_email_or_phone_of_somebody_else_is_refused(desk: Desk) -> None:
    await desk.register(registration(1))
    email, phone, reused = await desk.register(
        registration(2, email="warga1@contoh.id"),
        registration(3, phone="+628120000001"),
        registration(9, id=registration(1).registration_id),
    )
    assert (code(email), code(phone), code(reused)) == ("email-taken", "phone-taken", "registration-id-used")


async def test_the_code_by_email_confirms_the_address_once_and_for_all(desk: Desk) -> None:
    (citizen,) = await desk.register(registration(1))
    assert await desk.send() == 1
    digits = desk.gateway.code("warga1@contoh.id")
    assert await desk.confirm((str(citizen), digits)) == ["confirmed"]
    assert await desk.confirm((str(citizen), "000000")) == ["confirmed"]
    assert await desk.value("SELECT count(*) FROM code") == 0
    assert await desk.steps(str(citizen)) == ["registered", "email-confirmed"]


async def test_wrong_digits_are_counted_also_within_one_batch(desk: Desk) -> None:
    (found,) = await desk.register(registration(1))
    citizen = str(found)
    await desk.send()
    right = desk.gateway.code("warga1@contoh.id")
    wrong = f"{(int(right) + 1) % 1_000_000:06}"
    answers = await desk.confirm(*[(citizen, wrong)] * 3)
    answers += await desk.confirm(*[(citizen, wrong)] * 3, (citizen, right))
    assert [code(answer) for answer in answers] == ["code-wrong"] * 5 + ["code-blocked"] * 2


async def test_registering_again_brings_a_fresh_code_once_the_old_one_has_lapsed(desk: Desk) -> None:
    await desk.register(registration(1))
    await desk.register(registration(1))
    assert await desk.send() == 1
    desk.now += timedelta(days=1, seconds=1)
    (citizen,) = await desk.register(registration(1))
    assert await desk.send() == 1
    assert await desk.confirm((str(citizen), desk.gateway.code("warga1@contoh.id"))) == ["confirmed"]


async def test_signing_in_by_sms_uses_the_code_up(desk: Desk) -> None:
    (citizen,) = await desk.register(registration(1))
    await desk.send()
    await desk.request_sign_in("+628120000001", "+628120000001", "+628129999999")
    assert await desk.send() == 1
    sms = ("+628120000001", desk.gateway.code("+628120000001"))
    first, second = await desk.sign_in(sms, sms)
    assert first == citizen
    assert code(second) == "code-wrong"
    assert code((await desk.sign_in(("+628129999999", "123456")))[0]) == "code-wrong"


async def test_a_second_code_is_not_sent_within_a_minute(desk: Desk) -> None:
    await desk.register(registration(1))
    await desk.send()
    for seconds, sent in ((0, 1), (59, 0), (60, 1)):
        desk.now = desk.now.replace(second=0, minute=0) + timedelta(seconds=seconds)
        await desk.request_sign_in("+628120000001")
        assert await desk.send() == sent


async def test_the_text_of_a_message_is_gone_once_it_is_sent(desk: Desk) -> None:
    await desk.register(registration(1))
    assert await desk.value("SELECT count(*) FROM message WHERE sealed IS NOT NULL") == 1
    await desk.send()
    assert await desk.value("SELECT count(*) FROM message WHERE sealed IS NULL AND sent_at IS NOT NULL") == 1
    assert await desk.send() == 0


async def test_nothing_personal_is_readable_in_the_store(desk: Desk) -> None:
    await desk.citizens(1)
    async with desk.database.connection() as connection:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        )
        stored = ""
        for (table,) in tables:
            if await connection.fetchval("SELECT has_table_privilege($1, 'SELECT')", table):
                stored += str([list(row) for row in await connection.fetch(f'SELECT "{table}"::text FROM "{table}"')])
    assert "identity-submitted" in stored
    known = ["warga1", "8120000001", "3273013004950001", "3273010101100001", "Warga 1", "1995-04-30"]
    assert not [secret for secret in known if secret in stored or secret.encode().hex() in stored]
