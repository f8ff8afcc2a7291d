"""The command that forgets a person (UU PDP 27/2022: erase and destroy)."""

from datetime import datetime
from typing import Final

from libs.events.database import Transaction
from libs.events.refusal import Refusal, Refused
from services.registration.domain.identity import UNKNOWN_CITIZEN
from services.registration.store_erasure import ErasureStore

MEMBER_STAYS: Final = Refusal(
    "member-stays",
    409,
    "Data penerima disimpan karena uang negara harus dipertanggungjawabkan dan program hanya sekali seumur hidup.",
    "A recipient's data is kept: public money must be accounted for, and the programme is once in a lifetime.",
)
APPLICATION_STANDS: Final = Refusal(
    "application-stands",
    409,
    "Anda masih terdaftar di gelombang yang belum diumumkan. Batalkan dulu, atau tunggu hasilnya.",
    "You stand in a wave that is not decided yet. Withdraw first, or wait for its result.",
)


async def erase(tx: Transaction, store: ErasureStore, citizen_id: str, now: datetime) -> None:
    """Forget a person, also in backups: the key, the indexes and everything sealed. Erased before: nothing happens.

    What stays is a bare id that applications and events name. Raises Refused for members, whose payments must be
    accounted for, and for whoever still stands in an undecided wave.
    """
    standing = await store.lock(tx, citizen_id)
    if standing is None:
        raise Refused(UNKNOWN_CITIZEN)
    if standing.member:
        raise Refused(MEMBER_STAYS)
    if standing.applied:
        raise Refused(APPLICATION_STANDS)
    if not standing.erased:
        await store.erase(tx, citizen_id, now)
