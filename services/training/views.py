"""What is shown: the catalogue, and a citizen's own membership. Reads only."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from libs.events.database import Transaction
from libs.events.programme import Programme
from services.training.commands import newest
from services.training.domain.advice import next_step
from services.training.domain.course import days
from services.training.domain.enrolment import State
from services.training.domain.progress import missing
from services.training.shapes import Catalogue, CourseShown, CreditLine, EnrolmentShown, MembershipShown, NextStep
from services.training.store import Store


async def catalogue(
    tx: Transaction, store: Store, rules: Programme, after: tuple[datetime, str], now: datetime, limit: int
) -> Catalogue:
    """One page of what members of a programme can still buy, by start."""
    page = await store.courses_ahead(
        tx,
        after=after,
        hours_min=rules.training.course_hours_min,
        price_max=rules.benefit.learning_credit,
        now=now,
        limit=limit,
    )
    last = page[-1] if len(page) == limit else None
    mark = f"{last.draft.starts_at.astimezone(UTC).isoformat()}_{last.course_id}" if last else None
    return Catalogue(courses=[CourseShown.of(course) for course in page], next=mark)


async def membership(tx: Transaction, store: Store, citizen_id: str) -> MembershipShown:
    """A citizen's membership, what is left of the credit, and every course with what is still missing."""
    member = newest((await store.members_of(tx, [citizen_id])).values()).get(citizen_id)
    step = next_step(member)
    if member is None:
        return MembershipShown(
            state="none",
            programme=None,
            wave=None,
            selected_at=None,
            purchase_due=None,
            balance_rupiah=0,
            next_step=NextStep(id=step.id, en=step.en),
            enrolments=[],
            credit=[],
        )
    return MembershipShown(
        state=member.state,
        programme=member.programme,
        wave=member.wave,
        selected_at=member.selected_at,
        purchase_due=member.purchase_due,
        balance_rupiah=member.credit_rupiah,
        next_step=NextStep(id=step.id, en=step.en),
        enrolments=[_enrolment(row) for row in await store.show_enrolments(tx, citizen_id)],
        credit=[
            CreditLine(
                number=entry.number,
                kind=entry.kind,
                amount_rupiah=entry.amount_rupiah,
                balance_rupiah=entry.balance_rupiah,
                enrolment_id=entry.enrolment_id,
                at=entry.at,
            )
            for entry in await store.credit_of(tx, member)
        ],
    )


def _enrolment(row: Mapping[str, Any]) -> EnrolmentShown:
    shown = EnrolmentShown.model_validate({**row, "attended": row["attended"] or [], "waiting_for": []})
    if shown.state not in (State.BOUGHT, State.CLAIMED):
        return shown
    waiting_for = missing(days(shown.starts_at, shown.ends_at), shown.attended)
    return shown.model_copy(update={"waiting_for": waiting_for})
