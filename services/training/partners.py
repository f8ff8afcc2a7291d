"""What training partners report, in lists: redeem codes, attendance, certificates, cancelled purchases.

The commands of partners, apart from `commands.py` only for size. Each answers every line of its list, in order; a line
that is refused changes nothing and spoils no other. Lines are decided one after the other, so a code that stands twice
in a list is told twice what is true.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from libs.events import outbox
from libs.events.contracts import TrainingCompleted
from libs.events.database import Transaction
from services.training.commands import Programmes, call_off
from services.training.domain import enrolment as enrolments
from services.training.domain import membership
from services.training.domain.enrolment import CancelledBy, Enrolment
from services.training.domain.progress import (
    Attendance,
    Reason,
    Score,
    Told,
    attend,
    certify,
    claim,
    completion,
    is_certified,
    void,
)
from services.training.store import Store


async def redeem(
    tx: Transaction, partner_id: str, codes: Sequence[str], now: datetime, *, store: Store, programmes: Programmes
) -> list[Told]:
    """Claim redeem codes. Two tokens with one code meet at the row lock: the second is told what the first did."""
    places = await store.lock_codes(tx, codes)
    answers: list[Told] = []
    claimed: list[str] = []
    for code in codes:
        found = places.get(code)
        fault = claim(code, found, partner_id, programmes[found.programme] if found else None, now)
        if found and fault is None:
            places[code] = enrolments.moved(found, enrolments.Claimed)
            claimed.append(found.enrolment_id)
        answers.append(Told(code, found, fault))
    await store.claim(tx, claimed, now)
    return answers


async def record_attendance(
    tx: Transaction, partner_id: str, reports: Sequence[Attendance], now: datetime, *, store: Store
) -> list[Told]:
    """Record attendances and post-tests; what was recorded before stays as it was."""
    places = await store.lock_codes(tx, [report.redeem_code for report in reports])
    reasons = [attend(places.get(report.redeem_code), partner_id, report.sequence, now) for report in reports]
    present = [
        (places[report.redeem_code].enrolment_id, report.sequence)
        for report, reason in zip(reports, reasons, strict=True)
        if reason is None
    ]
    new = await store.add_attendance(tx, present, now)
    answers: list[Told] = []
    for report, reason in zip(reports, reasons, strict=True):
        found = places.get(report.redeem_code)
        pair = (found.enrolment_id if found else "", report.sequence)
        answers.append(
            Told(report.redeem_code, found, reason, again=reason is None and pair not in new, sequence=pair[1])
        )
        new.discard(pair)  # a second line with the same report is a repeat
    return answers


async def issue_certificates(
    tx: Transaction, partner_id: str, scores: Sequence[Score], now: datetime, *, store: Store, programmes: Programmes
) -> list[Told]:
    """Complete enrolments whose attendance, post-test and score are there, and announce each completed training."""
    places = await store.lock_codes(tx, [report.redeem_code for report in scores])
    attended = await store.attendance_of(tx, [place.enrolment_id for place in places.values()])
    for code, place in places.items():
        places[code] = replace(place, attended=attended.get(place.enrolment_id, frozenset()))
    members = await store.lock_members(tx, {place.citizen_id for place in places.values()})

    answers: list[Told] = []
    done: list[tuple[Enrolment, int, TrainingCompleted]] = []
    for report in scores:
        found = places.get(report.redeem_code)
        if is_certified(found, partner_id):
            answers.append(Told(report.redeem_code, found, again=True))
            continue
        reason = certify(found, partner_id, report.score)
        answers.append(Told(report.redeem_code, found, reason))
        if found and reason is None:
            who = (found.citizen_id, found.programme)
            done.append((found, report.score, completion(found, members[who], now)))
            members[who] = membership.completed(members[who], programmes[found.programme], now)
            places[report.redeem_code] = enrolments.moved(found, enrolments.Certified)
    if done:
        finished = [place for place, _, _ in done]
        events = [event for _, _, event in done]
        await store.complete(tx, finished, [score for _, score, _ in done], [event.first for event in events], now)
        touched = {(place.citizen_id, place.programme) for place in finished}
        await store.move_members(tx, [members[who] for who in sorted(touched)], [])
        await outbox.add(tx, events)
    return answers


async def void_purchases(
    tx: Transaction, partner_id: str, codes: Sequence[str], now: datetime, *, store: Store, programmes: Programmes
) -> list[Told]:
    """Undo single purchases before their code is claimed and the session begins; the credit goes back."""
    of_courses = await store.lock_courses(tx, await store.courses_of_codes(tx, codes))
    places = await store.lock_codes(tx, codes)
    answers: list[Told] = []
    voided: list[Enrolment] = []
    for code in codes:
        found = places.get(code)
        reason = void(found, partner_id, now)
        answers.append(Told(code, found, reason, again=reason is Reason.CANCELLED))
        if found and reason is None:
            voided.append(found)
            places[code] = enrolments.moved(found, enrolments.CalledOff)
    if voided:
        touched = {place.course_id: of_courses[place.course_id] for place in voided}
        await call_off(tx, store, programmes, touched, voided, CancelledBy.PURCHASE, now)
    return answers
