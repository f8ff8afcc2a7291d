"""The Ed25519 key that signs commitments."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from services.selection.domain.commitment import signed_bytes


class Signer:
    """Holds the private key of this service. Its public half stands in every commitment."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, canonical: str) -> bytes:
        """The signature under a commitment: 64 bytes."""
        return self.sign_bytes(signed_bytes(canonical))

    def sign_bytes(self, data: bytes) -> bytes:
        """The signature over bytes that begin with the tag of what they are."""
        return self._key.sign(data)


def load_signer(path: Path) -> Signer:
    """Read a PEM file. Raises ValueError when it holds another kind of key."""
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(
            f"{path.name} must hold an Ed25519 private key; make one with: openssl genpkey -algorithm ed25519"
        )
    return Signer(key)
