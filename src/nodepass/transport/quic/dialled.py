"""The connection that a dialer has made, with its socket and its session ticket."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from time import monotonic
from typing import TYPE_CHECKING, Final

from nodepass.errors import DialError
from nodepass.net.address import family_of
from nodepass.net.udp import enlarge_buffers
from nodepass.transport.quic.connection import Connection
from nodepass.transport.quic.datagrams import DatagramSocket
from nodepass.transport.quic.library import Engine
from nodepass.transport.quic.settings import SILENT_INTERVALS, Limits, bring_ticket, client_configuration, trust_of
from nodepass.transport.tickets import Remembered, TicketKey

if TYPE_CHECKING:
    from nodepass.net.address import SocketAddress
    from nodepass.transport.quic.datagrams import Ancillary
    from nodepass.transport.quic.dialer import QuicDialer
    from nodepass.transport.quic.link import QuicLink

MOST_REFUSALS: Final = 3
"""Times that the server's port may be reported closed, with nothing heard in between, before the connection is given up."""

MOVE_INTERVAL: Final = 1.0
"""Least seconds between moves to another address of this end."""


class Dialled:
    """The connection of a dialer, with its socket.

    Args:
        dialer: whose it is.

    Raises:
        OSError: there is no way to the server's address, or no file descriptor.
        SSLCertVerificationError: see `client_configuration`.
    """

    def __init__(self, dialer: QuicDialer) -> None:
        self._loop = asyncio.get_running_loop()
        self._dialer = dialer
        self._refusals = 0
        self._last_move = 0.0
        tls, tunables = dialer.tls, dialer.tunables
        interval = tunables.report_interval
        limits = Limits(0, SILENT_INTERVALS * interval)
        configuration = client_configuration(tls, limits.idle_timeout)
        self._key = TicketKey(dialer.server, tls.hostname, trust_of(configuration))
        self._remembered = dialer.tickets.take(self._key)
        if self._remembered is not None:
            bring_ticket(configuration, self._remembered.ticket)
        engine = Engine(configuration, limits, keep=self._keep)
        sock = self._connected_socket()
        self._address: SocketAddress = sock.getpeername()
        self._socket = self._wrap(sock)
        engine.connect(self._address, monotonic())
        self.connection = Connection(
            engine, self._socket, self._address, dialer.server, self, interval=interval, log=dialer.log
        )
        self._timer = self._loop.call_later(tunables.handshake_timeout, self._too_late)

    # Of its connection.

    def established(self, connection: Connection) -> None:
        """See `ConnectionOwner`."""
        self._timer.cancel()
        engine = connection.engine
        connection.streams.fingerprint = self._fingerprint(engine)
        self._dialer.log.debug(
            "QUIC with %s: %s%s", self._dialer.server, engine.alpn, ", resumed" if engine.resumed else ""
        )
        self._dialer.plan()

    def stream_came(self, link: QuicLink) -> None:
        """See `ConnectionOwner`: a server opens none."""

    def streams_available(self) -> None:
        """See `ConnectionOwner`."""
        self._dialer.plan()

    def named(self, connection: Connection, cid: bytes) -> None:
        """See `ConnectionOwner`: the socket is this connection's alone."""

    def unnamed(self, cid: bytes) -> None:
        """See `ConnectionOwner`."""

    def vouched(self, connection: Connection) -> None:
        """See `ConnectionOwner`: it is the server that has to be convinced."""

    def gone(self, connection: Connection, error: Exception | None) -> None:
        """See `ConnectionOwner`."""
        self._timer.cancel()
        self._socket.close()
        if error is not None and not isinstance(error, (DialError, ssl.SSLCertVerificationError)):
            error = DialError(f"QUIC with {self._dialer.server}: {error}")
        self._dialer.gone(error)

    def _too_late(self) -> None:
        self.connection.fail(DialError("the QUIC handshake took too long"))

    def _keep(self, ticket: object) -> None:
        self._dialer.tickets.put(self._key, Remembered(ticket, self._fingerprint(self.connection.engine)))

    def _fingerprint(self, engine: Engine) -> str | None:
        """Of the server's certificate: shown now, or when it gave the ticket that took its place."""
        if engine.resumed and self._remembered is not None:
            return self._remembered.fingerprint
        return engine.fingerprint

    # Of its socket.

    def _connected_socket(self) -> socket.socket:
        ip, port = self._dialer.server
        sock = socket.socket(family_of(ip), socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            enlarge_buffers(sock)
            sock.connect((ip, port))
        except OSError:
            sock.close()
            raise
        return sock

    def _wrap(self, sock: socket.socket) -> DatagramSocket:
        return DatagramSocket(
            sock,
            self._received,
            self._turn,
            self._writable,
            self._on_socket_error,
        )

    def _received(self, data: bytes, segment: int, address: SocketAddress, answer: Ancillary) -> None:
        self._refusals = 0
        self.connection.received(data, segment, self._address)

    def _turn(self) -> None:
        self.connection.turn()

    def _writable(self) -> None:
        self.connection.turn()

    def _on_socket_error(self, error: OSError) -> None:
        # Later: this may come from inside a call of a link.
        self._loop.call_soon(self._socket_failed, error)

    def _socket_failed(self, error: OSError) -> None:
        """The system reports something: nobody listens there any more, or this end's own address is gone."""
        connection = self.connection
        if connection.over:
            return
        refused = error.errno == errno.ECONNREFUSED
        self._refusals += refused
        if not connection.complete or self._refusals >= MOST_REFUSALS:
            connection.fail(DialError(f"QUIC to {self._dialer.server}: {error.strerror or error}"))
        elif refused:
            # Whoever can forge one such report gets nothing of it: it is believed when it comes again and again.
            connection.ping()
        else:
            self._move()

    def _move(self) -> None:
        """Go on from another address: this end's network has changed."""
        if monotonic() - self._last_move < MOVE_INTERVAL:
            return
        self._last_move = monotonic()
        try:
            sock = self._connected_socket()
        except OSError:
            return
        self._socket.close()
        self._socket = self._wrap(sock)
        self.connection.move_to(self._socket)
