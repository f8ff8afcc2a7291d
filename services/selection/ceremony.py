"""What officials do in a ceremony, and the list of reveals that the clock closes. One transaction each."""

import json
from collections.abc import Mapping
from datetime import datetime

from libs.events.access import Staff
from libs.events.clock import Clock
from libs.events.database import Database, Transaction
from libs.events.logs import get_logger
from libs.events.programme import Programme
from libs.events.refusal import Refused
from services.selection import store_ceremony
from services.selection.commands import lock, must
from services.selection.domain import ceremony
from services.selection.domain.ceremony import Official
from services.selection.domain.wave import State
from services.selection.signing import Signer
from services.selection.store import Store, Wave

log = get_logger()


async def hand_in(
    tx: Transaction, store: Store, programmes: Mapping[str, Programme], programme: str, number: int, *, office: str,
    secret_commitment: bytes, staff: Staff, now: datetime,
) -> Official:  # fmt: skip
    """Commit to a secret for an office of the programme. The same again changes nothing. Raises Refused."""
    found = await lock(tx, store, programme, number)
    offices = programmes[programme].draw.offices if programme in programmes else {}
    official = Official(must(ceremony.title_of(office, offices, staff.roles)), secret_commitment)
    if refusal := ceremony.open_for_hand_in(found.state, found.times.closes_at, now):
        raise Refused(refusal)
    if await store_ceremony.official(tx, found.wave_id, staff.person) == official:
        return official
    if not await store_ceremony.hand_in(tx, found.wave_id, staff.person, official, now):
        raise Refused(ceremony.ALREADY_HANDED_IN)
    return official


async def reveal(
    tx: Transaction, store: Store, programme: str, number: int, secret: bytes, person: str, now: datetime
) -> None:
    """Reveal a secret; it is public from now on. The same again changes nothing. Raises Refused."""
    found = await lock(tx, store, programme, number)
    official = await store_ceremony.official(tx, found.wave_id, person)
    # A request that hesitated until the list was closed comes too late, whatever its clock said.
    until = found.reveal_until if found.reveals is None else None
    refusal = ceremony.reveal(programme, number, found.state, until, official, secret, now)
    if refusal:
        raise Refused(refusal)
    await store_ceremony.reveal(tx, found.wave_id, person, secret, now)


class TooLate(Exception):
    """The round is out, or may be: nobody may say any more who has revealed what."""


async def close_reveals(store: Store, signer: Signer, database: Database, clock: Clock) -> int:
    """After the deadline and before the round is out, sign who has revealed what. Later nobody may: the wave waits."""
    async with database.connection() as connection:
        waves = await store.in_state(connection, State.COMMITTED)
    for seen in waves:
        try:
            async with database.transaction() as tx:
                silent = await _close(tx, store, signer, seen, clock)
        except TooLate:
            log.warning("reveals were not closed in time", programme=seen.programme, wave=seen.number)
            continue
        if silent is not None:
            log.info("reveals were closed", programme=seen.programme, wave=seen.number, silent=silent)
            return 1
    return 0


async def _close(tx: Transaction, store: Store, signer: Signer, seen: Wave, clock: Clock) -> int | None:
    """Close the list of one wave, where it is time: how many are silent. Raises TooLate."""
    found = await store.lock(tx, seen.programme, seen.number)
    now = clock.now()  # behind the lock, which may have taken its time
    if (
        found is None or found.state is not State.COMMITTED or found.commitment is None or found.reveals
        or found.reveal_until is None or found.draw_due_at is None
        or not found.reveal_until < now < found.draw_due_at
    ):  # fmt: skip
        return None
    told = await store_ceremony.officials(tx, found.wave_id)
    secrets = {official.office: official.secret for official in told if official.secret}
    canonical = ceremony.reveals(json.loads(found.commitment), secrets, now)
    signature = signer.sign_bytes(ceremony.signed_bytes(canonical))
    await store_ceremony.close_reveals(tx, found.wave_id, canonical, signature, now)
    # The last thing before COMMIT: a list that becomes public when the round is out was not closed before it.
    if clock.now() >= found.draw_due_at:
        raise TooLate
    return len(told) - len(secrets)
