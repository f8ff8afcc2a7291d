"""Learning credit: a ledger per member that never goes below zero and never turns into cash.

Source: Permenko 11/2020, Arts. 18-19. Amounts are whole rupiah, signed as the member sees them.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """Why the balance moved. There is no kind that pays a person: credit leaves for a course or goes back."""

    GRANTED = "granted"
    PURCHASE = "purchase"
    REFUND = "refund"
    RELEASED = "released"  # unspent when the membership was revoked
    FORFEITED = "forfeited"  # unspent when a later purchase was not made in time


class Overdrawn(Exception):
    """An entry would take the balance below zero: a defect of the caller, who has to refuse the purchase before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a member's ledger. Numbered from 1, each line starts from the balance of the line before."""

    citizen_id: str
    programme: str
    number: int
    kind: Kind
    amount_rupiah: int
    before_rupiah: int
    enrolment_id: str | None
    at: datetime

    def __post_init__(self) -> None:
        if self.balance_rupiah < 0:
            raise Overdrawn(f"entry {self.number} would leave {self.balance_rupiah} rupiah")

    @property
    def balance_rupiah(self) -> int:
        return self.before_rupiah + self.amount_rupiah
