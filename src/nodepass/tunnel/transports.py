"""Which transport carries a pool: the one place that knows them all, and imports each only when it is used.

The server decides on one (`type`, `tls`) and tells the client in the handshake; the client adopts it (spec: wire.md).
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nodepass.config import PoolTransport, ServerConfig, TlsMode
from nodepass.net.certificates import ClientTls, client_context, from_files, self_signed_pair
from nodepass.net.dial import LocalAddress
from nodepass.transport.tcp import TcpAcceptor, TcpDialer
from nodepass.tunnel.meeting import HTTPS_PORT

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from nodepass.config import ClientConfig
    from nodepass.net.address import Address
    from nodepass.net.certificates import CertificateSource, PemPair
    from nodepass.protocol.agreement import Agreement
    from nodepass.transport.base import Acceptor, Dialer, Link
    from nodepass.transport.quic import QuicListener
    from nodepass.tunnel.resources import Resources


class Accepted(Protocol):
    """Who takes the pool connections that come to a server."""

    def __call__(self, link: Link, early: bytes = b"") -> None:
        """Take one, with all said that its transport says before the ID; `early` are bytes that were read from it."""


ALWAYS_ENCRYPTED = frozenset({PoolTransport.QUIC, PoolTransport.HTTP2})

UNLIMITED_USERS = 65536
"""Streams for users that a client may have open where `slot=0` sets no limit."""

HTTP2_ALPN = ("h2",)
"""What a TLS connection agrees on before HTTP/2 (RFC 9113, 3.2)."""


def tls_of(transport: PoolTransport, tls: TlsMode) -> TlsMode:
    """The TLS mode that counts: a transport that is always encrypted runs `tls=0` as `tls=1` (spec: wire.md)."""
    if tls is TlsMode.NONE and transport in ALWAYS_ENCRYPTED:
        return TlsMode.SELF_SIGNED
    return tls


def alpn_of(transport: PoolTransport) -> tuple[str, ...]:
    """What TLS over TCP agrees on for this transport."""
    return HTTP2_ALPN if transport is PoolTransport.HTTP2 else ()


# The client's side.


def make_dialer(
    agreement: Agreement, config: ClientConfig, server: Address, resources: Resources, workers: int = 1
) -> Dialer:
    """What opens the pool connections that were agreed on, to a server of so many processes."""
    transport = PoolTransport(agreement.type)
    tls = _client_tls(transport, tls_of(transport, TlsMode(agreement.tls)), config)
    tunables = resources.tunables
    if transport is PoolTransport.QUIC and tls is not None:
        from nodepass.transport.quic import QuicDialer  # noqa: PLC0415

        return QuicDialer(server, tls, tunables, resources.tickets, resources.log)
    local = LocalAddress(None, resources.log)
    below = TcpDialer(server, tunables.tcp_dial_timeout, local, resources.shared, tls)
    if transport is PoolTransport.WEBSOCKET:
        from nodepass.transport.websocket import WebSocketDialer  # noqa: PLC0415

        host = config.sni or config.tunnel.host or "localhost"
        return WebSocketDialer(below, host, tunables.handshake_timeout, tunables.report_interval, resources.log)
    if transport is PoolTransport.HTTP2:
        from nodepass.transport.http2 import Http2Dialer  # noqa: PLC0415

        return Http2Dialer(below, config.server_name, resources.log, workers)
    return below


def _client_tls(transport: PoolTransport, tls: TlsMode, config: ClientConfig) -> ClientTls | None:
    host = config.tunnel.host
    if tls is TlsMode.NONE:
        if transport is PoolTransport.WEBSOCKET and config.tunnel.port == HTTPS_PORT:
            # The proxy in front of the server speaks TLS, whatever the server itself does.
            return ClientTls(ssl.create_default_context(), config.sni or host or None)
        return None
    verify = tls is TlsMode.FILES
    name = config.sni or (host if verify or config.tunnel.ip is None else "")
    return ClientTls(client_context(verify=verify, alpn=alpn_of(transport)), name or None)


# The server's side.


def make_acceptor(config: ServerConfig, accepted: Accepted, resources: Resources) -> Acceptor | None:
    """What makes pool connections of TCP connections; None where they do not come over TCP."""
    if config.type is PoolTransport.TCP:
        return TcpAcceptor(accepted)
    if config.type is PoolTransport.WEBSOCKET:
        from nodepass.transport.websocket import WebSocketAcceptor  # noqa: PLC0415

        tunables = resources.tunables
        return WebSocketAcceptor(accepted, tunables.handshake_timeout, tunables.report_interval, resources.log)
    if config.type is PoolTransport.HTTP2:
        from nodepass.transport.http2 import Http2Acceptor  # noqa: PLC0415

        return Http2Acceptor(accepted, config.max, resources.tunables.handshake_timeout, resources.log)
    return None


def listen_for_quic(
    sockets: list[socket.socket],
    config: ServerConfig,
    certificate: CertificateSource,
    knows: Callable[[str], bool],
    accepted: Accepted,
    resources: Resources,
) -> QuicListener:
    """Take pool connections over QUIC from bound UDP sockets, from the addresses that `knows` knows.

    Raises:
        ListenError: QUIC cannot use the certificate or its key.
    """
    from nodepass.transport.quic import QuicListener  # noqa: PLC0415

    # Those of users in progress are streams as well; how many wait idle is limited where they are taken in.
    streams = config.max + (config.slot or UNLIMITED_USERS)
    return QuicListener(sockets, certificate, streams, knows, accepted, resources.tunables, resources.log)


# Several processes.


def shared_certificate(config: ServerConfig | ClientConfig) -> PemPair | None:
    """The certificate that all processes of an instance show; None where each reads it, or shows none.

    Raises:
        ConfigError: the files that each is to read are no good.
    """
    tls = tls_of(config.type, config.tls) if isinstance(config, ServerConfig) else config.tls
    if tls is TlsMode.FILES:
        from_files(Path(config.crt), Path(config.key))
    return self_signed_pair() if tls is TlsMode.SELF_SIGNED else None
