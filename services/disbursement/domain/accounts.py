"""Where a citizen's money goes: one bank account or e-wallet, in the citizen's own name.

Paying a third party is forbidden (riau24, June 2020), so the rail compares the NIK, and an e-wallet's number must be
the phone number the citizen registered with (liputan6 5145576).
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from libs.events.programme import Programme, last_moment
from libs.events.refusal import Refusal

RECHECK_AFTER: Final = timedelta(days=3)
"""How long after a bad answer the rail is asked again, in case the citizen repaired the account there."""

CHECKS_MAX: Final = 120
"""A year of rechecks; after that only linking an account again helps."""


class AccountState(StrEnum):
    CHECKING = "checking"
    VALID = "valid"
    IDENTITY_MISMATCH = "identity-mismatch"
    CLOSED = "closed"
    NOT_FOUND = "not-found"
    NOT_VERIFIED = "not-verified"
    PHONE_CHANGED = "phone-changed"
    IN_USE = "in-use"  # somebody else's valid account


_FINDINGS: Final = {
    "account-closed": AccountState.CLOSED,
    "account-not-found": AccountState.NOT_FOUND,
    **{
        state.value: state
        for state in AccountState
        if state not in (AccountState.CHECKING, AccountState.IN_USE)  # said by our own books, never by a rail
    },
}


def finding_of(word: str) -> AccountState:
    """A rail's word about an account, or the reason it refused a payment to it, as the account's state.

    What was found last is what holds, from any state: an account can be repaired, and a valid one can be closed. A
    word nobody knows counts as not found.
    """
    return _FINDINGS.get(word, AccountState.NOT_FOUND)


def normal_phone(number: str) -> str:
    """A phone number as digits with the country code, so that 08.. and +628.. are the same."""
    digits = re.sub(r"\D", "", number)
    return "62" + digits[1:] if digits.startswith("0") else digits


def masked(account_number: str) -> str:
    """What a citizen sees of their account: the last three digits."""
    return "•••• " + account_number[-3:]


def may_link(
    rail: str, account_number: str, phone: str, programmes: Iterable[Programme], now: datetime
) -> Refusal | None:
    """Why this account can not be linked now; None if it can.

    `programmes` are those the citizen is a member of: once the last day of all of them has passed, linking is too late
    (for 2020: 4 March 2021, Kompas).
    """
    last_days = [last_moment(rules.payout.link_by) for rules in programmes]
    if last_days and now > max(last_days):
        return Refusal(
            "link-too-late",
            409,
            "Batas waktu menautkan rekening sudah lewat, jadi rekening tidak dapat ditautkan lagi.",
            "The last day for linking an account has passed, so no account can be linked any more.",
        )
    if rail == "e-wallet" and normal_phone(account_number) != normal_phone(phone):
        return Refusal(
            "phone-differs",
            422,
            "Nomor dompet elektronik harus sama dengan nomor HP yang Anda daftarkan. Pakai dompet dengan nomor itu,"
            " atau tautkan rekening bank.",
            "The e-wallet's number must be the phone number you registered with. Use the wallet with that number, or"
            " link a bank account.",
            "account_number",
        )
    return None
