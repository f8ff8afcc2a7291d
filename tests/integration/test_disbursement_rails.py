"""What the rails can do to a payment: late, never, twice, cut off, refused, sent back, and plainly wrong."""

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from libs.events.contracts import Rail
from services.disbursement import commands, sending
from services.disbursement.domain.settlement import Told
from services.disbursement.rails import Unclear
from tests.conftest import MakeDatabase
from tests.integration.disbursement import World, jakarta, open_world
from tests.integration.disbursement_people import person

AMI, BUDI = person("Ami"), person("Budi")

Make = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def make(database: MakeDatabase, tmp_path: Path) -> Make:
    def opened(**faults: float) -> AbstractAsyncContextManager[World]:
        return open_world(database("disbursement"), tmp_path, at=jakarta("2020-05-01 09:00"), **faults)

    return opened


@pytest.fixture
async def world(make: Make) -> AsyncIterator[World]:
    async with make() as made:
        await made.grant(100_000_000)
        yield made


def book(tmp_path: Path, rail: str, sql: str, *arguments: Any) -> list[Any]:
    """Look into, or tamper with, a rail's own book."""
    connection = sqlite3.connect(tmp_path / f"{rail}.sqlite3", timeout=5)
    try:
        with connection:
            return connection.execute(sql, arguments).fetchall()
    finally:
        connection.close()


def booked(tmp_path: Path, rail: str) -> list[str]:
    """The keys the rail has booked, once for each booking."""
    if rail == "bank":
        rows = book(tmp_path, rail, "SELECT end_to_end_id FROM entry WHERE status = 'ACSC' ORDER BY 1")
    else:
        rows = book(tmp_path, rail, "SELECT idempotency_key FROM transfer WHERE reason IS NULL ORDER BY 1")
    return [row[0] for row in rows]


async def incentive(world: World) -> str:
    return (await world.payouts(AMI))["incentive-1"]


async def day_by_day(world: World, *moments: str) -> None:
    for moment in moments:
        world.clock.at = jakarta(moment)
        await world.settle()


async def test_a_pending_transfer_is_unknown_until_the_wallet_says_paid(make: Make, tmp_path: Path) -> None:
    async with make(ewallet_pending_percent=100) as world:
        await world.grant(100_000_000)
        await world.ready([AMI], "e-wallet")
        await world.pay("e-wallet")
        assert await incentive(world) == "unknown"
        assert await world.send() == 0
        await day_by_day(world, "2020-05-01 10:00")
        assert await incentive(world) == "unknown", "asked only after two hours"
        await day_by_day(world, "2020-05-01 11:30")
        assert await incentive(world) == "paid"
        assert len(booked(tmp_path, "ewallet")) == 1
        assert (await world.told_types()).count("incentive-submitted") == 1


async def test_a_transfer_that_was_cut_off_is_never_sent_again(make: Make, tmp_path: Path) -> None:
    async with make(ewallet_timeout_percent=100) as world:
        await world.grant(100_000_000)
        await world.ready([AMI], "e-wallet")
        await world.pay("e-wallet")
        assert await incentive(world) == "unknown"
        await world.send()
        await day_by_day(world, "2020-05-01 11:30")
        await world.send()
        assert await incentive(world) == "paid"
        assert len(booked(tmp_path, "ewallet")) == 1
        (times,) = book(tmp_path, "ewallet", "SELECT times FROM asked WHERE reference LIKE '%001'")
        assert times == (1,), "one request, whatever came of it"


async def dies(*_: Any) -> list[Told]:
    raise RuntimeError("the process died here")


async def test_a_list_stored_but_never_sent_is_proven_unbooked_by_two_statements(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.ready([AMI], "e-wallet")
    with monkeypatch.context() as patched:
        patched.setattr(world.rails["e-wallet"], "send", dies)
        with pytest.raises(RuntimeError):
            await world.pay("e-wallet")
    assert (await world.figures())["in_flight"] == 600_000, "the books say it may be under way"
    await world.send()
    assert await incentive(world) == "unknown"
    assert booked(tmp_path, "ewallet") == []
    await day_by_day(world, "2020-05-01 11:30", "2020-05-02 00:10")
    assert await incentive(world) == "unknown", "not found minutes or a day later proves nothing"
    await day_by_day(world, "2020-05-03 00:10")
    assert await incentive(world) == "unknown", "the wallet was not asked after the statements"
    await day_by_day(world, "2020-05-03 11:00")
    assert await incentive(world) == "failed"
    world.clock.at = jakarta("2020-05-06 12:00")
    assert await world.retry() == 1
    await world.pay("e-wallet")
    assert await incentive(world) == "paid"
    assert [key[-3:] for key in booked(tmp_path, "ewallet")] == ["002"]


async def test_a_list_sent_by_a_process_that_died_before_the_answer_is_booked_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.ready([AMI], "e-wallet")
    wallet = world.rails["e-wallet"]
    send: Callable[[bytes], Awaitable[Any]] = wallet.send  # type: ignore[union-attr]

    async def sends_and_dies(body: bytes) -> None:
        await send(body)
        raise RuntimeError("the process died here")

    with monkeypatch.context() as patched:
        patched.setattr(wallet, "send", sends_and_dies)
        with pytest.raises(RuntimeError):
            await world.pay("e-wallet")
    await world.send()
    assert await incentive(world) == "unknown"
    await day_by_day(world, "2020-05-01 11:30")
    assert await incentive(world) == "paid"
    assert len(booked(tmp_path, "ewallet")) == 1


async def test_a_file_is_put_until_acknowledged_always_with_the_same_bytes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.ready([AMI])
    bank = world.rails["bank"]
    put, bodies = bank.put, list[bytes]()  # type: ignore[union-attr]

    async def loses_the_answer(message_id: str, body: bytes) -> None:
        bodies.append(body)
        if len(bodies) > 1:
            await put(message_id, body)
        if len(bodies) < 3:
            raise Unclear("cut off")

    monkeypatch.setattr(bank, "put", loses_the_answer)
    await world.pay()
    world.clock.at = jakarta("2020-05-09 09:00")
    await world.settle()
    assert await incentive(world) == "submitted", "no conclusion while the bank has not acknowledged it"
    await world.send()
    await world.send()
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    assert len(booked(tmp_path, "bank")) == 2
    await day_by_day(world, "2020-05-09 12:00")
    assert await incentive(world) == "paid"


@pytest.mark.parametrize(("rail", "messages"), [("bank", 2), ("e-wallet", 2)])
async def test_a_batch_is_cut_into_messages_of_limited_size(
    world: World, rail: Rail, messages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.ready([person(f"member {number}") for number in range(4)], rail)
    monkeypatch.setattr(sending, "payments_per_message", lambda _: 4 if rail == "bank" else 2)
    await world.pay(rail)
    parts = await world.fetch("SELECT part, payouts FROM message ORDER BY part")
    assert [row["part"] for row in parts] == list(range(1, messages + 1))
    assert sum(row["payouts"] for row in parts) == (8 if rail == "bank" else 4)
    (batch,) = await world.fetch("SELECT state FROM batch")
    assert batch["state"] == "sent"


async def test_a_late_answer_is_asked_for_three_times_at_most(make: Make, tmp_path: Path) -> None:
    async with make(bank_late_percent=100) as world:
        await world.grant(100_000_000)
        await world.ready([AMI, BUDI], "bank", "closed-until-repaired")
        await world.pay()
        asked: list[str] = []
        ask = world.rails["bank"].ask

        async def counted(message_id: str, keys: Sequence[str]) -> list[Told]:
            asked.append(world.now.isoformat())
            return await ask(message_id, keys)

        world.rails["bank"].ask = counted  # type: ignore[method-assign]
        for hour in range(10, 24):
            await day_by_day(world, f"2020-05-01 {hour}:00")
        for day in range(2, 8):
            await day_by_day(world, *(f"2020-05-{day:02} {hour:02}:00" for hour in range(0, 24, 3)))
        assert await incentive(world) == "failed"
        assert len(asked) <= 3
        (reason,) = await world.fetch("SELECT DISTINCT reason FROM payout WHERE state = 'failed'")
        assert reason["reason"] == "account-closed"


async def test_a_file_the_bank_never_reports_on_is_settled_by_its_statements(make: Make) -> None:
    async with make(bank_never_percent=100) as world:
        await world.grant(100_000_000)
        await world.ready([AMI])
        await world.ready([BUDI], "bank", "closed-until-repaired")
        await world.pay()
        await day_by_day(world, "2020-05-01 12:00", "2020-05-01 20:00")
        assert await incentive(world) == "submitted"
        await day_by_day(world, "2020-05-02 00:10")
        assert await incentive(world) == "paid"
        assert (await world.payouts(BUDI))["incentive-1"] == "submitted"
        refuse = world.asker._conclude
        await day_by_day(world, "2020-05-03 00:10")
        world.clock.at = jakarta("2020-05-03 12:00")
        await world.asker._ask(world.database, world.now)
        assert (await world.payouts(BUDI))["incentive-1"] == "unknown", "asked three times in vain"
        await refuse(world.database, "bank", world.now)
        assert (await world.payouts(BUDI))["incentive-1"] == "failed"
        assert await world.holds() == []


async def test_what_is_told_twice_has_one_effect(make: Make) -> None:
    async with make(bank_twice_percent=100, ewallet_twice_percent=100) as world:
        await world.grant(100_000_000)
        await world.ready([AMI])
        await world.ready([BUDI], "e-wallet")
        await world.pay()
        await world.pay("e-wallet")
        await day_by_day(world, "2020-05-01 12:00", "2020-05-02 06:00", "2020-05-09 06:00")
        assert (await world.figures())["paid"] == 2_000_000
        assert (await world.told_types()).count("incentive-paid") == 4
        assert await world.holds() == []


async def test_a_month_at_once_settles_everything(make: Make) -> None:
    async with make(bank_late_percent=30, bank_never_percent=30, ewallet_pending_percent=50) as world:
        await world.grant(100_000_000)
        await world.ready([AMI], "bank", "returns")
        await world.ready([BUDI], "e-wallet")
        await world.pay()
        await world.pay("e-wallet")
        await day_by_day(world, "2020-05-30 06:00")
        figures = await world.figures()
        assert (figures["in_flight"], figures["paid"]) == (0, 1_400_000)
        assert await world.holds() == []


async def test_a_line_for_an_unknown_payout_stops_sending_until_a_person_has_looked(world: World) -> None:
    await world.ready([AMI, BUDI], "e-wallet")
    batch = await world.propose("e-wallet")
    assert batch is not None
    async with world.database.transaction() as tx:
        payouts = [p.payout_id for p in await world.store.payouts_of(tx, BUDI.citizen_id) if p.due_at]
        batch = await commands.withdraw(tx, world.store, batch.batch_id, payouts[:1], world.now)
    await world.approve(batch)
    await world.send()
    stray = {"idempotency_key": "stray-001", "account": AMI.phone, "amount_rupiah": 7}
    await world.post("e-wallet", "/v1/transfers", [stray])
    await day_by_day(world, "2020-05-02 06:00")
    assert await world.holds() == [("unknown-line", "stray-001")]
    other = await world.propose("e-wallet")
    assert other is not None
    await world.approve(other)
    assert await world.send() == 0
    (hold,) = await world.fetch("SELECT hold_id FROM sending_hold")
    async with world.database.transaction() as tx:
        await commands.lift_hold(tx, world.store, hold["hold_id"], "A test of the wallet.", "checker", world.now)
    assert await world.send() == 1
    assert (await world.payouts(BUDI))["incentive-1"] == "paid"


async def test_a_wrong_amount_on_a_statement_stops_sending(world: World, tmp_path: Path) -> None:
    await world.ready([AMI], "e-wallet")
    await world.pay("e-wallet")
    book(tmp_path, "ewallet", "UPDATE transfer SET amount_rupiah = 599999")
    await day_by_day(world, "2020-05-02 06:00")
    assert [reason for reason, _ in await world.holds()] == ["wrong-amount"]
    assert (await world.figures())["paid"] == 600_000


async def test_a_paid_payment_that_stands_on_no_statement_stops_sending(world: World, tmp_path: Path) -> None:
    await world.ready([AMI], "e-wallet")
    await world.pay("e-wallet")
    (key,) = booked(tmp_path, "ewallet")
    book(tmp_path, "ewallet", "DELETE FROM transfer")
    await day_by_day(world, "2020-05-02 06:00")
    assert await world.holds() == [], "the next day's statement may still show it"
    await day_by_day(world, "2020-05-03 06:00", "2020-05-04 06:00")
    assert await world.holds() == [("paid-but-missing", key)]


async def test_a_payment_booked_under_two_references_stops_sending(world: World, tmp_path: Path) -> None:
    await world.ready([AMI])
    await world.pay()
    book(tmp_path, "bank", "DROP INDEX entry_booked_once")
    book(
        tmp_path,
        "bank",
        "INSERT INTO entry (message_id, end_to_end_id, account, amount_rupiah, status, at)"
        " SELECT message_id, end_to_end_id, account, amount_rupiah, status, at FROM entry WHERE amount_rupiah = 600000",
    )
    await day_by_day(world, "2020-05-02 06:00")
    assert [reason for reason, _ in await world.holds()] == ["booked-twice"]
    assert (await world.figures())["paid"] == 1_000_000


async def test_a_refused_payment_that_turns_up_booked_stops_sending(world: World, tmp_path: Path) -> None:
    await world.ready([AMI], "e-wallet", "wallet-full-until-repaired")
    await world.pay("e-wallet")
    book(tmp_path, "ewallet", "UPDATE transfer SET reason = NULL, settlement_id = 'late'")
    await day_by_day(world, "2020-05-02 06:00")
    assert [reason for reason, _ in await world.holds()] == ["failed-but-booked"]


async def test_a_key_the_wallet_knows_with_another_amount_stops_sending(world: World) -> None:
    await world.ready([AMI], "e-wallet")
    batch = await world.propose("e-wallet")
    assert batch is not None
    (attempt,) = await world.fetch("SELECT key FROM attempt")
    other = {"idempotency_key": attempt["key"], "account": AMI.phone, "amount_rupiah": 7}
    await world.post("e-wallet", "/v1/transfers", [other])
    await world.approve(batch)
    await world.send()
    assert await world.holds() == [("key-reused", attempt["key"])]
    assert await incentive(world) == "unknown"


async def test_the_stored_bytes_are_sealed_and_go_when_every_payment_is_on_a_statement(world: World) -> None:
    await world.ready([AMI])
    await world.pay()
    (message,) = await world.fetch("SELECT message_id, body FROM message")
    opened = world.vault.open_message(message["message_id"], message["body"])
    number = f"10{AMI.nik[-8:]}".encode()
    assert number in opened
    assert number not in message["body"]
    await day_by_day(world, "2020-05-02 06:00")
    assert (await world.fetch("SELECT body FROM message"))[0]["body"] is not None
    await day_by_day(world, "2020-05-03 06:00")
    assert (await world.fetch("SELECT body FROM message"))[0]["body"] is None


async def test_nothing_personal_is_announced_or_stored_in_clear(world: World) -> None:
    await world.ready([AMI])
    await world.ready([BUDI], "e-wallet")
    await world.pay()
    await world.pay("e-wallet")
    tables = await world.fetch(
        "SELECT relname AS tablename FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p') AND has_table_privilege(oid, 'SELECT')"
    )
    stored = ""
    for table in tables:
        rows = await world.fetch(f"SELECT t::text AS text FROM {table['tablename']} t")
        stored += "\n".join(row["text"] for row in rows)
    told = json.dumps(await world.told())
    assert "prakerja-2020" in stored
    for secret in (AMI.nik, BUDI.nik, BUDI.phone, f"10{AMI.nik[-8:]}"):
        assert secret not in stored
        assert secret.encode().hex() not in stored
        assert secret not in told
