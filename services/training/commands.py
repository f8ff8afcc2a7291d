"""What citizens and partners ask: one async function each, in one transaction that the caller commits.

Load, decide, save, announce. Hot commands take lists: requests that arrive together share a transaction.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from libs.events import outbox
from libs.events.contracts import TrainingRated
from libs.events.database import Transaction
from libs.events.programme import Programme
from libs.events.refusal import Refusal, Refused
from services.training.domain import course as courses
from services.training.domain import enrolment as enrolments
from services.training.domain import membership
from services.training.domain.course import Course, Draft
from services.training.domain.membership import Membership
from services.training.domain.purchase import PURCHASE_ID_USED, Order, Purchase, Receipt, buy
from services.training.domain.rating import Rating, rate
from services.training.store import Member, Store

Programmes = Mapping[str, Programme]

CODE_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


async def purchase(
    tx: Transaction, orders: Sequence[Order], now: datetime, *, store: Store, programmes: Programmes
) -> list[Receipt | Refusal]:
    """Buy courses for many citizens, in the order of arrival. The same order again gets the same receipt."""
    on_sale = await store.lock_courses(tx, {order.course_id for order in orders})
    citizens = {order.citizen_id for order in orders}
    members = newest((await store.lock_members(tx, citizens)).values())
    bought = await store.enrolments_of(tx, citizens)
    places = {place.enrolment_id: place for place in bought}
    held: dict[str, set[str]] = {citizen_id: set() for citizen_id in citizens}
    for place in bought:
        if place.state is not enrolments.State.CANCELLED:
            held[place.citizen_id].add(place.course_id)

    answers: list[Receipt | Refusal] = []
    made: list[Purchase] = []
    for order in orders:
        member = members.get(order.citizen_id)
        if member and (known := places.get(order.enrolment_id)):
            again = known.course_id == order.course_id
            receipt = Receipt(known.enrolment_id, known.redeem_code, member.credit_rupiah)
            answers.append(receipt if again else PURCHASE_ID_USED)
            continue
        rules = programmes[member.programme] if member else None
        decided = buy(
            order, member, on_sale.get(order.course_id), held[order.citizen_id], rules, new_redeem_code(), now
        )
        if isinstance(decided, Refusal):
            answers.append(decided)
            continue
        place = decided.enrolment
        members[order.citizen_id], on_sale[order.course_id] = decided.member, decided.course
        places[place.enrolment_id] = place
        held[order.citizen_id].add(order.course_id)
        made.append(decided)
        answers.append(Receipt(place.enrolment_id, place.redeem_code, decided.member.credit_rupiah))
    if made:
        buyers = {one.enrolment.citizen_id: members[one.enrolment.citizen_id] for one in made}
        sold = {one.enrolment.course_id: on_sale[one.enrolment.course_id] for one in made}
        await store.save_purchases(tx, made, list(buyers.values()), list(sold.values()))
    return answers


async def rate_courses(
    tx: Transaction, ratings: Sequence[Rating], now: datetime, *, store: Store
) -> list[Rating | Refusal]:
    """Take ratings of finished courses, once each; the same rating again gets the same answer."""
    places = await store.lock_enrolments(tx, {rating.enrolment_id for rating in ratings})
    given = await store.ratings_of(tx, places)
    answers: list[Rating | Refusal] = []
    new: list[Rating] = []
    events: list[TrainingRated] = []
    for rating in ratings:
        decided = rate(rating, places.get(rating.enrolment_id), given.get(rating.enrolment_id), now)
        if isinstance(decided, TrainingRated):
            given[rating.enrolment_id] = rating
            new.append(rating)
            events.append(decided)
            answers.append(rating)
        else:
            answers.append(decided)
    if new:
        await store.add_ratings(tx, new, now)
        await outbox.add(tx, events)
    return answers


async def offer_course(
    tx: Transaction, partner_id: str, draft: Draft, now: datetime, *, store: Store, programmes: Programmes
) -> Course:
    """Put a course on sale. The same offer again gives the same course. Raises Refused, naming every wrong field."""
    course_id = courses.course_id(partner_id, draft.code)
    known = (await store.lock_courses(tx, [course_id])).get(course_id)
    if known is None:
        offered = courses.offer(partner_id, draft, programmes.values(), now)
        if not isinstance(offered, Course):
            raise Refused(*offered)
        await store.add_course(tx, offered, now)
        # Read again: somebody may have offered the same code at the same moment, and then theirs stands.
        known = (await store.lock_courses(tx, [course_id]))[course_id]
    if known.draft != draft:
        raise Refused(courses.CODE_TAKEN)
    return known


async def cancel_course(
    tx: Transaction, partner_id: str, course_id: str, now: datetime, *, store: Store, programmes: Programmes
) -> int:
    """Call a session off before it begins: every buyer gets the credit back. Gives how many; 0 when it is repeated."""
    course = (await store.lock_courses(tx, [course_id])).get(course_id)
    cancelled = courses.cancel(course, partner_id, now)
    if isinstance(cancelled, Refusal):
        raise Refused(cancelled)
    if cancelled == course:
        return 0
    places = await store.lock_open_enrolments(tx, course_id)
    await call_off(tx, store, programmes, {course_id: cancelled}, places, enrolments.CancelledBy.SESSION, now)
    return len(places)


async def call_off(
    tx: Transaction,
    store: Store,
    programmes: Programmes,
    of_courses: Mapping[str, Course],
    places: Sequence[enrolments.Enrolment],
    by: enrolments.CancelledBy,
    now: datetime,
) -> None:
    """Undo purchases whose courses and enrolments are locked: seats free again, credit back, dates set anew."""
    members = await store.lock_members(tx, {place.citizen_id for place in places})
    left, entries = dict(of_courses), []
    for place in places:
        enrolments.moved(place, enrolments.CalledOff)
        who: Member = (place.citizen_id, place.programme)
        members[who], entry = membership.called_off(
            members[who], place.price_rupiah, place.enrolment_id, programmes[place.programme], now
        )
        entries.append(entry)
        course = left[place.course_id]
        left[place.course_id] = replace(course, seats_taken=course.seats_taken - 1)
    await store.cancel(tx, [place.enrolment_id for place in places], by, now)
    touched = {(place.citizen_id, place.programme) for place in places}
    await store.move_members(tx, [members[who] for who in sorted(touched)], entries)
    await store.move_courses(tx, list(left.values()))


def newest(members: Iterable[Membership]) -> dict[str, Membership]:
    """Of each citizen the membership that counts: the one they were selected for last."""
    return {member.citizen_id: member for member in sorted(members, key=lambda member: member.selected_at)}


def new_redeem_code() -> str:
    """A code nobody can guess: 80 random bits."""
    bits = secrets.randbits(80)
    return "".join(CODE_DIGITS[bits >> shift & 31] for shift in range(0, 80, 5))
