"""The server's side: QUIC connections on the tunnel's UDP port, and their streams as pool connections.

Packets are told apart by the connection ID that they are sent to, which this end gave; so a client whose address changes
goes on. What begins a connection is taken from where clients may come from only. Addresses can be forged: where several
handshakes from one are under way, the next has to repeat a token that was sent there (Retry, RFC 9000, 8.1.2).

What always holds: what comes from outside is dropped or answered, and costs no more than one line in the log; connections
and handshakes are limited in number, handshakes in time; no source can keep the handshakes of another out.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from nodepass.errors import DialError
from nodepass.log import WARN
from nodepass.net.address import from_socket
from nodepass.policy.newcomers import Newcomers
from nodepass.transport.base import Carriers
from nodepass.transport.quic.connection import Connection
from nodepass.transport.quic.datagrams import DatagramSocket
from nodepass.transport.quic.identity import Identity
from nodepass.transport.quic.library import Engine
from nodepass.transport.quic.packets import Retries, is_long, parse_long
from nodepass.transport.quic.settings import CID_SIZE, INITIAL_SIZE, SILENT_INTERVALS, Limits

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from nodepass.config import Tunables
    from nodepass.log import Log
    from nodepass.net.address import Address, SocketAddress
    from nodepass.net.certificates import CertificateSource
    from nodepass.transport.base import Link
    from nodepass.transport.quic.datagrams import Ancillary
    from nodepass.transport.quic.link import QuicLink
    from nodepass.transport.quic.packets import Header

MOST_STRANGERS: Final = 256
"""Connections on which nobody has proved who it is."""

MOST_HANDSHAKES: Final = 64
"""Handshakes under way at a time, from all addresses. Beyond, the oldest of the source with the most of them is ended."""

TRUSTED_HANDSHAKES: Final = 2
"""Handshakes under way from one source before a token is asked for."""


class QuicListener(Carriers):
    """Takes pool connections over QUIC.

    Args:
        sockets: bound; owned from here on.
        certificate: of this server.
        most: streams that a client may have open, besides the control channel.
        knows: whether a client at this address has shaken hands.
        accepted: called with each stream that has begun.
        tunables: timeouts.
        log: of the instance.

    Raises:
        ListenError: the certificate or its key is of a kind that cannot be used here.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        certificate: CertificateSource,
        most: int,
        knows: Callable[[str], bool],
        accepted: Callable[[Link], None],
        tunables: Tunables,
        log: Log,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._knows = knows
        self._accepted = accepted
        self._handshake_timeout = tunables.handshake_timeout
        self._interval = tunables.report_interval
        self._log = log
        self._limits = Limits(most + 1, SILENT_INTERVALS * tunables.report_interval)
        self._identity = Identity(certificate, self._limits.idle_timeout, log)
        self._retries = Retries()
        self._taken: dict[Connection, _Taken] = {}
        self._by_cid: dict[bytes, Connection] = {}
        self._strangers: Newcomers[Connection] = Newcomers(MOST_STRANGERS, self._push_out)
        self._handshakes: Newcomers[Connection] = Newcomers(MOST_HANDSHAKES, self._push_out_unfinished)
        self._turning: dict[Connection, None] = {}
        self._closed = False
        self._empty = asyncio.Event()
        self._sockets = [self._wrap(sock) for sock in sockets]

    def close(self) -> None:
        """Take no more connections and streams. A connection that carries links is let go when the last of them is gone."""
        self._closed = True
        for connection in tuple(self._taken):
            connection.leave()
        self._close_sockets()

    def abort(self) -> None:
        """Let go of everything now; the clients are told."""
        self._closed = True
        for connection in tuple(self._taken):
            connection.fail(None)
        self._close_sockets()

    async def arrived(self) -> None:
        """See `Carriers`."""
        for connection in tuple(self._taken):
            await connection.arrived()

    async def departed(self) -> None:
        """See `nodepass.transport.base.Dialer`."""
        await self._empty.wait()

    def _close_sockets(self) -> None:
        if self._closed and not self._taken:
            self._empty.set()
            for sock in self._sockets:
                sock.close()

    # Datagrams.

    def _wrap(self, sock: socket.socket) -> DatagramSocket:
        wrapped: DatagramSocket

        def received(data: bytes, segment: int, address: SocketAddress, answer: Ancillary) -> None:
            self._received(wrapped, data, segment, address, answer)

        wrapped = DatagramSocket(sock, received, self._turn, self._writable, self._socket_failed)
        return wrapped

    def _received(self, sock: DatagramSocket, data: bytes, segment: int, address: SocketAddress, answer: Ancillary) -> None:
        """Give datagrams to their connection: those that came in one piece are of one sender, and so of one connection."""
        if is_long(data):
            header = parse_long(data)
            if header is None:
                return
            connection = self._by_cid.get(header.destination[:CID_SIZE])
            if connection is None and min(segment, len(data)) >= INITIAL_SIZE:
                connection = self._begin(sock, header, address, answer)
        else:
            connection = self._by_cid.get(data[1 : 1 + CID_SIZE])
        if connection is not None:
            connection.received(data, segment, address)
            self._turning[connection] = None

    def _turn(self) -> None:
        turning, self._turning = self._turning, {}
        for connection in turning:
            connection.turn()

    def _writable(self) -> None:
        for connection in tuple(self._taken):
            connection.turn()

    def _socket_failed(self, error: OSError) -> None:
        self._log.seldom("quic send", WARN, "QUIC: cannot send: %s", error.strerror)

    # What begins a connection.

    def _begin(self, sock: DatagramSocket, header: Header, address: SocketAddress, answer: Ancillary) -> Connection | None:
        peer = from_socket(address)
        if self._closed or not header.initial or not self._knows(peer.ip) or len(header.destination) < CID_SIZE:
            return None
        first, retried = header.destination, None
        if header.token and (before := self._retries.check(header, address)) is not None:
            first, retried = before, header.destination
        elif self._handshakes.like(peer.ip) >= TRUSTED_HANDSHAKES:
            sock.send([self._retries.retry(header, address)], address, answer)
            return None
        identity = self._identity
        engine = Engine(
            identity.configuration(local=ip_address(peer.ip).is_loopback),
            self._limits,
            first=first,
            retried=retried,
            nameless=None if header.source else header.destination,
            fetch=identity.fetch_ticket,
            keep=identity.keep_ticket,
        )
        return self._take(engine, sock, peer, address, answer, header.destination)

    def _take(
        self,
        engine: Engine,
        sock: DatagramSocket,
        peer: Address,
        address: SocketAddress,
        answer: Ancillary,
        destination: bytes,
    ) -> Connection:
        connection = Connection(engine, sock, address, peer, self, interval=self._interval, log=self._log, answer=answer)
        connection.streams.fingerprint = self._identity.fingerprint
        timer = self._loop.call_later(self._handshake_timeout, connection.fail, DialError("the handshake took too long"))
        self._taken[connection] = _Taken(set(), timer)
        for cid in (destination, engine.first_cid):
            self.named(connection, cid)
        self._strangers.enter(peer.ip, connection)
        self._handshakes.enter(peer.ip, connection)
        return connection

    def _push_out(self, connection: Connection) -> None:
        self._log.seldom("quic strangers", WARN, "QUIC: too many that prove nothing: dropped %s", connection.peer)
        connection.fail(DialError("it proved nothing, and others have come"))

    @staticmethod
    def _push_out_unfinished(connection: Connection) -> None:
        connection.fail(DialError("the handshake was not done, and others have come"))

    # What connections tell.

    def established(self, connection: Connection) -> None:
        """See `ConnectionOwner`."""
        taken = self._taken[connection]
        taken.timer.cancel()
        taken.timer = self._loop.call_later(
            self._handshake_timeout, connection.fail, DialError("it proved nothing in time")
        )
        self._handshakes.leave(connection.peer.ip, connection)
        engine = connection.engine
        self._log.debug(
            "QUIC with %s: %s%s%s",
            connection.peer,
            engine.alpn,
            ", resumed" if engine.resumed else "",
            ", with early streams" if engine.early_accepted else "",
        )

    def stream_came(self, link: QuicLink) -> None:
        """See `ConnectionOwner`."""
        if self._closed:
            link.abort()
        else:
            self._accepted(link)

    def streams_available(self) -> None:
        """See `ConnectionOwner`: a server opens none."""

    def named(self, connection: Connection, cid: bytes) -> None:
        """See `ConnectionOwner`."""
        self._taken[connection].cids.add(cid[:CID_SIZE])
        self._by_cid[cid[:CID_SIZE]] = connection

    def unnamed(self, cid: bytes) -> None:
        """See `ConnectionOwner`."""
        connection = self._by_cid.pop(cid[:CID_SIZE], None)
        if connection is not None:
            self._taken[connection].cids.discard(cid[:CID_SIZE])

    def vouched(self, connection: Connection) -> None:
        """See `ConnectionOwner`."""
        self._taken[connection].timer.cancel()
        self._strangers.leave(connection.peer.ip, connection)

    def gone(self, connection: Connection, error: Exception | None) -> None:
        """See `ConnectionOwner`."""
        taken = self._taken.pop(connection)
        taken.timer.cancel()
        for cid in taken.cids:
            self._by_cid.pop(cid, None)
        self._strangers.leave(connection.peer.ip, connection)
        self._handshakes.leave(connection.peer.ip, connection)
        if not connection.complete and error is not None:
            self._log.seldom("quic handshake", WARN, "QUIC: TLS with %s: %s", connection.peer, error)
        self._close_sockets()


@dataclass(slots=True)
class _Taken:
    """What the listener keeps of a connection.

    Args:
        cids: the beginnings of the connection IDs by which its packets are known. One that the peer made up may be longer
            than ours are, and packets do not tell.
        timer: ends a handshake that takes too long, and a connection on which nobody proves who it is.
    """

    cids: set[bytes]
    timer: asyncio.TimerHandle
