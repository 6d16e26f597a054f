"""Pairs of joined links, and a receiver that writes down what it hears."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from nodepass.config import Tunables
from nodepass.log import NONE, Log
from nodepass.net.address import Address
from nodepass.net.certificates import CertificateSource, ClientTls, client_context, self_signed
from nodepass.transport.quic import QuicDialer, QuicListener
from nodepass.transport.socket_link import Shared
from nodepass.transport.tcp_link import TcpLink
from nodepass.transport.tickets import Tickets
from nodepass.transport.tls_link import TlsLink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nodepass.transport.base import Link

    Pair = Callable[[], Awaitable[tuple[Link, Link]]]

READ_SIZE = 64 * 1024
CERTIFICATE = self_signed()


class Notes:
    """A receiver that writes down what it hears, and lets a test wait for it."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.data = bytearray()
        self.chunks: list[int] = []
        self.events: list[str] = []
        self.error: Exception | None = None
        self.pause_after: int | None = None
        self._changed = asyncio.Event()

    def data_received(self, data: memoryview) -> None:
        self.data += data
        self.chunks.append(len(data))
        if self.pause_after is not None and len(self.data) >= self.pause_after:
            self.link.pause_reading()
        self._changed.set()

    def eof_received(self) -> None:
        self._note("eof")

    def connection_lost(self, error: Exception | None) -> None:
        self.error = error
        self._note("lost")

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def _note(self, event: str) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what has been heard makes `condition` true."""
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def attached(link: Link) -> Notes:
    """Attach a fresh receiver."""
    notes = Notes(link)
    link.attach(notes)
    return notes


def connected_sockets() -> tuple[socket.socket, socket.socket]:
    """Two ends of one TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
    return near, far


async def tcp_pair() -> tuple[Link, Link]:
    near, far = connected_sockets()
    return await plain(near, far)


async def plain(near: socket.socket, far: socket.socket) -> tuple[TcpLink, TcpLink]:
    """Links over two connected sockets."""
    shared = Shared(READ_SIZE)
    return TcpLink(near, shared), TcpLink(far, shared)


async def tls_pair() -> tuple[TlsLink, TlsLink]:
    near, far = connected_sockets()
    return await encrypt(near, far)


async def encrypt(near: socket.socket, far: socket.socket) -> tuple[TlsLink, TlsLink]:
    """Shake hands over two connected sockets; the first is the client."""
    loop = asyncio.get_running_loop()
    shared = Shared(READ_SIZE)
    done: list[asyncio.Future[Exception | None]] = [loop.create_future(), loop.create_future()]
    client = TlsLink(
        near,
        shared,
        ClientTls(client_context(verify=False), None),
        timeout=10,
        ready=lambda _, error: done[0].set_result(error),
    )
    server = TlsLink(far, shared, CERTIFICATE, timeout=10, ready=lambda _, error: done[1].set_result(error))
    assert await asyncio.gather(*done) == [None, None]
    return client, server


async def quic_pair() -> tuple[Link, Link]:
    """Two ends of one stream; the first is the client. `let_go` ends what is left of the connection."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    server = Address(*sock.getsockname())
    tunables, log = Tunables(), Log(NONE)
    far: asyncio.Future[Link] = loop.create_future()
    listener = QuicListener([sock], CertificateSource(CERTIFICATE), 1, lambda _: True, far.set_result, tunables, log)
    dialer = QuicDialer(server, ClientTls(client_context(verify=False), None), tunables, Tickets(), log)
    near: asyncio.Future[Link] = loop.create_future()
    dialer.open(near.set_result, near.set_exception)
    _ENDS.extend((dialer, listener))
    return await near, await far


_ENDS: list[QuicDialer | QuicListener] = []


def let_go() -> None:
    """End what links of this test were streams of."""
    while _ENDS:
        _ENDS.pop(0).abort()


PAIRS: dict[str, Pair] = {"tcp": tcp_pair, "tls": tls_pair, "quic": quic_pair}
