"""Asks the live windows for what they show. They are another process, which may be away without harm to anything."""

from typing import Any, Final

import aiohttp

from libs.events.clock import Clock
from libs.events.database import Database
from libs.events.refusal import Refusal, Refused

ANSWER_SECONDS_MAX: Final = 2

WINDOWS_AWAY: Final = Refusal(
    "windows-away",
    503,
    "Jendela langsung sedang tidak berjalan. Buku tetap lengkap: lihat /v1/books, atau coba lagi nanti.",
    "The live windows are not running. The books are complete all the same: see /v1/books, or try again later.",
)


class WindowsClient:
    """One HTTP client for the life of the process."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def start(self, _database: Database, _clock: Clock) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX))

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def windows(self, last: int) -> dict[str, Any]:
        """What the live windows show. Raises Refused (503) when they do not answer properly."""
        if self._session is None:
            raise Refused(WINDOWS_AWAY)
        try:
            async with self._session.get(
                f"{self._url}/windows", params={"last": last}, raise_for_status=True
            ) as answer:
                shown: dict[str, Any] = await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            raise Refused(WINDOWS_AWAY) from None
        return shown
