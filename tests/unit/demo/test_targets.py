"""The demo's web server, spoken to in bytes: what a browser or a proxy may send must get a correct answer."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from nodepass.demo.check import check_download
from nodepass.demo.ports import LOOPBACK, bind_both, bind_tcp, port_of
from nodepass.demo.targets import DOWNLOAD_SIZE, WebPage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE = 10


@asynccontextmanager
async def web_page() -> AsyncIterator[tuple[WebPage, int]]:
    web = WebPage()
    sock = bind_tcp()
    await web.start(sock)
    try:
        yield web, port_of(sock)
    finally:
        await web.close()


async def converse(port: int, request: bytes) -> bytes:
    """Send bytes, and receive until the server closes."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer


async def test_two_requests_on_one_connection() -> None:
    async with web_page() as (_, port):
        get = b"GET / HTTP/1.1\r\nHost: a.example\r\n"
        answer = await converse(port, get + b"\r\n" + get + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert b"number 1 of" in answer
    assert b"number 2 of" in answer
    assert answer.endswith(b"</html>\n")


async def test_what_a_request_says_of_itself_is_escaped() -> None:
    async with web_page() as (_, port):
        answer = await converse(port, b'GET / HTTP/1.0\r\nHost: <b>"&amp;\r\n\r\n')
    assert b"http://&lt;b&gt;&quot;&amp;amp;/" in answer


async def test_head_has_the_length_and_no_body() -> None:
    async with web_page() as (_, port):
        answer = await converse(port, b"HEAD /download HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    headers, _, body = answer.partition(b"\r\n\r\n")
    assert f"content-length: {DOWNLOAD_SIZE}".encode() in headers.lower()
    assert body == b""


async def test_the_download_is_what_its_hash_says() -> None:
    async with web_page() as (web, port):
        answer = await converse(port, b"GET /download?again HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        body = answer.partition(b"\r\n\r\n")[2]
        assert hashlib.sha256(body).hexdigest() == web.digest
        assert (await check_download((LOOPBACK, port), web.digest)).passed


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"404 Not Found"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", b"405 Method Not Allowed"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"nonsense\r\n\r\n", b"400 Bad Request"),
    ],
)
async def test_refusals(request_bytes: bytes, status: bytes) -> None:
    async with web_page() as (_, port):
        answer = await converse(port, request_bytes)
    assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_a_wrong_hash_fails_the_check() -> None:
    async with web_page() as (_, port):
        verdict = await check_download((LOOPBACK, port), "0" * 64)
    assert not verdict.passed
    assert "SHA-256 is" in verdict.text


async def test_nobody_listening_fails_the_check() -> None:
    with bind_tcp() as sock:
        verdict = await check_download((LOOPBACK, port_of(sock)), "0" * 64)
    assert not verdict.passed


async def test_closing_breaks_off_an_idle_connection() -> None:
    async with asyncio.timeout(PATIENCE):
        async with web_page() as (_, port):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b"</html>\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


def test_both_protocols_get_the_same_port() -> None:
    tcp, udp = bind_both()
    with tcp, udp:
        assert port_of(tcp) == port_of(udp)
