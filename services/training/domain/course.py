"""What a partner may offer. A course has one session: when it takes place, how, for how many and at what price."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from libs.events import ids
from libs.events.clock import JAKARTA
from libs.events.programme import Programme
from libs.events.refusal import Refusal

ATTENDANCES_MAX: Final = 10
"""The partner API numbers attendances 1 to 10; 999 is the post-test (developer.prakerja.go.id, redeem-code/status)."""


class Mode(StrEnum):
    ONLINE = "online"
    IN_PERSON = "in-person"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class Draft:
    """What a partner asks to offer. `also_sold_at_rupiah`: what the course costs elsewhere, if it is sold there."""

    code: str
    title: str
    mode: Mode
    hours: int
    price_rupiah: int
    seats: int
    starts_at: datetime
    ends_at: datetime
    also_sold_at_rupiah: int | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """A course on offer. `seats_taken` never exceeds `seats`."""

    course_id: str
    partner_id: str
    draft: Draft
    seats_taken: int
    cancelled_at: datetime | None


def course_id(partner_id: str, code: str) -> str:
    """A partner's own code names its course, so offering it again can not make a second one."""
    return ids.derive("course", partner_id, code)


def days(starts_at: datetime, ends_at: datetime) -> int:
    """How many attendances a session asks for: its calendar days in Jakarta, at most ten."""
    first, last = starts_at.astimezone(JAKARTA).date(), ends_at.astimezone(JAKARTA).date()
    return min((last - first).days + 1, ATTENDANCES_MAX)


def fits(draft: Draft, rules: Programme) -> bool:
    """Whether members of a programme can buy this course at all."""
    return draft.hours >= rules.training.course_hours_min and draft.price_rupiah <= rules.benefit.learning_credit


def offer(
    partner_id: str, draft: Draft, programmes: Iterable[Programme], now: datetime
) -> Course | tuple[Refusal, ...]:
    """A new course, or every reason against it at once. Art. 29: nowhere cheaper than here (Permenko 11/2020)."""
    wrong = []
    if draft.starts_at <= now:
        wrong.append(STARTS_IN_THE_PAST)
    if draft.ends_at <= draft.starts_at:
        wrong.append(ENDS_BEFORE_IT_STARTS)
    if draft.also_sold_at_rupiah is not None and draft.price_rupiah > draft.also_sold_at_rupiah:
        wrong.append(CHEAPER_ELSEWHERE)
    if not any(fits(draft, rules) for rules in programmes):
        wrong.append(FITS_NO_PROGRAMME)
    if wrong:
        return tuple(wrong)
    return Course(course_id(partner_id, draft.code), partner_id, draft, seats_taken=0, cancelled_at=None)


def cancel(course: Course | None, partner_id: str, now: datetime) -> Course | Refusal:
    """The course with its session called off; a session that has begun must be held. Again changes nothing."""
    if course is None or course.partner_id != partner_id:
        return COURSE_NOT_FOUND
    if course.cancelled_at is not None:
        return course
    return HAS_STARTED if course.draft.starts_at <= now else replace(course, cancelled_at=now)


STARTS_IN_THE_PAST: Final = Refusal(
    "starts-in-the-past",
    422,
    "Waktu mulai sudah lewat. Isi waktu mulai yang akan datang.",
    "The start lies in the past. Give a start that is still to come.",
    field="starts_at",
)
ENDS_BEFORE_IT_STARTS: Final = Refusal(
    "ends-before-it-starts",
    422,
    "Waktu selesai tidak sesudah waktu mulai. Isi waktu selesai sesudah waktu mulai.",
    "The end does not lie after the start. Give an end after the start.",
    field="ends_at",
)
CHEAPER_ELSEWHERE: Final = Refusal(
    "cheaper-elsewhere",
    422,
    "Harga di sini lebih tinggi daripada di tempat lain. Samakan atau turunkan harganya (Permenko 11/2020 Pasal 29).",
    "The price here is above the price elsewhere. Set it to the same or less (Permenko 11/2020, Art. 29).",
    field="price_rupiah",
)
FITS_NO_PROGRAMME: Final = Refusal(
    "fits-no-programme",
    422,
    "Tidak ada program yang menerima kursus ini: terlalu singkat atau lebih mahal daripada saldo pelatihan. "
    "Tambah jamnya atau turunkan harganya.",
    "No programme takes this course: it is too short, or dearer than the learning credit. "
    "Add hours or lower the price.",
    field="hours",
)
CODE_TAKEN: Final = Refusal(
    "code-taken",
    409,
    "Kode kursus ini sudah Anda pakai untuk kursus lain. Pakai kode lain untuk kursus yang baru.",
    "You already use this code for another course. Give the new course another code.",
    field="code",
)
COURSE_NOT_FOUND: Final = Refusal(
    "course-not-found",
    404,
    "Kursus ini tidak ditemukan. Pilih kursus dari daftar kursus.",
    "This course was not found. Choose one from the list of courses.",
)
HAS_STARTED: Final = Refusal(
    "course-has-started",
    409,
    "Sesi ini sudah mulai dan tidak dapat dibatalkan lagi. Selenggarakan sesuai jadwal.",
    "This session has begun and can not be called off any more. Hold it as planned.",
)
UNKNOWN_PROGRAMME: Final = Refusal(
    "programme-not-found",
    404,
    "Program ini tidak ditemukan. Periksa namanya.",
    "This programme was not found. Check its name.",
)
