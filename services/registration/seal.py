"""The identity a citizen carries to disbursement: signed by registration, then sealed so that nobody can read it.

A nested JWT (RFC 7519, section 5.2). The signature inside is what makes it true: anybody can seal to a public key. The
compact JWE (RFC 7516) around it, ECDH-ES+A256KW with A256GCM, is what keeps it secret on the way. It lives for minutes:
long enough to hand it in once. Its audience differs from that of sign-in tokens, so neither passes for the other.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from libs.events.citizen_tokens import CitizenTokens
from libs.events.database import Transaction
from libs.events.refusal import Refused
from services.registration.domain.application import IDENTITY_NOT_VERIFIED
from services.registration.store import Store
from services.registration.vault import Vault

LIFETIME: Final = timedelta(minutes=10)
ALGORITHMS: Final = ("ECDH-ES+A256KW", "A256GCM")


class Sealer:
    """Seals to one audience's public key."""

    def __init__(self, audience: str, jwk_file: Path) -> None:
        """Reads a public P-256 JWK. Raises ValueError that names the file where it holds something else."""
        try:
            told = json.loads(jwk_file.read_text())
            self._key = ECKey.import_key({name: told[name] for name in ("kty", "crv", "x", "y")})
        except (OSError, ValueError, KeyError, TypeError, JoseError):
            raise ValueError(f"{jwk_file} must hold the public P-256 JWK of {audience}") from None
        self.audience, self._kid = audience, told.get("kid")

    def seal(self, signed: str) -> str:
        """A signed token, readable for the audience alone."""
        header = {"alg": ALGORITHMS[0], "enc": ALGORITHMS[1], "cty": "JWT"}
        if self._kid:
            header["kid"] = str(self._kid)
        return jwe.encrypt_compact(header, signed.encode(), self._key, algorithms=list(ALGORITHMS))


async def identity_token(
    tx: Transaction, store: Store, vault: Vault, tokens: CitizenTokens, sealer: Sealer, citizen_id: str
) -> str:
    """NIK, name and phone of a citizen whose identity is verified. Raises Refused where it is not."""
    found = await store.verified_identity(tx, vault, citizen_id)
    if found is None:
        raise Refused(IDENTITY_NOT_VERIFIED)
    claim, contact = found
    signed = tokens.sign(sealer.audience, citizen_id, LIFETIME, nik=claim.nik, name=claim.name, phone=contact.phone)
    return sealer.seal(signed)
