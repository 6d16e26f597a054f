"""A TCP user arrives: may it come in, is there a slot, a way to a target; then relay.

The order of the checks is the order of the methods. What has been refused costs no slot and no pool connection.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from nodepass.config import Blocked
from nodepass.errors import SilentEndError, TunnelError
from nodepass.log import DEBUG, WARN
from nodepass.net.listen import TcpListener
from nodepass.protocol.launch import REFUSED, REPEATED
from nodepass.protocol.sniff import Sniffer
from nodepass.relay.joining import Joining
from nodepass.relay.tcp import TcpRelay
from nodepass.transport.tcp_link import TcpLink
from nodepass.transport.tls_link import TlsLink
from nodepass.tunnel.admission import Admission, ProxyHeader
from nodepass.tunnel.upstream import Failure

if TYPE_CHECKING:
    import socket

    from nodepass.config import ClientConfig, ServerConfig
    from nodepass.net.address import Address
    from nodepass.net.certificates import CertificateSource
    from nodepass.protocol.sniff import Verdict
    from nodepass.transport.base import Link
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.upstream import Relay, Upstream, Way


PATIENCE = (0.02, 0.04, 0.08, 0.16, 0.32)
"""Seconds after which a user whose way broke is sent another, time after time."""


ASKED_AGAIN = 3
"""Times that a user who has spoken goes back to those through whom its way broke: they know whether a target has heard of
it."""

NAME_SIZE = 8
"""Bytes of a user's name."""


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
        self._arriving: set[TlsLink | ProxyHeader] = set()
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
            self._arriving.add(ProxyHeader(sock, remote, timeout, self._header_read, self._header_failed))

    def _header_read(self, header: ProxyHeader, sock: socket.socket) -> None:
        """A trusted proxy has said who the user is."""
        self._arriving.discard(header)
        if self._may_come(sock, header.remote):
            self._take_in(sock, header.remote)
        else:
            self._resources.meter.end(udp=False)

    def _header_failed(self, header: ProxyHeader, error: Exception) -> None:
        """A trusted proxy's connection did not begin as it must, or the proxy only looked whether somebody listens."""
        self._arriving.discard(header)
        self._resources.meter.end(udp=False)
        log = self._resources.log
        if isinstance(error, SilentEndError):
            log.seldom("probe", DEBUG, "Without a user, a connection from the proxy %s: %s", header.remote.ip, error)
            return
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

    __slots__ = (
        "_breaks",
        "_failed",
        "_gone",
        "_joining",
        "_name",
        "_near",
        "_relays",
        "_resources",
        "_sniffer",
        "_upstream",
    )

    def __init__(self, near: Link, sniffer: Sniffer | None, upstream: Upstream, resources: Resources) -> None:
        self._near = near
        self._sniffer = sniffer
        self._upstream = upstream
        self._resources = resources
        self._joining: Joining | None = None
        self._failed: dict[object, Failure] = {}
        self._name = secrets.token_hex(NAME_SIZE)
        self._breaks = 0
        self._gone = False
        self._relays: set[Relay] = set()

    def look_for_way(self) -> None:
        """Ask for one, if there is another than those that have failed this user."""
        if self._gone:
            return
        self._upstream.open_tcp(self._near.remote, self._opened, self._no_way, self._failed, self._name)

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
            failed=lambda word: self._way_failed(way, word),
        )

    def _confirmed(self, way: Way, early: bytes, *, full: bool) -> None:
        """The other end has reached a target."""
        joining, self._joining = self._joining, None
        if joining is not None:
            way.relays.discard(joining)
            self._sniffer = joining.sniffer
        self._start(way.link, early, full=full)

    def _way_failed(self, way: Way, word: bytes) -> None:
        """It ended before the other end had said that it reached a target.

        So no target has heard of the user, unless the other end is silent: then its word may be lost, and only a user that
        has said nothing can be sent another way without the risk that two targets hear the same. Where the way broke, the
        word may be lost as well: the other end is asked first, as long as there is one.
        """
        if self._joining is not None:
            way.relays.discard(self._joining)
        has_spoken = self._joining is not None and self._joining.has_spoken
        if word == REFUSED:
            self._failed[way.carrier] = Failure.REFUSED
        elif not has_spoken or self._breaks >= ASKED_AGAIN:
            self._failed[way.carrier] = Failure.BROKEN
        if not has_spoken:
            # No target can have heard of it: it may come to one as if for the first time.
            self._name = secrets.token_hex(NAME_SIZE)
        if word == REPEATED:
            self._no_way(TunnelError("its way broke when a target may have heard of it already"))
        elif way.fell_silent() and has_spoken:
            self._no_way(TunnelError("the other end fell silent before it told of a target"))
        elif word == REFUSED:
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
