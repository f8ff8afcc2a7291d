"""What an officer asks, and what the clock asks of single waves. One transaction each, opened by the caller."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

from libs.events import outbox
from libs.events.contracts import Event, Quota, WaveAnnounced, WaveClosed, WaveOpened, WaveVoided
from libs.events.database import Transaction
from libs.events.programme import Programme
from libs.events.refusal import Refusal, Refused
from services.selection import store_appeals
from services.selection.domain import quotas, wave
from services.selection.domain.decree import decree
from services.selection.domain.quotas import Province, Stratum
from services.selection.domain.wave import State, Step
from services.selection.store import Store, Wave

T = TypeVar("T")

UNKNOWN_PROGRAMME: Final = Refusal(
    "unknown-programme",
    404,
    "Program ini tidak dikenal. Periksa namanya.",
    "This programme is not known. Check its name.",
)
UNKNOWN_WAVE: Final = Refusal(
    "unknown-wave",
    404,
    "Gelombang ini tidak ada. Periksa program dan nomornya.",
    "There is no such wave. Check the programme and the number.",
)
NO_SEATS: Final = Refusal(
    "no-seats",
    409,
    "Belum ada kursi daur ulang, sehingga gelombang ini tidak punya kursi. Isi jumlah kursi.",
    "No seat has been freed yet, so this wave would have none. Give a number of seats.",
)
TAKEN_MEANWHILE: Final = Refusal(
    "illegal-step",
    409,
    "Gelombang ini baru saja diumumkan oleh orang lain. Periksa statusnya.",
    "Somebody else has just announced this wave. Look at its state.",
)
NO_VOID_ASKED: Final = Refusal(
    "no-void-asked",
    409,
    "Belum ada usul pembatalan untuk gelombang ini. Pengusul harus mengajukannya dulu dengan alasannya.",
    "Nobody has asked to void this wave. A maker has to ask first, with the reason.",
)


async def propose(
    tx: Transaction, store: Store, programmes: Mapping[str, Programme], provinces: Sequence[Province], *,
    programme: str, number: int, seats: int | None, recycle: bool, times: tuple[datetime | None, ...], person: str,
    now: datetime, decreed: str | None = None,
) -> dict[Stratum, int]:  # fmt: skip
    """Write down a wave with its seats by stratum, for another person to approve. Raises Refused.

    `decreed`: a table of seats by province and tier, used instead of the split by population.
    """
    rules = programmes.get(programme)
    if rules is None:
        raise Refused(UNKNOWN_PROGRAMME)
    proposal = must(wave.propose(rules, number, seats, recycle, times))
    before = await store.lock(tx, programme, number)
    must(wave.move(before.state if before else None, Step.PROPOSE))
    wave_id = await store.propose(tx, proposal, person, now, decreed=decreed is not None)
    if wave_id is None:
        # Another request has made and another person approved this very wave since we looked.
        raise Refused(TAKEN_MEANWHILE)
    await store.release_freed_seats(tx, wave_id)
    recycled = await store.claim_freed_seats(tx, programme, wave_id) if recycle else {}
    if decreed is None:
        given = quotas.split(proposal.seats, provinces, rules.draw.priority_percent)
    else:
        given = must(decree(decreed, proposal.seats, provinces))
    split = quotas.add(given, recycled)
    if not sum(split.values()):
        raise Refused(NO_SEATS)
    # Seats of upheld appeals leave the quota before it is announced: the draw gives the rest.
    await store_appeals.release_seats(tx, wave_id)
    appealed = await store_appeals.claim_seats(tx, rules, number, wave_id, split)
    split = quotas.without(split, appealed)
    await store.set_quotas(tx, wave_id, split, recycled, appealed)
    return split


async def approve(
    tx: Transaction, store: Store, programme: str, number: int, mark: str, person: str, now: datetime
) -> State:
    """Announce a proposed wave to everybody; `mark` names the proposal that the checker has read. Raises Refused."""
    found = await _as_read(tx, store, programme, number, mark)
    state = must(wave.approve(found.state, found.maker_person, person, found.times.closes_at, now))
    await store.approve(tx, found.wave_id, state, person, now)
    split = await store.quotas(tx, found.wave_id)
    await outbox.add(
        tx,
        [
            WaveAnnounced(
                at=now,
                programme=programme,
                wave=number,
                opens_at=found.times.opens_at,
                closes_at=found.times.closes_at,
                draws_at=found.times.draws_at,
                quotas=tuple(
                    Quota(province=stratum.province, tier=stratum.tier, seats=seats)
                    for stratum, (seats, _) in sorted(split.items())
                ),
                recycled_seats=sum(recycled for _, recycled in split.values()),
            )
        ],
    )
    return state


async def ask_void(
    tx: Transaction, store: Store, programme: str, number: int, reason: str, person: str, now: datetime
) -> State:
    """Ask for a wave to be given up; it goes on until another person has agreed. Raises Refused."""
    found = await lock(tx, store, programme, number)
    must(wave.void(found.state, found.draw, now))
    await store.ask_void(tx, found.wave_id, reason, person, now)
    return found.state


async def approve_void(
    tx: Transaction, store: Store, programme: str, number: int, mark: str, person: str, now: datetime
) -> State:
    """Give a wave up, in public and for the reason that the checker has read: `mark` names it. Raises Refused."""
    found = await _as_read(tx, store, programme, number, mark)
    state = must(wave.void(found.state, found.draw, now))
    if found.void_reason is None:
        raise Refused(NO_VOID_ASKED)
    if found.void_maker_person == person:
        raise Refused(wave.same_person())
    await store.void(tx, found.wave_id, person, now)
    # Nobody outside has heard of a wave that was only proposed.
    if found.state is not State.PROPOSED:
        await outbox.add(tx, [WaveVoided(at=now, programme=programme, wave=number, reason=found.void_reason)])
    return state


async def open_and_close(*, tx: Transaction, now: datetime, store: Store) -> int:
    """Open and close the waves whose time has come; how many. A clock that has leapt takes two calls for one wave."""
    due = await store.to_move(tx, now)
    events: list[Event] = []
    for wave_id, programme, number, state in due:
        step, kind = (Step.OPEN, WaveOpened) if state is State.ANNOUNCED else (Step.CLOSE, WaveClosed)
        await store.set_state(tx, wave_id, must(wave.move(state, step)))
        events.append(kind(at=now, programme=programme, wave=number))
    await outbox.add(tx, events)
    return len(due)


async def lock(tx: Transaction, store: Store, programme: str, number: int) -> Wave:
    """The wave, which takes no step until the transaction ends. Raises Refused."""
    found = await store.lock(tx, programme, number)
    if found is None:
        raise Refused(UNKNOWN_WAVE)
    return found


async def _as_read(tx: Transaction, store: Store, programme: str, number: int, mark: str) -> Wave:
    """The wave, locked, while it still says what the checker has read. Raises Refused."""
    found, view = await lock(tx, store, programme, number), await store.view(tx, programme, number)
    if view is None or wave.mark(view) != mark:
        raise Refused(wave.READ_ANEW)
    return found


def must(decided: T | Refusal) -> T:
    """What was decided, or Refused raised."""
    if isinstance(decided, Refusal):
        raise Refused(decided)
    return decided
