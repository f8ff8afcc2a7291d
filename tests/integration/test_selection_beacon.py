"""Several addresses of a beacon: the first good answer counts, a silent or lying one is passed over."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from pydantic import ValidationError

from libs.events.clock import FixedClock
from services.selection.beacon_client import BeaconClient, BeaconUnavailable
from services.selection.domain.beacon import BadRandomness, parse_chain
from services.selection.settings import Settings
from tests.integration.selection_world import DRAWS, INFO, Beacon

CHAIN = parse_chain(INFO)
ROUND = CHAIN.first_round_from(DRAWS)
LIE = {"randomness": "00" * 32}


class Party:
    """Two beacons of one chain, and a client that asks them in order."""

    def __init__(self) -> None:
        self.first, self.second = (Beacon(FixedClock(DRAWS + timedelta(minutes=1))) for _ in range(2))
        self.urls: list[str] = []

    def client(self) -> BeaconClient:
        return BeaconClient(self.urls, CHAIN)

    async def round(self) -> bytes:
        async with self.client().session() as session:
            return (await session.round(CHAIN, ROUND))[1]


@pytest_asyncio.fixture
async def party() -> AsyncIterator[Party]:
    made = Party()
    async with AsyncExitStack() as stack:
        for beacon in (made.first, made.second):
            server = await stack.enter_async_context(TestServer(beacon.app()))
            made.urls.append(str(server.make_url("/")))
        yield made


async def test_a_silent_address_is_passed_over(party: Party) -> None:
    expected = await party.round()
    party.first.silent = True
    assert await party.round() == expected
    party.urls[0] = "http://127.0.0.1:1"
    assert await party.round() == expected


async def test_an_address_that_lies_is_passed_over(party: Party) -> None:
    expected = await party.round()
    party.first.lie = LIE
    assert await party.round() == expected
    party.second.silent = True
    with pytest.raises(BadRandomness, match="not the SHA-256"):
        await party.round()


async def test_when_none_answers_the_draw_is_told_so(party: Party) -> None:
    party.first.silent = party.second.silent = True
    with pytest.raises(BeaconUnavailable, match=f"round {ROUND}"):
        await party.round()
    party.urls = ["http://127.0.0.1:1"]
    async with party.client().session() as session:
        with pytest.raises(BeaconUnavailable, match="latest"):
            await session.latest(CHAIN)


async def test_a_round_that_one_address_has_shown_is_out(party: Party) -> None:
    party.second.ahead = 1_000
    async with party.client().session() as session:
        assert await session.latest(CHAIN) == party.second.newest()
    party.urls.append("http://127.0.0.1:1")
    async with party.client().session() as session:
        assert await session.latest(CHAIN) == party.second.newest()


async def test_an_address_that_invents_a_round_is_not_believed(party: Party) -> None:
    """Otherwise one address that claims a round of the year 3000 would stop every commitment."""
    newest = party.first.newest()
    for lie in ({"round": newest + 1_000_000}, {"round": 2**60}, {"round": -1}, LIE):
        party.second.lie = lie
        async with party.client().session() as session:
            assert await session.latest(CHAIN) == newest
    party.first.silent = True
    async with party.client().session() as session:
        with pytest.raises(BeaconUnavailable, match="latest"):
            await session.latest(CHAIN)


async def test_a_pinned_chain_is_not_asked_for(party: Party) -> None:
    party.urls = ["http://127.0.0.1:1"]
    async with party.client().session() as session:
        assert await session.chain() == CHAIN


def test_settings_take_addresses_and_the_chain_as_drand_describes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"DATABASE_URL": "x", "KAFKA_SERVERS": "x", "DRAW_KEY_FILE": "x", "BEACON_URLS": "http://a, http://b"}
    given |= {"STAFF_ISSUER": "x", "STAFF_JWKS": "x", "CITIZEN_JWKS": "x"}
    for name, value in given.items():
        monkeypatch.setenv(f"GELOMBANG_{name}", value)
    assert (Settings().beacon_urls, Settings().beacon_chain) == (("http://a", "http://b"), None)
    monkeypatch.setenv("GELOMBANG_BEACON_CHAIN", json.dumps(INFO))
    assert Settings().beacon_chain == CHAIN
    monkeypatch.setenv("GELOMBANG_BEACON_CHAIN", json.dumps(INFO | {"schemeID": "pedersen-bls-chained"}))
    with pytest.raises(ValidationError, match="the only one this service verifies"):
        Settings()
    monkeypatch.setenv("GELOMBANG_BEACON_CHAIN", json.dumps({"hash": INFO["hash"]}))
    with pytest.raises(ValidationError, match="must be there"):
        Settings()
    monkeypatch.setenv("GELOMBANG_BEACON_URLS", " ")
    with pytest.raises(ValidationError, match="beacon_urls"):
        Settings()
