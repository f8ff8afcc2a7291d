"""HTTP: parse, call, render. Citizens buy and rate, partners offer and report, everybody may read the catalogue."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final

from fastapi import Depends, FastAPI, Path, Query
from pydantic import Field

from libs.events.access import Access, Citizen, Staff
from libs.events.api import Now, Tx, new_api
from libs.events.batch import Batcher
from libs.events.contracts import Id
from libs.events.programme import Programme
from libs.events.refusal import Refusal, Refused
from services.training import commands, partners, views
from services.training.domain.course import UNKNOWN_PROGRAMME
from services.training.domain.purchase import Order, Receipt
from services.training.domain.rating import Rating
from services.training.shapes import (
    EARLIEST,
    LATEST,
    LINES_MAX,
    AttendanceLine,
    AttendanceShown,
    Cancelled,
    Catalogue,
    CertificateShown,
    CodeLine,
    CourseBody,
    CourseShown,
    MembershipShown,
    PurchaseBody,
    RatingBody,
    RatingShown,
    ReceiptShown,
    RedemptionShown,
    ScoreLine,
    VoidShown,
)
from services.training.store import Store

PAGE_MAX: Final = 500
ID: Final = re.compile("[0-9a-f]{32}")

BAD_PLACE: Final = Refusal(
    "no-such-page",
    422,
    "Penanda halaman ini tidak dikenal. Mulai lagi dari halaman pertama.",
    "This page mark is not known. Start again from the first page.",
    field="after",
)

Lines = Field(min_length=1, max_length=LINES_MAX)


def create_api(
    store: Store,
    programmes: Mapping[str, Programme],
    access: Access,
    purchases: Batcher[Order, Receipt],
    ratings: Batcher[Rating, Rating],
) -> FastAPI:
    """The routes of training. Purchases and ratings go through their batchers, which commit before they answer."""
    api = new_api("pelatihan", "Courses, learning credit, redeem codes, attendance, certificates and ratings")
    _add_courses(api, store, programmes, access)
    _add_citizens(api, store, access, purchases, ratings)
    _add_partners(api, store, programmes, access)
    return api


def _add_courses(api: FastAPI, store: Store, programmes: Mapping[str, Programme], access: Access) -> None:
    partner = Depends(access.staff("partner"))

    @api.get("/v1/courses", tags=["courses"], summary="Courses that members of a programme can still buy")
    async def catalogue(
        tx: Tx,
        now: Now,
        programme: Annotated[str, Query(max_length=40)],
        after: Annotated[str | None, Query(max_length=100)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> Catalogue:
        rules = programmes.get(programme)
        if rules is None:
            raise Refused(UNKNOWN_PROGRAMME)
        return await views.catalogue(tx, store, rules, _place(after, now), now, limit)

    @api.post("/v1/courses", status_code=201, tags=["courses"], summary="Put a course on sale")
    async def offer(body: CourseBody, tx: Tx, now: Now, staff: Annotated[Staff, partner]) -> CourseShown:
        course = await commands.offer_course(tx, staff.account, body.draft(), now, store=store, programmes=programmes)
        return CourseShown.of(course)

    @api.post(
        "/v1/courses/{course_id}/cancellation", tags=["courses"], summary="Call a session off and give credit back"
    )
    async def cancel(course_id: Annotated[Id, Path()], tx: Tx, now: Now, staff: Annotated[Staff, partner]) -> Cancelled:
        refunded = await commands.cancel_course(tx, staff.account, course_id, now, store=store, programmes=programmes)
        return Cancelled(course_id=course_id, refunded=refunded)


def _add_citizens(
    api: FastAPI,
    store: Store,
    access: Access,
    purchases: Batcher[Order, Receipt],
    ratings: Batcher[Rating, Rating],
) -> None:
    me = Depends(access.citizen)

    @api.post("/v1/me/purchases", status_code=201, tags=["citizens"], summary="Buy a course with learning credit")
    async def buy(body: PurchaseBody, citizen: Annotated[Citizen, me]) -> ReceiptShown:
        receipt = await purchases.submit(Order(citizen.citizen_id, body.course_id, body.purchase_id))
        return ReceiptShown(
            enrolment_id=receipt.enrolment_id,
            redeem_code=receipt.redeem_code,
            balance_rupiah=receipt.balance_rupiah,
        )

    @api.post("/v1/me/ratings", tags=["citizens"], summary="Rate a finished course, once")
    async def rate(body: RatingBody, citizen: Annotated[Citizen, me]) -> RatingShown:
        rating = await ratings.submit(Rating(citizen.citizen_id, body.enrolment_id, body.stars, body.review))
        return RatingShown(enrolment_id=rating.enrolment_id, stars=rating.stars, review=rating.review)

    @api.get("/v1/me/membership", tags=["citizens"], summary="My membership, credit and courses")
    async def membership(tx: Tx, citizen: Annotated[Citizen, me]) -> MembershipShown:
        return await views.membership(tx, store, citizen.citizen_id)


def _add_partners(api: FastAPI, store: Store, programmes: Mapping[str, Programme], access: Access) -> None:
    partner = Depends(access.staff("partner"))

    @api.post("/v1/partner/redemptions", tags=["partners"], summary="Claim redeem codes")
    async def redeem(
        lines: Annotated[list[CodeLine], Lines], tx: Tx, now: Now, staff: Annotated[Staff, partner]
    ) -> list[RedemptionShown]:
        codes = [line.redeem_code for line in lines]
        told = await partners.redeem(tx, staff.account, codes, now, store=store, programmes=programmes)
        return [RedemptionShown.of(one) for one in told]

    @api.post("/v1/partner/attendances", tags=["partners"], summary="Record attendances (1-10) and post-tests (999)")
    async def attend(
        lines: Annotated[list[AttendanceLine], Lines], tx: Tx, now: Now, staff: Annotated[Staff, partner]
    ) -> list[AttendanceShown]:
        reports = [line.report() for line in lines]
        told = await partners.record_attendance(tx, staff.account, reports, now, store=store)
        return [AttendanceShown.of(one) for one in told]

    @api.post("/v1/partner/certificates", tags=["partners"], summary="Report scores; passing ones complete the course")
    async def certify(
        lines: Annotated[list[ScoreLine], Lines], tx: Tx, now: Now, staff: Annotated[Staff, partner]
    ) -> list[CertificateShown]:
        scores = [line.report() for line in lines]
        told = await partners.issue_certificates(tx, staff.account, scores, now, store=store, programmes=programmes)
        return [CertificateShown.of(one) for one in told]

    @api.post("/v1/partner/voids", tags=["partners"], summary="Undo purchases that were not claimed yet")
    async def void(
        lines: Annotated[list[CodeLine], Lines], tx: Tx, now: Now, staff: Annotated[Staff, partner]
    ) -> list[VoidShown]:
        codes = [line.redeem_code for line in lines]
        told = await partners.void_purchases(tx, staff.account, codes, now, store=store, programmes=programmes)
        return [VoidShown.of(one) for one in told]


def _place(after: str | None, now: datetime) -> tuple[datetime, str]:
    """Where a page begins: after the start and id that a page before named; the first one after now."""
    if after is None:
        return now, "0" * 32
    start, _, course_id = after.partition("_")
    try:
        moment = datetime.fromisoformat(start)
        known = moment.tzinfo is not None and EARLIEST <= moment <= LATEST
        if not known or not ID.fullmatch(course_id):
            raise ValueError("not a page mark")
    except ValueError:
        raise Refused(BAD_PLACE) from None
    return moment, course_id
