"""Why a QUIC connection ended, in the words of this project."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from qh3.tls import AlertDescription

if TYPE_CHECKING:
    from qh3.quic.events import ConnectionTerminated
    from qh3.quic.tls_bridge import QuicTlsBridgeError

_CRYPTO_ERROR: Final = 0x100
"""A TLS alert as the error of a connection is this and the alert's number (RFC 9001, 4.8)."""

MOST_REASON: Final = 200
"""Bytes of the text that tells a peer why a connection ends."""

_LEFT: Final = 0xC
"""The error of a peer that closes before the handshake is over, and is not to say why then (RFC 9000, 10.2.3)."""

_IDLE: Final = "Idle timeout"
"""How the core calls the end of a connection on which nothing was heard."""

_UNACCEPTABLE: Final = "unacceptable"
"""All that the library says of a certificate for another name."""

_DISTRUST: Final = {
    AlertDescription.bad_certificate,
    AlertDescription.unsupported_certificate,
    AlertDescription.certificate_revoked,
    AlertDescription.certificate_expired,
    AlertDescription.certificate_unknown,
    AlertDescription.unknown_ca,
}


def why_ended(closed: ConnectionTerminated) -> Exception | None:
    """What either end said, or what the library found; None where nobody gave a reason."""
    code, reason = closed.error_code, closed.reason_phrase
    if reason == _IDLE:
        return ConnectionAbortedError("nothing was heard on the QUIC connection")
    if not code and not reason:
        return None
    if code == _LEFT and not reason:
        return ConnectionAbortedError("the other side left in the midst of it")
    if _CRYPTO_ERROR <= code < 2 * _CRYPTO_ERROR:
        return ConnectionAbortedError(f"TLS alert {code - _CRYPTO_ERROR}: {reason}")
    return ConnectionAbortedError(reason or f"QUIC error {code}")


def distrust(error: QuicTlsBridgeError, name: str | None) -> Exception | None:
    """What a client says of a server's certificate that does not verify; None of any other error of TLS.

    Args:
        error: the library's.
        name: for which the certificate should be valid.
    """
    if error.error_code - _CRYPTO_ERROR not in _DISTRUST:
        return None
    reason = error.reason_phrase.replace(_UNACCEPTABLE, f"not valid for {name}, or not for servers")
    return ssl.SSLCertVerificationError(1, reason)
