"""Recorded rounds of drand's public chain "quicknet" are genuine, and anything else is not."""

import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.selection.domain.beacon import (
    BadRandomness,
    Chain,
    Randomness,
    announced_round,
    check,
    check_in_time,
    check_not_out,
)
from tests.support import jakarta

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "drand_quicknet.json").read_text())
OTHER = {name: RECORDED["rounds"][1][name] for name in ("signature", "randomness")}
CHAIN = Chain(RECORDED["chain_hash"], RECORDED["public_key"], RECORDED["genesis_time"], RECORDED["period_seconds"])
SIMULATED = Chain("c", "k", 1_577_836_800, 30)


def told(recorded: dict[str, Any], **other: Any) -> Randomness:
    return Randomness(**({"number": recorded["round"]} | {k: recorded[k] for k in ("signature", "randomness")} | other))


def test_a_recorded_round_is_genuine() -> None:
    recorded = RECORDED["rounds"][3]
    assert check(CHAIN, 1000, told(recorded)) == bytes.fromhex(recorded["randomness"])


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"number": 1001}, "round 1001 answered"),
        ({"randomness": "00" * 32}, "not the SHA-256"),
        (OTHER, "not the chain's"),
        ({"signature": "zz"}, "not hexadecimal"),
        ({"signature": "", "randomness": hashlib.sha256().hexdigest()}, "not the chain's"),
    ],
)
def test_anything_else_is_refused(other: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRandomness, match=why):
        check(CHAIN, 1000, told(RECORDED["rounds"][3], **other))


def test_the_point_at_infinity_is_no_signature() -> None:
    infinity = "c0" + "00" * 47
    randomness = hashlib.sha256(bytes.fromhex(infinity)).hexdigest()
    with pytest.raises(BadRandomness, match="not the chain's"):
        check(CHAIN, 1000, Randomness(1000, infinity, randomness))


def test_another_scheme_is_refused() -> None:
    chain = Chain(CHAIN.chain_hash, CHAIN.public_key, CHAIN.genesis_time, 3, "pedersen-bls-chained")
    with pytest.raises(BadRandomness, match="pedersen-bls-chained"):
        check(chain, 1000, told(RECORDED["rounds"][3]))


def test_the_first_round_is_out_at_genesis_and_one_more_each_period() -> None:
    assert SIMULATED.time_of(1) == jakarta("2020-01-01 07:00:00")
    assert SIMULATED.time_of(3) == jakarta("2020-01-01 07:01:00")
    assert SIMULATED.first_round_from(jakarta("2019-12-01")) == 1
    assert SIMULATED.first_round_from(SIMULATED.time_of(7)) == 7
    assert SIMULATED.first_round_from(SIMULATED.time_of(7) + timedelta(microseconds=1)) == 8


def test_the_announced_round_is_out_at_the_draws_time() -> None:
    committed, draws = jakarta("2020-04-16 16:01:00"), jakarta("2020-04-17 10:00:00")
    assert SIMULATED.time_of(announced_round(SIMULATED, committed, draws)) == draws


def test_a_late_commitment_names_a_round_ten_minutes_ahead() -> None:
    committed, draws = jakarta("2020-04-17 12:00:10"), jakarta("2020-04-17 10:00:00")
    assert SIMULATED.time_of(announced_round(SIMULATED, committed, draws)) == jakarta("2020-04-17 12:10:30")


def test_a_round_that_is_out_is_never_announced() -> None:
    at = SIMULATED.time_of(100)
    check_not_out(SIMULATED, 100, at - timedelta(seconds=1), latest=99)
    with pytest.raises(BadRandomness, match="already out"):
        check_not_out(SIMULATED, 100, at, latest=99)
    with pytest.raises(BadRandomness, match="already out"):
        check_not_out(SIMULATED, 100, at - timedelta(seconds=1), latest=100)


def test_a_commitment_is_public_a_minute_before_its_round_or_not_made() -> None:
    at = SIMULATED.time_of(100)
    check_in_time(SIMULATED, 100, at - timedelta(seconds=61))
    with pytest.raises(BadRandomness, match="another one with a later round"):
        check_in_time(SIMULATED, 100, at - timedelta(seconds=60))
