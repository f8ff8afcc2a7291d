"""Any payments survive the way into a file and through the bank's reader; any bytes are read or refused, no more."""

import contextlib
from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from deploy.simulators import iso20022 as bank
from services.disbursement.domain.iso20022 import BadFile, Debtor, Payment, camt_053, pain_001, pain_002

NOW = datetime(2020, 5, 1, tzinfo=UTC)
DEBTOR = Debtor("P", "1", "bni")

PAYMENTS = st.builds(
    Payment,
    st.from_regex(r"[0-9a-f]{35}", fullmatch=True),
    st.from_regex(r"[0-9]{6,20}", fullmatch=True),
    st.just("bni"),
    st.text(st.characters()),
    st.integers(1, 10**14),
    st.just("incentive-1"),
)


@given(st.lists(PAYMENTS, min_size=1, max_size=20))
def test_a_file_says_exactly_what_was_to_be_paid(payments: list[Payment]) -> None:
    file = bank.read_payment_file(pain_001("m", payments, DEBTOR, NOW))
    assert [(one.end_to_end_id, one.account, one.amount_rupiah) for one in file.transfers] == [
        (one.key, one.account_number, one.amount_rupiah) for one in payments
    ]


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_any_bytes_are_read_or_refused(document: bytes) -> None:
    for read in (pain_002, lambda told: camt_053(told, date(2020, 5, 1))):
        with contextlib.suppress(BadFile):
            assert isinstance(read(document), list)
