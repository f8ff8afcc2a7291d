"""Connections are kept, answers are read whole, and what is no answer is told as broken."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from deploy.demo.wire import Broken, Reply, Wire

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[str]:
    """A server that says, byte for byte, what the test wants."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()


async def request(reader: asyncio.StreamReader) -> bytes:
    """One request: its head and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
    return head + await reader.readexactly(length)


def saying(*pieces: bytes, heard: list[bytes]) -> Talk:
    """The same answer to every request of a connection, in these pieces."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(b"(connected)")
        while True:
            try:
                heard.append(await request(reader))
            except asyncio.IncompleteReadError:
                return
            for piece in pieces:
                writer.write(piece)
                await writer.drain()

    return talk


async def test_requests_one_after_the_other_use_one_connection() -> None:
    heard: list[bytes] = []
    async with serving(saying(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-Kind: A\r\n\r\nok", heard=heard)) as url:
        wire = Wire(5)
        first = await wire.ask("POST", f"{url}/v1/things?a=1", {"Authorization": "Bearer t"}, b"{}")
        again = await wire.ask("GET", url, {})
        wire.close()
    assert first == again == Reply(201, {"content-length": "2", "x-kind": "A"}, b"ok")
    to = b" HTTP/1.1\r\nHost: " + url.removeprefix("http://").encode()
    assert heard == [
        b"(connected)",
        b"POST /v1/things?a=1" + to + b"\r\nAuthorization: Bearer t\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /" + to + b"\r\nContent-Length: 0\r\n\r\n",
    ]


async def test_an_answer_in_chunks_is_read_whole() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(saying(head, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n", heard=[])) as url:
        assert (await Wire(5).ask("GET", url, {})).body == b"abcde"


async def test_a_server_that_closes_is_asked_over_a_new_connection() -> None:
    heard: list[bytes] = []
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    async with serving(saying(answer, heard=heard)) as url:
        wire = Wire(5)
        await wire.ask("GET", url, {})
        await wire.ask("GET", url, {})
    assert heard.count(b"(connected)") == 2


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"SSH-2.0-x\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "too slow"),
    ],
)
async def test_what_is_no_answer_is_broken(said: bytes, why: str) -> None:
    async with serving(saying(said, heard=[])) as url:
        with pytest.raises(Broken, match=why):
            await Wire(0.2).ask("GET", url, {})


async def test_an_answer_cut_in_half_is_broken() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    async with serving(talk) as url:
        with pytest.raises(Broken, match="cut off"):
            await Wire(5).ask("GET", url, {})


async def test_nobody_there_is_broken() -> None:
    async with serving(saying(heard=[])) as url:
        pass
    with pytest.raises(Broken):
        await Wire(5).ask("GET", url, {})


async def test_a_request_that_is_given_up_does_not_leave_its_answer_to_the_next() -> None:
    turns: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turns.append(await request(reader))
        late = len(turns) == 1
        await asyncio.sleep(0.1 if late else 0)
        body = b"late" if late else b"mine"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body)

    async with serving(talk) as url:
        wire = Wire(5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await wire.ask("GET", url, {})
        assert (await wire.ask("GET", url, {})).body == b"mine"
