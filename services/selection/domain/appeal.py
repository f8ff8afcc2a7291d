"""An applicant contests an exclusion: who may, for how long, and what two officers can find.

UU PDP 27/2022 gives the right to contest what an automatic check has decided. No source names a period for this
programme: the programme file says how many days. A draw that was lost is no exclusion: anybody can run it again.
Neither side writes free text, so nothing personal can come with it: papers are shown at an office, under the appeal's
number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from libs.events import ids
from libs.events.clock import end_of_day
from libs.events.contracts import AppealDecided, AppealLodged, NotSelected
from libs.events.refusal import Refusal
from services.selection.domain.wave import same_person


class AppealState(StrEnum):
    LODGED = "lodged"
    EXAMINED = "examined"
    UPHELD = "upheld"
    DISMISSED = "dismissed"


class AppealStep(StrEnum):
    LODGE = "lodge"
    EXAMINE = "examine"
    UPHOLD = "uphold"
    DISMISS = "dismiss"


TRANSITIONS: Final[Mapping[tuple[AppealState | None, AppealStep], AppealState]] = {
    (None, AppealStep.LODGE): AppealState.LODGED,
    (AppealState.LODGED, AppealStep.EXAMINE): AppealState.EXAMINED,
    (
        AppealState.EXAMINED,
        AppealStep.EXAMINE,
    ): AppealState.EXAMINED,  # corrected before a checker has agreed
    (AppealState.EXAMINED, AppealStep.UPHOLD): AppealState.UPHELD,
    (AppealState.EXAMINED, AppealStep.DISMISS): AppealState.DISMISSED,
}

CONTESTABLE: Final = frozenset({"blacklist", "other-aid", "already-member", "household-cap"})
GROUNDS: Final = ("record-wrong", "not-me", "circumstances-changed")
FINDINGS: Final[Mapping[str, AppealStep]] = {
    "record-wrong": AppealStep.UPHOLD,
    "record-right": AppealStep.DISMISS,
    "no-evidence": AppealStep.DISMISS,
}
"""What officers may find, and what follows from it."""

NO_SUCH_RESULT: Final = Refusal(
    "no-such-result",
    404,
    "Pendaftaran ini bukan milik Anda, atau hasilnya belum diumumkan. Lihat riwayat Anda.",
    "This application is not yours, or its result is not published yet. Look at your timeline.",
)
NO_SUCH_APPEAL: Final = Refusal(
    "no-such-appeal",
    404,
    "Banding ini tidak ada. Periksa nomornya.",
    "There is no such appeal. Check its number.",
)
NOT_AN_EXCLUSION: Final = Refusal(
    "not-an-exclusion",
    409,
    "Anda ikut diundi, jadi tidak ada keputusan yang dapat dibanding. Siapa pun dapat menghitung ulang undiannya dari "
    "berkas gelombang.",
    "You took part in the draw, so there is no decision to appeal against. Anybody can run the draw again from the "
    "bundle of the wave.",
)
FINDING_CHANGED: Final = Refusal(
    "finding-changed",
    409,
    "Temuan pada banding ini bukan yang Anda setujui. Baca lagi, lalu putuskan.",
    "The finding of this appeal is not the one you agreed to. Read it again, then decide.",
    "finding",
)
ALREADY_MEMBER: Final = Refusal(
    "appellant-is-member",
    409,
    "Warga ini sudah pernah terpilih, jadi tidak dapat diberi kursi lagi. Temuannya harus lain.",
    "This citizen was selected before, so no further seat can be given. Find otherwise.",
    "finding",
)


@dataclass(frozen=True, slots=True)
class Result:
    """What was decided about an application, as its citizen contests it."""

    wave_id: int
    programme: str
    wave: int
    application_id: str
    citizen_id: str
    province: str
    tier: str
    reason: str | None  # why there is no seat; None for a seat
    published_at: datetime
    lodged_at: datetime | None = None  # an appeal against it, which stays as it is
    ground: str | None = None


@dataclass(frozen=True, slots=True)
class Appeal:
    appeal_id: str
    application_id: str
    citizen_id: str
    programme: str
    wave: int
    contested: str
    state: AppealState
    finding: str | None = None
    maker_person: str | None = None
    is_member: bool = False  # of the programme, or of any where it is once per lifetime; revoked or not


def move(state: AppealState | None, step: AppealStep) -> AppealState | Refusal:
    """The state after a step, or a refusal that names the legal steps."""
    if after := TRANSITIONS.get((state, step)):
        return after
    steps = ", ".join(step for step in AppealStep if (state, step) in TRANSITIONS) or "-"
    return Refusal(
        "illegal-step",
        409,
        f"Banding berstatus {state}; langkah {step} tidak berlaku. Langkah yang berlaku: {steps}.",
        f"The appeal is {state}; the step {step} is not legal. Legal steps: {steps}.",
    )


def lodge(result: Result | None, ground: str, days: int, now: datetime) -> AppealLodged | Refusal:
    """Contest an exclusion until the end, in Jakarta, of the `days`-th day after publication; one appeal per result.

    Whoever repeats a lodged appeal, at whatever time, is told of that one.
    """
    if result is None:
        return NO_SUCH_RESULT
    if result.reason not in CONTESTABLE:
        return NOT_AN_EXCLUSION
    if result.lodged_at is None and now > end_of_day(result.published_at, days):
        return Refusal(
            "appeal-too-late",
            409,
            f"Banding hanya dapat diajukan sampai {days} hari setelah pengumuman. Anda boleh bergabung di gelombang "
            "berikutnya.",
            f"An appeal can be lodged until {days} days after the result. You may join the next wave.",
        )
    return AppealLodged(
        at=result.lodged_at or now,
        appeal_id=ids.derive("appeal", result.application_id),
        citizen_id=result.citizen_id,
        application_id=result.application_id,
        contested=contested_by(result),
        programme=result.programme,
        wave=result.wave,
        reason=result.reason,
        ground=result.ground or ground,
    )


def contested_by(result: Result) -> str:
    """The id of the event that told the citizen of the exclusion: it derives from what it means."""
    return ids.derive(NotSelected.TYPE, result.application_id)


def examine(appeal: Appeal, finding: str) -> AppealState | Refusal:
    """A maker's finding. Nobody gets a second seat: a member's appeal can not be upheld."""
    after = move(appeal.state, AppealStep.EXAMINE)
    if isinstance(after, Refusal):
        return after
    return ALREADY_MEMBER if FINDINGS[finding] is AppealStep.UPHOLD and appeal.is_member else after


def decide(
    appeal: Appeal, finding: str, checker_person: str, now: datetime
) -> tuple[AppealState, AppealDecided] | Refusal:
    """A checker agrees to the finding they have read; the decision follows from it and is final."""
    step = FINDINGS[finding]
    after = move(appeal.state, step)
    if isinstance(after, Refusal):
        return after
    if appeal.maker_person == checker_person:
        return same_person()
    if appeal.finding != finding:
        return FINDING_CHANGED
    if step is AppealStep.UPHOLD and appeal.is_member:
        return ALREADY_MEMBER
    return after, AppealDecided(
        at=now,
        appeal_id=appeal.appeal_id,
        citizen_id=appeal.citizen_id,
        application_id=appeal.application_id,
        contested=appeal.contested,
        programme=appeal.programme,
        wave=appeal.wave,
        upheld=step is AppealStep.UPHOLD,
        finding=finding,
    )


def seat_application(appeal_id: str, programme: str, wave: int) -> str:
    """The application id under which an upheld appeal takes its seat: the one that lost keeps its result."""
    return ids.derive("application", "appeal", appeal_id, programme, str(wave))


def result_reason(row: Mapping[str, Any]) -> str | None:
    """Why an application has no seat; None if it has one. The same words as `not-selected`."""
    if row["seat_province"] is not None:
        return None
    excluded: str | None = row["excluded"]
    return excluded or ("lost-draw" if row["rank"] else "household-cap")
