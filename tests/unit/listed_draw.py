"""The service's own draw for tests that think in lists: lists in, columns through the service's code, lists out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.selection.domain import bulk_draw, bulk_merkle, bulk_pool
from services.selection.domain.bulk_draw import PoolColumns
from services.selection.domain.bulk_sha256 import Bytes
from services.selection.domain.merkle import EMPTY
from services.selection.domain.pool import SALT_BYTES, Rules
from services.selection.domain.quotas import Stratum


@dataclass(frozen=True, slots=True)
class Application:
    application_id: bytes
    household_id: bytes
    stratum: Stratum
    exclusions: Sequence[str]
    member: bool
    household_members: int

    def marks(self) -> int:
        found = bulk_pool.MEMBER if self.member else 0
        for word, mark in (("blacklist", bulk_pool.BLACKLIST), ("other-aid", bulk_pool.OTHER_AID)):
            found |= mark if word in self.exclusions else 0
        return found


@dataclass(frozen=True, slots=True)
class Pool:
    ids: Sequence[bytes]
    strata: Sequence[Stratum]
    groups: Sequence[int]
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.ids)

    def columns(self) -> PoolColumns:
        return PoolColumns(
            ids=table(b"".join(self.ids), 16),
            cells=np.array([bulk_pool.cell_of(stratum) for stratum in self.strata], np.uint16),
            groups=np.array(self.groups, np.uint32),
            places=np.array(self.places, np.uint8),
        )


@dataclass(frozen=True, slots=True)
class Frozen:
    pool: Pool
    excluded: Sequence[tuple[bytes, str]]
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StratumResult:
    seats: int
    applicants: int
    winners: int
    cutoff: bytes | None


@dataclass(frozen=True, slots=True)
class Outcome:
    tickets: Sequence[bytes]
    ranks: Sequence[int | None]
    seats: Sequence[Stratum | None]
    strata: Mapping[Stratum, StratumResult]
    winners: int


def table(data: bytes, width: int) -> Bytes:
    return np.frombuffer(data, np.uint8).reshape(-1, width)


def rows(columns: Bytes) -> list[bytes]:
    return [row.tobytes() for row in columns]


def freeze(applications: Sequence[Application], rules: Rules) -> Frozen:
    frozen = bulk_pool.freeze_columns(
        bulk_pool.ApplicationColumns(
            ids=table(b"".join(each.application_id for each in applications), 16),
            households=table(b"".join(each.household_id for each in applications), 16),
            cells=np.array([bulk_pool.cell_of(each.stratum) for each in applications], np.uint16),
            marks=np.array([each.marks() for each in applications], np.uint8),
            members=np.array([each.household_members for each in applications], np.uint16),
        ),
        rules,
    )
    pool = frozen.pool
    strata = [bulk_pool.stratum_of(cell) for cell in pool.cells.tolist()]
    reasons = [bulk_pool.REASONS[at] for at in frozen.reasons.tolist()]
    return Frozen(
        Pool(rows(pool.ids), strata, pool.groups.tolist(), pool.places.tolist()),
        list(zip(rows(frozen.excluded), reasons, strict=True)),
        frozen.excluded_counts(),
    )


def intake_digest(ids: Sequence[bytes]) -> str:
    return bulk_pool.intake_digest(table(b"".join(ids), 16))


def leaf_hashes(pool: Pool, salts: bytes) -> bytes:
    return bulk_merkle.leaf_hashes(pool.columns(), table(salts, SALT_BYTES)).tobytes()


def levels_of(leaves: bytes) -> list[bytes]:
    return [level.tobytes() for level in bulk_merkle.levels_of(table(leaves, 32))]


def root_of(levels: Sequence[bytes]) -> bytes:
    return levels[-1] or EMPTY


def draw(pool: Pool, quotas: Mapping[Stratum, int], seed: bytes) -> Outcome:
    columns, by_cell = pool.columns(), {bulk_pool.cell_of(stratum): seats for stratum, seats in quotas.items()}
    seats = np.zeros(2 * bulk_merkle.AREAS_MAX, np.int64)
    seats[list(by_cell)] = list(by_cell.values())
    outcome = bulk_draw.draw_columns(columns, seats, seed)
    results = bulk_draw.results_of(columns, outcome, by_cell)
    return Outcome(
        tickets=rows(outcome.tickets),
        ranks=[rank or None for rank in outcome.ranks.tolist()],
        seats=[None if cell == bulk_draw.NO_SEAT else bulk_pool.stratum_of(cell) for cell in outcome.seats.tolist()],
        strata={
            bulk_pool.stratum_of(each.cell): StratumResult(each.seats, each.applicants, each.winners, each.cutoff)
            for each in results
        },
        winners=outcome.winners,
    )
