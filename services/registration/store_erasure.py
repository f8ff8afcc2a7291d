"""The store of forgetting: everything that leads to a person, in one transaction."""

from dataclasses import dataclass
from datetime import datetime

from libs.events.database import Transaction
from services.registration.store import QUERIES


@dataclass(frozen=True, slots=True)
class ToErase:
    """What stands against erasing a citizen."""

    erased: bool
    member: bool
    applied: bool


class ErasureStore:
    """Erases one citizen at a time."""

    async def lock(self, tx: Transaction, citizen_id: str) -> ToErase | None:
        """Hold the citizen, so that nothing new begins, and only then look; None where there is no such citizen."""
        if await QUERIES.erasure_lock(tx, citizen=citizen_id) is None:
            return None
        return ToErase(**await QUERIES.erasure_look(tx, citizen=citizen_id))

    async def erase(self, tx: Transaction, citizen_id: str, now: datetime) -> None:
        await QUERIES.erase_key(tx, citizen=citizen_id)
        household = await QUERIES.erase_identity(tx, citizen=citizen_id)
        if household:
            await QUERIES.erase_household(tx, household=household)
        await QUERIES.erase_codes(tx, citizen=citizen_id)
        await QUERIES.erase_messages(tx, citizen=citizen_id)
        await QUERIES.erase_timeline(tx, citizen=citizen_id)
        await QUERIES.erase_citizen(tx, citizen=citizen_id, now=now)
