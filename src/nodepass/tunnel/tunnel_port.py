"""The server's tunnel port, which takes two kinds of connections and tells them apart.

Handshakes come from anywhere. Pool connections come from the addresses of clients that have shaken hands (spec: wire.md).
With TLS the first byte tells which it is. Without, the server has to speak first on a pool connection, so that everything
from a client's address is one; a client that knows nothing of its session any more then shows by the handshake it sends.

What always holds: until a connection has proved to be one or the other it is an `_Arrival`, limited in number and time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from nodepass.log import WARN
from nodepass.net.listen import TcpListener
from nodepass.net.peek import Peek
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
    from nodepass.transport.base import Link
    from nodepass.tunnel.resources import Resources

TLS_HANDSHAKE_RECORD = b"\x16"
"""First byte of a TLS connection (RFC 8446, 5.1)."""

MOST_ARRIVALS = 1024
"""Connections that may be undecided at a time."""


class Host(Protocol):
    """Who receives what the port has told apart."""

    def knows(self, ip: str) -> bool:
        """Whether a client at this address has shaken hands."""

    def pool_connection(self, link: Link) -> None:
        """A pool connection has come, ready for its ID; from an address that was known when it came."""

    def handshake(self, handshake: HandshakeReceiver, verdict: Verdict) -> None:
        """A handshake has come, to be answered."""


class TunnelPort:
    """The tunnel port of one server.

    Args:
        sockets: listening.
        secret: the tunnel key.
        certificate: for pool connections; None has them plain.
        resources: of the instance.
        host: receives what came.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        secret: Secret,
        certificate: CertificateSource | None,
        resources: Resources,
        host: Host,
    ) -> None:
        self._certificate = certificate
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

    def over(self, arrival: _Arrival) -> None:
        """A connection is undecided no more."""
        self._arrivals.discard(arrival)

    def _accepted(self, sock: socket.socket, remote: Address) -> None:
        known = self.host.knows(remote.ip)
        if known and self._certificate is None:
            self.host.pool_connection(TcpLink(sock, self.resources.shared, remote))
        elif len(self._arrivals) >= MOST_ARRIVALS:
            self.resources.log.seldom("arrivals", WARN, "Too many handshakes at a time: refused %s", remote)
            sock.close()
        else:
            arrival = _Arrival(self, remote)
            self._arrivals.add(arrival)
            if known and self._certificate is not None:
                arrival.tell_apart(sock, self._certificate.current)
            else:
                arrival.expect_handshake(sock)


class _Arrival:
    """One connection that is undecided."""

    __slots__ = ("_drop", "_port", "_remote")

    def __init__(self, port: TunnelPort, remote: Address) -> None:
        self._port = port
        self._remote = remote
        self._drop: Callable[[], None] = self._over

    def drop(self) -> None:
        """Close it; it came to nothing."""
        self._drop()
        self._over()

    def expect_handshake(self, sock: socket.socket) -> None:
        """Read a request."""
        link = TcpLink(sock, self._port.resources.shared, self._remote)
        self._drop = link.abort
        timeout = self._port.resources.tunables.handshake_timeout
        HandshakeReceiver(link, self._port.secret.reveal(), timeout, self._port.host.handshake, self._over)

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
                self.expect_handshake(sock)

        timeout = self._port.resources.tunables.handshake_timeout
        self._drop = Peek(sock, 1, timeout, examine, done, lambda _: self._over()).cancel

    def _encrypt(self, sock: socket.socket, certificate: ServerCertificate) -> None:
        resources = self._port.resources
        timeout = resources.tunables.handshake_timeout
        link = TlsLink(sock, resources.shared, certificate, timeout=timeout, ready=self._encrypted, remote=self._remote)
        self._drop = link.abort

    def _encrypted(self, link: TlsLink, error: Exception | None) -> None:
        self._over()
        if error is None:
            self._port.host.pool_connection(link)
        else:
            self._port.resources.log.seldom("tls", WARN, "TLS with %s: %s", self._remote, error)

    def _over(self) -> None:
        self._port.over(self)
