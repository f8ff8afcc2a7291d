"""What officers may change about a wave that was announced: its times. Two people, a reason, and the public is told.

The clock opens and closes waves by their times. So to open early, or to close early or late, is to give the wave
another time; a time that has passed by the moment of approval means "now".
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from libs.events.refusal import Refusal
from services.selection.domain.wave import TIMES_OUT_OF_ORDER, State, Step, Times, move, same_person

MOVABLE: Final = {
    State.ANNOUNCED: ("opens_at", "closes_at", "draws_at"),
    State.OPEN: ("closes_at", "draws_at"),
    State.CLOSED: ("draws_at",),
}
"""Which times still lie ahead in a state. Once a pool is committed to, its draw hangs on the announced randomness."""

NO_CHANGE_ASKED: Final = Refusal(
    "no-change-asked",
    409,
    "Usul ini tidak ada, sudah diputuskan, atau sudah diganti. Lihat usul yang sekarang menunggu.",
    "There is no such request any more: it was decided or replaced. Look at the one that waits now.",
)
NOTHING_CHANGES: Final = Refusal(
    "nothing-changes",
    422,
    "Isi setidaknya satu waktu baru: buka, tutup, atau undian.",
    "Give at least one new time: opens_at, closes_at or draws_at.",
)


@dataclass(frozen=True, slots=True)
class Change:
    """What a maker has asked for; a time that is None stays as it is."""

    change_id: int
    step: Step
    opens_at: datetime | None
    closes_at: datetime | None
    draws_at: datetime | None
    reason: str
    maker_person: str


def reschedule(
    state: State, times: Times, opens: datetime | None, closes: datetime | None, draws: datetime | None, now: datetime
) -> Times | Refusal:
    """The times after a change. Refused where a time belongs to a step that was taken, or the order would break."""
    after = move(state, Step.RESCHEDULE)
    if isinstance(after, Refusal):
        return after
    wanted = {"opens_at": opens, "closes_at": closes, "draws_at": draws}
    told = {name: at for name, at in wanted.items() if at is not None}
    if not told:
        return NOTHING_CHANGES
    for name in told:
        if name not in MOVABLE[state]:
            movable = ", ".join(MOVABLE[state])
            return Refusal(
                "step-already-taken",
                409,
                f"Gelombang berstatus {state}; {name} tidak dapat diubah lagi. Yang masih dapat diubah: {movable}.",
                f"The wave is {state}; {name} can not be changed any more. What still can: {movable}.",
                name,
            )
    # The draw never waits for a moment that has passed: the commitment names a round that lies ahead of it.
    opens_at, closes_at = (max(told[name], now) if name in told else None for name in ("opens_at", "closes_at"))
    moved = Times(opens_at or times.opens_at, closes_at or times.closes_at, draws or times.draws_at)
    return moved if moved.opens_at < moved.closes_at < moved.draws_at else TIMES_OUT_OF_ORDER


def approve(change: Change | None, change_id: int, checker_person: str) -> Change | Refusal:
    """The change that waits, if it is the one the checker has read and the checker is somebody else."""
    if change is None or change.change_id != change_id:
        return NO_CHANGE_ASKED
    return same_person() if change.maker_person == checker_person else change
