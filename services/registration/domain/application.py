"""A citizen's entry into one wave: who may join, who may leave, and the states it goes through."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from libs.events import ids
from libs.events.clock import JAKARTA
from libs.events.contracts import ApplicationWithdrawn, Applied
from libs.events.programme import Programme
from libs.events.refusal import Refusal
from services.registration.domain.eligibility import Person, exclusions, reasons_against, tier


class State(StrEnum):
    APPLIED = "applied"
    WITHDRAWN = "withdrawn"
    SELECTED = "selected"
    NOT_SELECTED = "not-selected"
    REVOKED = "revoked"
    VOIDED = "voided"


# What happens to an application, by the event that tells of it. From (APPLIED, revoked): the revocation of a member may
# arrive before the selection, since the two travel on different topics; the late selection then changes nothing.
TRANSITIONS: Final = {
    (State.APPLIED, "application-withdrawn"): State.WITHDRAWN,
    (State.APPLIED, "selected-in-batch"): State.SELECTED,
    (State.APPLIED, "not-selected"): State.NOT_SELECTED,
    (State.APPLIED, "membership-revoked"): State.REVOKED,
    (State.SELECTED, "membership-revoked"): State.REVOKED,
    (State.APPLIED, "wave-voided"): State.VOIDED,
}


@dataclass(frozen=True, slots=True)
class Wave:
    """What registration knows of a wave; `state` in the words of the events that told it."""

    programme: str
    wave: int
    state: str
    closes_at: datetime | None


@dataclass(frozen=True, slots=True)
class Applicant:
    """A citizen who asks to join one wave. `person` is None until the civil registry has agreed."""

    citizen_id: str
    household_id: str
    province: str
    person: Person | None
    member: bool
    state: State | None  # of the latest application to this wave
    applications: int  # to this wave so far, withdrawn ones included


WAVE_NOT_OPEN: Final = Refusal(
    "wave-not-open",
    409,
    "Gelombang ini tidak sedang dibuka. Lihat daftar gelombang untuk jadwal berikutnya.",
    "This wave is not open. See the list of waves for the next dates.",
)
IDENTITY_NOT_VERIFIED: Final = Refusal(
    "identity-not-verified",
    409,
    "Data diri Anda belum cocok dengan data kependudukan. Lengkapi atau perbaiki data diri, tunggu hasil pemeriksaan, "
    "lalu gabung lagi.",
    "Your identity is not verified by the civil registry yet. Complete or correct it, wait for the check, then "
    "join again.",
)
ALREADY_APPLIED: Final = Refusal(
    "already-applied",
    409,
    "Anda sudah bergabung di gelombang ini. Tidak perlu mengulang; lihat statusnya di riwayat Anda.",
    "You have already joined this wave. There is no need to repeat it; see its state in your timeline.",
)
ALREADY_MEMBER: Final = Refusal(
    "already-member",
    409,
    "Anda sudah pernah diterima. Program ini hanya dapat diikuti satu kali seumur hidup.",
    "You have been accepted before. The programme can be taken only once in a lifetime.",
)
NOT_APPLIED: Final = Refusal(
    "not-applied",
    404,
    "Anda tidak terdaftar di gelombang ini, jadi tidak ada yang perlu dibatalkan.",
    "You have not joined this wave, so there is nothing to withdraw.",
)
INTAKE_CLOSED: Final = Refusal(
    "intake-closed",
    409,
    "Pendaftaran gelombang ini sudah ditutup, jadi keikutsertaan Anda tidak dapat dibatalkan lagi.",
    "The intake of this wave has closed, so you can not withdraw any more.",
)


def takes_applications(wave: Wave | None, now: datetime) -> bool:
    """Open, and not past its closing time even where the word that it closed is still on its way."""
    return wave is not None and wave.state == "open" and (wave.closes_at is None or now <= wave.closes_at)


def not_eligible(rules: Programme, person: Person, now: datetime) -> Refusal | None:
    """The refusal that names every reason, or None."""
    reasons = reasons_against(rules.eligibility, person, now.astimezone(JAKARTA).date())
    if not reasons:
        return None
    return Refusal(
        "not-eligible",
        409,
        "Anda belum memenuhi syarat. " + " ".join(reason.id for reason in reasons),
        "You do not meet the conditions. " + " ".join(reason.en for reason in reasons),
    )


def join(rules: Programme | None, wave: Wave | None, applicant: Applicant, now: datetime) -> Applied | Refusal:
    """Enter a citizen into an open wave.

    Once per lifetime: Permenko 11/2020, Art. 17. The id derives from citizen, wave and how many applications came
    before, so that a repeat can not mint a second one, and one made after a withdrawal is another one.
    """
    if rules is None or wave is None or not takes_applications(wave, now):
        return WAVE_NOT_OPEN
    if applicant.person is None:
        return IDENTITY_NOT_VERIFIED
    if applicant.state not in (None, State.WITHDRAWN):
        return ALREADY_APPLIED
    if applicant.member and rules.eligibility.once_per_lifetime:
        return ALREADY_MEMBER
    if refusal := not_eligible(rules, applicant.person, now):
        return refusal
    nth = applicant.applications + 1
    return Applied(
        application_id=ids.derive("application", applicant.citizen_id, wave.programme, str(wave.wave), str(nth)),
        citizen_id=applicant.citizen_id,
        household_id=applicant.household_id,
        programme=wave.programme,
        wave=wave.wave,
        province=applicant.province,
        tier=tier(applicant.person),
        exclusions=exclusions(applicant.person),
        at=now,
    )


@dataclass(frozen=True, slots=True)
class Application:
    application_id: str
    citizen_id: str
    programme: str
    wave: int
    state: State


def withdraw(
    wave: Wave | None, application: Application | None, now: datetime
) -> ApplicationWithdrawn | Application | Refusal:
    """Leave a wave while its intake is open. Whoever has left already is told so by the application as it stands."""
    if application is None:
        return NOT_APPLIED
    if application.state is State.WITHDRAWN:
        return application
    if application.state is not State.APPLIED or not takes_applications(wave, now):
        return INTAKE_CLOSED
    return ApplicationWithdrawn(
        application_id=application.application_id,
        citizen_id=application.citizen_id,
        programme=application.programme,
        wave=application.wave,
        at=now,
    )
