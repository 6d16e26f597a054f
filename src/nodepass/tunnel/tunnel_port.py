"""The server's tunnel port, which takes two kinds of connections and tells them apart.

Handshakes come from anywhere, and so do the pool connections of clients that prove themselves on each; those of v1 clients
come from the addresses that have shaken hands (spec: wire.md). What transport they are of is the `Acceptor`'s matter, and
whose they are is the `Gate`'s. With TLS the first byte tells which it is. Without, a WebSocket shows by its request; over
TCP, a proof shows by its first bit, and a v1 client by its silence, since it waits for the server to speak.

Where an address has v1 clients only, every plain TCP connection from it is one: a client that knows nothing of its session
any more then shows by the handshake it sends.

What always holds: until a connection has proved to be one or the other it is an `_Arrival`, limited in number and time.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from nodepass.log import WARN
from nodepass.net.descriptors import for_strangers
from nodepass.net.listen import TcpListener
from nodepass.net.peek import Peek
from nodepass.policy.newcomers import Newcomers
from nodepass.protocol.session_keys import begins_proof
from nodepass.transport.tcp_link import TcpLink
from nodepass.transport.tls_link import TlsLink
from nodepass.tunnel.gate import GRACE
from nodepass.tunnel.handshake import HandshakeReceiver

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from nodepass.log import Log
    from nodepass.net.address import Address
    from nodepass.net.certificates import CertificateSource, ServerCertificate
    from nodepass.protocol.handshake import ServerHandshake, Verdict
    from nodepass.transport.base import Acceptor, Link
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.sessions import Sessions

TLS_HANDSHAKE_RECORD = b"\x16"
"""First byte of a TLS connection (RFC 8446, 5.1)."""

MOST_NEWCOMERS = 1024
"""Connections at a time that have not shown what they are, or whose, where the process may have descriptors enough."""


class Newcomer(Protocol):
    """A connection that has not shown what it is, or whose."""

    remote: Address
    """Where it comes from."""

    def drop(self) -> None:
        """Close it: others have come, or nobody takes it any more."""


def newcomers_of(log: Log, most: int | None = None) -> Newcomers[Newcomer]:
    """Make the crowd of one server, empty. Who has to leave it for another is dropped.

    Args:
        log: where it is told.
        most: how many there may be; None for what the process has room for.
    """

    def push_out(newcomer: Newcomer) -> None:
        log.seldom("crowd", WARN, "Too many connections that prove nothing: dropped %s", newcomer.remote)
        newcomer.drop()

    return Newcomers(for_strangers(MOST_NEWCOMERS) if most is None else most, push_out)


class TunnelPort:
    """The tunnel port of one server.

    Args:
        sockets: listening.
        make_handshake: makes what judges a handshake; told whether a request for a WebSocket is one for a pool connection.
        certificate: for pool connections; None has them plain.
        acceptor: makes pool connections; None where these do not come over TCP.
        sessions: of the server: whether pool connections are expected, and from where.
        newcomers: whoever has not shown yet who it is.
        resources: of the instance.
        judged: called with each handshake that has come, to be answered.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        make_handshake: Callable[[bool], ServerHandshake],
        certificate: CertificateSource | None,
        acceptor: Acceptor | None,
        sessions: Sessions,
        newcomers: Newcomers[Newcomer],
        resources: Resources,
        judged: Callable[[HandshakeReceiver, Verdict], None],
    ) -> None:
        self._certificate = certificate
        self._acceptor = acceptor
        self._sessions = sessions
        self._newcomers = newcomers
        self.make_handshake = make_handshake
        self.resources = resources
        self.judged = judged
        self._listener = TcpListener(sockets, self._accepted, resources.log)

    def close(self) -> None:
        """Take no more connections, and drop those that are undecided."""
        self._listener.close()
        for newcomer in self._newcomers:
            newcomer.drop()
        if self._acceptor is not None:
            self._acceptor.close()

    def over(self, arrival: _Arrival) -> None:
        """A connection is undecided no more."""
        self._newcomers.leave(arrival.remote.ip, arrival)

    def _accepted(self, sock: socket.socket, remote: Address) -> None:
        by_address = self._sessions.known_by_address(remote.ip) is not None
        acceptor = self._acceptor if self._sessions.expected_from(remote.ip) else None
        bare = acceptor is not None and acceptor.bare and self._certificate is None
        if acceptor is not None and bare and by_address and not self._sessions.expects_proof_from(remote.ip):
            acceptor.accept(TcpLink(sock, self.resources.shared, remote), b"")
            return
        arrival = _Arrival(self, remote, acceptor)
        self._newcomers.enter(remote.ip, arrival)
        if acceptor is not None and self._certificate is not None:
            arrival.look_for_tls(sock, self._certificate.current)
        elif bare:
            arrival.look_for_proof(sock, may_be_silent=by_address)
        else:
            arrival.expect_request(TcpLink(sock, self.resources.shared, remote))


class _Arrival:
    """One connection that is undecided.

    Args:
        port: it came to.
        remote: it comes from.
        acceptor: takes it if it is a pool connection; None where it cannot be one.
    """

    __slots__ = ("_acceptor", "_drop", "_port", "remote")

    def __init__(self, port: TunnelPort, remote: Address, acceptor: Acceptor | None) -> None:
        self._port = port
        self._acceptor = acceptor
        self._drop: Callable[[], None] = self._over
        self.remote = remote

    def drop(self) -> None:
        """See `Newcomer`; it came to nothing."""
        self._drop()
        self._over()

    def look_for_tls(self, sock: socket.socket, certificate: ServerCertificate) -> None:
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
                self.expect_request(TcpLink(sock, self._port.resources.shared, self.remote))

        timeout = self._port.resources.tunables.handshake_timeout
        self._drop = Peek(sock, 1, timeout, examine, done, lambda _: self._over()).cancel

    def look_for_proof(self, sock: socket.socket, *, may_be_silent: bool) -> None:
        """Look at the first bytes: a proof, or a handshake? Where a v1 client is, it may be the one that says nothing."""
        link = TcpLink(sock, self._port.resources.shared, self.remote)
        self._drop = link.abort
        patience = GRACE if may_be_silent else self._port.resources.tunables.handshake_timeout
        _FirstBytes(link, patience, self._decide, self._take if may_be_silent else None, self._over)

    def expect_request(self, link: Link, early: bytes = b"") -> None:
        """Read an HTTP request."""
        self._drop = link.abort
        receiver = HandshakeReceiver(
            link,
            self._port.make_handshake(self._acceptor is not None),
            self._port.resources.tunables.handshake_timeout,
            self._judged,
            self._over,
        )
        if early:
            receiver.data_received(memoryview(early))

    def _decide(self, link: Link, first: bytes) -> None:
        if begins_proof(first):
            self._take(link, first)
        else:
            self._acceptor = None
            self.expect_request(link, first)

    def _judged(self, handshake: HandshakeReceiver, verdict: Verdict) -> None:
        if verdict.status is HTTPStatus.SWITCHING_PROTOCOLS and self._acceptor is not None:
            self._take(handshake.link, handshake.release())
        else:
            self._port.judged(handshake, verdict)

    def _encrypt(self, sock: socket.socket, certificate: ServerCertificate) -> None:
        resources = self._port.resources
        timeout = resources.tunables.handshake_timeout
        link = TlsLink(sock, resources.shared, certificate, timeout=timeout, ready=self._encrypted, remote=self.remote)
        self._drop = link.abort

    def _encrypted(self, link: TlsLink, error: Exception | None) -> None:
        if error is None:
            self._take(link)
        else:
            self._over()
            self._port.resources.log.seldom("tls", WARN, "TLS with %s: %s", self.remote, error)

    def _take(self, link: Link, early: bytes = b"") -> None:
        """It is a pool connection, or means to become one."""
        self._over()
        if self._acceptor is not None:
            self._acceptor.accept(link, early)

    def _over(self) -> None:
        self._port.over(self)


class _FirstBytes:
    """The receiver of a connection until it says something, or its time is up.

    Args:
        link: the connection.
        patience: seconds.
        decide: called with the connection and what it said.
        silent: called instead when its time was up; None has it broken off.
        ended: called instead when the connection is gone.
    """

    __slots__ = ("_decide", "_ended", "_link", "_silent", "_timer")

    def __init__(
        self,
        link: Link,
        patience: float,
        decide: Callable[[Link, bytes], None],
        silent: Callable[[Link], None] | None,
        ended: Callable[[], None],
    ) -> None:
        self._link = link
        self._decide = decide
        self._silent = silent
        self._ended = ended
        self._timer = asyncio.get_running_loop().call_later(patience, self._too_late)
        link.attach(self)

    def data_received(self, data: memoryview) -> None:
        self._timer.cancel()
        self._decide(self._link, bytes(data))

    def eof_received(self) -> None:
        self._link.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self._timer.cancel()
        self._ended()

    def pause_writing(self) -> None:
        """Nothing is written meanwhile."""

    def resume_writing(self) -> None:
        """Nothing is written meanwhile."""

    def _too_late(self) -> None:
        if self._silent is None:
            self._link.abort()
        else:
            self._silent(self._link)
