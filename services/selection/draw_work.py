"""The heavy part of a commitment and of a draw: columns in, columns out, no store and no clock. Runs in a thread."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from libs.events.programme import Programme
from services.selection.domain import bulk_draw, bulk_merkle, bulk_pool, commitment, merkle, pool
from services.selection.domain.bulk_draw import CellResult, OutcomeColumns, PoolColumns
from services.selection.domain.bulk_pool import ApplicationColumns, FrozenColumns
from services.selection.domain.bulk_sha256 import Bytes
from services.selection.store import Intake


@dataclass(frozen=True, slots=True)
class Prepared:
    """A frozen pool with its salts and its tree, ready to be committed to."""

    frozen: FrozenColumns
    salts: Bytes
    levels: list[Bytes]

    @property
    def root(self) -> bytes:
        return _root(self.levels)


class PoolChanged(Exception):
    """The stored pool is not the one that was committed to: somebody has changed the database."""


def prepare(applications: ApplicationColumns, rules: Programme, intake: Intake) -> Prepared | None:
    """Filter, salt and hash; None when these are not the applications that registration has stated."""
    if bulk_pool.intake_digest(applications.ids) != intake.digest:
        return None
    eligibility = rules.eligibility
    frozen = bulk_pool.freeze_columns(applications, pool.Rules(eligibility.other_aid, eligibility.household_cap))
    salts = np.frombuffer(os.urandom(pool.SALT_BYTES * len(frozen.pool)), np.uint8).reshape(-1, pool.SALT_BYTES)
    return Prepared(frozen, salts, bulk_merkle.levels_of(bulk_merkle.leaf_hashes(frozen.pool, salts)))


def run(
    entries: PoolColumns, salts: Bytes, document: Mapping[str, Any], seed: bytes
) -> tuple[OutcomeColumns, list[CellResult]]:
    """Hold the stored pool against the signed root, then draw. Raises PoolChanged."""
    if _root(bulk_merkle.levels_of(bulk_merkle.leaf_hashes(entries, salts))) != commitment.root_of(document):
        raise PoolChanged("the stored pool does not have the root that was signed")
    quotas = {bulk_pool.cell_of(stratum): seats for stratum, seats in commitment.quotas_of(document).items()}
    seats = np.zeros(2 * bulk_merkle.AREAS_MAX, np.int64)
    seats[list(quotas)] = list(quotas.values())
    outcome = bulk_draw.draw_columns(entries, seats, seed)
    return outcome, bulk_draw.results_of(entries, outcome, quotas)


def _root(levels: list[Bytes]) -> bytes:
    """The root; the hash of nothing where there is no leaf, as the RFC wants it."""
    return levels[-1].tobytes() or merkle.EMPTY
