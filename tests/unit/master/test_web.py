"""The web server: what strangers can hold is bounded, what it says goes into the master's log, and it ends."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from nodepass.config import TlsMode
from nodepass.log import INFO, Log
from nodepass.master import arrivals, web
from nodepass.master.web import LONGEST_HEAD, WebServer
from nodepass.net.certificates import certificate_source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

    from nodepass.net.certificates import CertificateSource

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def greet(_: Scope, receive: Receive, send: Send) -> None:
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(certificate: CertificateSource | None = None) -> AsyncIterator[int]:
    """A web server; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    server = WebServer(greet, certificate, 1, Log(INFO, logging.getLogger("nodepass.test")))
    task = asyncio.ensure_future(server.serve([listener]))
    await server.listening.wait()
    try:
        yield listener.getsockname()[1]
    finally:
        server.stop()
        await task


async def talk(port: int, *parts: bytes) -> bytes:
    """Send, and read to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(15):
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@pytest.mark.parametrize("said", [b"", b"\r\n", b"GET", GET, b"GET / HTTP/1.1\r\n\r\n" + GET])
async def test_who_says_too_little_is_cut_off(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "HEAD_TIMEOUT", 0.05)
    async with serving() as port:
        answer = await talk(port, said)
        assert answer.count(b"HTTP/1.1 200") == said.count(b"\r\n\r\n")


@pytest.mark.parametrize(
    "head",
    [
        GET + b"".join(b"X-%d: %b\r\n" % (number, b"y" * 1000) for number in range(2000)),
        GET + b"X: " + b"y" * 2_000_000,
        b"GET /" + b"x" * 2_000_000,
    ],
    ids=["headers", "header", "path"],
)
async def test_who_says_too_much_is_cut_off(head: bytes) -> None:
    async with serving() as port:
        assert b"200" not in await talk(port, head, b"\r\n\r\n")


async def test_a_body_is_not_a_head() -> None:
    size = 10 * LONGEST_HEAD
    head = GET + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size
    async with serving() as port:
        assert (await talk(port, head + b"x" * size)).endswith(str(size).encode())


async def test_it_outlives_requests_that_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for a head is over, the one for the answer is not."""
    monkeypatch.setattr(web, "HEAD_TIMEOUT", 0.05)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET + b"Connection: close\r\nContent-Length: 1\r\n\r\n")
        # Somebody who says nothing has come later, and is cut off by then.
        assert await talk(port) == b""
        writer.write(b"x")
        assert (await reader.read()).endswith(b"1")
        writer.close()


async def test_who_keeps_many_connections_loses_its_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(arrivals, "MOST_WAITING", 4)
    request = GET + b"\r\n"
    async with serving() as port, asyncio.timeout(15):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
        writer.write(request)
        first = await reader.readuntil(b"\r\n\r\n0")
        others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
        # Half of them have been answered before they wait.
        for number, (_, to_other) in enumerate(others):
            to_other.write(request if number % 2 else GET)
        for other, to_other in others[:7]:
            with suppress(ConnectionError):
                await other.read()
            to_other.close()
        for _ in range(2):
            writer.write(request)
            assert await reader.readuntil(b"\r\n\r\n0") == first
        assert not others[-1][0].at_eof()
        for _, to_other in [(reader, writer), *others[7:]]:
            to_other.close()
    assert "Too many connections without a request: dropped one of 127.0.0.1" in caplog.messages


async def test_who_begins_tls_and_does_not_go_on_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "HANDSHAKE_TIMEOUT", 0.1)
    async with serving(certificate_source(TlsMode.SELF_SIGNED, "", "", ())) as port:
        for said in (b"", b"\x16\x03\x01", GET):
            assert not (await talk(port, said)).startswith(b"HTTP/1.1 200")
        # Those who are through have been let go of: they end with the server.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(GET + b"\r\n")
        assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_garbage_is_told_in_the_masters_log(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as port:
        for _ in range(5):
            await talk(port, b"\x16\x03\x01 nonsense\r\n\r\n")
    lines = [record.getMessage() for record in caplog.records if record.name == "nodepass.test"]
    assert lines == ["Web server: Invalid HTTP request received."]
