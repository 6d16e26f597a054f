"""A UDP user arrives: the same checks as for TCP, then a session for the address its datagrams come from.

A trusted proxy (`proxyin`) puts a PROXY header in front of every datagram, since there is no connection that could
begin with one: it is read for the first and taken off all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.errors import ProxyHeaderError
from nodepass.log import DEBUG, WARN
from nodepass.net.address import Address, from_socket
from nodepass.net.udp import UdpSocket
from nodepass.protocol.proxy_header import V2_LIMIT, ProxyHeaderParser
from nodepass.relay.datagram_ends import UserEnd, too_large
from nodepass.relay.udp import UdpRelay
from nodepass.tunnel.admission import Admission

if TYPE_CHECKING:
    import socket

    from nodepass.config import ClientConfig, ServerConfig
    from nodepass.net.address import SocketAddress
    from nodepass.relay.datagram_ends import DatagramEnd
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.upstream import Relay, Upstream

PENDING_BYTES = 256 * 1024
"""What is kept of one user's datagrams while the way to the target is being opened; more is dropped."""

PENDING_OF_ALL = 16 * 1024 * 1024
"""The same for all users of a port together: anybody can send from as many addresses as he likes."""

PENDING_OVERHEAD = 64
"""Bytes that each of them counts for besides what it holds: so those that hold nothing are bounded as well."""


class UdpIngress:
    """Takes UDP users: one session for each address that datagrams come from.

    Args:
        sockets: bound.
        upstream: the way on.
        config: whom to take.
        resources: of the instance.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        upstream: Upstream,
        config: ServerConfig | ClientConfig,
        resources: Resources,
    ) -> None:
        self._ports = [_Port(sock, upstream, Admission(config), resources) for sock in sockets]

    def close(self) -> None:
        """Take no more users; those who are here stay until their sessions end."""
        for port in self._ports:
            port.close_when_unused()


class _Port:
    """One bound socket and the users behind it."""

    def __init__(self, sock: socket.socket, upstream: Upstream, admission: Admission, resources: Resources) -> None:
        self._upstream = upstream
        self._admission = admission
        self._resources = resources
        self._closing = False
        self._users: dict[SocketAddress, _User] = {}
        self.pending_size = 0
        """Bytes that all users' datagrams take while they wait."""
        self.socket = UdpSocket(sock, resources.datagrams, self._on_datagram, self._on_oversized, self._on_error)

    def close_when_unused(self) -> None:
        """Take no more users, and close the socket once the last has gone."""
        self._closing = True
        if not self._users:
            self.socket.close()

    def forget(self, address: SocketAddress) -> None:
        """A user's session has ended."""
        self._users.pop(address, None)
        if self._closing and not self._users:
            self.socket.close()

    def _on_datagram(self, datagram: memoryview, address: SocketAddress) -> None:
        user = self._users.get(address)
        if user is not None:
            user.datagram_received(datagram)
        elif not self._closing:
            self._take_in(datagram, address)

    def _take_in(self, datagram: memoryview, address: SocketAddress) -> None:
        """The first datagram from an address: admit the user, and look for a way on."""
        log, remote = self._resources.log, from_socket(address)
        behind_proxy = self._admission.is_proxy(remote)
        if behind_proxy:
            try:
                source, _ = _without_header(datagram)
            except ProxyHeaderError as error:
                log.seldom("proxyin", WARN, "Dropped a datagram of the proxy %s: %s", remote.ip, error)
                return
            remote = source or remote
        if not self._admission.admits(remote):
            log.seldom("denied", WARN, "Refused a user from %s: not allowed", remote.ip)
        elif not self._resources.meter.begin(udp=True):
            log.seldom("slot", WARN, "All slots are taken: refused the user at %s", remote)
        else:
            user = self._users[address] = _User(self, address, remote, self._resources, behind_proxy=behind_proxy)
            user.datagram_received(datagram)
            self._upstream.open_udp(remote, user.opened, user.failed)

    def _on_oversized(self, address: SocketAddress) -> None:
        too_large(self._resources.log, "user", address, len(self._resources.datagrams) - 1)

    def _on_error(self, error: OSError) -> None:
        # A user that is gone (ICMP) or a network that is down for a moment: the socket serves the others on.
        self._resources.log.seldom("udp port", DEBUG, "UDP: %s", error.strerror)


class _User:
    """One user's session, from its first datagram to its end."""

    __slots__ = (
        "_address",
        "_behind_proxy",
        "_end",
        "_pending",
        "_pending_size",
        "_port",
        "_relays",
        "_remote",
        "_resources",
    )

    def __init__(
        self, port: _Port, address: SocketAddress, remote: Address, resources: Resources, *, behind_proxy: bool
    ) -> None:
        self._port = port
        self._address = address
        self._remote = remote
        self._resources = resources
        self._behind_proxy = behind_proxy
        self._end = UserEnd(port.socket, address, self._forget)
        self._pending: list[bytes] | None = []
        self._pending_size = 0
        self._relays: set[Relay] = set()

    def datagram_received(self, datagram: memoryview) -> None:
        """The user sent this."""
        if self._behind_proxy:
            try:
                _, datagram = _without_header(datagram)
            except ProxyHeaderError:
                return
        if self._pending is None:
            self._end.receiver.datagram_received(datagram)
        else:
            self._keep(datagram, self._pending)

    def _keep(self, datagram: memoryview, pending: list[bytes]) -> None:
        """Hold a datagram until there is a way on, if there is room."""
        size = len(datagram) + PENDING_OVERHEAD
        if self._pending_size + size <= PENDING_BYTES and self._port.pending_size + size <= PENDING_OF_ALL:
            self._pending_size += size
            self._port.pending_size += size
            pending.append(bytes(datagram))
        else:
            text = "UDP: dropped a datagram of the user at %s: %d bytes of it wait for a way to the target, %d of all"
            waiting = (self._pending_size, self._port.pending_size)
            self._resources.log.seldom("udp pending", WARN, text, self._remote, *waiting)

    def _taken(self) -> list[bytes]:
        """What was held, which is held no longer."""
        pending, self._pending = self._pending or [], None
        self._port.pending_size -= self._pending_size
        self._pending_size = 0
        return pending

    def opened(self, far: DatagramEnd, relays: set[Relay]) -> None:
        """There is a way on."""
        self._relays = relays
        timeout = self._resources.tunables.udp_read_timeout
        relay = UdpRelay(self._end, far, self._resources.meter, timeout, self._ended)
        relays.add(relay)
        relay.start()
        for datagram in self._taken():
            self._end.receiver.datagram_received(memoryview(datagram))

    def failed(self, error: Exception) -> None:
        """There is none."""
        self._resources.log.seldom("no way", WARN, "Refused the user at %s: %s", self._remote, error)
        self._resources.meter.end(udp=True)
        self._taken()
        self._forget()

    def _ended(self, relay: UdpRelay, error: Exception | None) -> None:
        self._relays.discard(relay)
        self._resources.meter.end(udp=True)
        if self._resources.log.shows(DEBUG):
            self._resources.log.debug("Exchange complete: %s: %s", self._remote, error or "ended")

    def _forget(self) -> None:
        self._port.forget(self._address)


def _without_header(datagram: memoryview) -> tuple[Address | None, memoryview]:
    """Who a proxy's datagram is from, None where it does not say, and what it holds behind the header.

    Raises:
        ProxyHeaderError: it does not begin with a whole header.
    """
    parser = ProxyHeaderParser()
    start = bytes(datagram[:V2_LIMIT])
    header = parser.feed(start)
    if header is None:
        raise ProxyHeaderError("the PROXY header is cut off")
    source = None if header.source is None else Address(*header.source)
    return source, datagram[len(start) - len(parser.rest) :]
