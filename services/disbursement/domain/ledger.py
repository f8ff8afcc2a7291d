"""The double-entry ledger: money moves between the six accounts of a programme, and never appears or disappears.

appropriation = available + reserved + in_flight + paid + returned, always. The appropriation is the counter-account:
it carries the negative of what the State has granted, so all balances of a programme add up to zero.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum


class Account(StrEnum):
    APPROPRIATION = "appropriation"
    AVAILABLE = "available"
    RESERVED = "reserved"
    IN_FLIGHT = "in_flight"
    PAID = "paid"
    RETURNED = "returned"


class Movement(Enum):
    """From which account to which; the only ways money can go."""

    GRANT = ("grant", Account.APPROPRIATION, Account.AVAILABLE)
    RESERVE = ("reserve", Account.AVAILABLE, Account.RESERVED)
    SUBMIT = ("submit", Account.RESERVED, Account.IN_FLIGHT)
    PAY = ("pay", Account.IN_FLIGHT, Account.PAID)
    FAIL = ("fail", Account.IN_FLIGHT, Account.RESERVED)
    RETURN = ("return", Account.PAID, Account.RESERVED)
    RELEASE = ("release", Account.RESERVED, Account.AVAILABLE)
    GIVE_BACK = ("give-back", Account.AVAILABLE, Account.RETURNED)

    @property
    def label(self) -> str:
        return self.value[0]

    @property
    def source(self) -> Account:
        return self.value[1]

    @property
    def target(self) -> Account:
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Move:
    """One amount that moves. `concerns` is the payout, member or grant it moves for; `citizen_id` whose it is."""

    movement: Movement
    programme: str
    wave: int | None
    amount_rupiah: int
    concerns: str
    citizen_id: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the ledger: an aggregate of a batch, with the list of what it moved money for."""

    movement: Movement
    programme: str
    wave: int | None
    amount_rupiah: int
    concerns: tuple[str, ...]


def entries(moves: Iterable[Move]) -> list[Entry]:
    """One entry per programme, wave and movement: thousands of payouts touch the balances once.

    Ordered by programme, so that two batches lock the balances in the same order. Raises ValueError for an amount
    that is not positive: an empty movement hides a mistake.
    """
    grouped: dict[tuple[str, int, str], list[Move]] = defaultdict(list)
    for move in moves:
        if move.amount_rupiah <= 0:
            raise ValueError(f"a {move.movement.label} of {move.amount_rupiah} rupiah moves nothing")
        grouped[(move.programme, move.wave or 0, move.movement.label)].append(move)
    return [
        Entry(
            group[0].movement,
            group[0].programme,
            group[0].wave,
            sum(move.amount_rupiah for move in group),
            tuple(sorted({move.concerns for move in group})),
        )
        for _, group in sorted(grouped.items())
    ]


@dataclass(frozen=True, slots=True)
class MemberMove:
    """What one member's reservation gains and loses in a batch, in rupiah."""

    citizen_id: str
    programme: str
    reserved: int
    in_flight: int
    paid: int
    released: int


def member_moves(moves: Iterable[Move]) -> list[MemberMove]:
    """The same movements per member, in the order in which reservations are locked."""
    changes: dict[tuple[str, str], dict[Account, int]] = defaultdict(lambda: defaultdict(int))
    for move in moves:
        if move.citizen_id is None:
            continue
        change = changes[(move.citizen_id, move.programme)]
        change[move.movement.source] -= move.amount_rupiah
        change[move.movement.target] += move.amount_rupiah
    return [
        MemberMove(
            citizen,
            programme,
            change[Account.RESERVED],
            change[Account.IN_FLIGHT],
            change[Account.PAID],
            change[Account.AVAILABLE],  # what is available again has left the reservation: it was released
        )
        for (citizen, programme), change in sorted(changes.items())
    ]
