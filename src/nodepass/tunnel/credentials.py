"""What a client says first on each pool connection: that it is of the session, once it has seen that the server is.

What always holds: with `pin`, nothing is said on a connection whose certificate is not one of those that the server has
told under the key; with `pool-auth`, each proof is used once.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from nodepass.errors import CertificateError
from nodepass.protocol.extension import Feature

if TYPE_CHECKING:
    from nodepass.transport.base import Link
    from nodepass.tunnel.meeting import Meeting

MOST_CERTIFICATES = 16
"""How many of a server's certificates are known at once: it shows one, and for a moment the one before."""


class Credentials:
    """Those of one session.

    Args:
        meeting: the handshake that began it; with a v1 server there is nothing to say.
    """

    def __init__(self, meeting: Meeting) -> None:
        features = meeting.terms.features if meeting.terms is not None else frozenset[Feature]()
        self._keys = meeting.keys if Feature.POOL_AUTH in features else None
        self._trusted: deque[str] | None = None
        if meeting.terms is not None and meeting.terms.fingerprint and Feature.PIN in features:
            self._trusted = deque((meeting.terms.fingerprint,), MOST_CERTIFICATES)
        self._used = 0

    def trust(self, fingerprint: str) -> None:
        """The server shows this certificate as well from now on."""
        if self._trusted is not None and fingerprint not in self._trusted:
            self._trusted.append(fingerprint)

    def show(self, link: Link) -> None:
        """Say on a new connection whose it is.

        Raises:
            CertificateError: it leads to someone else.
        """
        if self._trusted is not None and link.fingerprint not in self._trusted:
            raise CertificateError(
                f"{link.fingerprint or '(none)'} is not the one that the server has told: "
                "someone may stand between the two ends"
            )
        if self._keys is not None:
            self._used += 1
            link.write(self._keys.proof(self._used))
