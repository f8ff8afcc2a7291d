"""The bulk of a draw: applications in, pool, tree and results out. Pages in, COPY out; nothing goes row by row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from libs.events.database import Database, Transaction
from services.selection import copying
from services.selection.domain.bulk_draw import ID_BYTES, NO_SEAT, CellResult, OutcomeColumns, PoolColumns
from services.selection.domain.bulk_pool import REASONS, ApplicationColumns, FrozenColumns, stratum_of
from services.selection.domain.bulk_sha256 import Bytes
from services.selection.domain.commitment import Commitment
from services.selection.domain.merkle import HASH_BYTES, proof_positions
from services.selection.domain.pool import SALT_BYTES
from services.selection.domain.quotas import TIERS
from services.selection.domain.wave import State
from services.selection.store import QUERIES

PAGE_ROWS: Final = 10_000
"""Small enough that turning a page into values does not hold up the event loop."""
CHUNK_HASHES: Final = 4_096
CHUNK_BYTES: Final = CHUNK_HASHES * HASH_BYTES
"""A chunk of the tree; `merkle` in the migrations has the same limit."""
COLUMN_ROWS: Final = 32 * CHUNK_HASHES
"""Rows of one statement where they are columns: far below the database's time limit for a statement."""
BEFORE_ALL: Final = "0" * 32
"""No id is all zeros, so this stands before the first one."""

# The columns of the queries that are read by COPY.
APPLICATION: Final = (("id", "V16"), ("household", "V16"), ("cell", ">i2"), ("marks", ">i2"), ("members", ">i2"))
ENTRY: Final = (("id", "V16"), ("cell", ">i2"), ("group", ">i4"), ("places", ">i2"), ("salt", "V16"))
RESULT: Final = (
    ("application", "V16"), ("citizen", "V16"), ("cell", ">i2"), ("fate", ">i2"), ("ticket", "V32"), ("rank", ">i4"),
)  # fmt: skip


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
        self, database: Database, wave_id: int, programme: str, once_per_lifetime: bool, count: int
    ) -> ApplicationColumns | None:
        """The standing applications of a wave in canonical order; None when there are not `count` of them."""
        found = ApplicationColumns(
            ids=np.empty((count, ID_BYTES), np.uint8),
            households=np.empty((count, ID_BYTES), np.uint8),
            cells=np.empty(count, np.uint16),
            marks=np.empty(count, np.uint8),
            members=np.empty(count, np.uint16),
        )
        first, after, rows = 0, BEFORE_ALL, None
        async with database.connection() as tx:
            await QUERIES.applications_analyse(tx)
        while rows is None or len(rows) == COLUMN_ROWS:
            async with database.connection() as tx:
                rows = await copying.read(
                    tx,
                    QUERIES.applications_page,
                    APPLICATION,
                    wave_id=wave_id,
                    programme=programme,
                    once_per_lifetime=once_per_lifetime,
                    after=after,
                    limit=COLUMN_ROWS,
                )
            if first + len(rows) > count:
                return None
            if len(rows):
                part = slice(first, first + len(rows))
                found.ids[part], found.households[part] = copying.raw(rows["id"]), copying.raw(rows["household"])
                found.cells[part], found.marks[part] = rows["cell"], rows["marks"]
                found.members[part] = rows["members"]
                first, after = first + len(rows), found.ids[part][-1].tobytes().hex()
        return found if first == count else None

    async def draws_so_far(self, tx: Transaction) -> int:
        """Changes whenever somebody may have become a member."""
        count: int = await QUERIES.waves_drawn(tx)
        return count

    async def one_at_a_time(self, tx: Transaction) -> None:
        """Wait for whoever commits or draws a wave at this moment; held until the transaction ends."""
        await QUERIES.draws_one_at_a_time(tx)

    async def commit(
        self, tx: Transaction, wave_id: int, state: State, frozen: FrozenColumns, salts: Bytes,
        levels: Sequence[Bytes], commitment: Commitment, canonical: str, signature: bytes, draw_due_at: datetime,
    ) -> None:  # fmt: skip
        """Write the frozen pool, the exclusions, the tree and the signed commitment."""
        pool, wave = frozen.pool, wave_id.to_bytes(4, "big")
        for page in _pages(len(pool)):
            leaves = np.arange(page.start, page.stop, dtype=np.int32)
            rows = copying.rows_of(
                len(leaves), wave, leaves, pool.ids[page], pool.groups[page], pool.places[page].astype(np.int16),
                salts[page],
            )  # fmt: skip
            columns = ("wave_id", "leaf", "application_id", "household_group", "places", "salt")
            await copying.write(tx, "pool_entry", columns, [rows])
        for page in _pages(len(frozen.excluded)):
            ids, reasons = frozen.excluded[page], frozen.reasons[page]
            excluded = (
                copying.rows_of(int((reasons == at).sum()), wave, ids[reasons == at], reason.encode())
                for at, reason in enumerate(REASONS)
            )
            await copying.write(tx, "exclusion", ("wave_id", "application_id", "reason"), excluded)
        for level, hashes in enumerate(levels):
            for page in _pages(len(hashes)):
                part = hashes[page].tobytes()
                await tx.copy_records_to_table(
                    "merkle",
                    columns=("wave_id", "level", "chunk", "hashes"),
                    records=[
                        (wave_id, level, page.start // CHUNK_HASHES + at // CHUNK_BYTES, part[at : at + CHUNK_BYTES])
                        for at in range(0, len(part), CHUNK_BYTES)
                    ],
                )
        await QUERIES.pool_analyse(tx)
        await QUERIES.wave_commit(
            tx, wave_id=wave_id, state=state, commitment=canonical, signature=signature, root=commitment.root,
            pool_count=commitment.pool_count, beacon_round=commitment.beacon_round, draw_due_at=draw_due_at,
            committed_at=commitment.committed_at, applications_seen=commitment.intake_count,
        )  # fmt: skip

    async def pool(self, database: Database, wave_id: int, count: int) -> tuple[PoolColumns, Bytes] | None:
        """The frozen pool of a wave and its salts; None when it has not `count` entries."""
        pool = PoolColumns(
            ids=np.empty((count, ID_BYTES), np.uint8),
            cells=np.empty(count, np.uint16),
            groups=np.empty(count, np.uint32),
            places=np.empty(count, np.uint8),
        )
        salts = np.empty((count, SALT_BYTES), np.uint8)
        for page in _pages(count):
            async with database.connection() as tx:
                rows = await copying.read(
                    tx, QUERIES.pool_columns, ENTRY, wave_id=wave_id, first=page.start, last=page.stop
                )
            if len(rows) != page.stop - page.start:
                return None
            pool.ids[page], salts[page] = copying.raw(rows["id"]), copying.raw(rows["salt"])
            pool.cells[page], pool.groups[page], pool.places[page] = rows["cell"], rows["group"], rows["places"]
        return pool, salts

    async def draw(
        self, tx: Transaction, wave_id: int, state: State, outcome: OutcomeColumns, results: Sequence[CellResult],
        drawn: Drawn,
    ) -> None:  # fmt: skip
        """Write every ticket, rank and seat, make the winners members, and keep the cut-offs."""
        pages = list(_pages(len(outcome.tickets)))
        columns = ("wave_id", "leaf", "ticket", "rank", "seat_province", "seat_tier")
        for page in pages:
            await copying.write(tx, "draw_result", columns, _result_rows(wave_id, outcome, page))
        await QUERIES.results_analyse(tx)
        for page in pages:
            await QUERIES.members_add(tx, wave_id=wave_id, first=page.start, last=page.stop)
        strata = [stratum_of(result.cell) for result in results]
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

    async def counted(self, tx: Transaction, wave_id: int) -> tuple[int, int]:
        """How many results of a draw are stored, and how many of them have a seat."""
        row = await QUERIES.results_counted(tx, wave_id=wave_id)
        return row["results"], row["winners"]

    async def results(self, tx: Transaction, wave_id: int, after: str, limit: int) -> NDArray[np.void]:
        """The next results to announce, in the order of application ids, as `result_events` takes them."""
        return await copying.read(tx, QUERIES.results_page, RESULT, wave_id=wave_id, after=after, limit=limit)

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


def _pages(count: int) -> Iterator[slice]:
    """Ranges of rows that one statement reads or writes."""
    for first in range(0, count, COLUMN_ROWS):
        yield slice(first, min(first + COLUMN_ROWS, count))


def _result_rows(wave_id: int, outcome: OutcomeColumns, page: slice) -> Iterator[Bytes]:
    """Rows of one form at a time: without a rank, without a seat, with a seat of either tier."""
    wave, tickets, ranks, seats = (
        wave_id.to_bytes(4, "big"),
        outcome.tickets[page],
        outcome.ranks[page],
        outcome.seats[page],
    )
    leaves = np.arange(page.start, page.stop, dtype=np.int32)
    unranked, seated = ranks == 0, seats != NO_SEAT
    yield copying.rows_of(int(unranked.sum()), wave, leaves[unranked], tickets[unranked], None, None, None)
    lost = ~unranked & ~seated
    yield copying.rows_of(int(lost.sum()), wave, leaves[lost], tickets[lost], ranks[lost], None, None)
    for at, tier in enumerate(TIERS):
        won = seated & (seats % 2 == at)
        provinces = copying.decimal(seats[won] // 2, 2)
        yield copying.rows_of(int(won.sum()), wave, leaves[won], tickets[won], ranks[won], provinces, tier.encode())
