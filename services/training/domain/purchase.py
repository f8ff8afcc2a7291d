"""Buying a course with learning credit.

Sources: Permenko 11/2020, Arts. 18-20 (never a course dearer than the balance; cut-off; first purchase in time); the
partner API refuses what has started or has no seats left (developer.prakerja.go.id, payment/send-otp).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from libs.events import ids
from libs.events.programme import Programme, last_moment
from libs.events.refusal import Refusal
from services.training.domain import membership
from services.training.domain.course import COURSE_NOT_FOUND, Course
from services.training.domain.credit import Entry
from services.training.domain.enrolment import Enrolment, open_enrolment
from services.training.domain.membership import Membership, State


@dataclass(frozen=True, slots=True)
class Order:
    """A citizen's wish to buy a course. `purchase_id` is made by the client: the same again is the same purchase."""

    citizen_id: str
    course_id: str
    purchase_id: str

    @property
    def enrolment_id(self) -> str:
        return ids.derive("enrolment", self.citizen_id, self.purchase_id)


@dataclass(frozen=True, slots=True)
class Purchase:
    """A purchase that was made, and everything it moved."""

    member: Membership
    course: Course
    enrolment: Enrolment
    entry: Entry


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the buyer is told; the same again for the same purchase."""

    enrolment_id: str
    redeem_code: str
    balance_rupiah: int


def buy(
    order: Order,
    member: Membership | None,
    course: Course | None,
    held: Collection[str],
    rules: Programme | None,
    redeem_code: str,
    now: datetime,
) -> Purchase | Refusal:
    """Exchange credit for a seat, or say the first reason against it.

    `held`: course ids that the citizen has. `rules`: those of the member's programme; None only without a member.
    """
    if member is None or rules is None:
        return NOT_A_MEMBER
    if course is None:
        return COURSE_NOT_FOUND
    if refusal := _why_not_now(member, rules, now) or _why_not_this(member, course, held, rules, now):
        return refusal
    price_rupiah = course.draft.price_rupiah
    richer, entry = membership.bought(member, price_rupiah, order.enrolment_id, now)
    return Purchase(
        member=richer,
        course=replace(course, seats_taken=course.seats_taken + 1),
        enrolment=open_enrolment(order.enrolment_id, member, course, redeem_code, now),
        entry=entry,
    )


def _why_not_now(member: Membership, rules: Programme, now: datetime) -> Refusal | None:
    """What stands against any purchase of this member at this time."""
    if member.state is State.REVOKED:
        return REVOKED
    if member.state is State.CLOSED or (member.purchase_due is not None and now > member.purchase_due):
        return TOO_LATE
    if now > last_moment(rules.training.cut_off):
        return CUT_OFF
    return None


def _why_not_this(
    member: Membership, course: Course, held: Collection[str], rules: Programme, now: datetime
) -> Refusal | None:
    """What stands against this course for this member."""
    if course.course_id in held:
        return ALREADY_BOUGHT
    if course.cancelled_at is not None:
        return CANCELLED
    if now >= course.draft.starts_at:
        return STARTED
    if course.draft.hours < rules.training.course_hours_min:
        return TOO_SHORT
    if course.draft.price_rupiah > member.credit_rupiah:
        return TOO_DEAR
    if course.seats_taken >= course.draft.seats:
        return FULL
    return None


NOT_A_MEMBER: Final = Refusal(
    "not-a-member",
    403,
    "Anda belum terpilih dalam program ini, jadi belum punya saldo pelatihan. Gabung gelombang berikutnya.",
    "You have not been selected in this programme, so there is no learning credit yet. Join the next wave.",
)
REVOKED: Final = Refusal(
    "membership-revoked",
    409,
    "Kepesertaan Anda dicabut karena tidak membeli kursus sampai batas waktu. Saldo telah kembali ke negara.",
    "Your membership was revoked because no course was bought in time. The credit has gone back to the State. "
    "Nothing more can be bought.",
)
TOO_LATE: Final = Refusal(
    "purchase-too-late",
    409,
    "Batas waktu pembelian Anda sudah lewat, jadi kursus tidak dapat dibeli lagi. Lihat status kepesertaan Anda.",
    "Your time for a purchase has passed, so no course can be bought any more. See the state of your membership.",
)
CUT_OFF: Final = Refusal(
    "after-cut-off",
    409,
    "Hari terakhir pemakaian saldo pelatihan tahun ini sudah lewat. Selesaikan kursus yang sudah dibeli.",
    "The last day for spending learning credit this year has passed. Finish the courses you have bought.",
)
ALREADY_BOUGHT: Final = Refusal(
    "already-bought",
    409,
    "Anda sudah membeli kursus ini. Kode redeem ada di halaman kepesertaan Anda.",
    "You have bought this course already. Its redeem code stands with your membership.",
)
CANCELLED: Final = Refusal(
    "course-cancelled",
    409,
    "Sesi kursus ini dibatalkan oleh penyelenggara. Pilih kursus lain.",
    "The session of this course was called off by the partner. Choose another course.",
)
STARTED: Final = Refusal(
    "course-started",
    409,
    "Kursus ini sudah mulai. Pilih kursus yang belum mulai.",
    "This course has already begun. Choose one that has not.",
)
TOO_SHORT: Final = Refusal(
    "course-too-short",
    409,
    "Kursus ini lebih singkat daripada yang disyaratkan program Anda. Pilih kursus yang lebih panjang.",
    "This course is shorter than your programme asks for. Choose a longer one.",
)
TOO_DEAR: Final = Refusal(
    "price-above-balance",
    409,
    "Harga kursus ini melebihi sisa saldo pelatihan Anda. Pilih kursus yang tidak lebih mahal daripada saldo.",
    "The price of this course is above what is left of your learning credit. Choose one within your balance.",
)
FULL: Final = Refusal(
    "no-seats-left",
    409,
    "Kursi kursus ini sudah habis. Pilih kursus lain.",
    "This course has no seats left. Choose another course.",
)
PURCHASE_ID_USED: Final = Refusal(
    "purchase-id-used",
    409,
    "Nomor pembelian ini sudah dipakai untuk kursus lain. Kirim lagi dengan nomor pembelian yang baru.",
    "This purchase id was already used for another course. Send the order again with a new purchase id.",
    field="purchase_id",
)
