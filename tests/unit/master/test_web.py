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
from nodepass.master import arrivals, http_connection, visitor
from nodepass.master.http_connection import LONGEST_HEAD, MOST_PIPELINED
from nodepass.master.visitor import Visitor, has_shown_the_key
from nodepass.master.web import WebServer
from nodepass.net.certificates import certificate_source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

    from nodepass.net.certificates import CertificateSource

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
MEGABYTES = b"GET /megabytes HTTP/1.1\r\nHost: x\r\n"
KNOWN = b"GET /known HTTP/1.1\r\nHost: x\r\n"
UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
SIZE = 8 << 20
"""More than the sockets of both ends hold."""


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    size = 0
    if scope["path"] == "/known":
        has_shown_the_key(scope)
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": bytes(SIZE)})
        await receive()
        return
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = bytes(SIZE) if scope["path"] == "/megabytes" else str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(certificate: CertificateSource | None = None) -> AsyncIterator[int]:
    """A web server; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    server = WebServer(greet, certificate, 1, Log(INFO, logging.getLogger("nodepass.test")), websockets=True)
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


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when somebody has been broken off."""
    event, drop = asyncio.Event(), Visitor.drop

    def drop_and_tell(self: Visitor) -> None:
        drop(self)
        event.set()

    monkeypatch.setattr(Visitor, "drop", drop_and_tell)
    return event


async def narrow(port: int) -> socket.socket:
    """A connection that holds little on its way."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return sock


@pytest.mark.parametrize("said", [b"", b"\r\n", b"GET", GET, b"GET / HTTP/1.1\r\n\r\n" + GET])
async def test_who_says_too_little_is_cut_off(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "HEAD_TIMEOUT", 0.05)
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
    monkeypatch.setattr(http_connection, "HEAD_TIMEOUT", 0.05)
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


async def test_who_has_shown_the_key_is_not_one_of_the_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others wait for the body of a request as well; they have to give way."""
    monkeypatch.setattr(arrivals, "MOST_WAITING", 8)
    begun = b"Content-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    async with serving() as port, asyncio.timeout(15):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(KNOWN + begun)
        await reader.readuntil(b"100 Continue\r\n\r\n")
        others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        for _, to_other in others:
            to_other.write(GET + begun)
        with suppress(ConnectionError):
            await others[0][0].read()
        for each, to_each in ((reader, writer), others[-1]):
            to_each.write(b"x")
            assert b" 200 " in await each.readuntil(b"\r\n\r\n1")
        for _, to_each in ((reader, writer), *others):
            to_each.close()


@pytest.mark.parametrize("tls", [False, True])
async def test_who_does_not_take_what_is_said_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, dropped: asyncio.Event, tls: bool
) -> None:
    monkeypatch.setattr(visitor, "STRANGERS_PATIENCE", 0.2)
    certificate = certificate_source(TlsMode.SELF_SIGNED, "", "", ()) if tls else None
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with serving(certificate) as port, asyncio.timeout(15):
        names = {"ssl": context, "server_hostname": "none"} if tls else {}
        reader, writer = await asyncio.open_connection(sock=await narrow(port), **names)  # type: ignore[arg-type]
        # Its reader has a limit, and stops there.
        writer.write(2 * (MEGABYTES + b"\r\n"))
        await dropped.wait()
        with suppress(ConnectionError):
            assert len(await reader.read()) < 2 * SIZE
        writer.close()


@pytest.mark.parametrize("path", [b"/", b"/known"])
async def test_a_websocket_is_no_different(monkeypatch: pytest.MonkeyPatch, dropped: asyncio.Event, path: bytes) -> None:
    monkeypatch.setattr(visitor, "KNOWN_PATIENCE" if path == b"/known" else "STRANGERS_PATIENCE", 0.2)
    async with serving() as port, asyncio.timeout(15):
        reader, writer = await asyncio.open_connection(sock=await narrow(port))
        writer.write(UPGRADE % path)
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        await dropped.wait()
        with suppress(ConnectionError):
            assert len(await reader.read()) < SIZE
        writer.close()
        # Behind a request without an answer, nobody becomes one.
        assert b" 101 " not in await talk(port, MEGABYTES + b"\r\n" + UPGRADE % path)


async def test_who_takes_it_slowly_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitor, "STRANGERS_PATIENCE", 1.0)
    async with serving() as port, asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(sock=await narrow(port))
        writer.write(MEGABYTES + b"Connection: close\r\n\r\n")
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        for _ in range(16):
            await reader.readexactly(SIZE // 16)
            await asyncio.sleep(0.1)
        assert await reader.read() == b""
        writer.close()


async def test_few_requests_may_wait_for_the_one_before(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as port:
        few = (GET + b"\r\n") * MOST_PIPELINED + GET + b"Connection: close\r\n\r\n"
        assert (await talk(port, few)).count(b" 200 ") == MOST_PIPELINED + 1
        many = (GET + b"\r\n") * 2000
        assert (await talk(port, many)).count(b" 200 ") <= MOST_PIPELINED
    assert "Web server: Invalid HTTP request received." in caplog.messages


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
