"""The three ISO 20022 messages the bank speaks: pain.001.001.09 in, pain.002.001.10 and camt.053.001.08 out.

Files come from outside, so reading is strict and safe: a document type declaration is refused before anything else is
read (entities, and the attacks that live on them, can only be declared there), and the control totals must agree.
Statements hold tens of thousands of entries; they are written as text, escaped, not as a tree.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import escape

from libs.events.clock import JAKARTA

PAIN_001 = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
PAIN_002 = "urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"
CAMT_053 = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"

ID = re.compile(r"[\x21-\x7e]{1,35}")  # Max35Text, without spaces
AMOUNT = re.compile(r"([1-9][0-9]{0,14})(\.0{1,2})?")  # whole rupiah; cents may be written if they are zero
GUARD_BYTES = 4096
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


class BadFile(Exception):
    """The file as a whole can not be read; the reason repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Transfer:
    end_to_end_id: str
    account: str
    nik: str | None  # the creditor's private identification, where the file gives one
    amount_rupiah: int


@dataclass(frozen=True, slots=True)
class PaymentFile:
    message_id: str
    transfers: list[Transfer]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one transaction: ACSC (settled), or RJCT with an ISO external status reason code."""

    end_to_end_id: str
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a statement. `returned` is money that came back, with an ISO external return reason code."""

    reference: str
    end_to_end_id: str
    amount_rupiah: int
    at: datetime
    returned: bool


def parse(data: bytes) -> ElementTree.Element:
    """The tree of an XML file without a document type declaration. Raises BadFile."""
    started: list[str] = []

    def refuse(*_: object) -> None:
        raise BadFile("a document type declaration is not allowed")

    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = refuse
    guard.StartElementHandler = lambda name, _: started.append(name)
    try:
        for begin in range(0, len(data), GUARD_BYTES):
            guard.Parse(data[begin : begin + GUARD_BYTES], False)
            if started:  # a declaration can only stand before the first element
                break
        else:
            guard.Parse(b"", True)  # newer parsers put long tokens off until they are told that no more will come
        return ElementTree.fromstring(data)  # noqa: S314 - what that warns of was refused above
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError):
        raise BadFile("not well-formed XML") from None


def read_payment_file(data: bytes) -> PaymentFile:
    """Read a pain.001.001.09 and check its control totals. Raises BadFile, with a reason that names the element."""
    root = parse(data)
    names = {"": PAIN_001}
    initiation = root.find("CstmrCdtTrfInitn", names)
    if root.tag != f"{{{PAIN_001}}}Document" or initiation is None:
        raise BadFile("not a pain.001.001.09 Document with CstmrCdtTrfInitn")
    header = initiation.find("GrpHdr", names)
    if header is None:
        raise BadFile("GrpHdr is missing")
    message_id = _text(header, "MsgId", names)
    if not ID.fullmatch(message_id):
        raise BadFile("MsgId is missing or longer than 35 characters")
    payments = initiation.findall("PmtInf", names)
    groups = [[_transfer(told, names) for told in payment.findall("CdtTrfTxInf", names)] for payment in payments]
    transfers = [transfer for group in groups for transfer in group]
    if not transfers:
        raise BadFile("no CdtTrfTxInf")
    for part, told in [(header, transfers), *zip(payments, groups, strict=True)]:
        _check_totals(part, told, names, required=part is header)
    return PaymentFile(message_id, transfers)


def _text(element: ElementTree.Element, path: str, names: dict[str, str]) -> str:
    return (element.findtext(path, "", names) or "").strip()


def _transfer(told: ElementTree.Element, names: dict[str, str]) -> Transfer:
    end_to_end_id = _text(told, "PmtId/EndToEndId", names)
    if not ID.fullmatch(end_to_end_id):
        raise BadFile("an EndToEndId is missing or longer than 35 characters")
    amount = told.find("Amt/InstdAmt", names)
    written = AMOUNT.fullmatch((amount.text or "").strip()) if amount is not None else None
    if amount is None or written is None or amount.get("Ccy") != "IDR":
        raise BadFile("an InstdAmt is not a whole number of IDR above zero")
    account = _text(told, "CdtrAcct/Id/Othr/Id", names)
    if not account:
        raise BadFile("a CdtrAcct/Id/Othr/Id is missing")
    return Transfer(end_to_end_id, account, _text(told, "Cdtr/Id/PrvtId/Othr/Id", names) or None, int(written[1]))


def _check_totals(
    part: ElementTree.Element, transfers: Sequence[Transfer], names: dict[str, str], required: bool
) -> None:
    """NbOfTxs and CtrlSum of the file must be there and agree; those of a payment must agree where they are there."""
    count, total = _text(part, "NbOfTxs", names), _text(part, "CtrlSum", names)
    if (count or required) and count != str(len(transfers)):
        raise BadFile("NbOfTxs does not agree with the transactions")
    written = AMOUNT.fullmatch(total)
    if (total or required) and (written is None or int(written[1]) != sum(t.amount_rupiah for t in transfers)):
        raise BadFile("CtrlSum does not agree with the transactions")


def _time(at: datetime) -> str:
    return at.astimezone(JAKARTA).isoformat(timespec="seconds")


def write_status(message_id: str, at: datetime, outcomes: Sequence[Outcome]) -> bytes:
    """A pain.002.001.10 about one payment file, with a TxInfAndSts for each of `outcomes`, in their order."""
    seen = {outcome.status for outcome in outcomes}
    group = seen.pop() if len(seen) == 1 else "PART"
    lines = "".join(
        f"<TxInfAndSts><OrgnlEndToEndId>{escape(o.end_to_end_id)}</OrgnlEndToEndId><TxSts>{o.status}</TxSts>"
        + (f"<StsRsnInf><Rsn><Cd>{o.reason}</Cd></Rsn></StsRsnInf>" if o.reason else "")
        + "</TxInfAndSts>\n"
        for o in outcomes
    )
    original = escape(message_id)
    return (
        f'{HEAD}<Document xmlns="{PAIN_002}"><CstmrPmtStsRpt>\n'
        f"<GrpHdr><MsgId>{original}</MsgId><CreDtTm>{_time(at)}</CreDtTm></GrpHdr>\n"
        f"<OrgnlGrpInfAndSts><OrgnlMsgId>{original}</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>"
        f"<GrpSts>{group}</GrpSts></OrgnlGrpInfAndSts>\n"
        f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>{original}</OrgnlPmtInfId>\n{lines}</OrgnlPmtInfAndSts>\n"
        "</CstmrPmtStsRpt></Document>\n"
    ).encode()


def _balance(kind: str, amount: int, day: str) -> str:
    side = "CRDT" if amount >= 0 else "DBIT"
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy="IDR">{abs(amount)}</Amt>'
        f"<CdtDbtInd>{side}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>\n"
    )


def _entry(entry: Entry) -> str:
    side = "CRDT" if entry.returned else "DBIT"
    family = (
        "<Cd>RCDT</Cd><SubFmlyCd>RRTN</SubFmlyCd>" if entry.returned else "<Cd>ICDT</Cd><SubFmlyCd>DMCT</SubFmlyCd>"
    )
    reason = "<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>" if entry.returned else ""
    return (
        f'<Ntry><NtryRef>{entry.reference}</NtryRef><Amt Ccy="IDR">{entry.amount_rupiah}</Amt>'
        f"<CdtDbtInd>{side}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><DtTm>{_time(entry.at)}</DtTm></BookgDt>"
        f"<BkTxCd><Domn><Cd>PMNT</Cd><Fmly>{family}</Fmly></Domn></BkTxCd>"
        f"<NtryDtls><TxDtls><Refs><EndToEndId>{escape(entry.end_to_end_id)}</EndToEndId></Refs>"
        f'<Amt Ccy="IDR">{entry.amount_rupiah}</Amt><CdtDbtInd>{side}</CdtDbtInd>{reason}</TxDtls></NtryDtls></Ntry>\n'
    )


def write_statement(account: str, day: str, at: datetime, opening_rupiah: int, entries: Iterable[Entry]) -> bytes:
    """A camt.053.001.08 of one day: opening and closing balance, totals, and every entry in booking order."""
    kept = list(entries)
    returned = [entry.amount_rupiah for entry in kept if entry.returned]
    paid = [entry.amount_rupiah for entry in kept if not entry.returned]
    return (
        f'{HEAD}<Document xmlns="{CAMT_053}"><BkToCstmrStmt>\n'
        f"<GrpHdr><MsgId>statement-{day}</MsgId><CreDtTm>{_time(at)}</CreDtTm></GrpHdr>\n"
        f"<Stmt><Id>statement-{day}</Id><CreDtTm>{_time(at)}</CreDtTm>"
        f"<Acct><Id><Othr><Id>{escape(account)}</Id></Othr></Id><Ccy>IDR</Ccy></Acct>\n"
        + _balance("OPBD", opening_rupiah, day)
        + _balance("CLBD", opening_rupiah + sum(returned) - sum(paid), day)
        + f"<TxsSummry><TtlCdtNtries><NbOfNtries>{len(returned)}</NbOfNtries><Sum>{sum(returned)}</Sum></TtlCdtNtries>"
        f"<TtlDbtNtries><NbOfNtries>{len(paid)}</NbOfNtries><Sum>{sum(paid)}</Sum></TtlDbtNtries></TxsSummry>\n"
        + "".join(map(_entry, kept))
        + "</Stmt></BkToCstmrStmt></Document>\n"
    ).encode()
