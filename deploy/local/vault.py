"""The stack's secrets: made once, at random, and kept in files that nobody else may read.

Every secret stands alone: no key is derived from another, and each service's settings name only the files it needs.
"""

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey

from deploy.local.layout import Layout, write_private

KEY_BYTES: Final = 32

STAFF: Final = (
    ("officer-maker", ["maker"]),
    ("officer-checker", ["checker"]),
    ("finance-maker", ["maker"]),
    ("finance-checker", ["checker"]),
    ("auditor", ["auditor"]),
    ("committee", ["official", "office:committee"]),
    ("ombudsman", ["official", "office:ombudsman"]),
    ("partner-a", ["partner"]),
    ("partner-b", ["partner"]),
)
"""The accounts of staff and partners. Behind each stands another person: maker and checker are never the same."""


class Vault:
    """Reads secrets, making those that are missing."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._folder = layout.secrets

    def password(self, name: str) -> str:
        """The password of that name, 24 random bytes in URL-safe letters."""
        return self._kept(f"{name}.password", lambda: secrets.token_urlsafe(24) + "\n").read_text().strip()

    def keys(self, name: str, *keys: str) -> Path:
        """A JSON file of independent 32-byte keys in hexadecimal."""
        return self._kept(name, lambda: json.dumps({key: secrets.token_hex(KEY_BYTES) for key in keys}))

    def private_jwk(self, name: str, use: dict[str, str]) -> Path:
        """A P-256 key pair as a private JWK with a key id. `use` names its algorithm and purpose."""

        def make() -> str:
            key = ECKey.generate_key("P-256", dict(use), private=True, auto_kid=True)  # type: ignore[arg-type]
            return json.dumps(key.as_dict(private=True))

        return self._kept(name, make)

    def public_jwk(self, private: Path, name: str, *, as_set: bool = False) -> Path:
        """The public half of a private JWK, alone or as a key set, where everybody may read it."""
        key: Any = ECKey.import_key(json.loads(private.read_text()))
        public = key.as_dict(private=False)
        path = self._layout.run / name
        path.write_text(json.dumps({"keys": [public]} if as_set else public))
        return path

    def signing_pem(self, name: str) -> Path:
        """An Ed25519 private key in PEM."""

        def make() -> str:
            key = Ed25519PrivateKey.generate()
            return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

        return self._kept(name, make)

    def staff_clients(self) -> Path:
        """The issuer's clients, as TOML."""
        told = [
            f'[[clients]]\nclient_id = "{account}"\nclient_secret = "{self.password(f"client-{account}")}"\n'
            f'person = "person-of-{account}"\nroles = {json.dumps(roles)}\n'
            for account, roles in STAFF
        ]
        path = self._folder / "staff-clients.toml"
        write_private(path, "\n".join(told))
        return path

    def keep(self, name: str, value: Any) -> Path:
        """Write something secret that was put together from others, as JSON."""
        path = self._folder / name
        write_private(path, json.dumps(value, indent=1))
        return path

    def _kept(self, name: str, make: Callable[[], str]) -> Path:
        path = self._folder / name
        if not path.exists():
            write_private(path, make())
        return path
