"""Pairs of joined links, and a receiver that writes down what it hears."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from nodepass.config import Tunables
from nodepass.errors import DialError
from nodepass.log import WARN, Log
from nodepass.net.address import Address
from nodepass.net.certificates import CertificateSource, ClientTls, client_context, self_signed
from nodepass.net.tcp_options import tune_listening
from nodepass.transport.base import Carriers, Dialer
from nodepass.transport.http2 import Http2Acceptor, Http2Dialer
from nodepass.transport.mux import MuxConnection
from nodepass.transport.quic import QuicDialer, QuicListener
from nodepass.transport.socket_link import Shared
from nodepass.transport.tcp_link import TcpLink
from nodepass.transport.tickets import Tickets
from nodepass.transport.tls_link import TlsLink
from nodepass.transport.websocket import WebSocketAcceptor, WebSocketDialer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nodepass.net.certificates import ServerCertificate
    from nodepass.transport.base import Carriers, Link
    from nodepass.transport.mux import MuxLink

    Pair = Callable[[], Awaitable[tuple[Link, Link]]]

READ_SIZE = 64 * 1024
CERTIFICATE = self_signed()
HTTP2_ALPN = ("h2",)
HTTP2_CERTIFICATE = self_signed(HTTP2_ALPN)


SHARED: list[Link | Carriers | MuxConnection] = []
"""Connections that carry links, and outlive them for a while: `run` closes them at the end of a test."""


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
        # QUIC asks for what was lost at intervals that double, and the machine may be busy.
        async with asyncio.timeout(30):
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
    for sock in (near, far):
        tune_listening(sock)
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


async def encrypt(
    near: socket.socket, far: socket.socket, alpn: tuple[str, ...] = (), certificate: ServerCertificate = CERTIFICATE
) -> tuple[TlsLink, TlsLink]:
    """Shake hands over two connected sockets; the first is the client."""
    loop = asyncio.get_running_loop()
    shared = Shared(READ_SIZE)
    done: list[asyncio.Future[Exception | None]] = [loop.create_future(), loop.create_future()]
    client = TlsLink(
        near,
        shared,
        ClientTls(client_context(verify=False, alpn=alpn), None),
        timeout=10,
        ready=lambda _, error: done[0].set_result(error),
    )
    server = TlsLink(far, shared, certificate, timeout=10, ready=lambda _, error: done[1].set_result(error))
    assert await asyncio.gather(*done) == [None, None]
    return client, server


class Ready(Dialer):
    """A dialer for connections that are there already.

    Args:
        links: what it gives, one after the other; then it fails.
    """

    def __init__(self, *links: Link) -> None:
        self._links = list(links)
        self.dialled = 0

    def open(self, opened: Callable[[Link], None], failed: Callable[[Exception], None]) -> Callable[[], None]:
        self.dialled += 1
        loop = asyncio.get_running_loop()
        if self._links:
            return loop.call_soon(opened, self._links.pop(0)).cancel
        return loop.call_soon(failed, DialError("there are no more")).cancel

    def close(self) -> None:
        pass


async def upgrade(near: Link, far: Link) -> tuple[Link, Link]:
    """A WebSocket over two joined links; the first is the client."""
    loop = asyncio.get_running_loop()
    log = Log(WARN)
    client: asyncio.Future[Link] = loop.create_future()
    server: asyncio.Future[Link] = loop.create_future()
    WebSocketAcceptor(server.set_result, 10, 3600, log).accept(far, b"")
    WebSocketDialer(Ready(near), "localhost", 10, 3600, log).open(client.set_result, client.set_exception)
    return await client, await server


async def ws_pair() -> tuple[Link, Link]:
    return await upgrade(*await tcp_pair())


async def wss_pair() -> tuple[Link, Link]:
    return await upgrade(*await tls_pair())


async def opened(dialer: Dialer) -> Link:
    """Open one connection."""
    done: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
    dialer.open(done.set_result, done.set_exception)
    async with asyncio.timeout(10):
        return await done


async def http2_pair() -> tuple[Link, Link]:
    """One stream of a connection; the first is the client's end."""
    near, far = await encrypt(*connected_sockets(), HTTP2_ALPN, HTTP2_CERTIFICATE)
    SHARED.extend((near, far))
    accepted: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
    log = Log(WARN)
    Http2Acceptor(accepted.set_result, 1, 10, log).accept(far, b"")
    return await opened(Http2Dialer(Ready(near), "none", log)), await accepted


async def quic_pair() -> tuple[Link, Link]:
    """One stream of a connection; the first is the client's end."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    server = Address(*sock.getsockname())
    tunables, log = Tunables(), Log(WARN)
    accepted: asyncio.Future[Link] = loop.create_future()
    source = CertificateSource(CERTIFICATE)
    listener = QuicListener([sock], source, 1, lambda _: True, accepted.set_result, tunables, log)
    dialer = QuicDialer(server, ClientTls(client_context(verify=False), None), tunables, Tickets(), log)
    SHARED.extend((dialer, listener))
    return await opened(dialer), await accepted


def mux_connection(
    lower: Link,
    *,
    dialled: bool,
    accepted: Callable[[MuxLink], None] | None = None,
    ended: Callable[[MuxConnection], None] = lambda _: None,
    departed: Callable[[MuxConnection], None] = lambda _: None,
    interval: float = 3600,
) -> MuxConnection:
    """One end of a connection that users share, closed with the test; its owner does as it says, or nothing."""
    connection = MuxConnection(
        lower, dialled=dialled, accepted=accepted, ended=ended, departed=departed, interval=interval, log=Log(WARN)
    )
    SHARED.append(connection)
    connection.begin(b"")
    return connection


async def share(near: Link, far: Link) -> tuple[Link, Link]:
    """One stream over two joined links; the first opens it."""
    accepted: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
    mux_connection(far, dialled=False, accepted=accepted.set_result)
    opening = mux_connection(near, dialled=True).open()
    # The other end hears of a stream with the first that is said on it.
    opening.write(b"!")
    taken = await accepted
    notes = attached(taken)
    await notes.until(lambda: notes.data == b"!")
    taken.pause_reading()
    return opening, taken


async def mux_pair() -> tuple[Link, Link]:
    return await share(*await tcp_pair())


async def mux_tls_pair() -> tuple[Link, Link]:
    return await share(*await tls_pair())


async def mux_ws_pair() -> tuple[Link, Link]:
    return await share(*await ws_pair())


PAIRS: dict[str, Pair] = {
    "tcp": tcp_pair,
    "tls": tls_pair,
    "quic": quic_pair,
    "ws": ws_pair,
    "wss": wss_pair,
    "http2": http2_pair,
    "mux": mux_pair,
    "mux over tls": mux_tls_pair,
    "mux over ws": mux_ws_pair,
}
