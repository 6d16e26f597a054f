"""The ports that an instance binds for users: which addresses, and the ingress behind them."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from nodepass.errors import ListenError
from nodepass.tunnel.ingress import TcpIngress
from nodepass.tunnel.udp_ingress import UdpIngress

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.config import ClientConfig, Endpoint, ServerConfig
    from nodepass.net.certificates import CertificateSource
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.upstream import Upstream


class UserPorts:
    """The TCP and UDP ports bound for users, taking them from `open` to `close`.

    Args:
        tcp: listening sockets; empty with `notcp=1`.
        udp: bound sockets; empty with `noudp=1`.
        closed: called when they have been closed.
    """

    def __init__(
        self, tcp: list[socket.socket], udp: list[socket.socket], closed: Callable[[], None] = lambda: None
    ) -> None:
        self._tcp = tcp
        self._udp = udp
        self._closed: Callable[[], None] | None = closed
        self._ingresses: list[TcpIngress | UdpIngress] = []

    def open(
        self,
        upstream: Upstream,
        config: ServerConfig | ClientConfig,
        resources: Resources,
        certificate: CertificateSource | None = None,
    ) -> None:
        """Take users, and send them on through `upstream`."""
        if self._tcp:
            self._ingresses.append(TcpIngress(self._tcp, upstream, config, resources, certificate))
        if self._udp:
            self._ingresses.append(UdpIngress(self._udp, upstream, config, resources))
        self._tcp, self._udp = [], []

    def close(self) -> None:
        """Take no more users."""
        for ingress in self._ingresses:
            ingress.close()
        for sock in (*self._tcp, *self._udp):
            sock.close()
        self._ingresses, self._tcp, self._udp = [], [], []
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()


async def addresses_to_bind(endpoint: Endpoint, resources: Resources) -> tuple[str, ...]:
    """The IP addresses that an endpoint's host stands for; empty for all interfaces.

    Raises:
        DialError: the name does not resolve.
    """
    return await resources.resolver.resolve(endpoint.host) if endpoint.host else ()


async def bind_for_users(endpoint: Endpoint, config: ServerConfig | ClientConfig, resources: Resources) -> UserPorts:
    """Bind an endpoint for the protocols that are to be carried.

    Raises:
        ListenError: it cannot be bound; then nothing is.
        DialError: its name does not resolve.
    """
    ips, port, place = await addresses_to_bind(endpoint, resources), endpoint.port, resources.place
    tcp = [] if config.notcp else await place.bind(ips, port, socket.SOCK_STREAM)
    try:
        udp = [] if config.noudp else await place.bind(ips, port, socket.SOCK_DGRAM)
    except (ListenError, asyncio.CancelledError):
        for sock in tcp:
            sock.close()
        place.release(ips, port)
        raise
    return UserPorts(tcp, udp, lambda: place.release(ips, port))
