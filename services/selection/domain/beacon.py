"""Public randomness from a drand chain: which round a commitment may name, and whether a round's answer is genuine.

Scheme bls-unchained-g1-rfc9380 (drand's "quicknet"): the signature is a point of G1 over SHA-256 of the round number as
8 big-endian bytes, the public key a point of G2, randomness = SHA-256(signature). See docs/draw.md, section 5.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from py_ecc.bls.g2_primitives import pubkey_to_G1, signature_to_G2, subgroup_check
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.typing import G1Uncompressed, G2Uncompressed
from py_ecc.fields import optimized_bls12_381_FQ12 as FQ12
from py_ecc.optimized_bls12_381.optimized_curve import G2, is_inf, neg
from py_ecc.optimized_bls12_381.optimized_pairing import final_exponentiate, pairing

SCHEME: Final = "bls-unchained-g1-rfc9380"
DOMAIN: Final = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
SIGNATURE_BYTES: Final = 48
PUBLIC_KEY_BYTES: Final = 96

LEAD: Final = timedelta(seconds=600)
"""How far the announced round lies at least behind the commitment and behind the last word of a ceremony. To write a
pool of ten million down takes minutes, and what was promised must be out well before the randomness is."""
PUBLIC_BEFORE: Final = timedelta(seconds=60)
"""How long before its round a commitment must be ready to be made public at the latest; else another one is made."""


class BadRandomness(Exception):
    """A beacon's answer that must not be used; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A drand chain as its `info` describes it. Round 1 is out at `genesis_time` (Unix seconds)."""

    chain_hash: str
    public_key: str
    genesis_time: int
    period_seconds: int
    scheme: str = SCHEME

    def time_of(self, number: int) -> datetime:
        """The moment at which a round is out."""
        return datetime.fromtimestamp(self.genesis_time + self.period_seconds * (number - 1), UTC)

    def first_round_from(self, moment: datetime) -> int:
        """The first round that is not out before `moment`."""
        elapsed = math.ceil((moment - datetime.fromtimestamp(self.genesis_time, UTC)) / timedelta(seconds=1))
        return max(1, -(-elapsed // self.period_seconds) + 1)


def parse_chain(info: Mapping[str, Any]) -> Chain:
    """A chain from what drand's `/info` answers. Raises ValueError that names what is wrong."""
    match info:
        case {
            "hash": str(chain_hash), "public_key": str(key), "genesis_time": int(genesis), "period": int(period),
            "schemeID": str(scheme),
        }:  # fmt: skip
            if period < 1 or genesis < 0:
                raise ValueError("period and genesis_time must be positive")
            if not re.fullmatch("[0-9a-f]{64}", chain_hash):
                raise ValueError("hash must be 64 hexadecimal digits")
            if not re.fullmatch(f"[0-9a-f]{{{2 * PUBLIC_KEY_BYTES}}}", key):
                raise ValueError(f"public_key must be {2 * PUBLIC_KEY_BYTES} hexadecimal digits")
            if scheme != SCHEME:
                raise ValueError(f"schemeID must be {SCHEME}, the only one this service verifies")
            return Chain(chain_hash, key, genesis, period, scheme)
        case _:
            raise ValueError("hash, public_key, genesis_time, period and schemeID must be there")


@dataclass(frozen=True, slots=True)
class Randomness:
    """What a beacon answers for one round: 48 bytes of signature and their SHA-256, both hexadecimal."""

    number: int
    signature: str
    randomness: str


def announced_round(chain: Chain, committed_at: datetime, draws_at: datetime) -> int:
    """The round a commitment names: the first one out at the draw's time, and always one that lies ahead."""
    return chain.first_round_from(max(draws_at, committed_at + LEAD))


def check_in_time(chain: Chain, number: int, now: datetime) -> None:
    """Raise BadRandomness when a commitment would become public too close to its round, or after it."""
    if now + PUBLIC_BEFORE >= chain.time_of(number):
        raise BadRandomness(
            f"the commitment took until {now.isoformat()}, and its round {number} is out at "
            f"{chain.time_of(number).isoformat()}: nothing was written, another one with a later round will be made"
        )


def check_not_out(chain: Chain, number: int, committed_at: datetime, latest: int) -> None:
    """Raise BadRandomness when a round is already known: by its time, or because the beacon has shown it."""
    if chain.time_of(number) <= committed_at or latest >= number:
        raise BadRandomness(f"round {number} is already out; a commitment must name one that nobody knows")


def check(chain: Chain, number: int, told: Randomness) -> bytes:
    """The 32 bytes of randomness of a round, after checking that the chain's key signed exactly this round.

    Takes a tenth of a second of processor time. Raises BadRandomness.
    """
    if chain.scheme != SCHEME:
        raise BadRandomness(f"the chain uses the scheme {chain.scheme}; this service verifies {SCHEME} only")
    if told.number != number:
        raise BadRandomness(f"round {number} was asked for, round {told.number} answered")
    if not 1 <= number < 2**64:
        raise BadRandomness(f"there is no round {number}")
    try:
        signature, randomness = bytes.fromhex(told.signature), bytes.fromhex(told.randomness)
        public_key = bytes.fromhex(chain.public_key)
    except ValueError:
        raise BadRandomness("signature, randomness or public key is not hexadecimal") from None
    if sha256(signature).digest() != randomness:
        raise BadRandomness(f"round {number}: the randomness is not the SHA-256 of the signature")
    if not _is_signed(public_key, sha256(number.to_bytes(8, "big")).digest(), signature):
        raise BadRandomness(f"round {number}: the signature is not the chain's")
    return randomness


def _is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """e(H(message), public key) = e(signature, generator), as one product with one final exponentiation."""
    if len(signature) != SIGNATURE_BYTES or len(public_key) != PUBLIC_KEY_BYTES:
        return False
    try:
        # py_ecc names its decoders after the other scheme, where keys lie in G1 and signatures in G2.
        point: G1Uncompressed = pubkey_to_G1(signature)  # type: ignore[arg-type]
        key: G2Uncompressed = signature_to_G2(public_key)  # type: ignore[arg-type]
    except ValueError:
        return False
    # Points outside the prime-order subgroup, and the point at infinity, would let a forger pass the pairing.
    if is_inf(point) or is_inf(key) or not subgroup_check(point) or not subgroup_check(key):
        return False
    hashed = hash_to_G1(message, DOMAIN, sha256)  # type: ignore[arg-type]  # its type is too narrow
    product = pairing(key, hashed, final_exponentiate=False) * pairing(G2, neg(point), final_exponentiate=False)
    return bool(final_exponentiate(product) == FQ12.one())
