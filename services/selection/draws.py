"""What the clock asks of a closed wave: commit, then draw; `publishing` sends the results out.

Each stage reads and computes outside any transaction, with the heavy work in a thread, and then writes all it found in
one: what is half done is never visible, and a stage that dies is simply taken again.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from libs.events import outbox
from libs.events.clock import Clock
from libs.events.contracts import WaveCommitted, WaveDrawn
from libs.events.database import Database, Transaction
from libs.events.logs import get_logger
from libs.events.programme import Programme
from libs.events.refusal import Refusal
from services.selection import draw_work, store_appeals, store_ceremony
from services.selection.beacon_client import BeaconClient, BeaconUnavailable
from services.selection.domain import beacon, ceremony, commitment, tickets, wave
from services.selection.domain.beacon import BadRandomness, Randomness
from services.selection.domain.commitment import ALGORITHM, Commitment
from services.selection.domain.wave import State, Step
from services.selection.draw_work import PoolChanged, Prepared
from services.selection.pool_store import Drawn, PoolStore
from services.selection.signing import Signer
from services.selection.store import Intake, Store, Wave

INCOMPLETE: Final = frozenset({"applications-missing", "applications-too-many"})
"""Reasons to wait that are cleared up partition by partition."""

log = get_logger()


@dataclass(frozen=True, slots=True)
class Machine:
    """What the stages work with."""

    store: Store
    pools: PoolStore
    programmes: Mapping[str, Programme]
    beacon: BeaconClient
    signer: Signer
    clock: Clock


async def commit_one(machine: Machine, database: Database, now: datetime) -> int:
    """Freeze the pool of a closed wave whose applications agree with the intake, and sign what decides its draw."""
    for found in await _in_state(machine, database, State.CLOSED):
        async with database.transaction() as tx:
            intake = await machine.store.intake(tx, found.wave_id)
            seen = await machine.store.standing(tx, found.wave_id)
            reason = await _not_yet(machine, tx, intake, seen)
            if reason:
                lanes = await machine.store.lanes_apart(tx, found.wave_id) if reason in INCOMPLETE else []
                await machine.store.wait(tx, found.wave_id, reason, seen, lanes)
        if intake and not reason and await _commit(machine, database, found, intake):
            return 1
    return 0


async def _not_yet(machine: Machine, tx: Transaction, intake: Intake | None, seen: int) -> str | None:
    """Why a closed wave can not be committed yet, as far as that is cheap to know."""
    if intake is None:
        return "intake-closed-missing"
    if seen != intake.count:
        return "applications-missing" if seen < intake.count else "applications-too-many"
    # Nor while another wave may still be given up: who won there would be left out here, and have no seat in the end.
    drawn = await machine.store.in_state(tx, State.DRAWN)
    if await machine.store.in_state(tx, State.COMMITTED) or any(other.announced_up_to is None for other in drawn):
        return "another-draw"
    return None


async def _commit(machine: Machine, database: Database, found: Wave, intake: Intake) -> bool:
    rules = machine.programmes[found.programme]
    try:
        async with machine.beacon.session() as source:
            chain = await source.chain()
            latest = await source.latest(chain)
    except BeaconUnavailable as error:
        return await wait(machine, database, found, "beacon-silent", error)
    async with database.transaction() as tx:
        draws_before = await machine.pools.draws_so_far(tx)
        officials = await store_ceremony.officials(tx, found.wave_id)
        # Who won elsewhere since the proposal gets no second seat by appeal: it is drawn with the others.
        await store_appeals.return_seats(tx, rules, found.wave_id)
        quotas = await machine.store.quotas(tx, found.wave_id)
    applications = await machine.pools.applications(
        database, found.wave_id, found.programme, rules.eligibility.once_per_lifetime, intake.count
    )
    prepared = None if applications is None else await asyncio.to_thread(draw_work.prepare, applications, rules, intake)
    if prepared is None:
        return await _differ(machine, database, found, intake)
    committed_at = machine.clock.now()
    planned = ceremony.plan(officials, committed_at, found.times.draws_at)
    number = beacon.announced_round(chain, committed_at, ceremony.earliest_round(planned, found.times.draws_at))
    try:
        beacon.check_not_out(chain, number, committed_at, latest)
    except BadRandomness as error:
        return await wait(machine, database, found, "beacon-ahead", error)
    promise = Commitment(
        programme=found.programme,
        wave=found.number,
        intake_count=intake.count,
        intake_digest=intake.digest,
        excluded=prepared.frozen.excluded_counts(),
        pool_count=len(prepared.frozen.pool),
        root=prepared.root,
        quotas={stratum: seats for stratum, (seats, _) in quotas.items()},
        household_cap=rules.eligibility.household_cap,
        chain=chain,
        beacon_round=number,
        draws_at=found.times.draws_at,
        committed_at=committed_at,
        signing_key=machine.signer.public_key,
        ceremony=planned,
    )
    try:
        return await _publish_promise(machine, database, found, prepared, promise, draws_before)
    except BadRandomness as error:
        return await wait(machine, database, found, "commitment-slow", error)


async def _publish_promise(
    machine: Machine, database: Database, found: Wave, prepared: Prepared, promise: Commitment, draws_before: int
) -> bool:
    """Write the pool and its commitment in one transaction. Raises BadRandomness when that took too long."""
    async with database.transaction() as tx:
        await machine.pools.one_at_a_time(tx)
        locked = await machine.store.lock(tx, found.programme, found.number)
        # Somebody else may have moved the wave, or won elsewhere, while the tree was hashed: then begin again.
        if (
            locked is None
            or (locked.wave_id, locked.times) != (found.wave_id, found.times)
            or isinstance(state := wave.move(locked.state, Step.COMMIT), Refusal)
            or await machine.pools.draws_so_far(tx) != draws_before
            or await machine.store.standing(tx, found.wave_id) != promise.intake_count
        ):
            return False
        await _write_commitment(machine, tx, found, state, prepared, promise)
        # The last thing before COMMIT: what becomes public when its round is nearly out, or is, was no promise.
        beacon.check_in_time(promise.chain, promise.beacon_round, machine.clock.now())
    log.info("a pool was committed to", programme=found.programme, wave=found.number, pool=promise.pool_count)
    return True


async def _write_commitment(
    machine: Machine, tx: Transaction, found: Wave, state: State, prepared: Prepared, promise: Commitment
) -> None:
    canonical = promise.canonical()
    await machine.pools.commit(
        tx, found.wave_id, state, prepared.frozen, prepared.salts, prepared.levels, promise, canonical,
        machine.signer.sign(canonical), promise.chain.time_of(promise.beacon_round),
    )  # fmt: skip
    if promise.ceremony:
        await store_ceremony.set_deadline(tx, found.wave_id, promise.ceremony.reveal_until)
    event = WaveCommitted(
        at=promise.committed_at,
        programme=found.programme,
        wave=found.number,
        attempt=found.attempt,
        algorithm=ALGORITHM,
        pool_count=promise.pool_count,
        root=promise.root.hex(),
        beacon=promise.chain.chain_hash,
        beacon_round=promise.beacon_round,
    )
    await outbox.add(tx, [event])


async def draw_one(machine: Machine, database: Database, now: datetime) -> int:
    """Draw the committed wave once its announced round is out and genuine."""
    for found in await _in_state(machine, database, State.COMMITTED):
        if found.draw_due_at is None or found.draw_due_at > now or found.commitment is None:
            continue
        document = json.loads(found.commitment)
        if ceremony.is_ceremony(document) and found.reveals is None:
            await wait(machine, database, found, "reveals-too-late", None)
            continue
        chain, number = commitment.chain_of(document)
        try:
            async with machine.beacon.session() as source:
                told, randomness = await source.round(chain, number)
        except BeaconUnavailable as error:
            await wait(machine, database, found, "beacon-silent", error)
            continue
        except BadRandomness as error:
            await wait(machine, database, found, "beacon-wrong", error)
            continue
        try:
            if await _draw(machine, database, found, document, told, randomness):
                return 1
        except PoolChanged as error:
            await wait(machine, database, found, "pool-changed", error)
    return 0


async def _draw(
    machine: Machine, database: Database, found: Wave, document: Mapping[str, Any], told: Randomness, randomness: bytes
) -> bool:
    root = commitment.root_of(document)
    stored = await machine.pools.pool(database, found.wave_id, document["pool"]["count"])
    if stored is None:
        raise PoolChanged("the stored pool has another number of entries than the signed one")
    seed = (
        ceremony.seed_of(root, randomness, document, json.loads(found.reveals))
        if found.reveals
        else tickets.seed_of(root, randomness)
    )
    outcome, results = await asyncio.to_thread(draw_work.run, *stored, document, seed)
    drawn = Drawn(bytes.fromhex(told.signature), randomness, seed, machine.clock.now())
    async with database.transaction() as tx:
        await machine.pools.one_at_a_time(tx)
        locked = await machine.store.lock(tx, found.programme, found.number)
        # Meanwhile officers may have set this attempt aside, and another one may wait in its place.
        if (
            locked is None
            or locked.wave_id != found.wave_id
            or isinstance(state := wave.move(locked.state, Step.DRAW), Refusal)
        ):
            return False
        await machine.pools.draw(tx, found.wave_id, state, outcome, results, drawn)
        await store_appeals.add_members(tx, found.wave_id)
        event = WaveDrawn(
            at=drawn.at, programme=found.programme, wave=found.number, attempt=found.attempt, seed=seed.hex(),
            winners=outcome.winners,
        )  # fmt: skip
        await outbox.add(tx, [event])
    log.info("a wave was drawn", programme=found.programme, wave=found.number, winners=outcome.winners)
    return True


async def _in_state(machine: Machine, database: Database, state: State) -> list[Wave]:
    async with database.connection() as tx:
        return await machine.store.in_state(tx, state)


async def _differ(machine: Machine, database: Database, found: Wave, intake: Intake) -> bool:
    """As many applications as were stated, but others: say which partitions do not agree."""
    async with database.transaction() as tx:
        lanes = await machine.store.lanes_apart(tx, found.wave_id)
        await machine.store.wait(tx, found.wave_id, "applications-differ", intake.count, lanes)
    log.warning(
        "a wave waits",
        programme=found.programme,
        wave=found.number,
        reason="applications-differ",
        lanes=[apart.lane for apart in lanes],
    )
    return False


async def wait(machine: Machine, database: Database, found: Wave, reason: str, error: Exception | None) -> bool:
    """Say in public and in the log why a wave does not go on. Always False: no step was taken."""
    log.warning("a wave waits", programme=found.programme, wave=found.number, reason=reason, detail=str(error or ""))
    async with database.transaction() as tx:
        await machine.store.wait(tx, found.wave_id, reason)
    return False
