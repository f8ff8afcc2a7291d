"""The outside systems: the civil registry (with its lists), and the gateway for SMS and e-mail.

Both are away at times. That is an `Unavailable`, and the work is tried again; its text names the system and never the
people asked about.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import aiohttp
from pydantic import BaseModel, TypeAdapter, ValidationError

from libs.events.clock import Clock
from libs.events.database import Database
from services.registration.domain.identity import TRANSITIONS, State
from services.registration.store_due import Check, Finding, Letter

SECONDS_MAX: Final = 20.0  # machine seconds; the registry may take long over a list


class Unavailable(Exception):
    """An outside system did not answer, or not in its own words."""


class _Answer(BaseModel):
    reference: str
    result: Literal["match", "mismatch", "not-found"]
    field: Literal["kk", "name", "birth_date"] | None = None
    blacklisted: bool = False
    other_aid: bool = False
    laid_off_listed: bool = False


_ANSWERS: Final = TypeAdapter(list[_Answer])


class _System:
    """One HTTP connection pool to one system."""

    def __init__(self, name: str, url: str) -> None:
        self._name, self._url = name, url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def start(self, database: Database, clock: Clock) -> None:
        """Open the pool; both arguments are the runtime's, and not needed here."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS_MAX))

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def _post(self, path: str, body: list[dict[str, Any]]) -> bytes:
        if self._session is None:
            raise RuntimeError(f"{self._name} was not started")
        try:
            async with self._session.post(self._url + path, json=body, allow_redirects=False) as answer:
                if answer.status not in (200, 202):
                    raise Unavailable(f"{self._name} answered {answer.status}")
                return await answer.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"{self._name} does not answer: {type(error).__name__}") from None


class CivilRegistry(_System):
    """Compares what citizens say with the registry, and looks them up in the lists of the programme."""

    def __init__(self, url: str) -> None:
        super().__init__("the civil registry", url)

    async def check(self, checks: Sequence[Check]) -> list[Finding]:
        """What it finds about each; answers about anybody who was not asked for are left out. Raises Unavailable."""
        body = [
            {
                "reference": check.reference,
                "nik": check.claim.nik,
                "kk": check.claim.kk,
                "name": check.claim.name,
                "birth_date": check.claim.birth_date.isoformat(),
            }
            for check in checks
        ]
        told = await self._post("/v1/checks", body)
        try:
            answers = _ANSWERS.validate_json(told)
        except ValidationError:
            raise Unavailable("the civil registry gave an answer that can not be read") from None
        asked = {check.reference for check in checks}
        return [_finding(answer) for answer in answers if answer.reference in asked]


class Gateway(_System):
    """Sends SMS and e-mail; one reference is one message, however often it is handed in."""

    def __init__(self, url: str) -> None:
        super().__init__("the message gateway", url)

    async def send(self, letters: Sequence[Letter]) -> None:
        """Hand all of them over. Raises Unavailable, after which each may or may not have been taken."""
        body = [
            {
                "reference": letter.message_id,
                "channel": letter.channel,
                "to": letter.message.to,
                "text": letter.message.text,
            }
            for letter in letters
        ]
        await self._post("/v1/messages", body)


def _finding(answer: _Answer) -> Finding:
    """The registry's word, in ours. A mismatch that names no field is put down to the name, where most errors are."""
    return Finding(
        reference=answer.reference,
        state=TRANSITIONS[State.CHECKING, answer.result],
        mismatch_field=(answer.field or "name") if answer.result == "mismatch" else None,
        blacklisted=answer.blacklisted,
        other_aid=answer.other_aid,
        laid_off_listed=answer.laid_off_listed,
    )
