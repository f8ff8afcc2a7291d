"""The life of a wave: which step may follow which, and what a proposal must say. One table, read by everybody."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from libs.events.programme import Programme
from libs.events.refusal import Refusal

SEATS_MAX: Final = 10_000_000
REASON_CHARACTERS_MIN: Final = 10


class State(StrEnum):
    PROPOSED = "proposed"
    ANNOUNCED = "announced"
    OPEN = "open"
    CLOSED = "closed"
    COMMITTED = "committed"
    DRAWN = "drawn"
    PUBLISHED = "published"
    VOIDED = "voided"


class Step(StrEnum):
    PROPOSE = "propose"
    APPROVE = "approve"
    RESCHEDULE = "reschedule"
    OPEN = "open"
    CLOSE = "close"
    COMMIT = "commit"
    DRAW = "draw"
    REDRAW = "redraw"
    PUBLISH = "publish"
    VOID = "void"


TRANSITIONS: Final[Mapping[tuple[State | None, Step], State]] = {
    (None, Step.PROPOSE): State.PROPOSED,
    (State.PROPOSED, Step.PROPOSE): State.PROPOSED,  # nobody outside has seen a proposal: it may be replaced
    (State.PROPOSED, Step.APPROVE): State.ANNOUNCED,
    # Other times: to open early, to close early or late, to draw at another time; see `lifecycle.reschedule`.
    (State.ANNOUNCED, Step.RESCHEDULE): State.ANNOUNCED,
    (State.OPEN, Step.RESCHEDULE): State.OPEN,
    (State.CLOSED, Step.RESCHEDULE): State.CLOSED,
    (State.ANNOUNCED, Step.OPEN): State.OPEN,
    (State.OPEN, Step.CLOSE): State.CLOSED,
    (State.CLOSED, Step.COMMIT): State.COMMITTED,
    (State.COMMITTED, Step.DRAW): State.DRAWN,
    (State.DRAWN, Step.PUBLISH): State.PUBLISHED,
    # The same applications are committed to and drawn once more, in public; only until the first result has been sent.
    (State.COMMITTED, Step.REDRAW): State.CLOSED,
    (State.DRAWN, Step.REDRAW): State.CLOSED,
    (State.PROPOSED, Step.VOID): State.VOIDED,
    (State.ANNOUNCED, Step.VOID): State.VOIDED,
    (State.OPEN, Step.VOID): State.VOIDED,
    (State.CLOSED, Step.VOID): State.VOIDED,
    (State.COMMITTED, Step.VOID): State.VOIDED,
    (State.DRAWN, Step.VOID): State.VOIDED,  # only until the first result has been sent to a citizen
}


TIMES_OUT_OF_ORDER: Final = Refusal(
    "times-out-of-order",
    422,
    "Waktu buka harus sebelum waktu tutup, dan waktu tutup sebelum waktu undian. Perbaiki waktunya.",
    "A wave must open before it closes, and close before it is drawn. Correct the times.",
)
RESULTS_SENT: Final = Refusal(
    "results-sent",
    409,
    "Hasil undian sudah mulai dikirim kepada warga; gelombang ini tidak dapat dibatalkan atau diundi ulang lagi. Siapa "
    "yang keberatan dapat mengajukan banding.",
    "Results are already on their way to citizens; this wave can not be voided or drawn again any more. Whoever "
    "disagrees can appeal.",
)
DRAW_FIRST: Final = Refusal(
    "draw-first",
    409,
    "Angka acak undian ini sudah terbit, jadi hasilnya sudah dapat dihitung. Undian harus dijalankan lebih dulu; "
    "setelah itu dapat dikesampingkan atau dibatalkan, dengan hasilnya terbuka untuk umum.",
    "The randomness of this draw is out, so its result can be computed. The draw has to run first; after that it can "
    "be set aside or voided, with its result in public.",
)
CEREMONY_ONCE: Final = Refusal(
    "ceremony-once",
    409,
    "Undian dengan rahasia para pejabat tidak dapat diulang: rahasianya mungkin sudah diketahui. Gelombang ini hanya "
    "dapat dibatalkan.",
    "A draw with secrets of officials can not be run again: the secrets may be known. This wave can only be voided.",
)
IMPOSSIBLE: Final = frozenset({"reveals-too-late", "pool-changed"})
"""What a committed wave may wait for that never comes: its draw can not run any more."""
BEACON_FAILS: Final = frozenset({"beacon-silent", "beacon-wrong"})
BEACON_DAYS: Final = timedelta(days=3)
"""How long a round that is out must be missing until a wave may be given up without its draw. Chosen: no source names a
time. A beacon that fails for a moment must not give anybody who knows its round from elsewhere a choice."""
READ_ANEW: Final = Refusal(
    "read-anew",
    409,
    "Yang Anda baca sudah diganti sejak itu, jadi belum ada yang disetujui. Baca lagi, lalu putuskan.",
    "What you have read was replaced meanwhile, so nothing was approved. Read it again, then decide.",
)
MARKED: Final = (
    "proposed_at", "seats", "recycle", "opens_at", "closes_at", "draws_at", "void_asked_at", "void_reason",
)  # fmt: skip
"""The columns of a wave that a checker reads before they agree to a proposal or a void."""


@dataclass(frozen=True, slots=True)
class Times:
    """When a wave opens, closes and is drawn; programme time."""

    opens_at: datetime
    closes_at: datetime
    draws_at: datetime


@dataclass(frozen=True, slots=True)
class Draw:
    """How far the draw of a wave has come, for whoever wants to give it up. Before the commitment nothing is set."""

    due_at: datetime | None = None
    """When the announced round is out."""
    waiting: str | None = None
    ceremony: bool = False
    results_sent: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """A wave as a maker proposes it; `seats` do not contain the recycled ones."""

    programme: str
    wave: int
    seats: int
    recycle: bool
    times: Times


def legal(state: State | None) -> tuple[Step, ...]:
    """The steps that may be taken from here, in the order of a wave's life."""
    return tuple(step for step in Step if (state, step) in TRANSITIONS)


def possible(state: State, draw: Draw, now: datetime) -> tuple[Step, ...]:
    """Of the legal steps those that officers would not be refused at this moment."""
    decided = {Step.VOID: void(state, draw, now), Step.REDRAW: redraw(state, draw, now)}
    return tuple(step for step in legal(state) if not isinstance(decided.get(step), Refusal))


def move(state: State | None, step: Step) -> State | Refusal:
    """The state after a step, or a refusal that names the legal steps."""
    if after := TRANSITIONS.get((state, step)):
        return after
    steps = ", ".join(legal(state)) or "-"
    return Refusal(
        "illegal-step",
        409,
        f"Gelombang berstatus {state or 'tidak ada'}; langkah {step} tidak berlaku. Langkah yang berlaku: {steps}.",
        f"The wave is {state or 'not there'}; the step {step} is not legal. Legal steps: {steps}.",
    )


def void(state: State, draw: Draw, now: datetime) -> State | Refusal:
    """Give a wave up. A citizen who has been told that they won keeps what they were told: no void after that."""
    return _too_late(state, draw, now) or move(state, Step.VOID)


def redraw(state: State, draw: Draw, now: datetime) -> State | Refusal:
    """Set a commitment or a draw aside, to draw the same applications anew; like `void`, not after results.

    Not with a ceremony: its secrets may be known, and the beacon alone is not what was promised.
    """
    after = move(state, Step.REDRAW)
    if isinstance(after, State) and draw.ceremony and not draw.results_sent:
        return CEREMONY_ONCE
    return _too_late(state, draw, now) or after


def _too_late(state: State, draw: Draw, now: datetime) -> Refusal | None:
    """Nobody decides about a draw whose result can be computed but is not public, nor about one that was told."""
    if state is State.DRAWN and draw.results_sent:
        return RESULTS_SENT
    if state is not State.COMMITTED or draw.due_at is None or now < draw.due_at or draw.waiting in IMPOSSIBLE:
        return None
    return None if draw.waiting in BEACON_FAILS and now >= draw.due_at + BEACON_DAYS else DRAW_FIRST


def propose(
    programme: Programme, wave: int, seats: int | None, recycle: bool, times: tuple[datetime | None, ...]
) -> Proposal | Refusal:
    """A proposal, with what the maker left open taken from the programme file.

    `times` are opens, closes, draws, each None for the file's. Seats of 0 are right for a wave of recycled seats alone.
    """
    known = programme.wave(wave)
    filed = (known.opens, known.closes, known.draws) if known else (None, None, None)
    chosen = tuple(told or file for told, file in zip(times, filed, strict=True))
    opens, closes, draws = chosen
    seats = known.seats if seats is None and known else seats
    if opens is None or closes is None or draws is None or seats is None:
        return Refusal(
            "wave-not-in-programme",
            422,
            f"Berkas program tidak memuat gelombang {wave}. Isi sendiri waktu buka, tutup, undian dan jumlah kursi.",
            f"The programme file has no wave {wave}. Give opens_at, closes_at, draws_at and seats yourself.",
        )
    if not opens < closes < draws:
        return TIMES_OUT_OF_ORDER
    if not 0 <= seats <= SEATS_MAX or (seats == 0 and not recycle):
        return Refusal(
            "no-seats",
            422,
            f"Isi jumlah kursi antara 1 dan {SEATS_MAX}, atau 0 bila hanya memakai kursi daur ulang.",
            f"Give between 1 and {SEATS_MAX} seats, or 0 with recycle where only recycled seats are drawn.",
            "seats",
        )
    return Proposal(programme.name, wave, seats, recycle, Times(opens, closes, draws))


def approve(
    state: State, maker_person: str, checker_person: str, closes_at: datetime, now: datetime
) -> State | Refusal:
    """Announce a proposed wave: another person than the maker must agree, and the intake must still lie ahead."""
    after = move(state, Step.APPROVE)
    if isinstance(after, Refusal):
        return after
    if maker_person == checker_person:
        return same_person()
    if closes_at <= now:
        return Refusal(
            "wave-too-late",
            409,
            "Waktu tutup gelombang ini sudah lewat. Ajukan lagi dengan waktu yang baru.",
            "The closing time of this wave has passed. Propose it again with new times.",
        )
    return after


def mark(view: Mapping[str, Any]) -> str:
    """Stands for what a checker reads of a wave; another one after the proposal or the wish to void was replaced."""
    return sha256(repr([str(view[name]) for name in MARKED]).encode()).hexdigest()[:32]


def same_person() -> Refusal:
    """Maker and checker are two people, whatever accounts they use."""
    return Refusal(
        "same-person",
        409,
        "Pengusul tidak boleh menyetujui usulannya sendiri. Mintalah orang lain untuk memeriksa.",
        "Whoever proposed can not approve. Ask another person to check.",
    )
