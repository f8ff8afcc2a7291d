"""A cheap HTTP client that outlives the services it talks to, and the outside history it keeps.

A process that is killed comes back under its supervisor. Until then its connections break, time out or answer 503, and
the client asks again with the same ids, honouring Retry-After. An answer says whether an earlier attempt may have
landed (`repeated`), because then "already done" is the answer to our own request and not a refusal.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import orjson

from deploy.demo.wire import Broken, Reply, Wire

T = TypeVar("T")

WIDTH: Final = 256
"""Requests under way at once. More only lengthens the queues inside the services."""
ANSWER_SECONDS_MAX: Final = 20
PATIENCE_SECONDS: Final = 90
"""A process killed with -9 is back well within this, its recovery included."""
PAUSE_SECONDS_MAX: Final = 2.0
BUSY: Final = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service said. `repeated`: an earlier attempt broke off, so this request may have landed twice."""

    status: int
    body: Any
    repeated: bool = False

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def code(self) -> str:
        """The first refusal's code of a problem document, else an empty string."""
        errors = self.body.get("errors") if isinstance(self.body, dict) else None
        return str(errors[0].get("code", "")) if errors else ""


class Unexpected(Exception):
    """An answer the script has no use for: the replay can not go on honestly."""

    def __init__(self, method: str, url: str, answer: Answer) -> None:
        words = answer.body.get("detail_en") or answer.body.get("detail") if isinstance(answer.body, dict) else None
        super().__init__(f"{method} {url} answered {answer.status} {answer.code} {words or ''}".rstrip())
        self.answer = answer


class Unreachable(Exception):
    """Nothing usable came back within PATIENCE_SECONDS."""


class Client:
    """One for everything. `async with Client() as client`."""

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self.requests: Counter[str] = Counter()
        self.retries = 0

    async def __aenter__(self) -> "Client":
        self._wire = Wire(ANSWER_SECONDS_MAX)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._wire.close()

    async def call(
        self, method: str, url: str, body: Any = None, token: str | None = None, *, raw: bool = False
    ) -> Answer:
        """Ask until the answer is neither 429 nor 50x; `raw` leaves its body as bytes. Raises Unreachable."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = orjson.dumps(body) if body is not None else b""
        deadline = time.monotonic() + self._patience_seconds
        repeated, pause = False, 0.05
        while True:
            self.requests[method] += 1
            try:
                reply = await self._wire.ask(method, url, headers, data)
                if reply.status not in BUSY:
                    return Answer(reply.status, reply.body if raw else _read(reply), repeated)
                pause = _asked_pause(reply.headers, pause)
                # 429 refuses before any effect; behind the others the request may have landed: the store was away.
                repeated = repeated or reply.status != 429
                trouble = f"answered {reply.status}"
            except Broken as error:
                repeated, trouble = True, str(error)
            if time.monotonic() + pause > deadline:
                raise Unreachable(f"{method} {url}: {trouble}, for {self._patience_seconds:.0f} s")
            self.retries += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, PAUSE_SECONDS_MAX)

    async def get(self, url: str, token: str | None = None) -> Any:
        """The body of a 200. Raises Unexpected."""
        return await self._want("GET", url, None, token)

    async def post(self, url: str, body: Any, token: str | None = None) -> Any:
        """The body of a 2xx. Raises Unexpected."""
        return await self._want("POST", url, body, token)

    async def _want(self, method: str, url: str, body: Any, token: str | None) -> Any:
        answer = await self.call(method, url, body, token)
        if not answer.ok:
            raise Unexpected(method, url, answer)
        return answer.body

    async def sign_in(self, url: str, client_id: str, client_secret: str) -> str:
        """An access token by OAuth 2.0 client credentials. Safe to ask again, so any breakage is tried again."""
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                reply = await self._wire.ask("POST", url, headers, urlencode(form).encode())
                if reply.status == 200:
                    return str(orjson.loads(reply.body)["access_token"])
                trouble = f"answered {reply.status}"
            except Broken as error:
                trouble = str(error)
            if time.monotonic() > deadline:
                raise Unreachable(f"POST {url}: {trouble}, for {self._patience_seconds:.0f} s")
            await asyncio.sleep(0.1)

    async def glance(self, url: str) -> Any | None:
        """One look without patience: the JSON body of a 200, or None for anything else."""
        try:
            reply = await self._wire.ask("GET", url, {})
            return orjson.loads(reply.body) if reply.status == 200 else None
        except (Broken, orjson.JSONDecodeError):
            return None


def _read(reply: Reply) -> Any:
    kind = reply.headers.get("content-type", "").partition(";")[0]
    return orjson.loads(reply.body) if reply.body and kind.endswith("json") else reply.body


def _asked_pause(headers: Mapping[str, str], pause: float) -> float:
    asked = headers.get("retry-after", "")
    return min(float(asked), PAUSE_SECONDS_MAX) if asked.isdecimal() and asked != "0" else pause


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]], width: int = WIDTH) -> None:
    """Do `work` for every item, at most `width` at once. The first failure ends the rest and is raised."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(worker())


class History:
    """Every acknowledgement as it reached us: one JSON line each, appended and never rewritten. Opaque ids only.

    `at` is the programme time that stands beside them; whoever steps the clock sets it.
    """

    def __init__(self, path: Path, at: datetime) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.at = at
        self._file = path.open("ab")
        self.counts: Counter[str] = Counter()

    def add(self, kind: str, **facts: Any) -> None:
        """Something was acknowledged to us."""
        self.counts[kind] += 1
        self._file.write(orjson.dumps({"kind": kind, "at": self.at, **facts}) + b"\n")

    def flush(self) -> None:
        self._file.flush()

    def read(self, *kinds: str) -> list[dict[str, Any]]:
        """All lines of these kinds, in the order they were written."""
        self.flush()
        with self.path.open("rb") as file:
            lines = (orjson.loads(line) for line in file)
            return [line for line in lines if line["kind"] in kinds]

    def close(self) -> None:
        self._file.close()
