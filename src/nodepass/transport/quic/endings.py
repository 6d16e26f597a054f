"""Why a QUIC connection ended, in the words of this project."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from qh3.tls import AlertDescription

from nodepass.errors import ProtocolError

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

_NO_KEY: Final = "missing OneRtt packet key"
"""What the library says where it wants to send something before the handshake has given it the key for that."""

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


def why_given_up(error: Exception) -> str:
    """What it means that a rule of this project, or the library, gives a connection up.

    A client that comes back sends with its first packet (0-RTT). Where that is not answered, the library (qh3 2.1) wants to
    ask for an answer for the second time, after about a second, in a packet whose key comes with the answer.
    """
    if isinstance(error, ProtocolError):
        return str(error)
    if _NO_KEY in str(error):
        return "no answer to what was sent first"
    return f"the QUIC library gave up ({type(error).__name__}: {error})"


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
