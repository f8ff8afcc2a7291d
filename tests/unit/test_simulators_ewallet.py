"""The e-wallet: one key has one outcome for ever, pending money turns up later, the statement agrees with the book."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient

from deploy.simulators import ewallet
from deploy.simulators.common import account_hash
from libs.events.clock import FixedClock
from tests.unit.simulators import client

NOON = datetime(2020, 4, 17, 5, 0, tzinfo=UTC)  # 12:00 in Jakarta
NIK = "3273010101900001"
PHONE = "+628110000001"
BROKEN = ["not-verified", "wallet-full", "limit-exceeded", "phone-changed"]


class Wallet:
    """The e-wallet under test, in the words of this page."""

    def __init__(self, http: AsyncClient, clock: FixedClock) -> None:
        self.http, self.clock = http, clock

    async def load(self, behaviour: str = "good", account: str = PHONE) -> None:
        body = [{"account": account, "nik": NIK, "behaviour": behaviour}]
        assert (await self.http.post("/accounts", json=body)).json() == {"loaded": 1}

    async def pay(self, key: str, rupiah: int = 600_000, account: str = PHONE) -> tuple[str, str | None]:
        body = [{"idempotency_key": key, "account": account, "amount_rupiah": rupiah}]
        (told,) = (await self.http.post("/v1/transfers", json=body)).json()
        assert told["idempotency_key"] == key
        return told["status"], told["reason"]

    async def inquire(self, key: str) -> dict[str, Any]:
        (told,) = (await self.http.post("/v1/transfer-inquiries", json=[{"idempotency_key": key}])).json()
        return dict(told)

    async def lines(self, day: str = "2020-04-17") -> list[dict[str, Any]]:
        return list((await self.http.get(f"/v1/statements/{day}")).json()["lines"])

    async def booked(self) -> list[dict[str, Any]]:
        return list((await self.http.get("/v1/book")).json()["booked"])


async def open_wallet(folder: Path, **faults: Any) -> AsyncIterator[Wallet]:
    clock = FixedClock(NOON)
    quiet = {"pending_percent": 0, "twice_percent": 0}
    settings = ewallet.Settings(port=0, book=folder / "book", **quiet | faults)
    async with client(ewallet.create(settings, clock)) as http:
        yield Wallet(http, clock)


@pytest.fixture
async def wallet(tmp_path: Path) -> AsyncIterator[Wallet]:
    async for one in open_wallet(tmp_path):
        yield one


async def test_an_inquiry_tells_whose_wallet_it_is_and_not_how_full(wallet: Wallet) -> None:
    await wallet.load("wallet-full")
    asked = [
        {"reference": "mine", "account": PHONE, "nik": NIK},
        {"reference": "not-mine", "account": PHONE, "nik": "3273010101900002"},
        {"reference": "none", "account": "+628110000009", "nik": NIK},
    ]
    told = (await wallet.http.post("/v1/account-inquiries", json=asked)).json()
    assert [one["result"] for one in told] == ["valid", "identity-mismatch", "not-found"]


async def test_the_same_key_again_is_the_same_answer_and_one_booking(wallet: Wallet) -> None:
    await wallet.load()
    assert [await wallet.pay("k1") for _ in range(3)] == [("paid", None)] * 3
    assert [(one["end_to_end_id"], one["amount_rupiah"], one["account_hash"]) for one in await wallet.booked()] == [
        ("k1", 600_000, account_hash(PHONE))
    ]


async def test_a_key_used_for_another_payment_is_refused_and_changes_nothing(wallet: Wallet) -> None:
    await wallet.load()
    await wallet.load(account="+628110000002")
    await wallet.pay("k1")
    assert await wallet.pay("k1", rupiah=600_001) == ("failed", "key-reused")
    assert await wallet.pay("k1", account="+628110000002") == ("failed", "key-reused")
    assert await wallet.pay("k1") == ("paid", None)
    assert len(await wallet.booked()) == 1


async def test_one_key_twice_in_one_request_is_one_booking(wallet: Wallet) -> None:
    await wallet.load()
    body = [{"idempotency_key": "k1", "account": PHONE, "amount_rupiah": rupiah} for rupiah in (5, 5, 6)]
    told = (await wallet.http.post("/v1/transfers", json=body)).json()
    assert [(one["status"], one["reason"]) for one in told] == [
        ("paid", None),
        ("paid", None),
        ("failed", "key-reused"),
    ]
    assert [one["amount_rupiah"] for one in await wallet.booked()] == [5]


@pytest.mark.parametrize("reason", BROKEN)
async def test_a_broken_wallet_refuses_and_a_new_key_works_after_the_repair(wallet: Wallet, reason: str) -> None:
    await wallet.load(f"{reason}-until-repaired")
    assert await wallet.pay("k1") == ("failed", reason)
    assert (await wallet.http.post("/repairs", json=[{"account": PHONE}])).json() == {"loaded": 1}
    assert await wallet.pay("k1") == ("failed", reason)  # a key keeps its outcome
    assert await wallet.pay("k2") == ("paid", None)
    assert [one["end_to_end_id"] for one in await wallet.booked()] == ["k2"]


@pytest.mark.parametrize("reason", BROKEN)
async def test_some_wallets_stay_broken(wallet: Wallet, reason: str) -> None:
    await wallet.load(reason)
    assert (await wallet.http.post("/repairs", json=[{"account": PHONE}])).json() == {"loaded": 0}
    assert await wallet.pay("k1") == ("failed", reason)
    assert await wallet.booked() == []


async def test_a_number_without_a_wallet_has_changed_hands(wallet: Wallet) -> None:
    assert await wallet.pay("k1") == ("failed", "phone-changed")


async def test_pending_money_was_booked_and_is_told_after_two_hours(tmp_path: Path) -> None:
    async for wallet in open_wallet(tmp_path, pending_percent=100):
        await wallet.load()
        assert await wallet.pay("k1") == ("pending", None)
        assert len(await wallet.booked()) == 1
        wallet.clock.at += timedelta(hours=1, minutes=59)
        assert (await wallet.inquire("k1"))["status"] == "pending"
        wallet.clock.at += timedelta(minutes=1)
        paid = await wallet.inquire("k1")
        assert paid["status"] == "paid"
        wallet.clock.at += timedelta(days=1)
        assert [(line["idempotency_key"], line["settlement_id"]) for line in await wallet.lines()] == [
            ("k1", paid["settlement_id"])
        ]


async def test_an_unknown_key_is_not_found_and_a_failed_one_says_why(wallet: Wallet) -> None:
    await wallet.load("wallet-full")
    await wallet.pay("k1")
    assert (await wallet.inquire("k2"))["status"] == "not-found"
    assert await wallet.inquire("k1") == {
        "idempotency_key": "k1",
        "status": "failed",
        "reason": "wallet-full",
        "settlement_id": None,
    }


async def test_faults_are_the_same_for_one_seed(tmp_path: Path) -> None:
    async def pending(folder: str, seed: str) -> list[str]:
        (tmp_path / folder).mkdir()
        async for wallet in open_wallet(tmp_path / folder, seed=seed, pending_percent=20):
            await wallet.load()
            keys = [f"k{n}" for n in range(100)]
            return [key for key in keys if (await wallet.pay(key))[0] == "pending"]
        raise AssertionError

    first = await pending("a", "1")
    assert first == await pending("b", "1")
    assert first != await pending("c", "2")
    assert 8 < len(first) < 35


async def test_the_statement_agrees_with_the_book_even_where_it_lists_a_line_twice(tmp_path: Path) -> None:
    async for wallet in open_wallet(tmp_path, twice_percent=50, pending_percent=20):
        await wallet.load()
        await wallet.load("wallet-full", account="+628110000002")
        for n in range(100):
            await wallet.pay(f"k{n}", rupiah=n + 1, account="+628110000002" if n % 10 == 0 else PHONE)
        assert (await wallet.http.get("/v1/statements/2020-04-17")).status_code == 425
        wallet.clock.at += timedelta(days=1)
        lines = await wallet.lines()
        times = Counter(line["settlement_id"] for line in lines)
        assert {1, 2} == set(times.values())
        once = {line["settlement_id"]: (line["idempotency_key"], line["amount_rupiah"]) for line in lines}
        assert sorted(once.values()) == sorted(
            (one["end_to_end_id"], one["amount_rupiah"]) for one in await wallet.booked()
        )
        assert len(once) == 90


async def test_money_is_whole_rupiah_above_zero(wallet: Wallet) -> None:
    for rupiah in (0, -1, 1.5, "x"):
        body = [{"idempotency_key": "k1", "account": PHONE, "amount_rupiah": rupiah}]
        assert (await wallet.http.post("/v1/transfers", json=body)).status_code == 422
