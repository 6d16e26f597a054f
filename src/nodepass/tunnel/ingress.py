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
        self._encrypting: set[TlsLink] = set()
        self._closed = False
        self._listener = TcpListener(sockets, self._accepted, resources.log)

    def close(self) -> None:
        """Take no more users; those that have not got as far as asking for a way on are dropped."""
        self._closed = True
        self._listener.close()
        for link in self._encrypting:
            link.abort()
            self._resources.meter.end(udp=False)
        self._encrypting.clear()

    def _accepted(self, sock: socket.socket, remote: Address) -> None:
        if self._admission.is_proxy(remote):
            timeout = self._resources.tunables.handshake_timeout
            _ProxyHeader(sock, remote, timeout, self._admit, self._refuse_proxy)
        else:
            self._admit(sock, remote)

    def _admit(self, sock: socket.socket, remote: Address) -> None:
        """Take this user in, if it may come and there is a slot."""
        log = self._resources.log
        if self._closed:
            sock.close()
        elif not self._admission.admits(remote):
            log.seldom("denied", WARN, "Refused a user from %s: not allowed", remote.ip)
            sock.close()
        elif not self._resources.meter.begin(udp=False):
            log.seldom("slot", WARN, "All slots are taken: refused the user at %s", remote)
            sock.close()
        elif self._certificate is not None:
            link = TlsLink(
                sock,
                self._resources.shared,
                self._certificate.current,
                timeout=self._resources.tunables.handshake_timeout,
                ready=self._decrypted,
                remote=remote,
            )
            self._encrypting.add(link)
        else:
            self._send_on(TcpLink(sock, self._resources.shared, remote))

    def _refuse_proxy(self, remote: Address, error: Exception) -> None:
        """A trusted proxy's connection did not begin as it must."""
        self._resources.log.seldom("proxyin", WARN, "Refused a connection from the proxy %s: %s", remote.ip, error)

    def _decrypted(self, link: TlsLink, error: Exception | None) -> None:
        self._encrypting.discard(link)
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

    __slots__ = ("_admit", "_parser", "_refuse", "_remote")

    def __init__(
        self,
        sock: socket.socket,
        remote: Address,
        timeout: float,
        admit: Callable[[socket.socket, Address], None],
        refuse: Callable[[Address, Exception], None],
    ) -> None:
        self._remote = remote
        self._admit = admit
        self._refuse = refuse
        self._parser = ProxyHeaderParser()
        Peek(sock, V2_LIMIT, timeout, self._examine, self._done, self._failed)

    def _examine(self, data: bytes) -> int | None:
        header = self._parser.feed(data)
        if header is None:
            return None
        if header.source is not None:
            self._remote = Address(*header.source)
        return len(data) - len(self._parser.rest)

    def _done(self, sock: socket.socket) -> None:
        self._admit(sock, self._remote)

    def _failed(self, error: Exception) -> None:
        self._refuse(self._remote, error)
