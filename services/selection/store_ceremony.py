"""Officials, their secrets and the closed list of reveals: rows to values and back."""

from datetime import datetime

from libs.events.database import Transaction
from services.selection.domain.ceremony import Official
from services.selection.store import QUERIES


async def hand_in(tx: Transaction, wave_id: int, person: str, official: Official, now: datetime) -> bool:
    """Note a secret commitment; False where the person, the office or the commitment is noted already."""
    added = await QUERIES.official_add(
        tx, wave_id=wave_id, person=person, office=official.office, secret_commitment=official.secret_commitment,
        now=now,
    )  # fmt: skip
    return added is not None


async def official(tx: Transaction, wave_id: int, person: str) -> Official | None:
    row = await QUERIES.official_of(tx, wave_id=wave_id, person=person)
    return Official(**row) if row else None


async def reveal(tx: Transaction, wave_id: int, person: str, secret: bytes, now: datetime) -> None:
    await QUERIES.official_reveal(tx, wave_id=wave_id, person=person, secret=secret, now=now)


async def officials(tx: Transaction, wave_id: int) -> list[Official]:
    """In ascending order of their commitments."""
    return [Official(**row) for row in await QUERIES.officials_of(tx, wave_id=wave_id)]


async def set_deadline(tx: Transaction, wave_id: int, reveal_until: datetime) -> None:
    await QUERIES.wave_reveal_until(tx, wave_id=wave_id, reveal_until=reveal_until)


async def close_reveals(tx: Transaction, wave_id: int, reveals: str, signature: bytes, now: datetime) -> None:
    await QUERIES.wave_reveals(tx, wave_id=wave_id, reveals=reveals, signature=signature, now=now)
