"""The server's tunnel port, which takes two kinds of connections and tells them apart.

Handshakes come from anywhere. Pool connections come from the addresses of clients that have shaken hands (spec: wire.md);
what transport they are of is the `Acceptor`'s matter. With TLS the first byte tells which it is. Without, a WebSocket shows
by its request; over TCP, the server has to speak first on a pool connection, so that everything from a client's address is
one; a client that knows nothing of its session any more then shows by the handshake it sends.

What always holds: until a connection has proved to be one or the other it is an `_Arrival`, limited in number and time.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from nodepass.log import WARN
from nodepass.net.listen import TcpListener
from nodepass.net.peek import Peek
from nodepass.protocol.handshake import ServerHandshake
from nodepass.transport.tcp_link import TcpLink
from nodepass.transport.tls_link import TlsLink
from nodepass.tunnel.handshake import HandshakeReceiver

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from nodepass.config import Secret
    from nodepass.net.address import Address
    from nodepass.net.certificates import CertificateSource, ServerCertificate
    from nodepass.protocol.handshake import Verdict
    from nodepass.transport.base import Acceptor
    from nodepass.tunnel.resources import Resources

TLS_HANDSHAKE_RECORD = b"\x16"
"""First byte of a TLS connection (RFC 8446, 5.1)."""

MOST_ARRIVALS = 1024
"""Connections that may be undecided at a time."""


class Host(Protocol):
    """Who receives what the port has told apart."""

    def knows(self, ip: str) -> bool:
        """Whether a client at this address has shaken hands."""

    def handshake(self, handshake: HandshakeReceiver, verdict: Verdict) -> None:
        """A handshake has come, to be answered."""


class TunnelPort:
    """The tunnel port of one server.

    Args:
        sockets: listening.
        secret: the tunnel key.
        certificate: for pool connections; None has them plain.
        acceptor: makes pool connections of what comes from known addresses; None where these do not come over TCP.
        resources: of the instance.
        host: receives what came.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        secret: Secret,
        certificate: CertificateSource | None,
        acceptor: Acceptor | None,
        resources: Resources,
        host: Host,
    ) -> None:
        self._certificate = certificate
        self.acceptor = acceptor
        self._arrivals: set[_Arrival] = set()
        self.secret = secret
        self.resources = resources
        self.host = host
        self._listener = TcpListener(sockets, self._accepted, resources.log)

    def close(self) -> None:
        """Take no more connections, and drop those that are undecided."""
        self._listener.close()
        for arrival in tuple(self._arrivals):
            arrival.drop()
        if self.acceptor is not None:
            self.acceptor.close()

    def over(self, arrival: _Arrival) -> None:
        """A connection is undecided no more."""
        self._arrivals.discard(arrival)

    def _accepted(self, sock: socket.socket, remote: Address) -> None:
        acceptor = self.acceptor if self.host.knows(remote.ip) else None
        if acceptor is not None and acceptor.server_first and self._certificate is None:
            acceptor.accept(TcpLink(sock, self.resources.shared, remote), b"")
        elif len(self._arrivals) >= MOST_ARRIVALS:
            self.resources.log.seldom("arrivals", WARN, "Too many handshakes at a time: refused %s", remote)
            sock.close()
        else:
            arrival = _Arrival(self, remote, acceptor)
            self._arrivals.add(arrival)
            if acceptor is not None and self._certificate is not None:
                arrival.tell_apart(sock, self._certificate.current)
            else:
                arrival.expect_request(sock)


class _Arrival:
    """One connection that is undecided.

    Args:
        port: it came to.
        remote: it comes from.
        acceptor: takes it if it is a pool connection; None where it cannot be one.
    """

    __slots__ = ("_acceptor", "_drop", "_port", "_remote")

    def __init__(self, port: TunnelPort, remote: Address, acceptor: Acceptor | None) -> None:
        self._port = port
        self._remote = remote
        self._acceptor = acceptor
        self._drop: Callable[[], None] = self._over

    def drop(self) -> None:
        """Close it; it came to nothing."""
        self._drop()
        self._over()

    def tell_apart(self, sock: socket.socket, certificate: ServerCertificate) -> None:
        """Look at the first byte: TLS, or a handshake?"""
        first = b""

        def examine(data: bytes) -> int:
            nonlocal first
            first = data
            return 0

        def done(sock: socket.socket) -> None:
            if first == TLS_HANDSHAKE_RECORD:
                self._encrypt(sock, certificate)
            else:
                # What comes plain where there is TLS is a handshake or nothing.
                self._acceptor = None
                self.expect_request(sock)

        timeout = self._port.resources.tunables.handshake_timeout
        self._drop = Peek(sock, 1, timeout, examine, done, lambda _: self._over()).cancel

    def expect_request(self, sock: socket.socket) -> None:
        """Read an HTTP request."""
        link = TcpLink(sock, self._port.resources.shared, self._remote)
        self._drop = link.abort
        HandshakeReceiver(
            link,
            ServerHandshake(self._port.secret.reveal(), upgrades=self._acceptor is not None),
            self._port.resources.tunables.handshake_timeout,
            self._judged,
            self._over,
        )

    def _judged(self, handshake: HandshakeReceiver, verdict: Verdict) -> None:
        if verdict.status is HTTPStatus.SWITCHING_PROTOCOLS and self._acceptor is not None:
            self._over()
            self._acceptor.accept(handshake.link, handshake.release())
        else:
            self._port.host.handshake(handshake, verdict)

    def _encrypt(self, sock: socket.socket, certificate: ServerCertificate) -> None:
        resources = self._port.resources
        timeout = resources.tunables.handshake_timeout
        link = TlsLink(sock, resources.shared, certificate, timeout=timeout, ready=self._encrypted, remote=self._remote)
        self._drop = link.abort

    def _encrypted(self, link: TlsLink, error: Exception | None) -> None:
        self._over()
        if error is None and self._acceptor is not None:
            self._acceptor.accept(link, b"")
        else:
            self._port.resources.log.seldom("tls", WARN, "TLS with %s: %s", self._remote, error)

    def _over(self) -> None:
        self._port.over(self)
