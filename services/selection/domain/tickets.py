"""From a root and a beacon's randomness to one number per application. See docs/draw.md, sections 6 and 7."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

SEED_TAG: Final = b"gelombang draw/1 seed\x00"
TICKET_TAG: Final = b"gelombang draw/1 ticket\x00"


def seed_of(root: bytes, randomness: bytes) -> bytes:
    """The seed of a draw. Nobody can know it before the randomness is out, nor choose it: the root came first."""
    if len(root) != 32 or len(randomness) != 32:
        raise ValueError("root and randomness are 32 bytes each")
    return sha256(SEED_TAG + root + randomness).digest()


def tickets_of(seed: bytes, application_ids: Sequence[bytes]) -> list[bytes]:
    """The tickets of applications, in their order. A ticket depends on the seed and on its own application alone."""
    prefix = TICKET_TAG + seed
    return [sha256(prefix + application_id).digest() for application_id in application_ids]
