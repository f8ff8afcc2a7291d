"""The two rails as this service calls them: the bank by file, the e-wallet by HTTP.

A call either brings what the rail said, or raises `Unclear`: the rail may or may not have done what was asked. Nothing
here decides what that means. Addresses and answers never get into an exception: they could name an account.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import aiohttp

from libs.events.clock import Clock
from libs.events.contracts import Rail
from libs.events.database import Database
from services.disbursement.domain.iso20022 import BadFile, camt_053, pain_002
from services.disbursement.domain.settlement import KEY_REUSED, Told, Verdict, reason_of

ANSWER_BYTES_MAX: Final = 256 * 2**20
INQUIRIES_MAX: Final = 500


class Unclear(Exception):
    """The rail gave no usable answer: unreachable, too slow, cut off, or not what was agreed."""


class NotReady(Exception):
    """The rail says that it will know later."""


class UnknownMessage(Exception):
    """The rail says that it never received this message."""


class Conflict(Exception):
    """The rail has another message under this id: one of the two books is wrong."""


@dataclass(frozen=True, slots=True)
class AccountInquiry:
    reference: str
    account: str
    nik: str

    def __repr__(self) -> str:
        return f"AccountInquiry({self.reference})"


class RailClient:
    """One rail's HTTP client; opened and closed with the service."""

    rail: Rail

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._url, self._timeout = url.rstrip("/"), aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    def start(self, database: Database, clock: Clock) -> None:
        self._session = aiohttp.ClientSession(timeout=self._timeout)

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def inquire(self, inquiries: Sequence[AccountInquiry]) -> Mapping[str, str]:
        """What the rail says about accounts, by reference. Raises Unclear."""
        body = [{"reference": one.reference, "account": one.account, "nik": one.nik} for one in inquiries]
        found = await self._json("POST", "/v1/account-inquiries", json.dumps(body).encode())
        try:
            return {str(one["reference"]): str(one["result"]) for one in found}
        except (KeyError, TypeError):
            raise Unclear("the answer has not the agreed form") from None

    async def _json(self, method: str, path: str, body: bytes | None = None) -> Any:
        status, answer = await self._call(method, path, body, "application/json")
        if status != 200:
            raise Unclear(f"status {status}")
        try:
            return json.loads(answer)
        except ValueError:
            raise Unclear("the answer is not JSON") from None

    async def _call(self, method: str, path: str, body: bytes | None, kind: str | None) -> tuple[int, bytes]:
        """Status and body of one call. Raises Unclear, NotReady (425)."""
        assert self._session is not None, "the client was not started"
        headers = {"content-type": kind} if kind else None
        try:
            async with self._session.request(
                method, self._url + path, data=body, headers=headers, allow_redirects=False
            ) as answer:
                if (answer.content_length or 0) > ANSWER_BYTES_MAX:
                    raise Unclear("the answer is too large")
                told = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unclear(type(error).__name__) from None
        if answer.status == 425:
            raise NotReady
        return answer.status, told


class Bank(RailClient):
    """The rail by file."""

    rail: Rail = "bank"

    async def put(self, message_id: str, body: bytes) -> None:
        """Deliver a file. The same id with the same bytes is the same file, so this may be repeated until it is
        acknowledged. Raises Unclear, Conflict."""
        status, _ = await self._call("PUT", f"/v1/files/{message_id}", body, "application/xml")
        if status == 409:
            raise Conflict
        if status != 202:
            raise Unclear(f"status {status}")

    async def ask(self, message_id: str, keys: Sequence[str]) -> list[Told]:
        """What became of a file's payments. Raises Unclear, NotReady, UnknownMessage."""
        status, answer = await self._call("GET", f"/v1/files/{message_id}/status", None, None)
        if status == 404:
            raise UnknownMessage
        if status != 200:
            raise Unclear(f"status {status}")
        return await _read(pain_002, answer)

    async def statement(self, day: date) -> tuple[bytes, list[Told]]:
        """The bytes and lines of a day's statement. Raises Unclear, NotReady."""
        status, answer = await self._call("GET", f"/v1/statements/{day.isoformat()}", None, None)
        if status != 200:
            raise Unclear(f"status {status}")
        return answer, await _read(lambda document: camt_053(document, day), answer)


class EWallet(RailClient):
    """The rail by HTTP."""

    rail: Rail = "e-wallet"

    async def send(self, body: bytes) -> list[Told]:
        """Send a list of transfers, once: whatever is unclear afterwards is asked about, never sent again.

        Raises Unclear.
        """
        return _outcomes(await self._json("POST", "/v1/transfers", body))

    async def ask(self, message_id: str, keys: Sequence[str]) -> list[Told]:
        """What became of transfers. "Not found" is no verdict: the wallet may still be working. Raises Unclear."""
        found: list[Told] = []
        for start in range(0, len(keys), INQUIRIES_MAX):
            body = [{"idempotency_key": key} for key in keys[start : start + INQUIRIES_MAX]]
            found += _outcomes(await self._json("POST", "/v1/transfer-inquiries", json.dumps(body).encode()))
        return found

    async def statement(self, day: date) -> tuple[bytes, list[Told]]:
        """The bytes and lines of a day's statement. Raises Unclear, NotReady."""
        status, answer = await self._call("GET", f"/v1/statements/{day.isoformat()}", None, None)
        if status != 200:
            raise Unclear(f"status {status}")
        try:
            lines = [
                Told(
                    str(line["idempotency_key"]),
                    Verdict.BOOKED,
                    int(line["amount_rupiah"]),
                    reference=str(line["settlement_id"]),
                    day=day,
                )
                for line in json.loads(answer)["lines"]
            ]
        except (KeyError, TypeError, ValueError):
            raise Unclear("the statement has not the agreed form") from None
        return answer, lines


async def _read(parse: Callable[[bytes], list[Told]], document: bytes) -> list[Told]:
    """Parse beside the event loop: a large file takes longer than others may wait."""
    try:
        return await asyncio.to_thread(parse, document)
    except BadFile as error:
        raise Unclear(str(error)) from None


def _outcomes(found: Any) -> list[Told]:
    try:
        return [_outcome(str(one["idempotency_key"]), str(one["status"]), one.get("reason")) for one in found]
    except (KeyError, TypeError, AttributeError):
        raise Unclear("the answer has not the agreed form") from None


def _outcome(key: str, status: str, reason: str | None) -> Told:
    if status == "paid":
        return Told(key, Verdict.BOOKED)
    if status == "failed" and reason == KEY_REUSED:
        return Told(key, Verdict.NO_ANSWER, reason=KEY_REUSED)
    if status == "failed":
        return Told(key, Verdict.REFUSED, reason=reason_of(reason))
    return Told(key, Verdict.NO_ANSWER)


Rails = Mapping[Rail, Bank | EWallet]
