"""The beacon signs as drand does: the same check accepts its rounds and drand's own recorded ones."""

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient
from py_ecc.bls.point_compression import decompress_G1, decompress_G2
from py_ecc.bls.typing import G1Compressed, G2Compressed
from py_ecc.fields import optimized_bls12_381_FQ12 as FQ12
from py_ecc.optimized_bls12_381.optimized_curve import G2, neg
from py_ecc.optimized_bls12_381.optimized_pairing import final_exponentiate, pairing

from deploy.simulators import beacon, common
from libs.events.clock import FixedClock
from tests.unit.simulators import client

QUICKNET = json.loads((Path(__file__).parents[1] / "data/drand_quicknet.json").read_text())
GENESIS = datetime(2020, 1, 1, tzinfo=UTC)


def verified(public_key: str, number: int, signature: str) -> bool:
    """The check anyone can make: e(signature, -G2) * e(hash of the round, public key) = 1."""
    key = bytes.fromhex(public_key)
    halves = int.from_bytes(key[:48], "big"), int.from_bytes(key[48:], "big")
    point = decompress_G1(G1Compressed(int.from_bytes(bytes.fromhex(signature), "big")))
    product = pairing(neg(G2), point, final_exponentiate=False) * pairing(
        decompress_G2(G2Compressed(halves)), beacon.message_point(number), final_exponentiate=False
    )
    return bool(final_exponentiate(product) == FQ12.one())


@pytest.mark.parametrize("recorded", QUICKNET["rounds"], ids=lambda told: f"round {told['round']}")
def test_recorded_rounds_of_drand_pass_the_check(recorded: dict[str, Any]) -> None:
    assert QUICKNET["scheme"] == beacon.SCHEME
    assert verified(QUICKNET["public_key"], recorded["round"], recorded["signature"])
    assert hashlib.sha256(bytes.fromhex(recorded["signature"])).hexdigest() == recorded["randomness"]


def test_a_signature_of_another_round_fails_the_check() -> None:
    first, second = QUICKNET["rounds"][:2]
    assert not verified(QUICKNET["public_key"], first["round"], second["signature"])


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(GENESIS + timedelta(seconds=300))


@pytest.fixture
async def told(tmp_path: Path, clock: FixedClock) -> AsyncIterator[AsyncClient]:
    async with client(beacon.create(common.Settings(port=0, book=tmp_path / "book", seed="7"), clock)) as one:
        yield one


async def test_a_round_of_the_simulated_chain_passes_the_check(told: AsyncClient) -> None:
    (chain,) = (await told.get("/chains")).json()
    info = (await told.get(f"/{chain}/info")).json()
    assert (info["hash"], info["period"], info["genesis_time"]) == (chain, 30, int(GENESIS.timestamp()))
    answer = (await told.get(f"/{chain}/public/5")).json()
    assert verified(info["public_key"], 5, answer["signature"])
    assert hashlib.sha256(bytes.fromhex(answer["signature"])).hexdigest() == answer["randomness"]
    assert (await told.get(f"/{chain}/public/5")).json() == answer


async def test_a_round_does_not_exist_before_its_second(told: AsyncClient, clock: FixedClock) -> None:
    (chain,) = (await told.get("/chains")).json()
    assert (await told.get(f"/{chain}/public/latest")).json()["round"] == 11  # genesis + 30 s * (R - 1)
    clock.at = GENESIS + timedelta(seconds=329.9)
    assert (await told.get(f"/{chain}/public/12")).status_code == 425
    clock.at = GENESIS + timedelta(seconds=330)
    assert (await told.get(f"/{chain}/public/12")).status_code == 200
    clock.at = GENESIS - timedelta(seconds=1)
    assert (await told.get(f"/{chain}/public/1")).status_code == 425
    assert (await told.get(f"/{chain}/public/latest")).status_code == 425


async def test_no_other_chain_and_no_round_zero(told: AsyncClient) -> None:
    (chain,) = (await told.get("/chains")).json()
    for path in (f"/{'0' * 64}/info", f"/{'0' * 64}/public/1", f"/{chain}/public/0", f"/{chain}/public/-1"):
        assert (await told.get(path)).status_code == 404


def test_the_chain_is_a_function_of_the_seed() -> None:
    assert beacon.chain_info("7") == beacon.chain_info("7")
    assert beacon.chain_info("7")["public_key"] != beacon.chain_info("8")["public_key"]
