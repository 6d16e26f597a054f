"""What an end of a QUIC connection offers and asks for: protocols, limits, TLS."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qh3.quic.configuration import QuicConfiguration
from qh3.tls import CipherSuite, SessionTicket

if TYPE_CHECKING:
    from nodepass.net.certificates import ClientTls, ServerCertificate

ALPN: Final = "np-quic"
ALPN_CREDIT: Final = "np-quic-credit"
"""The same with credit per stream; see `credit`."""

CID_SIZE: Final = 8
"""Bytes of a connection ID of ours."""

INITIAL_SIZE: Final = 1200
"""Bytes of the smallest datagram that may begin a connection (RFC 9000, 14.1); every path carries it."""

CONNECTION_WINDOW: Final = 16 * 1024 * 1024
"""Bytes that a peer may send ahead on all streams together: what the core may have to hold."""

STREAM_WINDOW: Final = 8 * 1024 * 1024
"""Bytes that it may send ahead on one stream; twice the largest credit, so that credit always counts first."""

SILENT_INTERVALS: Final = 3
"""Report intervals without a packet after which a connection is dead (spec: wire.md)."""

UNIDIRECTIONAL: Final = 1
"""Unidirectional streams that a peer may open: the one for credit."""

_CIPHERS: Final = [
    CipherSuite.AES_128_GCM_SHA256,
    CipherSuite.AES_256_GCM_SHA384,
    CipherSuite.CHACHA20_POLY1305_SHA256,
]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an end allows its peer.

    Args:
        streams: bidirectional streams at a time that the peer may open.
        idle_timeout: seconds without a packet after which the connection is dead.
    """

    streams: int
    idle_timeout: float


def client_configuration(tls: ClientTls, idle_timeout: float) -> QuicConfiguration:
    """Of a client that dials with this TLS.

    Raises:
        SSLCertVerificationError: the server's certificate is to be verified, but for no name.
    """
    verify = tls.context.verify_mode is ssl.CERT_REQUIRED
    if verify and tls.hostname is None:
        raise ssl.SSLCertVerificationError(1, "the server has no name to verify: set `sni`")
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=[ALPN_CREDIT, ALPN],
        server_name=tls.hostname,
        verify_mode=tls.context.verify_mode,
        cipher_suites=_CIPHERS,
        idle_timeout=idle_timeout,
        max_data=CONNECTION_WINDOW,
        max_stream_data=STREAM_WINDOW,
        max_datagram_size=INITIAL_SIZE,
        probe_datagram_size=True,
    )
    if verify:
        configuration.cadata = authorities = _authorities(tls.context)
        if not authorities:
            # A system that keeps them in a folder: OpenSSL looks there when it needs one, the library must be told.
            configuration.capath = ssl.get_default_verify_paths().capath
    return configuration


def trust_of(configuration: QuicConfiguration) -> bytes | None:
    """Which authorities a client trusts; None where it does not verify. See `TicketKey`."""
    if configuration.verify_mode is not ssl.CERT_REQUIRED:
        return None
    return hashlib.sha256(configuration.cadata or b"").digest()


def bring_ticket(configuration: QuicConfiguration, ticket: object) -> None:
    """Have a client come back with a ticket that the library gave for it."""
    if isinstance(ticket, SessionTicket):
        configuration.session_ticket = ticket


def server_configuration(certificate: ServerCertificate, idle_timeout: float, datagram_size: int) -> QuicConfiguration:
    """Of a server that shows this certificate and sends datagrams of at most so many bytes.

    Raises:
        ValueError: the library cannot use the certificate or its key, although OpenSSL can.
    """
    configuration = QuicConfiguration(
        is_client=False,
        alpn_protocols=[ALPN_CREDIT, ALPN],
        cipher_suites=_CIPHERS,
        idle_timeout=idle_timeout,
        max_data=CONNECTION_WINDOW,
        max_stream_data=STREAM_WINDOW,
        max_datagram_size=datagram_size,
        probe_datagram_size=False,
    )
    configuration.load_cert_chain(certificate.chain, certificate.private_key)
    return configuration


def _authorities(context: ssl.SSLContext) -> bytes:
    """The certificate authorities that a context trusts, in PEM."""
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in context.get_ca_certs(binary_form=True)).encode()
