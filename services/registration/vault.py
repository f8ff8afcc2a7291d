"""Keeps what is personal: keyed hashes to find it by, and ciphertext under a key of each citizen's own.

The three keys come from a file and are in no database. NIK and KK are found by HMAC-SHA256 under a key each; e-mail,
phone and codes under keys derived from the third, which also wraps the citizens' own keys. What is sealed is bound to
its citizen and its purpose, so a row moved to another person or column does not open.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from services.registration.domain.person import Claim, Contact

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12


class Unsealable(Exception):
    """A ciphertext that does not open: its key was erased, or it belongs to another citizen or purpose."""


@dataclass(frozen=True, slots=True)
class Message:
    """Something to be sent."""

    to: str = field(repr=False)
    text: str = field(repr=False)


class Seal:
    """The key of one citizen, ready to use."""

    def __init__(self, key: bytes, citizen_id: str) -> None:
        self._cipher, self._citizen_id = AESGCM(key), citizen_id

    def close(self, purpose: str, value: Mapping[str, str]) -> bytes:
        """Ciphertext of `value`: a fresh nonce, then AES-256-GCM."""
        nonce = os.urandom(NONCE_BYTES)
        plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return nonce + self._cipher.encrypt(nonce, plain, f"{self._citizen_id} {purpose}".encode())

    def open(self, purpose: str, sealed: bytes) -> dict[str, str]:
        """What was closed for this citizen and purpose. Raises Unsealable."""
        told = f"{self._citizen_id} {purpose}".encode()
        try:
            plain = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], told)
        except InvalidTag:
            raise Unsealable(f"the {purpose} of a citizen does not open with the citizen's key") from None
        value: dict[str, str] = json.loads(plain)
        return value

    def close_contact(self, contact: Contact) -> bytes:
        return self.close("contact", {"email": contact.email, "phone": contact.phone})

    def open_contact(self, sealed: bytes) -> Contact:
        return Contact(**self.open("contact", sealed))

    def close_claim(self, claim: Claim) -> bytes:
        told = {"nik": claim.nik, "kk": claim.kk, "name": claim.name, "birth_date": claim.birth_date.isoformat()}
        return self.close("identity", told)

    def open_claim(self, sealed: bytes) -> Claim:
        told = self.open("identity", sealed)
        return Claim(told["nik"], told["kk"], told["name"], date.fromisoformat(told["birth_date"]))

    def close_message(self, message: Message) -> bytes:
        return self.close("message", {"to": message.to, "text": message.text})

    def open_message(self, sealed: bytes) -> Message:
        return Message(**self.open("message", sealed))


class Vault:
    """The keys of the service."""

    def __init__(self, nik_index: bytes, kk_index: bytes, wrap: bytes) -> None:
        if len({nik_index, kk_index, wrap}) != 3 or {len(nik_index), len(kk_index), len(wrap)} != {KEY_BYTES}:
            raise ValueError("three different keys of 32 bytes each are needed: nik_index, kk_index, wrap")
        self._nik, self._kk = nik_index, kk_index
        self._email, self._phone, self._code = (_derived(wrap, use) for use in ("e-mail index", "phone index", "code"))
        self._wrap = AESGCM(_derived(wrap, "wrap"))

    def nik_index(self, nik: str) -> bytes:
        return _keyed(self._nik, nik)

    def kk_index(self, kk: str) -> bytes:
        return _keyed(self._kk, kk)

    def email_index(self, email: str) -> bytes:
        return _keyed(self._email, email)

    def phone_index(self, phone: str) -> bytes:
        return _keyed(self._phone, phone)

    def code_hash(self, citizen_id: str, purpose: str, digits: str) -> bytes:
        """Keyed, since a million possible codes would not withstand a plain hash."""
        return _keyed(self._code, f"{citizen_id} {purpose} {digits}")

    def new_key(self, citizen_id: str) -> tuple[Seal, bytes]:
        """A fresh key for a citizen: ready to use, and wrapped to be stored."""
        key, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
        return Seal(key, citizen_id), nonce + self._wrap.encrypt(nonce, key, citizen_id.encode())

    def seal(self, citizen_id: str, wrapped: bytes) -> Seal:
        """The stored key of a citizen, ready to use. Raises Unsealable."""
        try:
            key = self._wrap.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], citizen_id.encode())
        except InvalidTag:
            raise Unsealable("the key of a citizen was wrapped by another key") from None
        return Seal(key, citizen_id)


def open_vault(file: Path) -> Vault:
    """Read `{"nik_index": hex, "kk_index": hex, "wrap": hex}`. Raises ValueError, which never names a key."""
    try:
        told: dict[str, Any] = json.loads(file.read_text())
        return Vault(*(bytes.fromhex(told[name]) for name in ("nik_index", "kk_index", "wrap")))
    except (KeyError, TypeError, ValueError, OSError):
        raise ValueError(
            f"{file} must be a JSON object of three different keys of 64 hexadecimal digits: nik_index, kk_index, wrap"
        ) from None


def _derived(key: bytes, use: str) -> bytes:
    """A key of its own for each use (RFC 5869, the expanding half: the given key is random already)."""
    return HKDFExpand(algorithm=SHA256(), length=KEY_BYTES, info=f"gelombang registration {use}".encode()).derive(key)


def _keyed(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)
