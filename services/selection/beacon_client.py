"""Asks a drand beacon over HTTP. Nothing it answers is believed before `domain.beacon.check` has verified it."""

from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from services.selection.domain.beacon import Chain, Randomness

TIMEOUT: Final = aiohttp.ClientTimeout(total=10, connect=3)
ANSWER_BYTES_MAX: Final = 65_536


class BeaconUnavailable(Exception):
    """No usable answer; the draw waits and asks again. The message names what was asked."""


class BeaconClient:
    """Speaks drand's HTTP API. `chain_hash` pins the chain; without it the beacon must have exactly one."""

    def __init__(self, base_url: str, chain_hash: str | None = None) -> None:
        self._base_url, self._chain_hash = base_url.rstrip("/"), chain_hash

    def session(self) -> "BeaconSession":
        """A session for one errand: `async with client.session() as beacon`."""
        return BeaconSession(self._base_url, self._chain_hash)


class BeaconSession:
    def __init__(self, base_url: str, chain_hash: str | None) -> None:
        self._base_url, self._chain_hash = base_url, chain_hash

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def chain(self) -> Chain:
        """The chain's own description. Raises BeaconUnavailable."""
        chain_hash = self._chain_hash or await self._only_chain()
        match await self._get(f"{chain_hash}/info"):
            case {"public_key": str(key), "genesis_time": int(genesis), "period": int(period), "schemeID": str(scheme)}:
                if period < 1:
                    raise BeaconUnavailable("the beacon describes a chain without a period")
                return Chain(chain_hash, key, genesis, period, scheme)
            case _:
                raise BeaconUnavailable("the beacon does not describe its chain")

    async def latest(self, chain: Chain) -> int:
        """The number of the newest round; 0 before the first. Raises BeaconUnavailable."""
        answer = await self._get(f"{chain.chain_hash}/public/latest", none_when=425)
        return 0 if answer is None else _round(answer).number

    async def round(self, chain: Chain, number: int) -> Randomness:
        """One round as the beacon tells it, unchecked. Raises BeaconUnavailable, also while it is not out."""
        return _round(await self._get(f"{chain.chain_hash}/public/{number}"))

    async def _only_chain(self) -> str:
        match await self._get("chains"):
            case [str(chain_hash)] if chain_hash.isalnum():
                return chain_hash
            case _:
                raise BeaconUnavailable(
                    "the beacon has more than one chain; set GELOMBANG_BEACON_CHAIN to the one to use"
                )

    async def _get(self, path: str, none_when: int | None = None) -> Any:
        try:
            async with self._http.get(f"{self._base_url}/{path}", allow_redirects=False) as answer:
                if answer.status == none_when:
                    return None
                if answer.status != 200:
                    raise BeaconUnavailable(f"{path}: the beacon answers {answer.status}")
                return await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise BeaconUnavailable(f"{path}: {type(error).__name__}") from None


def _round(answer: Any) -> Randomness:
    match answer:
        case {"round": int(number), "signature": str(signature), "randomness": str(randomness)}:
            return Randomness(number, signature, randomness)
        case _:
            raise BeaconUnavailable("the beacon's answer is not a round")
