"""The people of disbursement's test world, and what registration signs about them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from joserfc import jwe, jwt
from joserfc.jwk import ECKey

from libs.events import ids
from libs.events.access import CITIZEN_ISSUER
from libs.events.refusal import Refusal, Refused


def granted(result: Any) -> Any:
    """A result as its caller gets it. Raises Refused where the rules say no."""
    if isinstance(result, Refusal):
        raise Refused(result)
    return result


@dataclass(frozen=True, slots=True)
class Person:
    """A synthetic member. Phone numbers and NIK are made up."""

    citizen_id: str
    nik: str
    phone: str
    name: str = "Siti"


def person(name: str) -> Person:
    number = int(sha256(name.encode()).hexdigest()[:9], 16)
    return Person(ids.derive("citizen", name), f"{3171000000000000 + number}", f"0812{number % 10**8:08d}", name)


class Registration:
    """Signs identity tokens with its key and seals them to disbursement's, for a world that has a clock."""

    identity: ECKey
    registration: ECKey

    @property
    def now(self) -> datetime:
        raise NotImplementedError

    def claims(self, one: Person, **changed: Any) -> dict[str, Any]:
        return {
            "iss": CITIZEN_ISSUER,
            "sub": one.citizen_id,
            "nik": one.nik,
            "name": one.name,
            "phone": one.phone,
            "aud": "disbursement",
            "exp": int((self.now + timedelta(minutes=10)).timestamp()),
        } | changed

    def sign(self, claims: dict[str, Any], key: ECKey | None = None) -> str:
        """Claims as registration signs them, or as somebody does who has another key and claims to be registration."""
        return jwt.encode({"alg": "ES256", "kid": self.registration.kid}, claims, key or self.registration)

    def seal(self, told: str, **header: str) -> str:
        """What anybody can do who knows this service's public key."""
        registry = jwe.JWERegistry(algorithms=["ECDH-ES+A256KW", "A256GCM"])
        header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "cty": "JWT"} | header
        return jwe.encrypt_compact(header, told.encode(), self.identity, registry=registry)

    def token(self, one: Person, **changed: Any) -> str:
        return self.seal(self.sign(self.claims(one, **changed)))
