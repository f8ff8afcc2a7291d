"""A public randomness beacon in drand's wire format, a chain of its own: for replays of years before drand's began.

Scheme bls-unchained-g1-rfc9380: round R is signed with BLS12-381 over SHA-256(R as 8 bytes, big endian), signatures in
G1, keys in G2; randomness = SHA-256(signature). The key derives from the seed, so every run with one seed has one
chain, and nobody should trust it for anything real.
"""

import hashlib
import struct
from typing import Any, Final

from fastapi import FastAPI, HTTPException
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import compress_G1, compress_G2
from py_ecc.optimized_bls12_381.optimized_curve import G2, curve_order, multiply

from deploy.simulators import common
from libs.events.clock import Clock

SCHEME: Final = "bls-unchained-g1-rfc9380"
DOMAIN: Final = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
BEACON: Final = "gelombang-simulator"
PERIOD_SECONDS: Final = 30
GENESIS: Final = 1_577_836_800  # 2020-01-01T00:00:00Z

TABLES = "CREATE TABLE IF NOT EXISTS signed (round INTEGER PRIMARY KEY, signature TEXT NOT NULL);"

G1Point = Any  # py_ecc's projective points are tuples of its own field elements


def message_point(round_number: int) -> G1Point:
    """The point of G1 that a round's number hashes to."""
    message = hashlib.sha256(struct.pack(">Q", round_number)).digest()
    return hash_to_G1(message, DOMAIN, hashlib.sha256)  # type: ignore[arg-type]  # py_ecc names the type too narrowly


def secret_key(seed: str) -> int:
    return 1 + int.from_bytes(hashlib.sha512(f"{BEACON}\n{seed}".encode()).digest(), "big") % (curve_order - 1)


def public_key(secret: int) -> bytes:
    """96 bytes: the compressed point of G2."""
    first, second = compress_G2(multiply(G2, secret))
    return first.to_bytes(48, "big") + second.to_bytes(48, "big")


def sign(secret: int, round_number: int) -> bytes:
    """48 bytes: the compressed point of G1. Takes some 50 ms."""
    return compress_G1(multiply(message_point(round_number), secret)).to_bytes(48, "big")


def chain_info(seed: str) -> dict[str, Any]:
    """What drand tells about a chain; its hash binds period, genesis, key, group and name together."""
    key = public_key(secret_key(seed))
    group = hashlib.sha256(f"{BEACON}\ngroup\n{seed}".encode()).digest()
    chain = hashlib.sha256(struct.pack(">Iq", PERIOD_SECONDS, GENESIS) + key + group + BEACON.encode())
    return {
        "public_key": key.hex(),
        "period": PERIOD_SECONDS,
        "genesis_time": GENESIS,
        "hash": chain.hexdigest(),
        "groupHash": group.hex(),
        "schemeID": SCHEME,
        "metadata": {"beaconID": BEACON},
    }


def create(settings: common.Settings, clock: Clock) -> FastAPI:
    book = common.open_book(settings.book, TABLES)
    app = common.create_app("Randomness beacon (simulator)", book)
    secret, info = secret_key(settings.seed), chain_info(settings.seed)

    def newest() -> int:
        """The number of the last round that exists; 0 before genesis."""
        return int((clock.now().timestamp() - GENESIS) // PERIOD_SECONDS) + 1

    def public(chain_hash: str, number: int) -> dict[str, Any]:
        if chain_hash != info["hash"] or number < 1:
            raise HTTPException(404, "no such chain or round")
        if number > newest():
            raise HTTPException(425, "this round lies in the future")
        kept = book.execute("SELECT signature FROM signed WHERE round = ?", (number,)).fetchone()
        signature = bytes.fromhex(kept["signature"]) if kept else sign(secret, number)
        if not kept:
            with book:
                book.execute("INSERT INTO signed (round, signature) VALUES (?, ?)", (number, signature.hex()))
        return {
            "round": number,
            "randomness": hashlib.sha256(signature).hexdigest(),
            "signature": signature.hex(),
        }

    @app.get("/chains")
    async def chains() -> list[str]:
        return [info["hash"]]

    @app.get("/{chain_hash}/info")
    async def chain(chain_hash: str) -> dict[str, Any]:
        if chain_hash != info["hash"]:
            raise HTTPException(404, "no such chain")
        return info

    @app.get("/{chain_hash}/public/latest")
    async def latest(chain_hash: str) -> dict[str, Any]:
        if newest() < 1:
            raise HTTPException(425, "the chain has not begun")
        return public(chain_hash, newest())

    @app.get("/{chain_hash}/public/{number}")
    async def round_(chain_hash: str, number: int) -> dict[str, Any]:
        return public(chain_hash, number)

    return app


if __name__ == "__main__":
    common.serve(common.Settings, create)
