"""Asks a drand beacon over HTTP, at several addresses. Nothing they answer is believed before it has been verified."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from libs.events.logs import get_logger
from services.selection.domain import beacon
from services.selection.domain.beacon import BadRandomness, Chain, Randomness

TIMEOUT: Final = aiohttp.ClientTimeout(total=10, connect=3)
ANSWER_BYTES_MAX: Final = 65_536

log = get_logger()


class BeaconUnavailable(Exception):
    """No usable answer; the draw waits and asks again. The message names what was asked."""


class BeaconClient:
    """Speaks drand's HTTP API. Who knows the chain pins it; without `chain` the beacon must have exactly one.

    The addresses are asked in their order until one gives a good answer; each that fails is named in the log.
    """

    def __init__(self, urls: Sequence[str], chain: Chain | None = None) -> None:
        self._urls, self._chain = tuple(url.rstrip("/") for url in urls), chain

    def session(self) -> "BeaconSession":
        """A session for one errand: `async with client.session() as beacon`."""
        return BeaconSession(self._urls, self._chain)


class BeaconSession:
    def __init__(self, urls: Sequence[str], chain: Chain | None) -> None:
        self._urls, self._chain = urls, chain

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def chain(self) -> Chain:
        """The pinned chain, else the only one of the first address that describes it. Raises BeaconUnavailable."""
        if self._chain:
            return self._chain
        for url in self._urls:
            try:
                return await self._only_chain(url)
            except BeaconUnavailable as error:
                _skip(url, error)
        raise BeaconUnavailable("no address describes its chain")

    async def latest(self, chain: Chain) -> int:
        """The newest genuine round that any address has shown; 0 before the first. Raises BeaconUnavailable when none
        answers rightly: an address that invents rounds must not stop every commitment.
        """
        shown = await asyncio.gather(*(self._latest(url, chain) for url in self._urls))
        known = [number for number in shown if number is not None]
        if not known:
            raise BeaconUnavailable("no address tells its latest round")
        return max(known)

    async def round(self, chain: Chain, number: int) -> tuple[Randomness, bytes]:
        """One round as told, and its verified randomness, from the first address that tells it rightly.

        Raises BadRandomness when some address answered and none was right, BeaconUnavailable when none answered.
        """
        wrong: BadRandomness | None = None
        async for url, told in self._rounds(chain, number):
            try:
                return told, await asyncio.to_thread(beacon.check, chain, number, told)
            except BadRandomness as error:
                _skip(url, error)
                wrong = error
        raise wrong or BeaconUnavailable(f"no address tells round {number}")

    async def _rounds(self, chain: Chain, number: int) -> AsyncIterator[tuple[str, Randomness]]:
        for url in self._urls:
            try:
                yield url, _round(await self._get(url, f"{chain.chain_hash}/public/{number}"))
            except BeaconUnavailable as error:
                _skip(url, error)

    async def _latest(self, url: str, chain: Chain) -> int | None:
        try:
            answer = await self._get(url, f"{chain.chain_hash}/public/latest", none_when=425)
            if answer is None:
                return 0
            told = _round(answer)
            await asyncio.to_thread(beacon.check, chain, told.number, told)
            return told.number
        except (BeaconUnavailable, BadRandomness) as error:
            _skip(url, error)
            return None

    async def _only_chain(self, url: str) -> Chain:
        match await self._get(url, "chains"):
            case [str(chain_hash)] if chain_hash.isalnum():
                pass
            case _:
                raise BeaconUnavailable(
                    "the beacon has more than one chain; set GELOMBANG_BEACON_CHAIN to the one to use"
                )
        try:
            return beacon.parse_chain({"hash": chain_hash} | dict(await self._get(url, f"{chain_hash}/info")))
        except (TypeError, ValueError) as error:
            raise BeaconUnavailable(f"the beacon does not describe its chain: {error}") from None

    async def _get(self, url: str, path: str, none_when: int | None = None) -> Any:
        try:
            async with self._http.get(f"{url}/{path}", allow_redirects=False) as answer:
                if answer.status == none_when:
                    return None
                if answer.status != 200:
                    raise BeaconUnavailable(f"{path}: the beacon answers {answer.status}")
                data = bytearray()
                async for chunk in answer.content.iter_chunked(4_096):
                    data += chunk
                    if len(data) > ANSWER_BYTES_MAX:
                        raise BeaconUnavailable(f"{path}: the answer is too long")
                return json.loads(data)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise BeaconUnavailable(f"{path}: {type(error).__name__}") from None


def _round(answer: Any) -> Randomness:
    match answer:
        case {"round": int(number), "signature": str(signature), "randomness": str(randomness)}:
            return Randomness(number, signature, randomness)
        case _:
            raise BeaconUnavailable("the beacon's answer is not a round")


def _skip(url: str, error: Exception) -> None:
    log.warning("an address of the beacon was passed over", address=url, reason=str(error))
