"""Citizens contest exclusions; officers examine and decide. An upheld appeal waits for a seat of the next wave."""

from collections.abc import Mapping
from datetime import datetime

from libs.events import outbox
from libs.events.contracts import AppealLodged
from libs.events.database import Transaction
from libs.events.programme import Programme
from libs.events.refusal import Refused
from services.selection import store_appeals
from services.selection.commands import UNKNOWN_PROGRAMME, must
from services.selection.domain import appeal
from services.selection.domain.appeal import Appeal, AppealState


async def lodge(
    tx: Transaction, programmes: Mapping[str, Programme], citizen_id: str, application_id: str, ground: str,
    now: datetime,
) -> AppealLodged:  # fmt: skip
    """Contest an exclusion. The same again says the same and changes nothing. Raises Refused."""
    result = await store_appeals.result(tx, citizen_id, application_id)
    if result and result.programme not in programmes:
        raise Refused(UNKNOWN_PROGRAMME)
    days = programmes[result.programme].draw.appeal_days if result else 0
    event = must(appeal.lodge(result, ground, days, now))
    if result and await store_appeals.lodge(tx, result.wave_id, event):
        await outbox.add(tx, [event])
    return event


async def examine(
    tx: Transaction, programmes: Mapping[str, Programme], appeal_id: str, finding: str, person: str, now: datetime
) -> AppealState:
    """Write down what a maker has found, for another person to agree to. Raises Refused."""
    found = await _lock(tx, programmes, appeal_id)
    state = must(appeal.examine(found, finding))
    await store_appeals.examine(tx, appeal_id, state, finding, person, now)
    return state


async def decide(
    tx: Transaction, programmes: Mapping[str, Programme], appeal_id: str, finding: str, person: str, now: datetime
) -> AppealState:
    """Agree to a finding, and tell the citizen. Raises Refused."""
    found = await _lock(tx, programmes, appeal_id)
    state, event = must(appeal.decide(found, finding, person, now))
    await store_appeals.decide(tx, appeal_id, state, person, now)
    await outbox.add(tx, [event])
    return state


async def _lock(tx: Transaction, programmes: Mapping[str, Programme], appeal_id: str) -> Appeal:
    found = await store_appeals.lock(tx, appeal_id, once_per_lifetime(programmes))
    if found is None:
        raise Refused(appeal.NO_SUCH_APPEAL)
    return found


def once_per_lifetime(programmes: Mapping[str, Programme]) -> list[str]:
    """The programmes that select nobody who was selected in any."""
    return [name for name, rules in programmes.items() if rules.eligibility.once_per_lifetime]
