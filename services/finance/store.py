"""The books as rows. Every method takes the transaction first; queries stand in `queries.sql`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from libs.events.contracts import Event
from libs.events.database import Transaction, load_queries
from services.finance.domain.books import MOVES, Account, Payout, Reservation, State
from services.finance.domain.posting import Posting, ReservationKey
from services.finance.domain.proof import COPY, PAYOUTS, RESERVATIONS, Alarm, Finding

# The columns of the copy that come from an event's own fields. Those a contract does not have stay NULL.
FIELDS: Final = (
    "at", "programme", "amount_rupiah", "citizen_id", "wave", "province", "appropriation_id", "payout_id", "batch_id",
    "milestone", "rail", "attempt", "reason", "number",
)  # fmt: skip
CONTRACTS: Final[Mapping[str, type[Event]]] = {contract.TYPE: contract for contract in MOVES}

_queries: Final[Any] = load_queries(Path(__file__).with_name("queries.sql"))


class Store:
    """No state of its own: what it knows is in the transaction it is given."""

    async def lock(self, tx: Transaction) -> None:
        """Book alone until the transaction ends."""
        await _queries.lock_books(tx)

    async def copy(self, tx: Transaction, events: Mapping[str, Event]) -> set[str]:
        """Keep events by their ids, in order. Returns the ids that were not there before."""
        told = [vars(event) for event in events.values()]
        columns = {field: [fields.get(field) for fields in told] for field in FIELDS}
        types = [event.TYPE for event in events.values()]
        fresh = await _queries.copy_entries(tx, event_id=list(events), type=types, **columns)
        return {row["event_id"] for row in fresh}

    async def copies(self, tx: Transaction, event_ids: Sequence[str]) -> dict[str, Event]:
        """Events as they were told first, by id."""
        return {row["event_id"]: event_of(row) for row in await _queries.entries_by_id(tx, event_ids=event_ids)}

    async def payouts(self, tx: Transaction, payout_ids: Sequence[str]) -> dict[str, Payout]:
        """Payouts by id; those the books do not know are missing."""
        if not payout_ids:
            return {}
        rows = await _queries.payouts_by_id(tx, payout_ids=payout_ids)
        return {row["payout_id"]: Payout(**{**row, "state": State(row["state"])}) for row in rows}

    async def reservations(self, tx: Transaction, keys: Sequence[ReservationKey]) -> dict[ReservationKey, Reservation]:
        """Reservations by citizen and programme; those the books do not know are missing."""
        if not keys:
            return {}
        citizens, programmes = zip(*keys, strict=True)
        rows = await _queries.reservations_by_key(tx, citizen_ids=citizens, programmes=programmes)
        return {(row["citizen_id"], row["programme"]): Reservation(**row) for row in rows}

    async def save(self, tx: Transaction, done: Posting) -> None:
        """Write what a batch has changed: one statement per table, keys sorted."""
        if done.reservations:
            await self._save_reservations(tx, list(done.reservations.values()))
        if done.payouts:
            await self._save_payouts(tx, list(done.payouts.values()))
        await self._move_balances(tx, done)
        if done.totals:
            await self._add_totals(tx, done)

    async def _save_reservations(self, tx: Transaction, held: list[Reservation]) -> None:
        await _queries.save_reservations(
            tx,
            citizen_ids=[one.citizen_id for one in held],
            programmes=[one.programme for one in held],
            reserved=[one.reserved_rupiah for one in held],
            in_flight=[one.in_flight_rupiah for one in held],
            paid=[one.paid_rupiah for one in held],
            releases=[one.releases for one in held],
        )

    async def _save_payouts(self, tx: Transaction, payouts: list[Payout]) -> None:
        await _queries.save_payouts(
            tx,
            payout_ids=[payout.payout_id for payout in payouts],
            citizen_ids=[payout.citizen_id for payout in payouts],
            programmes=[payout.programme for payout in payouts],
            provinces=[payout.province for payout in payouts],
            milestones=[payout.milestone for payout in payouts],
            rails=[payout.rail for payout in payouts],
            amounts=[payout.amount_rupiah for payout in payouts],
            attempts=[payout.attempt for payout in payouts],
            states=[payout.state for payout in payouts],
        )

    async def _move_balances(self, tx: Transaction, done: Posting) -> None:
        programmes = sorted(done.events)
        await _queries.open_books(tx, programmes=programmes)
        moved = {account.value: [done.moved[programme, account] for programme in programmes] for account in Account}
        events = [done.events[programme] for programme in programmes]
        await _queries.move_balances(tx, programmes=programmes, events=events, **moved)

    async def _add_totals(self, tx: Transaction, done: Posting) -> None:
        programmes, provinces, rails, milestones = zip(*done.totals, strict=True)
        keys = {"programmes": programmes, "provinces": provinces, "rails": rails, "milestones": milestones}
        added = list(done.totals.values())
        await _queries.open_totals(tx, **keys)
        await _queries.add_totals(
            tx,
            **keys,
            submitted=[total.submitted for total in added],
            paid=[total.paid for total in added],
            failed=[total.failed for total in added],
            returned=[total.returned for total in added],
            in_flight_rupiah=[total.in_flight_rupiah for total in added],
            paid_rupiah=[total.paid_rupiah for total in added],
        )

    async def findings(self, tx: Transaction, limit: int) -> list[Finding]:
        """Every way to the figures of up to `limit` programmes whose books have moved since their last proof."""
        due = [row["programme"] for row in await _queries.programmes_to_prove(tx, limit=limit)]
        if not due:
            return []
        await _queries.allow_a_long_proof(tx)
        return [finding_of(row) for row in await _queries.findings(tx, programmes=due)]

    async def save_proofs(
        self, tx: Transaction, findings: Sequence[Finding], alarms: Sequence[Alarm], now: datetime
    ) -> None:
        """Note what was proven, raise the alarms found and clear those that are no longer."""
        programmes = [finding.programme for finding in findings]
        whats, accounts = [alarm.what for alarm in alarms], [alarm.account for alarm in alarms]
        of = [alarm.programme for alarm in alarms]
        await _queries.save_proofs(tx, programmes=programmes, events=[finding.events for finding in findings], now=now)
        await _queries.clear_alarms(
            tx, programmes=programmes, found_programmes=of, whats=whats, accounts=accounts, now=now
        )
        await _queries.raise_alarms(
            tx,
            programmes=of,
            whats=whats,
            accounts=accounts,
            expected=[alarm.expected_rupiah for alarm in alarms],
            found=[alarm.found_rupiah for alarm in alarms],
            now=now,
        )

    async def one_snapshot(self, tx: Transaction) -> None:
        """Let all reads of a transaction see one moment; must come first in it."""
        await _queries.one_snapshot(tx)

    async def book(self, tx: Transaction, programme: str) -> Mapping[str, Any] | None:
        """Balances and last proof of a programme, or None when no event has named it."""
        row: Mapping[str, Any] | None = await _queries.book(tx, programme=programme)
        return row

    async def totals(self, tx: Transaction, programme: str) -> Sequence[Mapping[str, Any]]:
        """Its totals by province, rail and milestone, each combination once."""
        rows: Sequence[Mapping[str, Any]] = await _queries.totals(tx, programme=programme)
        return rows

    async def alarms(self, tx: Transaction, programme: str, limit: int) -> Sequence[Mapping[str, Any]]:
        """Its alarms, standing ones first."""
        rows: Sequence[Mapping[str, Any]] = await _queries.alarms(tx, programme=programme, limit=limit)
        return rows

    async def parked_events(self, tx: Transaction) -> int:
        """How many events of the topic were set aside and are missing in the books."""
        return int(await _queries.parked_events(tx))

    async def last_entry(self, tx: Transaction, programme: str) -> int:
        """Where an export that begins now ends."""
        return int(await _queries.last_entry(tx, programme=programme))

    async def entries(
        self, tx: Transaction, programme: str, after: int, upto: int, limit: int
    ) -> Sequence[Mapping[str, Any]]:
        """Up to `limit` entries of a programme in (after, upto], in the order they were booked."""
        rows: Sequence[Mapping[str, Any]] = await _queries.entries_after(
            tx, programme=programme, after=after, upto=upto, limit=limit
        )
        return rows


def event_of(row: Mapping[str, Any]) -> Event:
    """The event of a copied row: nothing that its contract says is lost."""
    told = {field: row[field] for field in FIELDS if row[field] is not None}
    return CONTRACTS[row["type"]].model_validate(told)


def finding_of(row: Mapping[str, Any]) -> Finding:
    """The columns of one finding, sorted by the way they were found on."""
    return Finding(
        programme=row["programme"],
        events=row["events"],
        balances={account: row[f"{account}_rupiah"] for account in Account},
        ways={
            COPY: {account: row[f"copy_{account}"] for account in Account},
            RESERVATIONS: {
                account: row[f"reservations_{account}"]
                for account in (Account.RESERVED, Account.IN_FLIGHT, Account.PAID)
            },
            PAYOUTS: {account: row[f"payouts_{account}"] for account in (Account.IN_FLIGHT, Account.PAID)},
        },
    )
