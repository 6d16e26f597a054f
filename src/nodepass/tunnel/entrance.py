"""Where a server takes its clients: the tunnel port, and what makes pool connections of what comes there."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from nodepass.config import PoolTransport
from nodepass.tunnel.transports import listen_for_quic, make_acceptor
from nodepass.tunnel.tunnel_port import TunnelPort

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.config import ServerConfig
    from nodepass.net.certificates import CertificateSource
    from nodepass.policy.newcomers import Newcomers
    from nodepass.transport.base import Acceptor
    from nodepass.transport.quic import QuicListener
    from nodepass.tunnel.gate import Gate
    from nodepass.tunnel.reception import Reception
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.sessions import Sessions
    from nodepass.tunnel.tunnel_port import Newcomer


class Entrance:
    """That of one server, opened again in each of its runs.

    Args:
        config: of the server.
        certificate: for pool connections; None has them plain.
        reception: answers handshakes.
        gate: takes pool connections.
        sessions: of the server.
        newcomers: of the server.
        resources: of the instance.
    """

    def __init__(
        self,
        config: ServerConfig,
        certificate: CertificateSource | None,
        reception: Reception,
        gate: Gate,
        sessions: Sessions,
        newcomers: Newcomers[Newcomer],
        resources: Resources,
    ) -> None:
        self._config = config
        self._certificate = certificate
        self._reception = reception
        self._gate = gate
        self._sessions = sessions
        self._newcomers = newcomers
        self._resources = resources
        self._tunnel_port: TunnelPort | None = None
        self._acceptor: Acceptor | None = None
        self._quic: QuicListener | None = None
        self._closed: Callable[[], None] | None = None

    async def open(self, ips: tuple[str, ...]) -> None:
        """Bind, and take what comes.

        Raises:
            ListenError: it cannot be bound.
        """
        place, port = self._resources.place, self._config.tunnel.port
        listening = await place.bind(ips, port, socket.SOCK_STREAM)
        self._closed = lambda: place.release(ips, port)
        self._acceptor = make_acceptor(self._config, self._gate.take, self._resources)
        self._tunnel_port = TunnelPort(
            listening,
            self._reception.make_handshake,
            self._certificate,
            self._acceptor,
            self._sessions,
            self._newcomers,
            self._resources,
            self._reception.answer,
        )
        if self._config.type is PoolTransport.QUIC and self._certificate is not None:
            self._quic = listen_for_quic(
                await place.bind(ips, port, socket.SOCK_DGRAM),
                self._config,
                self._certificate,
                self._sessions.expected_from,
                self._gate.take,
                self._resources,
            )

    def close(self) -> None:
        """Take nothing more; what has come lives on."""
        if self._tunnel_port is not None:
            self._tunnel_port.close()
        if self._quic is not None:
            self._quic.close()
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()

    async def arrived(self) -> None:
        """See `transport.base.Carriers`."""
        for carriers in (self._acceptor, self._quic):
            if carriers is not None:
                await carriers.arrived()

    async def departed(self) -> None:
        """See `transport.base.Carriers`."""
        for carriers in (self._acceptor, self._quic):
            if carriers is not None:
                await carriers.departed()

    def abort(self) -> None:
        """See `transport.base.Carriers`."""
        for carriers in (self._acceptor, self._quic):
            if carriers is not None:
                carriers.abort()
