"""What the model asks of the code it stands for: production's own pure functions, and the few rules its SQL holds.

A mutant is a copy of `Decisions` with one of them changed. The functions come from `libs.events` and are the ones that
run in production; the switches say what a query or a client setting does, and name it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from libs.events.acknowledged import Logs
from libs.events.numbering import (
    Ahead,
    Behind,
    Lane,
    Numbers,
    Outgoing,
    Proof,
    Tail,
    Unsent,
    assign,
    judge,
    prove,
    same_log,
)
from libs.events.ordering import in_order, leave_out
from libs.events.parking import divide
from libs.events.position import Position, Seen, Verdict, place, sort_out
from libs.events.records import Held
from libs.events.runs import Run, Taken, take


@dataclass(frozen=True)
class Decisions:
    """Everything the simulated processes decide by."""

    assign: Callable[[Mapping[Lane, int], Iterable[Unsent]], tuple[Outgoing, Numbers]] = assign
    same_log: Callable[[int | None, tuple[int, int] | None], bool] = same_log
    prove: Callable[[int, int, int, int], tuple[Proof, int]] = prove
    logs: type[Logs] = Logs
    judge: Callable[[Lane, int, Tail | None, str | None, str | None], Ahead | Behind | None] = judge
    sort_out: Callable[[Position, Sequence[Seen]], Verdict] = sort_out
    take: Callable[[Mapping[Lane, Position], Held, Sequence[Run]], Taken] = take
    in_order: Callable[[Any, Any], Any] = in_order
    divide: Callable[[Any, Any], Any] = divide
    leave_out: Callable[..., tuple[Any, Any]] = leave_out
    place: Callable[[int, int, int], int] = place

    # queries.sql: outbox_after
    below_xmin: bool = True
    """Only transactions that nothing can overtake any more are read."""
    by_transaction: bool = True
    """Rows are read in the order (xid, position), not by position alone."""

    stamped_when_added: bool = True
    """An outbox row carries a stamp taken when it is written, not the id from the transaction's start."""

    # queries.sql: relay_store, relay_rewind, relay_take
    store_fenced: bool = True
    """Cursor and numbers move for the owner only."""
    numbers_with_cursor: bool = True
    """The numbers are stored in the transaction that moves the cursor."""
    rewind_numbers: bool = True
    """Going back takes the numbers of every lane back too."""
    rewind_fenced: bool = True
    """Going back changes cursor and numbers for the owner only."""
    loaded_at_once: bool = True
    """Cursor and numbers are read in one look, so that no rewind comes between."""
    checked_at_start: bool = True
    """A relay holds the topics against its database before it sends."""
    acknowledged_first: bool = True
    """The cursor is stored after Kafka has acknowledged, `acks=all`."""

    # consumer.py: apply_once
    position_locked: bool = True
    """Positions are read under their row locks."""
    one_transaction: bool = True
    """Effects and positions commit together."""
    place_of_database: bool = True
    """A worker reads on where the database says, not where Kafka remembers."""
    place_proven: bool = True
    """A worker goes to the last number it has applied and reads it again, not to the offset behind it."""
    search_on_gap: bool = True
    """A gap that opens makes the worker look through the lane from its beginning once."""

    parking_marks: bool = True
    """A lane in which something is parked gets another mark, by which other workers see that they do not know it."""

    # queries.sql: parked_at
    strays_told: bool = True
    """A stray that is read again is not parked again."""

    # queries.sql: parked_of_key
    redrive_from_oldest: bool = True
    """The oldest parked event of a key is tried first, and holds up the others."""
    redrive_deletes: bool = True
    """A parked event that was applied leaves in the same transaction."""


PRODUCTION = Decisions()
