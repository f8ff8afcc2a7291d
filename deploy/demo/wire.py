"""HTTP/1.1 as a whole country speaks it in one week: hundreds of thousands of small requests out of one process.

A general client spends several times as much on each of them, and the replay shares its cores with what it drives. The
parser is the one the services answer with. What a browser needs besides (redirects, cookies, proxies, TLS) is not here:
these requests stay on this machine.
"""

import asyncio
import functools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httptools


class Broken(Exception):
    """No usable answer: refused, cut off, not HTTP, or too slow. The request may have landed all the same."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """Connections that are kept and used again, by the address they lead to."""

    def __init__(self, answer_seconds_max: float) -> None:
        self._seconds_max = answer_seconds_max
        self._free: dict[tuple[str, int], list[_Connection]] = defaultdict(list)

    async def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """One request, once. Raises Broken."""
        host, port, target = _split(url)
        free = self._free[host, port]
        connection = free.pop() if free else await self._connect(host, port)
        told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {target} HTTP/1.1\r\nHost: {host}:{port}\r\n{told}Content-Length: {len(body)}\r\n\r\n"
        return await connection.ask(head.encode() + body, self._seconds_max)

    async def _connect(self, host: str, port: int) -> "_Connection":
        free = self._free[host, port]
        try:
            async with asyncio.timeout(self._seconds_max):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(free), host, port
                )
        except (OSError, TimeoutError) as error:
            raise Broken(type(error).__name__) from None
        return connection

    def close(self) -> None:
        for free in self._free.values():
            for connection in free[:]:
                connection.abort()


class _Connection(asyncio.Protocol):
    """One connection: one request at a time, then back among the free ones. Its `on_…` methods are the parser's."""

    def __init__(self, free: "list[_Connection]") -> None:
        self._free = free
        self._answer: asyncio.Future[Reply] | None = None

    async def ask(self, request: bytes, seconds_max: float) -> Reply:
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        patience = loop.call_later(seconds_max, self._fail, "too slow")
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            patience.cancel()
            if self._answer.cancelled():
                self.abort()

    def abort(self) -> None:
        self._transport.abort()

    def _fail(self, why: str) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(Broken(why))
        self.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._free:
            self._free.remove(self)
        if self._answer and not self._answer.done():
            self._answer.set_exception(Broken("cut off"))

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.abort()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail("not HTTP")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_result(Reply(self._parser.get_status_code(), self._headers, b"".join(self._body)))
        if self._parser.should_keep_alive():
            self._free.append(self)
        else:
            self._transport.close()


@functools.lru_cache(maxsize=4096)
def _split(url: str) -> tuple[str, int, str]:
    """Host, port, and what is asked for there."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{url} is not an address on this machine")
    return parts.hostname, parts.port or 80, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
