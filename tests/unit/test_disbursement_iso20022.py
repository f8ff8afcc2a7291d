"""The bank's files: written so that a bank reads them, read so that nobody can attack us through them."""

from datetime import UTC, date, datetime

import pytest
from defusedxml import ElementTree

from deploy.simulators import iso20022 as bank
from services.disbursement.domain.iso20022 import BadFile, Debtor, Payment, camt_053, pain_001, pain_002
from services.disbursement.domain.settlement import Told, Verdict

NOW = datetime(2020, 5, 1, 18, 30, tzinfo=UTC)
DAY = date(2020, 5, 1)
DEBTOR = Debtor("Programme <& Co>", "999080000000001", "bni")
PAYMENTS = [
    Payment("a" * 35, "1000000001", "bni", "Siti & Co <x>", 600_000, "incentive-1"),
    Payment("b" * 35, "1000000002", "bca", "Budi", 500_000_000_000_001, "survey-1"),
]


def test_the_bank_reads_what_we_write() -> None:
    file = bank.read_payment_file(pain_001("m" * 32, PAYMENTS, DEBTOR, NOW))
    assert file.message_id == "m" * 32
    assert [(one.end_to_end_id, one.account, one.amount_rupiah) for one in file.transfers] == [
        ("a" * 35, "1000000001", 600_000),
        ("b" * 35, "1000000002", 500_000_000_000_001),
    ]


def test_amounts_are_rupiah_without_decimals_and_the_day_is_jakartas() -> None:
    document = pain_001("m", PAYMENTS, DEBTOR, NOW)
    names = {"": "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"}
    root = ElementTree.fromstring(document)

    def text(path: str) -> str | None:
        return root.findtext(path, None, names)

    assert text(".//InstdAmt") == "600000"
    assert text(".//GrpHdr/CtrlSum") == str(600_000 + 500_000_000_000_001)
    assert text(".//ReqdExctnDt/Dt") == "2020-05-02"
    assert text(".//Cdtr/Nm") == "Siti & Co <x>"


def test_a_strange_name_does_not_spoil_the_file() -> None:
    strange = [
        Payment("a" * 35, "1000000001", "bni", name, 1, "survey-1") for name in ("\x01\ud800\uffff", "x" * 500, "]]>")
    ]
    assert len(bank.read_payment_file(pain_001("m", strange, DEBTOR, NOW)).transfers) == 3


def test_the_same_payments_give_the_same_bytes() -> None:
    assert pain_001("m", PAYMENTS, DEBTOR, NOW) == pain_001("m", PAYMENTS, DEBTOR, NOW)


def status(*outcomes: bank.Outcome) -> list[Told]:
    return pain_002(bank.write_status("m", NOW, outcomes))


def test_only_final_states_count() -> None:
    assert status(
        bank.Outcome("a", "ACSC", None),
        bank.Outcome("b", "RJCT", "AC04"),
        bank.Outcome("c", "PDNG", None),
        bank.Outcome("d", "ACCP", None),
    ) == [
        Told("a", Verdict.BOOKED),
        Told("b", Verdict.REFUSED, reason="account-closed"),
        Told("c", Verdict.NO_ANSWER),
        Told("d", Verdict.NO_ANSWER),
    ]


def test_a_duplicate_of_a_booked_payment_is_no_refusal() -> None:
    assert status(bank.Outcome("a", "RJCT", "DUPL")) == [Told("a", Verdict.NO_ANSWER)]


def test_a_payment_told_twice_counts_once_and_one_told_differently_not_at_all() -> None:
    booked, refused = bank.Outcome("a", "ACSC", None), bank.Outcome("a", "RJCT", "AC04")
    assert status(booked, booked) == [Told("a", Verdict.BOOKED)]
    assert status(booked, refused) == [Told("a", Verdict.NO_ANSWER)]


def test_a_statement_gives_debits_before_returns() -> None:
    entries = [
        bank.Entry("R1", "a", 600_000, NOW, True),
        bank.Entry("D1", "a", 600_000, NOW, False),
        bank.Entry("D2", "b", 50_000, NOW, False),
    ]
    assert camt_053(bank.write_statement("1", "2020-05-01", NOW, 0, entries), DAY) == [
        Told("a", Verdict.BOOKED, 600_000, None, "D1", DAY),
        Told("b", Verdict.BOOKED, 50_000, None, "D2", DAY),
        Told("a", Verdict.RETURNED, 600_000, "account-closed", "R1", DAY),
    ]


LINE = (
    "<Document><Ntry><NtryRef>D1</NtryRef>{amount}<CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>{status}</Cd></Sts>"
    "<NtryDtls><TxDtls><Refs>{key}</Refs></TxDtls></NtryDtls></Ntry></Document>"
)
KEY = "<EndToEndId>a</EndToEndId>"


def line(amount: str = '<Amt Ccy="IDR">5.00</Amt>', status: str = "BOOK", key: str = KEY) -> bytes:
    return LINE.format(amount=amount, status=status, key=key).encode()


def test_a_pending_line_is_not_booked() -> None:
    assert camt_053(line(), DAY) == [Told("a", Verdict.BOOKED, 5, None, "D1", DAY)]
    assert camt_053(line(status="PDNG"), DAY) == []


@pytest.mark.parametrize(
    "document",
    [
        b"no xml",
        b"<Document><Ntry></Document>",
        line(amount='<Amt Ccy="USD">5</Amt>'),
        line(amount='<Amt Ccy="IDR">5.50</Amt>'),
        line(amount='<Amt Ccy="IDR">-5</Amt>'),
        line(amount=""),
        line(key=""),
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Document><Ntry>&b;</Ntry></Document>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><Document/>',
    ],
)
def test_what_no_bank_has_a_reason_to_send_is_refused_whole(document: bytes) -> None:
    with pytest.raises(BadFile) as refused:
        camt_053(document, DAY)
    assert "passwd" not in str(refused.value)


def test_a_status_without_a_key_is_refused() -> None:
    with pytest.raises(BadFile):
        pain_002(b"<Document><TxInfAndSts><TxSts>ACSC</TxSts></TxInfAndSts></Document>")
