"""Who a citizen is, by the identity token that registration signed and sealed, and the citizen carried here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from libs.events import access
from libs.events.refusal import Refusal, Refused
from services.disbursement.vault import Vault

AUDIENCE: Final = "disbursement"

TOKEN_REFUSED: Final = Refusal(
    "identity-token-refused",
    422,
    "Bukti identitas ini tidak berlaku. Minta yang baru di halaman pendaftaran, lalu tautkan rekening lagi.",
    "This proof of identity is not valid. Ask for a new one at registration, then link the account again.",
    "identity_token",
)
TOKEN_EXPIRED: Final = Refusal(
    "identity-token-expired",
    422,
    "Bukti identitas ini sudah kedaluwarsa. Minta yang baru di halaman pendaftaran, lalu tautkan rekening lagi.",
    "This proof of identity has expired. Ask for a new one at registration, then link the account again.",
    "identity_token",
)


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """Who a citizen is, as registration has verified it. Never printed, logged or announced."""

    nik: str
    name: str
    phone: str


async def identify(token: str, citizen_id: str, vault: Vault, verifier: access.Verifier) -> Person:
    """The person an identity token speaks of: sealed to us, signed by registration for us, not expired, about them.

    `verifier` knows registration's keys and our audience. Raises Refused: 422, or 503 where the keys can not be loaded.
    """
    signed = vault.unseal(token)
    if signed is None:
        raise Refused(TOKEN_REFUSED)
    try:
        claims = await verifier.claims(signed)
    except Refused as refused:
        if access.KEYS_UNAVAILABLE in refused.refusals:
            raise
        raise Refused(TOKEN_EXPIRED if access.TOKEN_EXPIRED in refused.refusals else TOKEN_REFUSED) from None
    person = person_of(claims, citizen_id)
    if person is None:
        raise Refused(TOKEN_REFUSED)
    return person


def person_of(claims: Mapping[str, Any], citizen_id: str) -> Person | None:
    """Who verified claims say this citizen is; None where they are about somebody else or incomplete."""
    match claims:
        case {"sub": str(sub), "nik": str(nik), "name": str(name), "phone": str(phone)} if sub == citizen_id:
            return Person(nik, name, phone)
    return None
