"""Appeals, and the seats that upheld ones take: rows to values and back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from libs.events.contracts import AppealLodged
from libs.events.database import Transaction
from libs.events.programme import Programme
from services.selection.domain.appeal import Appeal, AppealState, Result, result_reason, seat_application
from services.selection.domain.quotas import Stratum
from services.selection.store import QUERIES


async def result(tx: Transaction, citizen_id: str, application_id: str) -> Result | None:
    """What a published wave decided about a citizen's application; None for another's, or before publication."""
    row = await QUERIES.result_of(tx, citizen_id=citizen_id, application_id=application_id)
    if row is None:
        return None
    return Result(
        wave_id=row["wave_id"],
        programme=row["programme"],
        wave=row["wave"],
        application_id=row["application_id"],
        citizen_id=row["citizen_id"],
        province=row["province"],
        tier=row["tier"],
        reason=result_reason(row),
        published_at=row["published_at"],
        lodged_at=row["lodged_at"],
        ground=row["ground"],
    )


async def lodge(tx: Transaction, wave_id: int, event: AppealLodged) -> bool:
    """Write an appeal down; False where the result has been contested before."""
    added = await QUERIES.appeal_lodge(
        tx, appeal_id=event.appeal_id, application_id=event.application_id, wave_id=wave_id,
        citizen_id=event.citizen_id, contested=event.contested, reason=event.reason, ground=event.ground, now=event.at,
        state=AppealState.LODGED,
    )  # fmt: skip
    return added is not None


async def lock(tx: Transaction, appeal_id: str, lifetime: Sequence[str]) -> Appeal | None:
    """An appeal, alone; `lifetime` are the programmes that select nobody who was selected anywhere."""
    row = await QUERIES.appeal_for_update(tx, appeal_id=appeal_id, lifetime=lifetime)
    return Appeal(**{**row, "state": AppealState(row["state"])}) if row else None


async def examine(
    tx: Transaction, appeal_id: str, state: AppealState, finding: str, person: str, now: datetime
) -> None:
    await QUERIES.appeal_examine(tx, appeal_id=appeal_id, state=state, finding=finding, person=person, now=now)


async def decide(tx: Transaction, appeal_id: str, state: AppealState, person: str, now: datetime) -> None:
    await QUERIES.appeal_decide(tx, appeal_id=appeal_id, state=state, person=person, now=now)


async def of_citizen(tx: Transaction, citizen_id: str, limit: int) -> list[Mapping[str, Any]]:
    return list(await QUERIES.appeals_of_citizen(tx, citizen_id=citizen_id, limit=limit))


async def waiting(tx: Transaction, limit: int) -> list[Mapping[str, Any]]:
    return list(await QUERIES.appeals_open(tx, limit=limit))


async def claim_seats(
    tx: Transaction, rules: Programme, number: int, wave_id: int, seats: Mapping[Stratum, int]
) -> Mapping[Stratum, int]:
    """Give upheld appeals seats of their own stratum while it has some, the first decided first; how many of each.

    Whoever has won two appeals gets one seat.
    """
    left, taken, appeals = dict(seats), Counter[Stratum](), dict[str, str]()
    wanted = await QUERIES.appeal_seats_wanted(
        tx, programme=rules.name, wave_id=wave_id, once_per_lifetime=rules.eligibility.once_per_lifetime
    )
    for row in wanted:
        stratum = Stratum(row["province"], row["tier"])
        if left.get(stratum, 0) and row["citizen_id"] not in appeals:
            left[stratum] -= 1
            taken[stratum] += 1
            appeals[row["citizen_id"]] = row["appeal_id"]
    chosen = list(appeals.values())
    applications = [seat_application(appeal_id, rules.name, number) for appeal_id in chosen]
    await QUERIES.appeal_seats_claim(tx, wave_id=wave_id, appeals=chosen, applications=applications)
    return taken


async def return_seats(tx: Transaction, rules: Programme, wave_id: int) -> None:
    """Give seats of appellants who have become members since back to the quota."""
    await QUERIES.appeal_seats_return(
        tx, wave_id=wave_id, programme=rules.name, once_per_lifetime=rules.eligibility.once_per_lifetime
    )


async def release_seats(tx: Transaction, wave_id: int) -> None:
    await QUERIES.appeal_seats_release(tx, wave_id=wave_id)


async def seats_of(tx: Transaction, wave_id: int) -> list[Mapping[str, Any]]:
    """How many seats of a wave upheld appeals have, by stratum and by the wave they contested."""
    return list(await QUERIES.appeal_seats_of(tx, wave_id=wave_id))


async def add_members(tx: Transaction, wave_id: int) -> None:
    await QUERIES.appeal_members_add(tx, wave_id=wave_id)


async def given(tx: Transaction, wave_id: int) -> Sequence[Mapping[str, Any]]:
    """The seats that appeals were given in a drawn wave, each with its rank."""
    return list(await QUERIES.appeal_seats_given(tx, wave_id=wave_id))
