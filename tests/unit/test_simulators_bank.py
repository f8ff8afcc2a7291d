"""The bank: one EndToEndId is one booking, answers come late or never, and the statement agrees with the book."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from httpx import AsyncClient

from deploy.simulators import bank, iso20022
from deploy.simulators.common import account_hash
from libs.events.clock import FixedClock
from tests.unit.simulators import client

NOON = datetime(2020, 4, 17, 5, 0, tzinfo=UTC)  # 12:00 in Jakarta
STATUS, STATEMENT = {"": iso20022.PAIN_002}, {"": iso20022.CAMT_053}
NIK = "3273010101900001"
QUIET = {"late_percent": 0, "never_percent": 0, "twice_percent": 0}


def payment_file(message_id: str, *transfers: tuple[str, str, int], nik: str | None = None) -> bytes:
    """A pain.001 as a paying programme writes it: (EndToEndId, account, rupiah) each."""
    identity = f"<Id><PrvtId><Othr><Id>{nik}</Id></Othr></PrvtId></Id>" if nik else ""
    lines = "".join(
        f"<CdtTrfTxInf><PmtId><EndToEndId>{key}</EndToEndId></PmtId>"
        f'<Amt><InstdAmt Ccy="IDR">{rupiah}</InstdAmt></Amt><Cdtr><Nm>A &amp; B</Nm>{identity}</Cdtr>'
        f"<CdtrAcct><Id><Othr><Id>{account}</Id></Othr></Id></CdtrAcct></CdtTrfTxInf>"
        for key, account, rupiah in transfers
    )
    totals = f"<NbOfTxs>{len(transfers)}</NbOfTxs><CtrlSum>{sum(rupiah for *_, rupiah in transfers)}</CtrlSum>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><Document xmlns="{iso20022.PAIN_001}"><CstmrCdtTrfInitn>'
        f"<GrpHdr><MsgId>{message_id}</MsgId><CreDtTm>2020-04-17T12:00:00+07:00</CreDtTm>{totals}</GrpHdr>"
        f"<PmtInf><PmtInfId>{message_id}</PmtInfId><PmtMtd>TRF</PmtMtd>{totals}{lines}</PmtInf>"
        "</CstmrCdtTrfInitn></Document>"
    ).encode()


class Bank:
    """The bank under test, in the words of this page."""

    def __init__(self, http: AsyncClient, clock: FixedClock) -> None:
        self.http, self.clock = http, clock

    async def load(self, **behaviours: str) -> None:
        accounts = [
            {"account": account, "nik": NIK, "name": "Siti", "behaviour": behaviour.replace("_", "-")}
            for account, behaviour in behaviours.items()
        ]
        assert (await self.http.post("/accounts", json=accounts)).json() == {"loaded": len(accounts)}

    async def put(self, message_id: str, *transfers: tuple[str, str, int], nik: str | None = None) -> int:
        body = payment_file(message_id, *transfers, nik=nik)
        return (await self.http.put(f"/v1/files/{message_id}", content=body)).status_code

    async def status_code(self, message_id: str) -> int:
        return (await self.http.get(f"/v1/files/{message_id}/status")).status_code

    async def outcomes(self, message_id: str) -> list[tuple[str, str, str]]:
        answer = await self.http.get(f"/v1/files/{message_id}/status")
        assert answer.headers["content-type"] == "application/xml"
        root = ElementTree.fromstring(answer.content)
        assert root.findtext("CstmrPmtStsRpt/OrgnlGrpInfAndSts/OrgnlMsgId", "", STATUS) == message_id
        return [
            (
                told.findtext("OrgnlEndToEndId", "", STATUS),
                told.findtext("TxSts", "", STATUS),
                told.findtext("StsRsnInf/Rsn/Cd", "", STATUS),
            )
            for told in root.iterfind("CstmrPmtStsRpt/OrgnlPmtInfAndSts/TxInfAndSts", STATUS)
        ]

    async def statement(self, day: str) -> ElementTree.Element:
        answer = await self.http.get(f"/v1/statements/{day}")
        assert answer.status_code == 200
        told = ElementTree.fromstring(answer.content).find("BkToCstmrStmt/Stmt", STATEMENT)
        assert told is not None
        return told

    async def entries(self, day: str) -> list[tuple[str, str, int]]:
        return [
            (
                told.findtext("NtryDtls/TxDtls/Refs/EndToEndId", "", STATEMENT),
                told.findtext("CdtDbtInd", "", STATEMENT),
                int(told.findtext("Amt", "", STATEMENT)),
            )
            for told in (await self.statement(day)).iterfind("Ntry", STATEMENT)
        ]

    async def balances(self, day: str) -> dict[str, int]:
        return {
            told.findtext("Tp/CdOrPrtry/Cd", "", STATEMENT): int(told.findtext("Amt", "", STATEMENT))
            for told in (await self.statement(day)).iterfind("Bal", STATEMENT)
        }

    async def booked(self, limit: int = 10_000) -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = []
        while page := (
            await self.http.get("/v1/book", params={"after": seen[-1]["cursor"] if seen else 0, "limit": limit})
        ).json()["booked"]:
            seen += page
        return seen


async def open_bank(tmp_path: Path, **faults: Any) -> AsyncIterator[Bank]:
    clock = FixedClock(NOON)
    settings = bank.Settings(port=0, book=tmp_path / "book", **QUIET | faults)
    async with client(bank.create(settings, clock)) as http:
        yield Bank(http, clock)


@pytest.fixture
async def rail(tmp_path: Path) -> AsyncIterator[Bank]:
    async for one in open_bank(tmp_path):
        yield one


async def test_an_inquiry_tells_whether_an_account_can_be_paid(rail: Bank) -> None:
    await rail.load(a="good", b="closed", c="identity-mismatch", d="closed_until_repaired", e="returns")
    asked = [{"reference": account, "account": account, "nik": NIK} for account in "abcdex"]
    asked.append({"reference": "other", "account": "a", "nik": "3273010101900002"})
    told = (await rail.http.post("/v1/account-inquiries", json=asked)).json()
    assert {one["reference"]: one["result"] for one in told} == {
        "a": "valid",
        "b": "closed",
        "c": "identity-mismatch",
        "d": "valid",
        "e": "valid",
        "x": "not-found",
        "other": "identity-mismatch",
    }


async def test_each_transaction_has_its_own_outcome(rail: Bank) -> None:
    await rail.load(a="good", b="closed", c="identity-mismatch", d="closed_until_repaired")
    assert await rail.put("m1", *((f"e-{account}", account, 600_000) for account in "abcdx")) == 202
    rail.clock.at += timedelta(hours=1)
    assert await rail.outcomes("m1") == [
        ("e-a", "ACSC", ""),
        ("e-b", "RJCT", "AC04"),
        ("e-c", "RJCT", "BE01"),
        ("e-d", "RJCT", "AC04"),
        ("e-x", "RJCT", "AC01"),
    ]
    assert [one["end_to_end_id"] for one in await rail.booked()] == ["e-a"]


async def test_money_for_another_persons_account_is_refused(rail: Bank) -> None:
    await rail.load(a="good")
    await rail.put("m1", ("e1", "a", 1), nik="3273010101900002")
    await rail.put("m2", ("e2", "a", 1), nik=NIK)
    rail.clock.at += timedelta(hours=1)
    assert await rail.outcomes("m1") == [("e1", "RJCT", "BE01")]
    assert await rail.outcomes("m2") == [("e2", "ACSC", "")]


async def test_a_repaired_account_can_be_paid_and_a_closed_one_stays_closed(rail: Bank) -> None:
    await rail.load(a="closed_until_repaired", b="closed")
    await rail.put("m1", ("e1", "a", 1), ("e2", "b", 1))
    assert (await rail.http.post("/repairs", json=[{"account": "a"}, {"account": "b"}])).json() == {"loaded": 1}
    await rail.put("m2", ("e1", "a", 1), ("e2", "b", 1))  # a refused EndToEndId was not used up
    rail.clock.at += timedelta(hours=1)
    assert await rail.outcomes("m2") == [("e1", "ACSC", ""), ("e2", "RJCT", "AC04")]


async def test_the_same_file_twice_is_one_booking_and_another_file_under_its_name_is_refused(rail: Bank) -> None:
    await rail.load(a="good")
    assert [await rail.put("m1", ("e1", "a", 600_000)) for _ in range(3)] == [202, 202, 202]
    assert await rail.put("m1", ("e1", "a", 600_001)) == 409
    assert [(one["end_to_end_id"], one["amount_rupiah"]) for one in await rail.booked()] == [("e1", 600_000)]


async def test_an_end_to_end_id_is_booked_once_in_one_file_and_across_files(rail: Bank) -> None:
    await rail.load(a="good")
    await rail.put("m1", ("e1", "a", 600_000), ("e1", "a", 600_000))
    await rail.put("m2", ("e1", "a", 600_000))
    rail.clock.at += timedelta(hours=1)
    assert await rail.outcomes("m1") == [("e1", "ACSC", ""), ("e1", "RJCT", "DUPL")]
    assert await rail.outcomes("m2") == [("e1", "RJCT", "DUPL")]
    assert len(await rail.booked()) == 1


async def test_the_status_comes_after_an_hour_and_an_unknown_file_has_none(rail: Bank) -> None:
    await rail.load(a="good")
    await rail.put("m1", ("e1", "a", 1))
    assert (await rail.status_code("m1"), await rail.status_code("unknown")) == (425, 404)
    rail.clock.at += timedelta(minutes=59, seconds=59)
    assert await rail.status_code("m1") == 425
    rail.clock.at += timedelta(seconds=1)
    assert await rail.status_code("m1") == 200


async def test_some_files_are_answered_late_and_some_never_the_same_ones_for_one_seed(tmp_path: Path) -> None:
    async def ready(folder: str, seed: str, hours: int) -> list[str]:
        (tmp_path / folder).mkdir()
        async for rail in open_bank(tmp_path / folder, seed=seed, late_percent=30, never_percent=30):
            await rail.load(a="good")
            for n in range(60):
                await rail.put(f"m{n}", (f"e{n}", "a", 1))
            rail.clock.at += timedelta(hours=hours)
            return [f"m{n}" for n in range(60) if await rail.status_code(f"m{n}") == 200]
        raise AssertionError

    soon, late = await ready("a", "1", 1), await ready("b", "1", 26)
    assert soon == await ready("c", "1", 25)
    assert set(soon) < set(late)
    assert 10 < len(soon) < 40 < len(late) + 10 < 60
    assert late == await ready("d", "1", 10_000)
    assert late != await ready("e", "2", 10_000)


async def test_what_no_status_ever_tells_stands_in_the_statement(tmp_path: Path) -> None:
    async for rail in open_bank(tmp_path, never_percent=100):
        await rail.load(a="good", b="closed")
        await rail.put("m1", ("e1", "a", 600_000), ("e2", "b", 600_000))
        rail.clock.at += timedelta(days=1)
        assert await rail.status_code("m1") == 425
        assert await rail.entries("2020-04-17") == [("e1", "DBIT", 600_000)]


async def test_a_status_file_may_tell_a_transaction_twice(tmp_path: Path) -> None:
    async for rail in open_bank(tmp_path, twice_percent=50):
        await rail.load(a="good")
        await rail.put("m1", *((f"e{n}", "a", 1) for n in range(100)))
        rail.clock.at += timedelta(hours=1)
        told = Counter(key for key, _, _ in await rail.outcomes("m1"))
        assert set(told) == {f"e{n}" for n in range(100)}
        assert 30 < sum(times == 2 for times in told.values()) < 70
        assert len(await rail.booked()) == 100


async def test_a_statement_exists_from_the_end_of_its_day_in_jakarta(rail: Bank) -> None:
    for at, status in (("2020-04-17T16:59:59", 425), ("2020-04-17T17:00:00", 200)):
        rail.clock.at = datetime.fromisoformat(at).replace(tzinfo=UTC)
        assert (await rail.http.get("/v1/statements/2020-04-17")).status_code == status
    assert (await rail.http.get("/v1/statements/17-04-2020")).status_code == 404


async def test_returned_money_comes_back_two_days_later_and_the_balances_follow(rail: Bank) -> None:
    await rail.load(a="good", b="returns")
    opening = bank.Settings(port=0, book=Path("book")).funds_rupiah
    await rail.put("m1", ("e1", "a", 600_000), ("e2", "b", 50_000))
    assert [one["returned"] for one in await rail.booked()] == [False, False]
    rail.clock.at += timedelta(days=3)
    assert [one["returned"] for one in await rail.booked()] == [False, True]
    assert await rail.entries("2020-04-17") == [("e1", "DBIT", 600_000), ("e2", "DBIT", 50_000)]
    assert await rail.entries("2020-04-18") == []
    assert await rail.entries("2020-04-19") == [("e2", "CRDT", 50_000)]
    assert await rail.balances("2020-04-17") == {"OPBD": opening, "CLBD": opening - 650_000}
    assert await rail.balances("2020-04-18") == {"OPBD": opening - 650_000, "CLBD": opening - 650_000}
    assert await rail.balances("2020-04-19") == {"OPBD": opening - 650_000, "CLBD": opening - 600_000}
    rail.clock.at += timedelta(days=1)
    assert await rail.balances("2020-04-20") == {"OPBD": opening - 600_000, "CLBD": opening - 600_000}
    (returned,) = (await rail.statement("2020-04-19")).iterfind("Ntry", STATEMENT)
    assert returned.findtext("NtryDtls/TxDtls/RtrInf/Rsn/Cd", "", STATEMENT) == "AC04"


async def test_the_statements_of_all_days_agree_with_the_book(rail: Bank) -> None:
    await rail.load(a="good", b="closed", c="returns")
    days = [f"2020-04-{day}" for day in range(17, 24)]
    for n in range(30):
        await rail.put(f"m{n}", *((f"e{n}-{account}", account, n + 1) for account in "abc"))
        rail.clock.at += timedelta(hours=3)
    rail.clock.at += timedelta(days=3)
    booked = await rail.booked(limit=7)
    lines = [line for day in days for line in await rail.entries(day)]
    assert {key: rupiah for key, side, rupiah in lines if side == "DBIT"} == {
        one["end_to_end_id"]: one["amount_rupiah"] for one in booked
    }
    assert len([1 for _, side, _ in lines if side == "DBIT"]) == len(booked) == 60
    assert {key for key, side, _ in lines if side == "CRDT"} == {
        one["end_to_end_id"] for one in booked if one["returned"]
    }
    assert {one["account_hash"] for one in booked} == {account_hash("a"), account_hash("c")}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((b"<MsgId>m1", b"<MsgId>m2"), "MsgId"),
        ((b"<MsgId>m1", b"<MsgId>" + b"m" * 36), "MsgId"),
        ((b"<NbOfTxs>1", b"<NbOfTxs>2"), "NbOfTxs"),
        ((b"<CtrlSum>600000", b"<CtrlSum>600001"), "CtrlSum"),
        ((b'Ccy="IDR">600000', b'Ccy="USD">600000'), "InstdAmt"),
        ((b">600000</InstdAmt>", b">600000.50</InstdAmt>"), "InstdAmt"),
        ((b">600000</InstdAmt>", b">-600000</InstdAmt>"), "InstdAmt"),
        ((b"<EndToEndId>e1", b"<EndToEndId>" + b"e" * 36), "EndToEndId"),
        ((b"<Othr><Id>a</Id></Othr>", b""), "CdtrAcct"),
        ((b"pain.001.001.09", b"pain.001.001.03"), "pain.001.001.09"),
        ((b"</Document>", b""), "well-formed"),
        ((b"<Document", b'<!DOCTYPE d [<!ENTITY a "b">]><Document'), "document type declaration"),
    ],
)
async def test_a_file_that_is_wrong_books_nothing_and_names_the_element(
    rail: Bank, change: tuple[bytes, bytes], reason: str
) -> None:
    await rail.load(a="good")
    body = payment_file("m1", ("e1", "a", 600_000))
    assert change[0] in body
    answer = await rail.http.put("/v1/files/m1", content=body.replace(*change))
    assert answer.status_code == 400
    assert reason in answer.text
    assert await rail.booked() == []
    assert await rail.put("m1", ("e1", "a", 600_000)) == 202
