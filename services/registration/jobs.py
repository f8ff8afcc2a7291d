"""What time asks: identities to be checked and messages to be sent, in batches, tried again with growing pauses."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

from libs.events.database import Database
from services.registration.domain.timeline import own_step
from services.registration.outside import Unavailable
from services.registration.store import Store
from services.registration.store_due import Check, DueStore, Finding, Letter
from services.registration.vault import Vault

CHECKS_PER_REQUEST: Final = 500
REQUESTS_AT_ONCE: Final = 4  # the registry answers slowly, and must not be drowned either
MESSAGES_PER_REQUEST: Final = 1000

_log = logging.getLogger(__name__)


class Registry(Protocol):
    async def check(self, checks: Sequence[Check]) -> list[Finding]: ...


class Sender(Protocol):
    async def send(self, letters: Sequence[Letter]) -> None: ...


async def check_identities(
    *, database: Database, now: datetime, due: DueStore, store: Store, vault: Vault, registry: Registry
) -> int:
    """Ask the civil registry about everybody who is due, several lists at once. 0: nobody was due, or nobody answered.

    The next try is booked first, in a transaction of its own: no row is locked while the registry thinks, and a crash
    delays a check and never loses it.
    """
    async with database.transaction() as tx:
        checks = await due.take_checks(tx, vault, now, CHECKS_PER_REQUEST * REQUESTS_AT_ONCE)
    lists = [checks[start : start + CHECKS_PER_REQUEST] for start in range(0, len(checks), CHECKS_PER_REQUEST)]
    return sum(await asyncio.gather(*(_check(database, now, due, store, registry, asked) for asked in lists)))


async def _check(
    database: Database, now: datetime, due: DueStore, store: Store, registry: Registry, asked: Sequence[Check]
) -> int:
    """Ask about one list, store the answers, and tell each citizen in the timeline."""
    try:
        findings = await registry.check(asked)
    except Unavailable as error:
        _log.warning("%d identities wait for their next check: %s", len(asked), error)
        return 0
    async with database.transaction() as tx:
        found = await due.apply_findings(tx, findings, now)
        await store.add_entries(
            tx,
            [
                own_step(one.citizen_id, f"identity-{one.state}", now, one.reference, field=one.mismatch_field)
                for one in found
            ],
        )
    return len(findings)


async def send_messages(*, database: Database, now: datetime, due: DueStore, vault: Vault, gateway: Sender) -> int:
    """Hand over what is due. 0: nothing was, or the gateway did not take it and everything waits for its next try."""
    async with database.transaction() as tx:
        letters = await due.take_messages(tx, vault, now, MESSAGES_PER_REQUEST)
    if not letters:
        return 0
    try:
        await gateway.send(letters)
    except Unavailable as error:
        _log.warning("%d messages wait for their next try: %s", len(letters), error)
        return 0
    async with database.transaction() as tx:
        await due.mark_sent(tx, letters, now)
    return len(letters)
