"""A user arrives: may it come in, is there a slot, a way to a target; then relay.

`TcpIngress` and `UdpIngress` take users from bound sockets and ask an `Upstream` for the way on. The order of the checks is
the order of the methods. What has been refused costs no slot and no pool connection.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING

from nodepass.config import Blocked
from nodepass.errors import ProtocolError, ProxyHeaderError
from nodepass.log import DEBUG, WARN
from nodepass.net.address import Address, SocketAddress, from_socket
from nodepass.net.listen import TcpListener
from nodepass.net.peek import Peek
from nodepass.net.udp import UdpSocket
from nodepass.protocol.proxy_header import MAX_HEADER, ProxyHeaderParser
from nodepass.protocol.sniff import Sniffer, Verdict
from nodepass.relay.tcp import TcpRelay
from nodepass.relay.udp import UdpRelay, UserEnd, too_large
from nodepass.transport.tcp_link import TcpLink
from nodepass.transport.tls_link import TlsLink

if TYPE_CHECKING:
    from nodepass.config import ClientConfig, IPNetwork, ServerConfig
    from nodepass.net.certificates import CertificateSource
    from nodepass.relay.udp import DatagramEnd
    from nodepass.transport.base import Link
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.upstream import Relay, Upstream

PENDING_DATAGRAMS = 64
"""Datagrams of one user kept while the way to the target is being opened."""


class Admission:
    """Who may come in: `allow`, `deny`, and who must say where it comes from (`proxyin`)."""

    def __init__(self, config: ServerConfig | ClientConfig) -> None:
        self._allow = config.allow
        self._deny = config.deny
        self._proxies = config.proxyin

    def admits(self, remote: Address) -> bool:
        """Whether a user from here is taken; deny wins."""
        if not self._allow and not self._deny:
            return True
        return not _within(remote, self._deny) and (not self._allow or _within(remote, self._allow))

    def is_proxy(self, remote: Address) -> bool:
        """Whether what comes from here must begin with a PROXY header."""
        return bool(self._proxies) and _within(remote, self._proxies)


def _within(remote: Address, networks: tuple[IPNetwork, ...]) -> bool:
    ip = ipaddress.ip_address(remote.ip)
    return any(ip in network for network in networks)


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
        self._listener = TcpListener(sockets, self._accepted, resources.log)

    def close(self) -> None:
        """Take no more users."""
        self._listener.close()

    def _accepted(self, sock: socket.socket, remote: Address) -> None:
        if self._admission.is_proxy(remote):
            _ProxyHeader(sock, remote, self)
        else:
            self.admit(sock, remote)

    def admit(self, sock: socket.socket, remote: Address) -> None:
        """Take this user in, if it may come and there is a slot."""
        log = self._resources.log
        if not self._admission.admits(remote):
            log.seldom("denied", WARN, "Refused a user from %s: not allowed", remote.ip)
            sock.close()
        elif not self._resources.meter.begin(udp=False):
            log.seldom("slot", WARN, "All slots are taken: refused the user at %s", remote)
            sock.close()
        elif self._certificate is not None:
            TlsLink(
                sock,
                self._resources.buffers,
                self._certificate.current.context,
                server_side=True,
                timeout=self._resources.tunables.handshake_timeout,
                ready=self._decrypted,
                remote=remote,
                own_fingerprint=self._certificate.current.fingerprint,
            )
        else:
            self._send_on(TcpLink(sock, self._resources.buffers.encrypted, remote))

    def refuse_proxy(self, remote: Address, error: Exception) -> None:
        """A trusted proxy's connection did not begin as it must."""
        self._resources.log.seldom("proxyin", WARN, "Refused a connection from the proxy %s: %s", remote.ip, error)

    def _decrypted(self, link: TlsLink, error: Exception | None) -> None:
        if error is None:
            self._send_on(link)
            return
        self._resources.meter.end(udp=False)
        self._resources.log.seldom("tls user", WARN, "TLS handshake with the user at %s: %s", link.remote, error)

    def _send_on(self, near: Link) -> None:
        def opened(far: Link, relays: set[Relay]) -> None:
            relay = TcpRelay(near, far, self._resources.meter, ended)
            relays.add(relay)
            self._started = relays
            if self._block:
                relay.start_sniffing(self._sniffer(), refused)
            else:
                relay.start()

        def failed(error: Exception) -> None:
            self._resources.log.seldom("no way", WARN, "Refused the user at %s: %s", near.remote, error)
            near.abort()
            self._resources.meter.end(udp=False)

        self._upstream.open_tcp(near.remote, opened, failed)

    def _sniffer(self) -> Sniffer:
        block = self._block
        return Sniffer(socks=Blocked.SOCKS in block, http=Blocked.HTTP in block, tls=Blocked.TLS in block)
