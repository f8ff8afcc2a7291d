"""The proof that the books are right: the same figures, found on independent ways, must be the same.

The running balances are kept event by event. The copy of all events, summed afresh, must give the same six figures;
so must the reservations of all members, and the payouts by state. Where two ways differ, an alarm names the account.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.finance.domain.books import HOLDING, Account

Figures = Mapping[Account, int]
"""Rupiah per account. A way that knows nothing about an account leaves it out."""

# The names of the independent ways, as alarms carry them.
COPY: Final = "copy-of-events"
RESERVATIONS: Final = "reservations"
PAYOUTS: Final = "payouts"
IDENTITY: Final = "identity"
OVERDRAWN: Final = "overdrawn"


@dataclass(frozen=True, slots=True)
class Finding:
    """One programme as three ways and the running balances tell it, at one moment of the database."""

    programme: str
    events: int
    balances: Figures
    ways: Mapping[str, Figures]


@dataclass(frozen=True, slots=True)
class Alarm:
    """Two figures that should be equal and are not. For `overdrawn`, `expected_rupiah` is the least allowed: zero."""

    programme: str
    what: str
    account: Account
    expected_rupiah: int
    found_rupiah: int


def adds_up(figures: Figures) -> bool:
    """appropriation = available + reserved + in flight + paid + returned."""
    return figures[Account.APPROPRIATION] == sum(figures[account] for account in HOLDING)


def examine(finding: Finding) -> list[Alarm]:
    """Every disagreement of one programme; empty when the books are proven."""
    programme, held = finding.programme, finding.balances
    alarms = [
        Alarm(programme, way, account, told, held[account])
        for way, figures in finding.ways.items()
        for account, told in figures.items()
        if told != held[account]
    ]
    copied = finding.ways[COPY]
    if not adds_up(copied):
        total = sum(copied[account] for account in HOLDING)
        alarms.append(Alarm(programme, IDENTITY, Account.APPROPRIATION, copied[Account.APPROPRIATION], total))
    if held[Account.AVAILABLE] < 0:
        alarms.append(Alarm(programme, OVERDRAWN, Account.AVAILABLE, 0, held[Account.AVAILABLE]))
    return alarms
