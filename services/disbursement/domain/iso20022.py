"""The bank's file formats: pain.001 out, pain.002 and camt.053 in (ISO 20022).

Writing is plain text with escaped values, so that the same payments give the same bytes. Reading refuses document type
declarations and entities, and looks at names without their namespace, so that a newer minor version still reads.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from io import BytesIO
from typing import Any, Final
from xml.sax.saxutils import escape

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from libs.events.clock import JAKARTA
from services.disbursement.domain.settlement import Told, Verdict, reason_of

_NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"


_NOT_XML: Final = re.compile("[^\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


class BadFile(Exception):
    """What the bank sent can not be read; the message says why and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Payment:
    """One credit transfer. `bank` is the creditor's bank; `purpose` is the milestone."""

    key: str
    account_number: str
    bank: str
    name: str
    amount_rupiah: int
    purpose: str


@dataclass(frozen=True, slots=True)
class Debtor:
    """The programme's own account."""

    name: str
    account_number: str
    bank: str


def pain_001(message_id: str, payments: Sequence[Payment], debtor: Debtor, now: datetime) -> bytes:
    """One customer credit transfer initiation, version 9, one payment block; amounts are IDR without decimals."""
    total = sum(payment.amount_rupiah for payment in payments)
    local = now.astimezone(JAKARTA)
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Document xmlns="{_NAMESPACE}"><CstmrCdtTrfInitn>'
        f"<GrpHdr><MsgId>{message_id}</MsgId><CreDtTm>{local.isoformat(timespec='seconds')}</CreDtTm>"
        f"<NbOfTxs>{len(payments)}</NbOfTxs><CtrlSum>{total}</CtrlSum>"
        f"<InitgPty><Nm>{_name(debtor.name)}</Nm></InitgPty></GrpHdr>"
        f"<PmtInf><PmtInfId>{message_id}</PmtInfId><PmtMtd>TRF</PmtMtd>"
        f"<NbOfTxs>{len(payments)}</NbOfTxs><CtrlSum>{total}</CtrlSum>"
        f"<ReqdExctnDt><Dt>{local.date().isoformat()}</Dt></ReqdExctnDt>"
        f"<Dbtr><Nm>{_name(debtor.name)}</Nm></Dbtr>"
        f"<DbtrAcct><Id><Othr><Id>{escape(debtor.account_number)}</Id></Othr></Id><Ccy>IDR</Ccy></DbtrAcct>"
        f"<DbtrAgt><FinInstnId><ClrSysMmbId><MmbId>{escape(debtor.bank)}</MmbId></ClrSysMmbId></FinInstnId></DbtrAgt>"
        "<ChrgBr>DEBT</ChrgBr>"
    )
    body = "".join(_transaction(payment) for payment in payments)
    return f"{head}{body}</PmtInf></CstmrCdtTrfInitn></Document>\n".encode()


def _name(text: str) -> str:
    """A name as XML 1.0 and Max140Text allow it: one strange letter must not spoil a file of thousands."""
    return escape(_NOT_XML.sub("", text)[:140].strip() or "-")


def _transaction(payment: Payment) -> str:
    return (
        f"<CdtTrfTxInf><PmtId><EndToEndId>{payment.key}</EndToEndId></PmtId>"
        f'<Amt><InstdAmt Ccy="IDR">{payment.amount_rupiah}</InstdAmt></Amt>'
        f"<CdtrAgt><FinInstnId><ClrSysMmbId><MmbId>{escape(payment.bank)}</MmbId></ClrSysMmbId></FinInstnId></CdtrAgt>"
        f"<Cdtr><Nm>{_name(payment.name)}</Nm></Cdtr>"
        f"<CdtrAcct><Id><Othr><Id>{escape(payment.account_number)}</Id></Othr></Id></CdtrAcct>"
        f"<RmtInf><Ustrd>{escape(payment.purpose)}</Ustrd></RmtInf></CdtTrfTxInf>"
    )


_BOOKED: Final = frozenset({"ACSC", "ACCC"})
_DUPLICATE: Final = "DUPL"


def pain_002(document: bytes) -> list[Told]:
    """What a payment status report says, once per payment. Only final states count: settled, or rejected.

    A payment that is reported twice with different ends, or rejected as a duplicate of a booked one, has no clear
    answer: the statement decides. Raises BadFile.
    """
    found: dict[str, Told] = {}
    for element in _elements(document, "TxInfAndSts"):
        key, status = _text(element, "OrgnlEndToEndId"), _text(element, "TxSts")
        code = _text(element, "StsRsnInf", "Rsn", "Cd")
        if not key:
            raise BadFile("a payment status without an end-to-end id")
        if status in _BOOKED:
            told = Told(key, Verdict.BOOKED)
        elif status == "RJCT" and code != _DUPLICATE:
            told = Told(key, Verdict.REFUSED, reason=reason_of(code))
        else:
            told = Told(key, Verdict.NO_ANSWER)
        known = found.get(key)
        found[key] = told if known in (None, told) else Told(key, Verdict.NO_ANSWER)
    return list(found.values())


def camt_053(document: bytes, day: date) -> list[Told]:
    """The booked lines of a statement, debits before returns. Raises BadFile.

    A credit with an end-to-end id is a payment that came back; its reason stands in RtrInf.
    """
    booked: list[Told] = []
    returned: list[Told] = []
    for entry in _elements(document, "Ntry"):
        if _text(entry, "Sts", "Cd") not in ("BOOK", None) and _text(entry, "Sts") != "BOOK":
            continue
        back = _text(entry, "CdtDbtInd") == "CRDT"
        amount = _rupiah(entry)
        for detail in _below(entry, "TxDtls"):
            key = _text(detail, "Refs", "EndToEndId")
            reference = _text(detail, "Refs", "AcctSvcrRef") or _text(entry, "AcctSvcrRef") or _text(entry, "NtryRef")
            if not key or not reference:
                raise BadFile("a statement line without an end-to-end id or a reference of the bank")
            own = _rupiah(detail) if _child(detail, "Amt") is not None else amount
            if back:
                code = _text(detail, "RtrInf", "Rsn", "Cd")
                returned.append(Told(key, Verdict.RETURNED, own, reason_of(code), reference, day))
            else:
                booked.append(Told(key, Verdict.BOOKED, own, None, reference, day))
    return booked + returned


def _elements(document: bytes, name: str) -> Iterator[Any]:
    """Elements of one name, read without keeping the rest of a large file in memory."""
    try:
        for _, element in ElementTree.iterparse(BytesIO(document), events=("end",), forbid_dtd=True):
            if _local(element.tag) == name:
                yield element
                element.clear()
    except DefusedXmlException:
        raise BadFile("an XML document with a document type or entities, which no bank has a reason to send") from None
    except ElementTree.ParseError:
        raise BadFile("not well-formed XML") from None


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _child(element: Any, name: str) -> Any | None:
    return next((child for child in element if _local(child.tag) == name), None)


def _below(element: Any, name: str) -> Iterable[Any]:
    return (child for child in element.iter() if _local(child.tag) == name)


def _text(element: Any, *path: str) -> str | None:
    for name in path:
        element = _child(element, name)
        if element is None:
            return None
    return (element.text or "").strip() or None


def _rupiah(element: Any) -> int:
    """Whole rupiah. "600000", "600000.00" and nothing else."""
    amount = _child(element, "Amt")
    if amount is None or amount.get("Ccy") != "IDR":
        raise BadFile("a statement line whose amount is not in rupiah")
    whole, _, fraction = (amount.text or "").strip().partition(".")
    if not whole.isdecimal() or fraction.strip("0"):
        raise BadFile("a statement line whose amount is not a whole number of rupiah")
    return int(whole)
