"""Officials add secrets of their own to the randomness of a wave, and none of them can choose. See docs/draw.md, 6.

Each commits to 32 random bytes before the intake closes, and reveals them after the pool is frozen. A round of the
beacon that is out ten minutes after the last word enters every seed: whoever keeps silent changes it, but towards
nothing that could be known.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from libs.events.refusal import Refusal
from services.selection.domain.beacon import LEAD
from services.selection.domain.wave import State

OFFICIALS_MIN: Final = 2
SECRET_BYTES: Final = 32
REVEAL_LEAST: Final = timedelta(hours=1)
"""How long officials have to reveal at the least, however late a pool was frozen. Chosen: no source names a time."""
LAST_WORD: Final = LEAD
"""The least time between the last word and the round."""

SECRET_TAG: Final = b"gelombang draw/1 secret\x00"
SEED_TAG: Final = b"gelombang draw/1 ceremony\x00"
REVEALS_TAG: Final = b"gelombang draw/1 reveals\x00"

OFFICE_ROLE: Final = "office:"
"""What stands before the name of an office in a role of whoever speaks for it."""

NOT_YOUR_OFFICE: Final = Refusal(
    "not-your-office",
    403,
    "Akun Anda tidak mewakili jabatan ini. Pilih jabatan Anda, atau mintalah perannya kepada pengelola akun.",
    "Your account does not speak for this office. Name your own, or ask whoever runs the accounts for its role.",
    "office",
)
HAND_IN_CLOSED: Final = Refusal(
    "hand-in-closed",
    409,
    "Janji rahasia hanya diterima sejak gelombang diumumkan sampai pendaftarannya ditutup.",
    "A secret commitment is taken from the announcement of a wave until its intake closes.",
)
ALREADY_HANDED_IN: Final = Refusal(
    "already-handed-in",
    409,
    "Anda, jabatan ini, atau janji rahasia ini sudah tercatat untuk gelombang ini. Janji tidak dapat diganti.",
    "You, this office or this secret commitment is noted for this wave already. A commitment can not be replaced.",
)
NOT_AN_OFFICIAL: Final = Refusal(
    "not-an-official",
    404,
    "Anda tidak menyerahkan janji rahasia untuk gelombang ini, jadi tidak ada yang dibuka.",
    "You have handed in no secret commitment for this wave, so there is nothing to reveal.",
)
NO_REVEALS_NOW: Final = Refusal(
    "no-reveals-now",
    409,
    "Rahasia hanya dapat dibuka sejak daftar peserta dikunci sampai batas waktunya. Lihat halaman gelombang.",
    "Secrets are revealed from the moment the pool is frozen until the deadline. See the page of the wave.",
)
WRONG_SECRET: Final = Refusal(
    "wrong-secret",
    422,
    "Rahasia ini tidak cocok dengan janji Anda. Periksa apakah 64 digitnya lengkap.",
    "This secret does not match your commitment. Check that all 64 digits are there.",
    "secret",
)


@dataclass(frozen=True, slots=True)
class Official:
    """An office, what it has committed to, and its secret once revealed."""

    office: str
    secret_commitment: bytes
    secret: bytes | None = None


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What a commitment says of it: the officials in ascending order of their commitments, and the deadline."""

    officials: tuple[Official, ...]
    reveal_until: datetime


def secret_commitment(programme: str, wave: int, secret: bytes) -> bytes:
    """What an official hands in; it is good for this wave alone."""
    return sha256(SECRET_TAG + programme.encode("ascii") + b"\x00" + wave.to_bytes(4, "big") + secret).digest()


def offices_of(offices: Mapping[str, str], roles: frozenset[str]) -> dict[str, str]:
    """Of a programme's offices, titles by name, those that a person of these roles speaks for."""
    return {name: title for name, title in offices.items() if OFFICE_ROLE + name in roles}


def title_of(office: str, offices: Mapping[str, str], roles: frozenset[str]) -> str | Refusal:
    """What is published of an office, where the programme has it and the person speaks for it."""
    if office not in offices:
        known = ", ".join(sorted(offices)) or "-"
        return Refusal(
            "no-such-office",
            422,
            f"Program ini tidak memuat jabatan itu untuk undian. Yang dimuat: {known}.",
            f"This programme has no such office in its draws. It has: {known}.",
            "office",
        )
    return offices[office] if OFFICE_ROLE + office in roles else NOT_YOUR_OFFICE


def open_for_hand_in(state: State, closes_at: datetime, now: datetime) -> Refusal | None:
    """Before the intake closes nobody knows the pool."""
    return None if state in (State.ANNOUNCED, State.OPEN) and now < closes_at else HAND_IN_CLOSED


def plan(officials: Sequence[Official], committed_at: datetime, draws_at: datetime) -> Ceremony | None:
    """The ceremony of a wave, None with fewer than two officials: then the beacon alone decides.

    Reveals end ten minutes before the announced draw, or an hour after the commitment if that is later.
    """
    if len(officials) < OFFICIALS_MIN:
        return None
    ordered = tuple(sorted(officials, key=lambda official: official.secret_commitment))
    return Ceremony(ordered, max(draws_at - LAST_WORD, committed_at + REVEAL_LEAST))


def earliest_round(ceremony: Ceremony | None, draws_at: datetime) -> datetime:
    """The moment from which a round may be named: the draw's time, with a ceremony ten minutes after the last word."""
    return max(draws_at, ceremony.reveal_until + LAST_WORD) if ceremony else draws_at


def reveal(
    programme: str, wave: int, state: State, reveal_until: datetime | None, official: Official | None, secret: bytes,
    now: datetime,
) -> Refusal | None:  # fmt: skip
    """Whether a secret is taken: in time, by whoever committed to it, and no other one."""
    if official is None:
        return NOT_AN_OFFICIAL
    if state is not State.COMMITTED or reveal_until is None or now > reveal_until:
        return NO_REVEALS_NOW
    return None if secret_commitment(programme, wave, secret) == official.secret_commitment else WRONG_SECRET


def reveals(document: Mapping[str, Any], secrets: Mapping[str, bytes], closed_at: datetime) -> str:
    """The closed list in canonical form: who revealed what, and by null who did not."""
    told = {
        "algorithm": "draw/1 reveals",
        "root": document["pool"]["root"],
        "closed_at": closed_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "reveals": [
            [office, secrets[office].hex() if office in secrets else None]
            for office, _ in document["randomness"]["officials"]
        ],
    }
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def signed_bytes(canonical: str) -> bytes:
    """What is signed of a closed list."""
    return REVEALS_TAG + canonical.encode("ascii")


def seed_of(root: bytes, randomness: bytes, document: Mapping[str, Any], closed: Mapping[str, Any]) -> bytes:
    """The seed of a draw with a ceremony: the root, the round, and a part of every official, silent ones too."""
    parts = [
        b"\x01" + bytes.fromhex(secret) if secret else b"\x00" + bytes.fromhex(committed)
        for (_, committed), (_, secret) in zip(document["randomness"]["officials"], closed["reveals"], strict=True)
    ]
    return sha256(SEED_TAG + root + randomness + b"".join(parts)).digest()


def is_ceremony(document: Mapping[str, Any]) -> bool:
    return bool(document["randomness"]["source"] == "ceremony")
