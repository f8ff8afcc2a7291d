"""The bulk of a draw: applications in, pool, tree and results out. Pages in, COPY out; nothing goes row by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from libs.events.database import Database, Transaction
from services.selection.domain.commitment import Commitment
from services.selection.domain.draw import Outcome
from services.selection.domain.merkle import HASH_BYTES, proof_positions
from services.selection.domain.pool import SALT_BYTES, Application, Frozen, Pool
from services.selection.domain.quotas import Stratum
from services.selection.domain.wave import State
from services.selection.store import QUERIES

PAGE_ROWS: Final = 10_000
"""Large enough for COPY, small enough that turning a page into values does not hold up the event loop."""
CHUNK_BYTES: Final = 4_096 * HASH_BYTES
"""A chunk of the tree; `merkle` in the migrations has the same limit."""
BEFORE_ALL: Final = "0" * 32
"""No id is all zeros, so this stands before the first one."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a draw writes beside its results."""

    beacon_signature: bytes
    randomness: bytes
    seed: bytes
    at: datetime


class PoolStore:
    """Takes the transaction, or the database for reads that would be too long for one transaction."""

    async def applications(
        self, database: Database, wave_id: int, programme: str, once_per_lifetime: bool
    ) -> list[Application]:
        """Every standing application of a wave in canonical order."""
        found: list[Application] = []
        strata: dict[tuple[str, str], Stratum] = {}
        after = BEFORE_ALL
        async with database.connection() as tx:
            await QUERIES.applications_analyse(tx)
        while True:
            async with database.connection() as tx:
                rows = await QUERIES.applications_page(
                    tx, wave_id=wave_id, programme=programme, once_per_lifetime=once_per_lifetime, after=after,
                    limit=PAGE_ROWS,
                )  # fmt: skip
            for row in rows:
                place = (row["province"], row["tier"])
                stratum = strata.setdefault(place, Stratum(*place))
                found.append(
                    Application(
                        row["application_id"], row["household_id"], stratum, row["exclusions"], row["is_member"],
                        row["household_members"],
                    )
                )  # fmt: skip
            if len(rows) < PAGE_ROWS:
                return found
            after = found[-1].application_id.hex()

    async def draws_so_far(self, tx: Transaction) -> int:
        """Changes whenever somebody may have become a member."""
        count: int = await QUERIES.waves_drawn(tx)
        return count

    async def one_at_a_time(self, tx: Transaction) -> None:
        """Wait for whoever commits or draws a wave at this moment; held until the transaction ends."""
        await QUERIES.draws_one_at_a_time(tx)

    async def commit(
        self, tx: Transaction, wave_id: int, state: State, frozen: Frozen, salts: bytes, levels: Sequence[bytes],
        commitment: Commitment, canonical: str, signature: bytes, draw_due_at: datetime,
    ) -> None:  # fmt: skip
        """Write the frozen pool, the exclusions, the tree and the signed commitment."""
        pool = frozen.pool
        for first in range(0, len(pool), PAGE_ROWS):
            await tx.copy_records_to_table(
                "pool_entry",
                columns=("wave_id", "leaf", "application_id", "household_group", "places", "salt"),
                records=[
                    (wave_id, at, pool.ids[at].hex(), pool.groups[at], pool.places[at], _salt(salts, at))
                    for at in range(first, min(first + PAGE_ROWS, len(pool)))
                ],
            )
        await tx.copy_records_to_table(
            "exclusion",
            columns=("wave_id", "application_id", "reason"),
            records=[(wave_id, application_id.hex(), reason) for application_id, reason in frozen.excluded],
        )
        await tx.copy_records_to_table(
            "merkle",
            columns=("wave_id", "level", "chunk", "hashes"),
            records=[
                (wave_id, level, first // CHUNK_BYTES, hashes[first : first + CHUNK_BYTES])
                for level, hashes in enumerate(levels)
                for first in range(0, len(hashes), CHUNK_BYTES)
            ],
        )
        await QUERIES.pool_analyse(tx)
        await QUERIES.wave_commit(
            tx, wave_id=wave_id, state=state, commitment=canonical, signature=signature, root=commitment.root,
            pool_count=commitment.pool_count, beacon_round=commitment.beacon_round, draw_due_at=draw_due_at,
            committed_at=commitment.committed_at, applications_seen=commitment.intake_count,
        )  # fmt: skip

    async def pool(self, database: Database, wave_id: int, count: int) -> tuple[Pool, bytes]:
        """The frozen pool of a wave and its salts, one after the other."""
        columns: tuple[list[bytes], list[Stratum], list[int], list[int]] = ([], [], [], [])
        salts: list[bytes] = []
        strata: dict[tuple[str, str], Stratum] = {}
        for first in range(0, count, PAGE_ROWS):
            async with database.connection() as tx:
                rows = await QUERIES.pool_page(tx, wave_id=wave_id, first=first, last=first + PAGE_ROWS)
            for row in rows:
                place = (row["province"], row["tier"])
                columns[0].append(row["application_id"])
                columns[1].append(strata.setdefault(place, Stratum(*place)))
                columns[2].append(row["household_group"])
                columns[3].append(row["places"])
                salts.append(row["salt"])
        return Pool(*columns), b"".join(salts)

    async def draw(self, tx: Transaction, wave_id: int, state: State, outcome: Outcome, drawn: Drawn) -> None:
        """Write every ticket, rank and seat, make the winners members, and keep the cut-offs."""
        columns = ("wave_id", "leaf", "ticket", "rank", "seat_province", "seat_tier")
        for first in range(0, len(outcome.tickets), PAGE_ROWS):
            last = min(first + PAGE_ROWS, len(outcome.tickets))
            await tx.copy_records_to_table(
                "draw_result",
                columns=columns,
                records=[
                    (wave_id, at, outcome.tickets[at], outcome.ranks[at], *(outcome.seats[at] or (None, None)))
                    for at in range(first, last)
                ],
            )
        await QUERIES.results_analyse(tx)
        await QUERIES.members_add(tx, wave_id=wave_id)
        strata = sorted(outcome.strata)
        results = [outcome.strata[stratum] for stratum in strata]
        await QUERIES.stratum_results_add(
            tx,
            wave_id=wave_id,
            provinces=[stratum.province for stratum in strata],
            tiers=[stratum.tier for stratum in strata],
            seats=[result.seats for result in results],
            applicants=[result.applicants for result in results],
            winners=[result.winners for result in results],
            cutoffs=[result.cutoff for result in results],
        )
        await QUERIES.wave_draw(
            tx, wave_id=wave_id, state=state, beacon_signature=drawn.beacon_signature, randomness=drawn.randomness,
            seed=drawn.seed, winners=outcome.winners, drawn_at=drawn.at,
        )  # fmt: skip

    async def results(self, tx: Transaction, wave_id: int, after: str | None, limit: int) -> list[Mapping[str, Any]]:
        """The next results to announce, in the order of application ids."""
        return list(await QUERIES.results_page(tx, wave_id=wave_id, after=after or BEFORE_ALL, limit=limit))

    async def announced(self, tx: Transaction, wave_id: int, up_to: str, announced: int, not_selected: int) -> None:
        await QUERIES.wave_announced(
            tx, wave_id=wave_id, announced_up_to=up_to, announced=announced, not_selected=not_selected
        )

    async def publish(self, tx: Transaction, wave_id: int, state: State, now: datetime) -> None:
        await QUERIES.wave_publish(tx, wave_id=wave_id, state=state, now=now)

    async def draws_of(self, tx: Transaction, citizen_id: str, limit: int) -> list[Mapping[str, Any]]:
        return list(await QUERIES.draws_of_citizen(tx, citizen_id=citizen_id, limit=limit))

    async def proof(self, tx: Transaction, wave_id: int, leaf: int, size: int) -> list[bytes]:
        """The inclusion proof of one leaf, from the stored levels."""
        places = proof_positions(leaf, size)
        rows = await QUERIES.merkle_hashes(
            tx,
            wave_id=wave_id,
            levels=[level for level, _ in places],
            chunks=[position * HASH_BYTES // CHUNK_BYTES for _, position in places],
            bytes=[position * HASH_BYTES % CHUNK_BYTES + 1 for _, position in places],
        )
        return [row["hash"] for row in rows]

    async def pool_page(self, database: Database, wave_id: int, first: int) -> list[Mapping[str, Any]]:
        async with database.connection() as tx:
            return list(await QUERIES.pool_page(tx, wave_id=wave_id, first=first, last=first + PAGE_ROWS))

    async def winners_page(self, database: Database, wave_id: int, first: int) -> list[Mapping[str, Any]]:
        async with database.connection() as tx:
            return list(await QUERIES.winners_page(tx, wave_id=wave_id, first=first, last=first + PAGE_ROWS))

    async def excluded_page(self, database: Database, wave_id: int, after: str) -> list[str]:
        async with database.connection() as tx:
            rows = await QUERIES.exclusions_page(tx, wave_id=wave_id, after=after, limit=PAGE_ROWS)
        return [row["application_id"].hex() for row in rows]


def _salt(salts: bytes, at: int) -> bytes:
    return salts[at * SALT_BYTES : (at + 1) * SALT_BYTES]
