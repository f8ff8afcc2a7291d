"""Keeps what is personal: account numbers, NIK and names are sealed at rest, and open only for a rail or their owner.

Each payee has a key of their own, wrapped by the service's wrap key; a separate key makes the index by which the same
account is recognised. What is sealed is bound to its place (a citizen, a message), so a row moved elsewhere does not
open. AES-256-GCM throughout; a nonce is random and never reused under one key.
"""

import hmac
import json
import os
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

NONCE_BYTES: Final = 12
TOKEN_CHARACTERS_MAX: Final = 8192

_registry: Final = jwe.JWERegistry(algorithms=["ECDH-ES+A256KW", "A256GCM"])


@dataclass(frozen=True, slots=True, repr=False)
class Payee:
    """Where money goes. Never printed, logged or announced."""

    account_number: str
    nik: str
    name: str
    provider: str


@dataclass(frozen=True, slots=True)
class Vault:
    """The keys of this service and what may be done with them."""

    _wrap: AESGCM = field(repr=False)
    _index: bytes = field(repr=False)
    _identity: ECKey = field(repr=False)

    @classmethod
    def open(cls, account_keys: Path, identity_jwk: Path) -> "Vault":
        """Read the key files. Raises ValueError naming the file that does not hold what it should."""
        told = json.loads(account_keys.read_text())
        try:
            wrap, index = bytes.fromhex(told["wrap"]), bytes.fromhex(told["account_index"])
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{account_keys} must hold the keys wrap and account_index in hexadecimal") from None
        if len(wrap) != 32 or len(index) != 32 or wrap == index:
            raise ValueError(f"{account_keys} must hold two different keys of 32 bytes")
        key = json.loads(identity_jwk.read_text())
        if not (isinstance(key, dict) and key.get("crv") == "P-256" and "d" in key):
            raise ValueError(f"{identity_jwk} must hold a private P-256 JWK")
        return cls(AESGCM(wrap), index, ECKey.import_key(key))

    def index(self, rail: str, provider: str, account_number: str) -> bytes:
        """A keyed hash by which the same account is recognised; nobody can compute it without the key."""
        return hmac.digest(self._index, "\n".join((rail, provider, account_number)).encode(), sha256)

    def new_payee_key(self, citizen_id: str) -> bytes:
        """A fresh key for one payee, wrapped."""
        return _seal(self._wrap, AESGCM.generate_key(256), f"payee-key:{citizen_id}")

    def seal(self, wrapped: bytes, citizen_id: str, told: bytes) -> bytes:
        """Seal something about a payee under their own key."""
        return _seal(self._payee_key(wrapped, citizen_id), told, f"payee:{citizen_id}")

    def open_sealed(self, wrapped: bytes, citizen_id: str, sealed: bytes) -> bytes:
        """Raises cryptography's InvalidTag for what was not sealed for this payee."""
        return _open(self._payee_key(wrapped, citizen_id), sealed, f"payee:{citizen_id}")

    def seal_payee(self, wrapped: bytes, citizen_id: str, payee: Payee) -> bytes:
        told = [payee.account_number, payee.nik, payee.name, payee.provider]
        return self.seal(wrapped, citizen_id, json.dumps(told).encode())

    def open_payee(self, wrapped: bytes, citizen_id: str, sealed: bytes) -> Payee:
        return Payee(*json.loads(self.open_sealed(wrapped, citizen_id, sealed)))

    def seal_message(self, message_id: str, body: bytes) -> bytes:
        """Seal the exact bytes of a message to a rail: they name many payees."""
        return _seal(self._wrap, body, f"message:{message_id}")

    def open_message(self, message_id: str, sealed: bytes) -> bytes:
        return _open(self._wrap, sealed, f"message:{message_id}")

    def unseal(self, token: str) -> str | None:
        """The signed token inside an identity token (RFC 7519, section 5.2); None for what is no such token.

        That it opens proves nothing about who made it: anybody can seal to a public key.
        """
        if len(token) > TOKEN_CHARACTERS_MAX:
            return None
        try:
            opened = jwe.decrypt_compact(token, self._identity, registry=_registry)
            return (opened.plaintext or b"").decode() if opened.headers().get("cty") == "JWT" else None
        except (JoseError, ValueError):
            return None

    def _payee_key(self, wrapped: bytes, citizen_id: str) -> AESGCM:
        return AESGCM(_open(self._wrap, wrapped, f"payee-key:{citizen_id}"))


def _seal(key: AESGCM, told: bytes, place: str) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + key.encrypt(nonce, told, place.encode())


def _open(key: AESGCM, sealed: bytes, place: str) -> bytes:
    return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
