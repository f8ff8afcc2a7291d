"""Six digits that prove a person reads an e-mail address or holds a phone: how long they count, and how often."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Final, Literal

from libs.events.clock import JAKARTA
from libs.events.refusal import Refusal

Purpose = Literal["e-mail", "sign-in"]

LIFETIME: Final[Mapping[Purpose, timedelta]] = {"e-mail": timedelta(days=1), "sign-in": timedelta(minutes=10)}
FAILURES_MAX: Final = 5
PAUSE: Final = timedelta(minutes=1)  # between two codes for one person: each SMS costs money
PER_DAY_MAX: Final = 10

WRONG: Final = Refusal(
    "code-wrong",
    422,
    "Kode tidak cocok atau sudah tidak berlaku. Periksa enam angka pada pesan terakhir, atau minta kode baru.",
    "The code does not match or is no longer valid. Check the six digits of the latest message, or ask for a new code.",
    "code",
)
TOO_MANY_FAILURES: Final = Refusal(
    "code-blocked",
    429,
    "Kode ini sudah terlalu sering salah. Minta kode baru.",
    "This code was entered wrongly too often. Ask for a new one.",
    "code",
)


@dataclass(frozen=True, slots=True)
class Code:
    """The latest code of one citizen for one purpose, by its keyed hash."""

    citizen_id: str
    purpose: Purpose
    hash: bytes = field(repr=False)
    made_at: datetime
    expires_at: datetime
    failures: int = 0
    made_today: int = 1


def usable(code: Code | None, now: datetime) -> bool:
    """Whether the right digits would still be accepted."""
    return code is not None and now <= code.expires_at and code.failures < FAILURES_MAX


def may_renew(code: Code | None, now: datetime) -> bool:
    """Whether another code may be sent: not within a minute, and ten a day (in Jakarta) at most."""
    if code is None:
        return True
    if now - code.made_at < PAUSE:
        return False
    return code.made_today < PER_DAY_MAX or not _same_day(code.made_at, now)


def renew(old: Code | None, citizen_id: str, purpose: Purpose, hash: bytes, now: datetime) -> Code:
    """The code that takes the place of `old`."""
    today = old.made_today + 1 if old and _same_day(old.made_at, now) else 1
    return Code(citizen_id, purpose, hash, now, now + LIFETIME[purpose], 0, today)


def judge(code: Code | None, hash: bytes, now: datetime) -> Code | Refusal | None:
    """None: right. A code: wrong, and how it stands after this failure. A refusal: there is nothing to compare with."""
    if code is None or now > code.expires_at:
        return WRONG
    if code.failures >= FAILURES_MAX:
        return TOO_MANY_FAILURES
    if compare_digest(code.hash, hash):
        return None
    return replace(code, failures=code.failures + 1)


def _same_day(one: datetime, other: datetime) -> bool:
    return one.astimezone(JAKARTA).date() == other.astimezone(JAKARTA).date()
