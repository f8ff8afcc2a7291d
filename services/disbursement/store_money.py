"""The ledger, the reservations and the people's decisions about money, as rows and back."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from libs.events.database import Transaction
from services.disbursement.domain.books import Appropriation, Reserved, YearEnd
from services.disbursement.domain.ledger import Entry, MemberMove, Move, entries, member_moves
from services.disbursement.domain.settlement import Contradiction
from services.disbursement.queries import QUERIES


class Overdrawn(Exception):
    """The appropriation does not cover what was asked for. Nothing was moved."""


class MoneyStore:
    """Money of a programme."""

    async def move(self, tx: Transaction, moves: Sequence[Move], now: datetime) -> None:
        """Book movements: on the members' reservations, and as one entry per programme, wave and movement.

        Raises Overdrawn where an account would go below zero.
        """
        if not moves:
            return
        await self._move_reservations(tx, member_moves(moves))
        await self.post(tx, entries(moves), now)

    async def post(self, tx: Transaction, told: Sequence[Entry], now: datetime) -> None:
        """Book entries on the ledger alone. Raises Overdrawn."""
        try:
            await QUERIES.ledger_post(
                tx,
                programmes=[entry.programme for entry in told],
                waves=[entry.wave for entry in told],
                movements=[entry.movement.label for entry in told],
                sources=[entry.movement.source for entry in told],
                targets=[entry.movement.target for entry in told],
                amounts=[entry.amount_rupiah for entry in told],
                concerns=[",".join(entry.concerns) for entry in told],
                now=now,
            )
        except asyncpg.CheckViolationError as error:
            if error.constraint_name != "account_not_overdrawn":
                raise
            names = ", ".join(sorted({entry.programme for entry in told}))
            raise Overdrawn(
                f"the money of {names} does not cover this; grant an appropriation and redrive what was parked"
            ) from None

    async def _move_reservations(self, tx: Transaction, changes: Sequence[MemberMove]) -> None:
        if not changes:
            return
        await QUERIES.reservations_move(
            tx,
            citizens=[change.citizen_id for change in changes],
            programmes=[change.programme for change in changes],
            reserved=[change.reserved for change in changes],
            in_flight=[change.in_flight for change in changes],
            paid=[change.paid for change in changes],
            released=[change.released for change in changes],
        )

    async def reserve(self, tx: Transaction, members: Sequence[Reserved], now: datetime) -> list[Reserved]:
        """Open reservations; answers those that are new."""
        rows = await QUERIES.reservations_open(
            tx,
            citizens=[member.citizen_id for member in members],
            programmes=[member.programme for member in members],
            waves=[member.wave for member in members],
            provinces=[member.province for member in members],
            amounts=[member.rupiah for member in members],
            now=now,
        )
        fresh = {(row["citizen_id"], row["programme"]) for row in rows}
        told = {(member.citizen_id, member.programme): member for member in reversed(members)}
        return [told[key] for key in sorted(fresh)]

    async def programmes_of(self, tx: Transaction, citizens: Collection[str]) -> dict[str, list[str]]:
        """The programmes these citizens are members of, by citizen."""
        found: dict[str, list[str]] = {}
        for row in await QUERIES.member_programmes(tx, citizens=list(citizens)):
            found.setdefault(row["citizen_id"], []).append(row["programme"])
        return found

    async def revoke(self, tx: Transaction, members: Sequence[tuple[str, str, datetime]]) -> None:
        """Note that memberships ended: citizen, programme, when."""
        citizens, programmes, times = zip(*members, strict=True)
        await QUERIES.revocations_add(tx, citizens=citizens, programmes=programmes, times=times)

    async def revoked_to_release(
        self, tx: Transaction, limit: int, programmes: Sequence[str] | None = None
    ) -> list[Reserved]:
        """Revoked members, of all programmes unless told, to whom nothing is owed or on its way any more.

        Locked until the transaction ends.
        """
        found = [_reserved(row) for row in await QUERIES.revoked_to_release(tx, limit=limit, among=programmes)]
        citizens, programmes = [one.citizen_id for one in found], [one.programme for one in found]
        rows = await QUERIES.members_owed(tx, citizens=citizens, programmes=programmes) if found else ()
        owed = {(row["citizen_id"], row["programme"]) for row in rows}
        return [one for one in found if (one.citizen_id, one.programme) not in owed]

    async def reopen_revocations(self, tx: Transaction, members: Sequence[tuple[str, str]]) -> bool:
        """Look at these members' reservations again if they were revoked; answers whether any was."""
        if not members:
            return False
        citizens, programmes = zip(*members, strict=True)
        return bool(await QUERIES.revocations_reopen(tx, citizens=citizens, programmes=programmes))

    async def settle_revocations(self, tx: Transaction, members: Sequence[Reserved], now: datetime) -> None:
        await QUERIES.revocations_settle(
            tx,
            citizens=[member.citizen_id for member in members],
            programmes=[member.programme for member in members],
            now=now,
        )

    async def with_rest(self, tx: Transaction, programme: str, limit: int) -> list[Reserved]:
        return [_reserved(row) for row in await QUERIES.with_rest(tx, programme=programme, limit=limit)]

    async def propose_appropriation(
        self, tx: Transaction, grant: Appropriation, reference: str, now: datetime
    ) -> Appropriation:
        """Answers the one that stands there, which may be an earlier one with the same reference."""
        await QUERIES.appropriation_propose(
            tx,
            appropriation_id=grant.appropriation_id,
            programme=grant.programme,
            amount=grant.amount_rupiah,
            reference=reference,
            maker=grant.maker_person,
            now=now,
        )
        kept = await self.appropriation(tx, grant.appropriation_id)
        assert kept is not None, "the id derives from programme and reference"
        return kept

    async def appropriation(self, tx: Transaction, appropriation_id: str) -> Appropriation | None:
        """Locked until the transaction ends."""
        row = await QUERIES.appropriation_lock(tx, appropriation_id=appropriation_id)
        if row is None:
            return None
        return Appropriation(
            row["appropriation_id"], row["programme"], row["amount_rupiah"], row["maker_person"], row["approver_person"]
        )

    async def approve_appropriation(self, tx: Transaction, appropriation_id: str, person: str, now: datetime) -> None:
        await QUERIES.appropriation_approve(tx, appropriation_id=appropriation_id, checker=person, now=now)

    async def appropriations(self, tx: Transaction, programme: str, limit: int) -> list[Mapping[str, Any]]:
        """Newest first."""
        return list(await QUERIES.appropriations_of(tx, programme=programme, limit=limit))

    async def year_end_shown(self, tx: Transaction, programme: str) -> Mapping[str, Any] | None:
        """How far the close of a year has come, and what it would give back now. Not locked."""
        row: Mapping[str, Any] | None = await QUERIES.year_end_of(tx, programme=programme)
        return row

    async def propose_year_end(self, tx: Transaction, programme: str, person: str, now: datetime) -> None:
        await QUERIES.year_end_propose(tx, programme=programme, maker=person, now=now)

    async def year_end(self, tx: Transaction, programme: str) -> YearEnd | None:
        """Locked until the transaction ends."""
        row = await QUERIES.year_end_lock(tx, programme=programme)
        if row is None:
            return None
        return YearEnd(row["programme"], row["maker_person"], row["approver_person"], row["done_at"])

    async def approve_year_end(self, tx: Transaction, programme: str, person: str, now: datetime) -> None:
        await QUERIES.year_end_approve(tx, programme=programme, checker=person, now=now)

    async def years_to_close(self, tx: Transaction) -> list[str]:
        return [row["programme"] for row in await QUERIES.years_to_close(tx)]

    async def count_return(self, tx: Transaction, programme: str) -> int:
        """The number of the return to the treasury that is being booked, from 1."""
        return int(await QUERIES.year_end_return(tx, programme=programme))

    async def finish_year_end(self, tx: Transaction, programme: str, now: datetime) -> None:
        await QUERIES.year_end_done(tx, programme=programme, now=now)

    async def balances(self, tx: Transaction, programme: str) -> dict[str, int]:
        """By account, in rupiah; the appropriation is negative. Empty for a programme without money."""
        return {row["name"]: row["balance_rupiah"] for row in await QUERIES.balances(tx, programme=programme)}

    async def ledger_checks(self, tx: Transaction, programme: str) -> dict[str, Any]:
        return dict(await QUERIES.ledger_checks(tx, programme=programme))

    async def raise_holds(
        self, tx: Transaction, ids: Sequence[str], found: Sequence[Contradiction], now: datetime
    ) -> int:
        """Stop all sending, with a reason for each contradiction; answers how many were not known yet."""
        tag: str = await QUERIES.hold_raise(
            tx,
            ids=list(ids),
            reasons=[one.code for one in found],
            references=[one.reference for one in found],
            now=now,
        )
        return int(tag.rsplit(" ", 1)[-1])

    async def count_holds(self, tx: Transaction) -> int:
        """How many contradictions stop all sending now; none: it goes on."""
        return int(await QUERIES.holds_count(tx))

    async def open_holds(self, tx: Transaction) -> list[dict[str, Any]]:
        return [dict(row) for row in await QUERIES.holds_open(tx)]

    async def lift_hold(self, tx: Transaction, hold_id: str, person: str, finding: str, now: datetime) -> bool:
        """False where there is no such open hold."""
        return await QUERIES.hold_lift(tx, hold_id=hold_id, person=person, finding=finding, now=now) is not None


def _reserved(row: Any) -> Reserved:
    return Reserved(
        row["citizen_id"], row["programme"], row["wave"], row["province"], row["reserved_rupiah"], row["releases"]
    )
