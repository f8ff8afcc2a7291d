"""Where a citizen's identity stands with the civil registry, and when it is asked again."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from libs.events.refusal import Refusal

SUBMISSIONS_MAX: Final = 20
BACK_OFF_MAX: Final = timedelta(hours=1)


class State(StrEnum):
    NONE = "none"
    CHECKING = "checking"
    VERIFIED = "verified"
    MISMATCH = "mismatch"
    NOT_FOUND = "not-found"


# What the citizen sends and what the registry answers ("match", "mismatch", "not-found"). Whatever was refused or is
# still being checked can be corrected and sent again; what was verified stands.
TRANSITIONS: Final = {
    (State.NONE, "submitted"): State.CHECKING,
    (State.CHECKING, "submitted"): State.CHECKING,
    (State.MISMATCH, "submitted"): State.CHECKING,
    (State.NOT_FOUND, "submitted"): State.CHECKING,
    (State.CHECKING, "match"): State.VERIFIED,
    (State.CHECKING, "mismatch"): State.MISMATCH,
    (State.CHECKING, "not-found"): State.NOT_FOUND,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a citizen has come."""

    citizen_id: str
    email_confirmed: bool
    identity: State
    mismatch_field: str | None = None
    submissions: int = 0


UNKNOWN_CITIZEN: Final = Refusal(
    "unknown-citizen",
    404,
    "Akun ini tidak ada lagi. Daftar kembali bila Anda ingin mengikuti program.",
    "This account does not exist any more. Register again if you want to take part.",
)
EMAIL_NOT_CONFIRMED: Final = Refusal(
    "email-not-confirmed",
    409,
    "Konfirmasi dulu alamat e-mail Anda dengan kode enam angka yang kami kirim, lalu kirim lagi data diri Anda.",
    "First confirm your e-mail address with the six-digit code we sent, then send your identity again.",
)
ALREADY_VERIFIED: Final = Refusal(
    "identity-already-verified",
    409,
    "Data diri Anda sudah cocok dengan data kependudukan dan tidak perlu dikirim lagi.",
    "Your identity is already verified and need not be sent again.",
)
TOO_MANY_SUBMISSIONS: Final = Refusal(
    "too-many-submissions",
    429,
    "Data diri sudah terlalu sering dikirim. Hubungi layanan pengaduan atau kantor dinas tenaga kerja terdekat.",
    "Your identity was sent too often. Contact the help line or the nearest labour office.",
)
NIK_TAKEN: Final = Refusal(
    "nik-taken",
    409,
    "NIK ini sudah dipakai akun lain. Periksa kembali NIK Anda; bila benar milik Anda, masuk ke akun lama dengan nomor "
    "ponsel, atau hubungi layanan pengaduan.",
    "This NIK is in use by another account. Check it again; if it is yours, sign in to your earlier account by phone "
    "number, or contact the help line.",
    "nik",
)


def submit(standing: Standing | None) -> Refusal | None:
    """Whether a citizen may send who they are, for the first time or again; None when they may."""
    if standing is None:
        return UNKNOWN_CITIZEN
    if not standing.email_confirmed:
        return EMAIL_NOT_CONFIRMED
    if (standing.identity, "submitted") not in TRANSITIONS:
        return ALREADY_VERIFIED
    if standing.submissions >= SUBMISSIONS_MAX:
        return TOO_MANY_SUBMISSIONS
    return None


def back_off(attempts: int) -> timedelta:
    """How long to wait, in programme time, after this many tries: 1, 2, 4 ... minutes, an hour at most."""
    return min(BACK_OFF_MAX, timedelta(minutes=2 ** min(max(attempts - 1, 0), 10)))
