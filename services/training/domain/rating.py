"""What a member says of a finished course, once.

Source: rating and review are mandatory for the incentive (grid, 2022).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from libs.events.contracts import TrainingRated
from libs.events.refusal import Refusal
from services.training.domain.enrolment import TRANSITIONS, Enrolment, Rated


@dataclass(frozen=True, slots=True)
class Rating:
    """What a member says of a finished course. `stars` 1 to 5."""

    citizen_id: str
    enrolment_id: str
    stars: int
    review: str


def rate(
    rating: Rating, found: Enrolment | None, given: Rating | None, now: datetime
) -> TrainingRated | Rating | Refusal:
    """The event of a first rating; the earlier rating where it is the same again; else why not. Once per enrolment."""
    if found is None or found.citizen_id != rating.citizen_id:
        return ENROLMENT_NOT_FOUND
    if given is not None:
        return given if given == rating else ALREADY_RATED
    if (found.state, Rated) not in TRANSITIONS:
        return NOT_COMPLETED
    return TrainingRated(
        enrolment_id=found.enrolment_id,
        citizen_id=found.citizen_id,
        programme=found.programme,
        wave=found.wave,
        course_id=found.course_id,
        stars=rating.stars,
        at=now,
    )


ENROLMENT_NOT_FOUND: Final = Refusal(
    "enrolment-not-found",
    404,
    "Kursus ini tidak ada dalam kepesertaan Anda. Pilih kursus dari halaman kepesertaan Anda.",
    "This course is not among yours. Choose one from your membership.",
)
NOT_COMPLETED: Final = Refusal(
    "not-completed",
    409,
    "Kursus ini belum selesai. Beri ulasan setelah sertifikat terbit.",
    "This course is not finished yet. Rate it once the certificate is there.",
)
ALREADY_RATED: Final = Refusal(
    "already-rated",
    409,
    "Anda sudah mengulas kursus ini; ulasan tidak dapat diubah.",
    "You have rated this course already; a rating can not be changed.",
)
