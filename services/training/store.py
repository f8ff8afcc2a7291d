"""Rows into values and back. The only module that runs the service's SQL (`queries.sql`).

Every method takes the transaction first, does one statement or two, and takes and gives lists.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from libs.events.database import Transaction, load_queries
from services.training.domain import enrolment, membership
from services.training.domain.course import Course, Draft, Mode
from services.training.domain.credit import Entry, Kind
from services.training.domain.enrolment import CancelledBy, Enrolment
from services.training.domain.membership import Membership
from services.training.domain.purchase import Purchase
from services.training.domain.rating import Rating

Member = tuple[str, str]
"""Citizen and programme: what names a membership."""

_queries = load_queries(Path(__file__).with_name("queries.sql"))


class Store:
    """The service's state. Holds nothing itself."""

    async def add_course(self, tx: Transaction, course: Course, now: datetime) -> None:
        """Enter a course, and its partner if this is the first one; an existing course stays as it is."""
        draft = course.draft
        await _queries.partner_enter(tx, partner_id=course.partner_id, now=now)
        await _queries.course_add(
            tx,
            course_id=course.course_id,
            partner_id=course.partner_id,
            code=draft.code,
            title=draft.title,
            mode=draft.mode,
            hours=draft.hours,
            price_rupiah=draft.price_rupiah,
            also_sold_at_rupiah=draft.also_sold_at_rupiah,
            seats=draft.seats,
            starts_at=draft.starts_at,
            ends_at=draft.ends_at,
        )

    async def lock_courses(self, tx: Transaction, course_ids: Iterable[str]) -> dict[str, Course]:
        """Some courses by id, locked until the transaction ends."""
        rows = await _queries.courses_lock(tx, course_ids=sorted(set(course_ids)))
        return {row["course_id"]: _course(row) for row in rows}

    async def courses_ahead(
        self, tx: Transaction, *, after: tuple[datetime, str], hours_min: int, price_max: int, now: datetime, limit: int
    ) -> list[Course]:
        """Courses that can still be bought, by start; `after` is the start and id of the last one already seen."""
        rows = await _queries.courses_ahead(
            tx,
            after_start=after[0],
            after_id=after[1],
            hours_min=hours_min,
            price_max=price_max,
            now=now,
            limit=limit,
        )
        return [_course(row) for row in rows]

    async def move_courses(self, tx: Transaction, courses: Sequence[Course]) -> None:
        """Write seats taken and cancellation back."""
        await _queries.courses_move(
            tx,
            course_ids=[course.course_id for course in courses],
            seats_taken=[course.seats_taken for course in courses],
            cancelled_at=[course.cancelled_at for course in courses],
        )

    async def open_memberships(self, tx: Transaction, members: Sequence[Membership]) -> set[Member]:
        """Enter new members with their first ledger line; gives those that were new."""
        rows = await _queries.members_open(
            tx,
            citizen_ids=[member.citizen_id for member in members],
            programmes=[member.programme for member in members],
            waves=[member.wave for member in members],
            application_ids=[member.application_id for member in members],
            provinces=[member.province for member in members],
            tiers=[member.tier for member in members],
            selected_at=[member.selected_at for member in members],
            purchase_due=[member.purchase_due for member in members],
            credits=[member.credit_rupiah for member in members],
            entries=[member.entries for member in members],
        )
        return {(row["citizen_id"], row["programme"]) for row in rows}

    async def lock_members(self, tx: Transaction, citizen_ids: Iterable[str]) -> dict[Member, Membership]:
        """All memberships of some citizens, locked until the transaction ends."""
        rows = await _queries.members_lock(tx, citizen_ids=sorted(set(citizen_ids)))
        return {(row["citizen_id"], row["programme"]): _member(row) for row in rows}

    async def members_of(self, tx: Transaction, citizen_ids: Iterable[str]) -> dict[Member, Membership]:
        """All memberships of some citizens, to look at."""
        rows = await _queries.members_of(tx, citizen_ids=sorted(set(citizen_ids)))
        return {(row["citizen_id"], row["programme"]): _member(row) for row in rows}

    async def members_due(self, tx: Transaction, now: datetime, limit: int) -> list[Membership]:
        """Members whose purchase date has passed, oldest first, locked; none that somebody else holds."""
        return [_member(row) for row in await _queries.members_due(tx, now=now, limit=limit)]

    async def move_members(self, tx: Transaction, members: Sequence[Membership], entries: Sequence[Entry]) -> None:
        """Write ledger lines, then the members whose balances they carry."""
        await _queries.credit_add(
            tx,
            citizen_ids=[entry.citizen_id for entry in entries],
            programmes=[entry.programme for entry in entries],
            numbers=[entry.number for entry in entries],
            kinds=[entry.kind for entry in entries],
            amounts=[entry.amount_rupiah for entry in entries],
            before=[entry.before_rupiah for entry in entries],
            balances=[entry.balance_rupiah for entry in entries],
            enrolment_ids=[entry.enrolment_id for entry in entries],
            at=[entry.at for entry in entries],
        )
        await _queries.members_move(
            tx,
            citizen_ids=[member.citizen_id for member in members],
            programmes=[member.programme for member in members],
            states=[member.state for member in members],
            purchase_due=[member.purchase_due for member in members],
            credits=[member.credit_rupiah for member in members],
            entries=[member.entries for member in members],
            courses_open=[member.courses_open for member in members],
            courses_completed=[member.courses_completed for member in members],
        )

    async def credit_of(self, tx: Transaction, member: Membership) -> list[Entry]:
        """A member's ledger, oldest line first."""
        rows = await _queries.credit_of(tx, citizen_id=member.citizen_id, programme=member.programme)
        return [
            Entry(
                citizen_id=member.citizen_id,
                programme=member.programme,
                number=row["number"],
                kind=Kind(row["kind"]),
                amount_rupiah=row["amount_rupiah"],
                before_rupiah=row["before_rupiah"],
                enrolment_id=row["enrolment_id"],
                at=row["at"],
            )
            for row in rows
        ]

    async def save_purchases(
        self, tx: Transaction, purchases: Sequence[Purchase], members: Sequence[Membership], courses: Sequence[Course]
    ) -> None:
        """Write what was bought, and the members and courses as they are after all of it."""
        bought = [purchase.enrolment for purchase in purchases]
        await _queries.enrolments_add(
            tx,
            enrolment_ids=[place.enrolment_id for place in bought],
            citizen_ids=[place.citizen_id for place in bought],
            programmes=[place.programme for place in bought],
            course_ids=[place.course_id for place in bought],
            prices=[place.price_rupiah for place in bought],
            redeem_codes=[place.redeem_code for place in bought],
            bought_at=[place.bought_at for place in bought],
        )
        await self.move_members(tx, members, [purchase.entry for purchase in purchases])
        await self.move_courses(tx, courses)

    async def enrolments_of(self, tx: Transaction, citizen_ids: Iterable[str]) -> list[Enrolment]:
        """Everything some citizens ever bought."""
        rows = await _queries.enrolments_of_citizens(tx, citizen_ids=sorted(set(citizen_ids)))
        return [_enrolment(row) for row in rows]

    async def show_enrolments(self, tx: Transaction, citizen_id: str) -> list[Mapping[str, Any]]:
        """One citizen's courses with attendance, certificate and rating, as rows to render."""
        return [dict(row) for row in await _queries.enrolments_show(tx, citizen_id=citizen_id)]

    async def lock_codes(self, tx: Transaction, codes: Iterable[str]) -> dict[str, Enrolment]:
        """Enrolments by redeem code, locked until the transaction ends."""
        rows = await _queries.enrolments_lock_codes(tx, redeem_codes=sorted(set(codes)))
        return {row["redeem_code"]: _enrolment(row) for row in rows}

    async def lock_enrolments(self, tx: Transaction, enrolment_ids: Iterable[str]) -> dict[str, Enrolment]:
        """Enrolments by id, locked until the transaction ends."""
        rows = await _queries.enrolments_lock(tx, enrolment_ids=sorted(set(enrolment_ids)))
        return {row["enrolment_id"]: _enrolment(row) for row in rows}

    async def lock_open_enrolments(self, tx: Transaction, course_id: str) -> list[Enrolment]:
        """The places of a course that are not finished, locked; the caller holds the course."""
        return [_enrolment(row) for row in await _queries.enrolments_lock_open(tx, course_id=course_id)]

    async def courses_of_codes(self, tx: Transaction, codes: Iterable[str]) -> list[str]:
        """The courses that some redeem codes are for."""
        rows = await _queries.courses_of_codes(tx, redeem_codes=sorted(set(codes)))
        return [row["course_id"] for row in rows]

    async def claim(self, tx: Transaction, enrolment_ids: Sequence[str], now: datetime) -> None:
        await _queries.enrolments_claim(tx, enrolment_ids=enrolment_ids, now=now)

    async def cancel(self, tx: Transaction, enrolment_ids: Sequence[str], by: CancelledBy, now: datetime) -> None:
        await _queries.enrolments_cancel(tx, enrolment_ids=enrolment_ids, cancelled_by=by, now=now)

    async def add_attendance(
        self, tx: Transaction, present: Iterable[tuple[str, int]], now: datetime
    ) -> set[tuple[str, int]]:
        """Record attendances (enrolment, sequence); gives those that were not there before."""
        pairs = sorted(set(present))
        rows = await _queries.attendance_add(
            tx, enrolment_ids=[pair[0] for pair in pairs], sequences=[pair[1] for pair in pairs], now=now
        )
        return {(row["enrolment_id"], row["sequence"]) for row in rows}

    async def attendance_of(self, tx: Transaction, enrolment_ids: Iterable[str]) -> dict[str, frozenset[int]]:
        """The sequence numbers recorded for some enrolments; one without any is not in the answer."""
        rows = await _queries.attendance_of(tx, enrolment_ids=sorted(enrolment_ids))
        return {row["enrolment_id"]: frozenset(row["attended"]) for row in rows}

    async def complete(
        self, tx: Transaction, done: Sequence[Enrolment], scores: Sequence[int], firsts: Sequence[bool], now: datetime
    ) -> None:
        """Finish enrolments and issue their certificates."""
        enrolment_ids = [place.enrolment_id for place in done]
        await _queries.enrolments_complete(tx, enrolment_ids=enrolment_ids, firsts=firsts, now=now)
        await _queries.certificates_add(
            tx,
            certificate_ids=[place.certificate_id for place in done],
            enrolment_ids=enrolment_ids,
            scores=scores,
            last_days=[place.days for place in done],
            now=now,
        )

    async def add_ratings(self, tx: Transaction, ratings: Sequence[Rating], now: datetime) -> None:
        enrolment_ids = [rating.enrolment_id for rating in ratings]
        await _queries.ratings_add(
            tx,
            enrolment_ids=enrolment_ids,
            stars=[rating.stars for rating in ratings],
            reviews=[rating.review for rating in ratings],
            now=now,
        )
        await _queries.enrolments_rate(tx, enrolment_ids=enrolment_ids)

    async def ratings_of(self, tx: Transaction, enrolment_ids: Iterable[str]) -> dict[str, Rating]:
        """The ratings that some enrolments already have."""
        rows = await _queries.ratings_of(tx, enrolment_ids=sorted(set(enrolment_ids)))
        return {row["enrolment_id"]: Rating(**row) for row in rows}


def _course(row: Mapping[str, Any]) -> Course:
    told = dict(row)
    course = {name: told.pop(name) for name in ("course_id", "partner_id", "seats_taken", "cancelled_at")}
    return Course(draft=Draft(**{**told, "mode": Mode(told["mode"])}), **course)


def _member(row: Mapping[str, Any]) -> Membership:
    return Membership(**{**row, "state": membership.State(row["state"])})


def _enrolment(row: Mapping[str, Any]) -> Enrolment:
    by = row["cancelled_by"]
    told = {**row, "state": enrolment.State(row["state"]), "cancelled_by": CancelledBy(by) if by else None}
    return Enrolment(**told)
