"""What a member is owed, for what, and from when.

Only the first completed course earns incentives, and only once it is rated (liputan6 4685221); the first is due at
once and the others follow every so many days. Surveys are answered in order, after the first incentive was paid
(tribunnews, 20 October 2021). Every completed course is owed to its partner. The accounts of the payees are no part of
this: an amount keeps its due date while it waits for one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.events.contracts import TrainingCompleted, TrainingRated
from libs.events.programme import Programme, last_moment
from libs.events.refusal import Refusal
from services.disbursement.domain.payouts import payout_id


@dataclass(frozen=True, slots=True)
class Owed:
    """A payout to be scheduled. `due_at` is None while the course is not rated; `partner_id` is None for a citizen."""

    payout_id: str
    citizen_id: str
    programme: str
    wave: int
    milestone: str
    amount_rupiah: int
    due_at: datetime | None
    enrolment_id: str | None = None
    partner_id: str | None = None


def owed_for_course(event: TrainingCompleted) -> Owed | None:
    """The price of a completed course, owed to its partner from the day of completion; None for a free course."""
    if event.price_rupiah == 0:
        return None
    milestone = f"course-{event.enrolment_id}"
    return Owed(
        payout_id(event.citizen_id, event.programme, milestone),
        event.citizen_id,
        event.programme,
        event.wave,
        milestone,
        event.price_rupiah,
        event.at,
        event.enrolment_id,
        event.partner_id,
    )


def owed_for_first_course(event: TrainingCompleted, rules: Programme) -> list[Owed]:
    """The incentives a first completed course earns, without a due date until it is rated."""
    amount = rules.benefit.incentive
    if not event.first or amount == 0:
        return []
    milestones = [f"incentive-{number}" for number in range(1, rules.benefit.incentives + 1)]
    return [
        Owed(
            payout_id(event.citizen_id, event.programme, milestone),
            event.citizen_id,
            event.programme,
            event.wave,
            milestone,
            amount,
            None,
            event.enrolment_id,
        )
        for milestone in milestones
    ]


@dataclass(frozen=True, slots=True)
class Due:
    """From when on an incentive may be paid."""

    payout_id: str
    enrolment_id: str
    due_at: datetime


def due_once_rated(event: TrainingRated, rules: Programme) -> list[Due]:
    """The due dates a rating starts, if the rated course is the one that earned the incentives."""
    every = timedelta(days=rules.benefit.incentive_every_days)
    return [
        Due(
            payout_id(event.citizen_id, event.programme, f"incentive-{number}"),
            event.enrolment_id,
            event.at + every * (number - 1),
        )
        for number in range(1, rules.benefit.incentives + 1)
    ]


def answer_survey(
    citizen_id: str,
    rules: Programme,
    number: int,
    now: datetime,
    *,
    wave: int | None,
    answered: Sequence[int],
    first_incentive_paid: bool,
) -> Owed | Refusal:
    """What an answered survey is worth, due at once; or why it can not be answered now.

    `wave` is the member's, None for somebody who is no member. The last day is the one for linking accounts, after
    which unanswered surveys are lost (liputan6 5145576).
    """
    if wave is None:
        return _NOT_A_MEMBER
    if not 1 <= number <= rules.benefit.surveys:
        return _NO_SUCH_SURVEY
    if now > last_moment(rules.payout.link_by):
        return _TOO_LATE
    if not first_incentive_paid:
        return _FIRST_INCENTIVE_FIRST
    if any(earlier not in answered for earlier in range(1, number)):
        return _EARLIER_SURVEY_FIRST
    milestone = f"survey-{number}"
    return Owed(
        payout_id(citizen_id, rules.name, milestone),
        citizen_id,
        rules.name,
        wave,
        milestone,
        rules.benefit.survey,
        now,
    )


_NOT_A_MEMBER = Refusal(
    "not-a-member",
    409,
    "Anda bukan penerima program ini, jadi belum ada survei untuk Anda. Bergabunglah dengan gelombang berikutnya.",
    "You are not a member of this programme, so there is no survey for you yet. Join the next wave.",
)
_NO_SUCH_SURVEY = Refusal(
    "no-such-survey",
    404,
    "Survei ini tidak ada dalam program Anda. Periksa nomor surveinya.",
    "There is no such survey in your programme. Check the number of the survey.",
)
_TOO_LATE = Refusal(
    "survey-too-late",
    409,
    "Batas waktu mengisi survei sudah lewat, jadi survei ini tidak dapat dibayar lagi.",
    "The last day for surveys has passed, so this survey can not be paid any more.",
)
_FIRST_INCENTIVE_FIRST = Refusal(
    "first-incentive-not-paid",
    409,
    "Survei dibuka setelah insentif pertama Anda dibayar. Lihat keadaan insentif di halaman pembayaran Anda.",
    "Surveys open once your first incentive has been paid. See how it stands on your payments page.",
)
_EARLIER_SURVEY_FIRST = Refusal(
    "earlier-survey-first",
    409,
    "Survei harus diisi berurutan. Isi dahulu survei sebelumnya.",
    "Surveys are answered in order. Answer the earlier survey first.",
)
