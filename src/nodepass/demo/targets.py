"""What the demo's tunnel leads to: a small web server over TCP, and an echo over UDP at the same port."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import struct
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import cast

import h11

from nodepass.demo.page import Visit, render
from nodepass.units import size_text

DOWNLOAD_SIZE = 8_000_000

READ_SIZE = 16 * 1024
WRITE_SIZE = 256 * 1024

KEEP_ALIVE_TIMEOUT = 60.0
"""Seconds that a connection may wait for its next request."""

CLOSE_TIMEOUT = 1.0
"""Seconds that connections have to notice that the web server closes."""

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""The value of SO_LINGER that says so."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: HTTPStatus
    content_type: str
    body: bytes
    more_headers: tuple[tuple[str, str], ...] = ()


class WebPage:
    """A web server with one page and one file to download, made of random bytes."""

    def __init__(self) -> None:
        self._download = os.urandom(DOWNLOAD_SIZE)
        self._visits = 0
        self._server: asyncio.Server
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self.digest = hashlib.sha256(self._download).hexdigest()
        """SHA-256 of the file, in hex."""

    async def start(self, sock: socket.socket) -> None:
        """Serve on a bound socket."""
        self._server = await asyncio.start_server(self._serve, sock=sock)

    async def close(self) -> None:
        """Break off every connection, whatever it is doing."""
        self._server.close()
        tasks = [task for task in self._connections.values() if task is not None]
        for writer in self._connections:
            # With a reset: a mere end would close one direction, and leave the other to a user who may sit idle.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._connections[writer] = asyncio.current_task()
        try:
            await self._converse(reader, writer)
        except OSError:
            pass  # The other end went away, or said nothing for long: nobody is left to answer.
        finally:
            del self._connections[writer]
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other until either end wants no more."""
        connection = h11.Connection(h11.SERVER)
        while True:
            try:
                request = await _next_event(connection, reader)
                if not isinstance(request, h11.Request):
                    return
                await _send(connection, writer, self._answer(request, writer), request.method)
                if not isinstance(connection.next_event(), h11.EndOfMessage) or connection.our_state is not h11.DONE:
                    return  # A body that nobody asked for is not read; `Connection: close` was said.
                connection.start_next_cycle()
            except h11.RemoteProtocolError as error:
                if connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                    status = HTTPStatus(error.error_status_hint)
                    await _send(connection, writer, _text(status), b"GET")
                return

    def _answer(self, request: h11.Request, writer: asyncio.StreamWriter) -> Answer:
        if request.method not in {b"GET", b"HEAD"}:
            return _text(HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", "GET, HEAD"))
        match request.target.partition(b"?")[0]:
            case b"/":
                self._visits += 1
                host = dict(request.headers).get(b"host", b"").decode("latin-1")
                here, seen = (_address(writer, name) for name in ("sockname", "peername"))
                visit = Visit(self._visits, f"http://{host}/", here, seen)
                body = render(visit, size_text(DOWNLOAD_SIZE), self.digest)
                return Answer(HTTPStatus.OK, "text/html; charset=utf-8", body)
            case b"/download":
                disposition = ("Content-Disposition", 'attachment; filename="nodepass-demo.bin"')
                return Answer(HTTPStatus.OK, "application/octet-stream", self._download, (disposition,))
            case _:
                return _text(HTTPStatus.NOT_FOUND)


async def _next_event(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    """Wait for what the other end says next."""
    while (event := connection.next_event()) is h11.NEED_DATA:
        async with asyncio.timeout(KEEP_ALIVE_TIMEOUT):
            connection.receive_data(await reader.read(READ_SIZE))
    return event


async def _send(connection: h11.Connection, writer: asyncio.StreamWriter, answer: Answer, method: bytes) -> None:
    """Send a response; to HEAD, its headers alone."""
    headers = [
        ("Date", formatdate(usegmt=True)),
        ("Content-Type", answer.content_type),
        ("Content-Length", str(len(answer.body))),
        ("Cache-Control", "no-store"),
        *answer.more_headers,
    ]
    response = h11.Response(status_code=answer.status, headers=headers, reason=answer.status.phrase)
    writer.write(connection.send(response))
    if method != b"HEAD":
        body = memoryview(answer.body)
        for start in range(0, len(body), WRITE_SIZE):
            writer.write(connection.send(h11.Data(data=bytes(body[start : start + WRITE_SIZE]))))
            await writer.drain()
    connection.send(h11.EndOfMessage())
    await writer.drain()


def _text(status: HTTPStatus, *more_headers: tuple[str, str]) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", f"{status.value} {status.phrase}\n".encode(), more_headers)


def _address(writer: asyncio.StreamWriter, name: str) -> str:
    host, port = writer.get_extra_info(name)[:2]
    return f"{host}:{port}"


class UdpEcho(asyncio.DatagramProtocol):
    """Sends every datagram back to where it came from."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember what to answer on."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """Answer."""
        self._transport.sendto(data, address)
