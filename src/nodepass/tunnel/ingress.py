"""A TCP user arrives: may it come in, is there a slot, a way to a target; then relay.

The order of the checks is the order of the methods. What has been refused costs no slot and no pool connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.config import Blocked
from nodepass.log import DEBUG, WARN
from nodepass.net.address import Address
from nodepass.net.listen import TcpListener
from nodepass.net.peek import Peek
from nodepass.protocol.proxy_header import V2_LIMIT, ProxyHeaderParser
from nodepass.protocol.sniff import Sniffer
from nodepass.relay.tcp import TcpRelay
from nodepass.transport.tcp_link import TcpLink
from nodepass.transport.tls_link import TlsLink
from nodepass.tunnel.admission import Admission

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from nodepass.config import ClientConfig, ServerConfig
    from nodepass.net.certificates import CertificateSource
    from nodepass.protocol.sniff import Verdict
    from nodepass.transport.base import Link
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.upstream import Relay, Upstream


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
        user = _TcpUser(near, sniffer, self._resources)
        self._upstream.open_tcp(near.remote, user.opened, user.failed)


class _TcpUser:
    """One user that has been admitted, from the search for a way on to the end of its relay."""

    __slots__ = ("_near", "_relays", "_resources", "_sniffer")

    def __init__(self, near: Link, sniffer: Sniffer | None, resources: Resources) -> None:
        self._near = near
        self._sniffer = sniffer
        self._resources = resources
        self._relays: set[Relay] = set()

    def opened(self, far: Link, relays: set[Relay]) -> None:
        """There is a way on."""
        self._relays = relays
        relay = TcpRelay(self._near, far, self._resources.meter, self._ended)
        relays.add(relay)
        if self._sniffer is None:
            relay.start()
        else:
            relay.start_sniffing(self._sniffer, self._blocked)

    def failed(self, error: Exception) -> None:
        """There is none."""
        self._resources.log.seldom("no way", WARN, "Refused the user at %s: %s", self._near.remote, error)
        self._near.abort()
        self._resources.meter.end(udp=False)

    def _blocked(self, verdict: Verdict) -> None:
        self._resources.log.seldom("blocked", WARN, "Blocked %s from %s", verdict.name, self._near.remote)

    def _ended(self, relay: TcpRelay, error: Exception | None) -> None:
        self._relays.discard(relay)
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
