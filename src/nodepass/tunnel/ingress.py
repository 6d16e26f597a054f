"""A TCP user arrives: may it come in, is there a slot, a way to a target; then relay.

The order of the checks is the order of the methods. What has been refused costs no slot and no pool connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nodepass.config import Blocked
from nodepass.errors import TunnelError
from nodepass.log import DEBUG, WARN
from nodepass.net.address import Address
from nodepass.net.listen import TcpListener
from nodepass.net.peek import Peek
from nodepass.protocol.proxy_header import V2_LIMIT, ProxyHeaderParser
from nodepass.protocol.sniff import Sniffer
from nodepass.relay.joining import Joining
from nodepass.relay.tcp import TcpRelay
from nodepass.transport.tcp_link import TcpLink
from nodepass.transport.tls_link import TlsLink
from nodepass.tunnel.admission import Admission
from nodepass.tunnel.upstream import Failure

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from nodepass.config import ClientConfig, ServerConfig
    from nodepass.net.certificates import CertificateSource
    from nodepass.protocol.sniff import Verdict
    from nodepass.transport.base import Link
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.upstream import Relay, Upstream, Way


PATIENCE = (0.02, 0.04, 0.08, 0.16, 0.32)
"""Seconds after which a user whose way broke is sent another, time after time."""


class TcpIngress:
    """Takes TCP users.

    Args:
        sockets: listening.
        upstream: the way on.
        config: whom to take, what to refuse.
        resources: of the instance.
        certificate: with it, TLS ends here; None takes users as they are.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        upstream: Upstream,
        config: ServerConfig | ClientConfig,
        resources: Resources,
        certificate: CertificateSource | None = None,
    ) -> None:
        self._upstream = upstream
        self._resources = resources
        self._admission = Admission(config)
        self._block = config.block
        self._certificate = certificate
        self._arriving: set[TlsLink | _ProxyHeader] = set()
        self._listener = TcpListener(sockets, self._accepted, resources.log)

    def close(self) -> None:
        """Take no more users; those that have not got as far as asking for a way on are dropped."""
        self._listener.close()
        for arrival in self._arriving:
            arrival.abort()
            self._resources.meter.end(udp=False)
        self._arriving.clear()

    def _accepted(self, sock: socket.socket, remote: Address) -> None:
        if not self._admission.is_proxy(remote):
            if self._may_come(sock, remote) and self._has_slot(sock, remote):
                self._take_in(sock, remote)
        elif self._has_slot(sock, remote):
            timeout = self._resources.tunables.handshake_timeout
            self._arriving.add(_ProxyHeader(sock, remote, timeout, self._header_read, self._header_failed))

    def _header_read(self, header: _ProxyHeader, sock: socket.socket) -> None:
        """A trusted proxy has said who the user is."""
        self._arriving.discard(header)
        if self._may_come(sock, header.remote):
            self._take_in(sock, header.remote)
        else:
            self._resources.meter.end(udp=False)

    def _header_failed(self, header: _ProxyHeader, error: Exception) -> None:
        """A trusted proxy's connection did not begin as it must."""
        self._arriving.discard(header)
        self._resources.meter.end(udp=False)
        log = self._resources.log
        log.seldom("proxyin", WARN, "Refused a connection from the proxy %s: %s", header.remote.ip, error)

    def _may_come(self, sock: socket.socket, remote: Address) -> bool:
        if self._admission.admits(remote):
            return True
        self._resources.log.seldom("denied", WARN, "Refused a user from %s: not allowed", remote.ip)
        sock.close()
        return False

    def _has_slot(self, sock: socket.socket, remote: Address) -> bool:
        if self._resources.meter.begin(udp=False):
            return True
        self._resources.log.seldom("slot", WARN, "All slots are taken: refused the user at %s", remote)
        sock.close()
        return False

    def _take_in(self, sock: socket.socket, remote: Address) -> None:
        """Do TLS, if it ends here, and look for a way on."""
        if self._certificate is None:
            self._send_on(TcpLink(sock, self._resources.shared, remote))
            return
        link = TlsLink(
            sock,
            self._resources.shared,
            self._certificate.current,
            timeout=self._resources.tunables.handshake_timeout,
            ready=self._decrypted,
            remote=remote,
        )
        self._arriving.add(link)

    def _decrypted(self, link: TlsLink, error: Exception | None) -> None:
        self._arriving.discard(link)
        if error is None:
            self._send_on(link)
            return
        self._resources.meter.end(udp=False)
        self._resources.log.seldom("tls user", WARN, "TLS handshake with the user at %s: %s", link.remote, error)

    def _send_on(self, near: Link) -> None:
        sniffer = None
        if self._block:
            block = self._block
            sniffer = Sniffer(socks=Blocked.SOCKS in block, http=Blocked.HTTP in block, tls=Blocked.TLS in block)
        _TcpUser(near, sniffer, self._upstream, self._resources).look_for_way()


class _TcpUser:
    """One user that has been admitted, from the search for a way on to the end of its relay."""

    __slots__ = ("_breaks", "_failed", "_gone", "_joining", "_near", "_relays", "_resources", "_sniffer", "_upstream")

    def __init__(self, near: Link, sniffer: Sniffer | None, upstream: Upstream, resources: Resources) -> None:
        self._near = near
        self._sniffer = sniffer
        self._upstream = upstream
        self._resources = resources
        self._joining: Joining | None = None
        self._failed: dict[object, Failure] = {}
        self._breaks = 0
        self._gone = False
        self._relays: set[Relay] = set()

    def look_for_way(self) -> None:
        """Ask for one, if there is another than those that have failed this user."""
        if self._gone:
            return
        self._upstream.open_tcp(self._near.remote, self._opened, self._no_way, self._failed)

    def _opened(self, way: Way) -> None:
        """There is a way on."""
        if self._gone:
            way.link.abort()
            return
        self._relays = way.relays
        if not way.launch:
            self._start(way.link)
            return
        if self._joining is None:
            self._joining = Joining(self._near, self._sniffer, self._resources.meter, self._user_lost, self._blocked)
        if self._near.gone:
            way.link.abort()
            return
        way.relays.add(self._joining)
        self._joining.go(
            way.link,
            way.launch,
            confirmed=lambda early, full: self._confirmed(way, early, full=full),
            failed=lambda refused: self._way_failed(way, Failure.REFUSED if refused else Failure.BROKEN),
        )

    def _confirmed(self, way: Way, early: bytes, *, full: bool) -> None:
        """The other end has reached a target."""
        joining, self._joining = self._joining, None
        if joining is not None:
            way.relays.discard(joining)
            self._sniffer = joining.sniffer
        self._start(way.link, early, full=full)

    def _way_failed(self, way: Way, failure: Failure) -> None:
        """It ended before the other end had said that it reached a target.

        So no target has heard of the user, unless the other end is silent: then its word may be lost, and only a user that
        has said nothing can be sent another way without the risk that two targets hear the same.
        """
        if self._joining is not None:
            way.relays.discard(self._joining)
        self._failed[way.carrier] = failure
        if way.fell_silent() and self._joining is not None and self._joining.has_spoken:
            self._no_way(TunnelError("the other end fell silent before it told of a target"))
        elif failure is Failure.REFUSED:
            self.look_for_way()
        elif self._breaks < len(PATIENCE):
            # What carries it may be dying: that will be known soon.
            asyncio.get_running_loop().call_later(PATIENCE[self._breaks], self.look_for_way)
            self._breaks += 1
        else:
            self._no_way(TunnelError("each way to a target broke"))

    def _start(self, far: Link, early: bytes = b"", *, full: bool = False) -> None:
        relay = TcpRelay(self._near, far, self._resources.meter, self._ended)
        self._relays.add(relay)
        if self._sniffer is None:
            relay.start(early, full=full)
        else:
            relay.start_sniffing(self._sniffer, self._blocked, early, full=full)

    def _no_way(self, error: Exception) -> None:
        if self._gone:
            return
        self._resources.log.seldom("no way", WARN, "Refused the user at %s: %s", self._near.remote, error)
        has_joined = self._joining is not None
        self._near.abort()
        if not has_joined:
            self._resources.meter.end(udp=False)

    def _user_lost(self, error: Exception | None) -> None:
        """The user has gone before a target was reached, or was sent away."""
        self._gone = True
        joining, self._joining = self._joining, None
        if joining is not None:
            self._relays.discard(joining)
        self._log_end(error)

    def _blocked(self, verdict: Verdict) -> None:
        self._resources.log.seldom("blocked", WARN, "Blocked %s from %s", verdict.name, self._near.remote)

    def _ended(self, relay: TcpRelay, error: Exception | None) -> None:
        self._relays.discard(relay)
        self._log_end(error)

    def _log_end(self, error: Exception | None) -> None:
        self._resources.meter.end(udp=False)
        if self._resources.log.shows(DEBUG):
            self._resources.log.debug("Exchange complete: %s: %s", self._near.remote, error or "ended")


class _ProxyHeader:
    """A connection from a trusted proxy, whose first bytes say who the user is.

    The header is taken off the socket and nothing behind it, so that TLS or anything else can follow.
    """

    __slots__ = ("_failed", "_parser", "_peek", "_read", "remote")

    def __init__(
        self,
        sock: socket.socket,
        remote: Address,
        timeout: float,
        read: Callable[[_ProxyHeader, socket.socket], None],
        failed: Callable[[_ProxyHeader, Exception], None],
    ) -> None:
        self.remote = remote
        """The proxy, and once its header has been read, the user."""
        self._read = read
        self._failed = failed
        self._parser = ProxyHeaderParser()
        self._peek = Peek(sock, V2_LIMIT, timeout, self._examine, self._on_header, self._on_failure)

    def abort(self) -> None:
        """Close the connection; nothing is called any more."""
        self._peek.cancel()

    def _examine(self, data: bytes) -> int | None:
        header = self._parser.feed(data)
        if header is None:
            return None
        if header.source is not None:
            self.remote = Address(*header.source)
        return len(data) - len(self._parser.rest)

    def _on_header(self, sock: socket.socket) -> None:
        self._read(self, sock)

    def _on_failure(self, error: Exception) -> None:
        self._failed(self, error)
