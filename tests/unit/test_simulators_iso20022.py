"""Files from outside are read safely, and what is written can be read back."""

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from deploy.simulators import iso20022

BOMB = (
    '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><d>&i;</d>"
)


@pytest.mark.parametrize(
    "attack",
    [
        BOMB.encode(),
        BOMB.encode("utf-16"),
        b'<!DOCTYPE d SYSTEM "http://127.0.0.1:1/x.dtd"><d/>',
        b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>',
        b"<!--" + b"x" * 10_000 + b"-->" + BOMB.encode(),
        b"<!DOCTYPE d><d/>",
    ],
)
def test_a_document_type_declaration_is_refused_wherever_it_hides(attack: bytes) -> None:
    with pytest.raises(iso20022.BadFile, match="document type declaration"):
        iso20022.parse(attack)


@pytest.mark.parametrize(
    "broken", [b"", b"text", b"<d>", b"<d>&x;</d>", b"\xff<d/>", b'<?xml version="1.0" encoding="klingon"?><d/>']
)
def test_what_is_not_well_formed_is_refused(broken: bytes) -> None:
    with pytest.raises(iso20022.BadFile, match="well-formed"):
        iso20022.parse(broken)


def test_ordinary_files_are_read_in_any_encoding() -> None:
    text = '<?xml version="1.0" encoding="{}"?><d>é &lt; &#233;</d>'
    for encoding in ("utf-8", "utf-16", "iso-8859-1"):
        assert iso20022.parse(text.format(encoding).encode(encoding)).text == "é < é"


def test_ids_with_the_signs_of_xml_survive_the_way_out_and_back() -> None:
    at, key = datetime(2020, 4, 17, tzinfo=UTC), "<e&1>'\""
    status = ElementTree.fromstring(iso20022.write_status("m&1", at, [iso20022.Outcome(key, "RJCT", "AC04")]))
    told = status.find(".//TxInfAndSts", {"": iso20022.PAIN_002})
    assert told is not None
    assert told.findtext("OrgnlEndToEndId", "", {"": iso20022.PAIN_002}) == key
    entry = iso20022.Entry("D1", key, 600_000, at, returned=False)
    statement = ElementTree.fromstring(iso20022.write_statement("1&2", "2020-04-17", at, 1_000_000, [entry]))
    assert statement.findtext(".//EndToEndId", "", {"": iso20022.CAMT_053}) == key


def test_a_statement_in_the_red_says_so() -> None:
    at = datetime(2020, 4, 17, tzinfo=UTC)
    entry = iso20022.Entry("D1", "e1", 600_000, at, returned=False)
    statement = ElementTree.fromstring(iso20022.write_statement("1", "2020-04-17", at, 0, [entry]))
    _, closing = statement.iterfind(".//Bal", {"": iso20022.CAMT_053})
    names = {"": iso20022.CAMT_053}
    assert (closing.findtext("Amt", "", names), closing.findtext("CdtDbtInd", "", names)) == ("600000", "DBIT")


@pytest.mark.parametrize(
    ("statuses", "group"), [(["ACSC", "ACSC"], "ACSC"), (["RJCT"], "RJCT"), (["ACSC", "RJCT"], "PART")]
)
def test_the_group_status_sums_up_its_transactions(statuses: list[str], group: str) -> None:
    outcomes = [iso20022.Outcome(f"e{n}", status, None) for n, status in enumerate(statuses)]
    told = ElementTree.fromstring(iso20022.write_status("m1", datetime(2020, 4, 17, tzinfo=UTC), outcomes))
    assert told.findtext(".//GrpSts", "", {"": iso20022.PAIN_002}) == group
