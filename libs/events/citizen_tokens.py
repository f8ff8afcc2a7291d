"""Issues the tokens that citizens carry. Only registration holds the key; everybody else checks with `access`."""

import json
from datetime import timedelta
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import ECKey

from libs.events.access import CITIZEN_AUDIENCE, CITIZEN_ISSUER
from libs.events.clock import Clock


class CitizenTokens:
    """Signs the tokens that citizens carry to the services. Only registration holds the private key."""

    def __init__(self, key_file: Path, clock: Clock) -> None:
        """Reads a private P-256 JWK with a `kid`. Raises ValueError where the file holds something else."""
        told = json.loads(key_file.read_text())
        if not (isinstance(told, dict) and told.get("crv") == "P-256" and "d" in told and told.get("kid")):
            raise ValueError(f"{key_file} must hold a private P-256 JWK with a kid")
        self._key, self._kid, self._clock = ECKey.import_key(told), str(told["kid"]), clock

    def issue(self, citizen_id: str, lifetime: timedelta) -> str:
        """A token by which a citizen signs in to every service."""
        return self.sign(CITIZEN_AUDIENCE, citizen_id, lifetime)

    def sign(self, audience: str, citizen_id: str, lifetime: timedelta, **told: str) -> str:
        """What is told to one audience about a citizen, valid from now for `lifetime` of programme time."""
        now = self._clock.now()
        claims = {
            **told,
            "iss": CITIZEN_ISSUER,
            "aud": audience,
            "sub": citizen_id,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
        }
        return jwt.encode({"alg": "ES256", "kid": self._kid}, claims, self._key)
