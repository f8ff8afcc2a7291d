"""What is fixed, signed and published before the randomness exists. See docs/draw.md, section 5."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from services.selection.domain.beacon import Chain
from services.selection.domain.ceremony import Ceremony
from services.selection.domain.quotas import Stratum

ALGORITHM: Final = "draw/1"
SIGNATURE_TAG: Final = b"gelombang draw/1 commitment\x00"


@dataclass(frozen=True, slots=True)
class Commitment:
    """Everything that decides a draw except the randomness, which is named but not known yet."""

    programme: str
    wave: int
    intake_count: int
    intake_digest: str
    excluded: Mapping[str, int]
    pool_count: int
    root: bytes
    quotas: Mapping[Stratum, int]
    household_cap: int
    chain: Chain
    beacon_round: int
    draws_at: datetime
    committed_at: datetime
    signing_key: bytes
    ceremony: Ceremony | None = None

    def document(self) -> dict[str, Any]:
        """The commitment as published."""
        return {
            "algorithm": ALGORITHM,
            "programme": self.programme,
            "wave": self.wave,
            "intake": {"count": self.intake_count, "digest": self.intake_digest},
            "excluded": dict(self.excluded),
            "pool": {"count": self.pool_count, "root": self.root.hex()},
            "quotas": [[stratum.province, stratum.tier, seats] for stratum, seats in sorted(self.quotas.items())],
            "household_cap": self.household_cap,
            "randomness": {
                "source": "drand",
                "chain": self.chain.chain_hash,
                "public_key": self.chain.public_key,
                "scheme": self.chain.scheme,
                "genesis_time": self.chain.genesis_time,
                "period_seconds": self.chain.period_seconds,
                "round": self.beacon_round,
                **_ceremony(self.ceremony),
            },
            "draws_at": _time(self.draws_at),
            "committed_at": _time(self.committed_at),
            "signing_key": self.signing_key.hex(),
        }

    def canonical(self) -> str:
        """The document as one line: keys sorted, no spaces, ASCII. Equal to RFC 8785 for what a commitment holds."""
        return json.dumps(self.document(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def signed_bytes(canonical: str) -> bytes:
    """What the signing key signs (Ed25519)."""
    return SIGNATURE_TAG + canonical.encode("ascii")


def chain_of(document: Mapping[str, Any]) -> tuple[Chain, int]:
    """The chain and the round that a published commitment names."""
    told = document["randomness"]
    chain = Chain(told["chain"], told["public_key"], told["genesis_time"], told["period_seconds"], told["scheme"])
    return chain, told["round"]


def quotas_of(document: Mapping[str, Any]) -> dict[Stratum, int]:
    """The quotas that a published commitment fixes."""
    return {Stratum(province, tier): seats for province, tier, seats in document["quotas"]}


def root_of(document: Mapping[str, Any]) -> bytes:
    """The root that a published commitment fixes."""
    return bytes.fromhex(document["pool"]["root"])


def _ceremony(ceremony: Ceremony | None) -> dict[str, Any]:
    """What the randomness says more, and otherwise, where officials take part."""
    if ceremony is None:
        return {}
    officials = [[official.office, official.secret_commitment.hex()] for official in ceremony.officials]
    return {"source": "ceremony", "officials": officials, "reveal_until": _time(ceremony.reveal_until)}


def _time(at: datetime) -> str:
    """UTC with six decimals, always the same form."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
