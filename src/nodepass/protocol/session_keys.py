"""What both ends of a session can do once their handshake is done: prove that they have, and seal the control channel.

A proof opens a pool connection (extension.md, ``pool-auth``). It is the session's name (8 bytes), a counter (8, big-endian)
and a tag (16): the beginning of HMAC-SHA256, under the key of pool connections, over ``pool``, the name and the counter.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nodepass.protocol.noise import NoiseHandshake

SESSION_SIZE: Final = 8
"""Bytes of a session's name."""

POOL_PROOF_SIZE: Final = 32
"""Bytes that open a pool connection."""

_LOWEST_FIRST_BYTE: Final = 0x80
_COUNTER_SIZE: Final = 8
_COUNTER_END: Final = SESSION_SIZE + _COUNTER_SIZE
_TAG_SIZE: Final = POOL_PROOF_SIZE - _COUNTER_END


class SessionKeys:
    """The keys of one session, the same at both ends. Nothing shows them.

    The key of pool connections is the handshake's `secret` for ``nodepass pool``.

    Args:
        session: the name of the session.
        handshake: one that is done.

    Attributes:
        session: the name of the session.
    """

    __slots__ = ("_handshake", "_pool_key", "session")

    def __init__(self, session: bytes, handshake: NoiseHandshake) -> None:
        self.session = session
        self._handshake = handshake
        self._pool_key = handshake.secret(b"nodepass pool")

    def proof(self, counter: int) -> bytes:
        """Give what opens a pool connection.

        Args:
            counter: each only once, 0 to 2**64 - 1; ascending, more or less.
        """
        return self._signed(counter.to_bytes(_COUNTER_SIZE, "big"))

    def proves(self, proof: bytes) -> bool:
        """Tell whether this is a `proof` of this session; whether its counter has been seen is for the caller to know."""
        return hmac.compare_digest(proof, self._signed(proof[SESSION_SIZE:_COUNTER_END]))

    def seal(self, plain: bytes) -> bytes:
        """Seal the next message to the other end; see `SealedCodec`."""
        return self._handshake.encrypt(plain)

    def open(self, sealed: bytes) -> bytes:
        """Open the next message from the other end.

        Raises:
            SignalError: it is not that.
        """
        return self._handshake.decrypt(sealed)

    def _signed(self, counter: bytes) -> bytes:
        head = self.session + counter
        return head + hmac.digest(self._pool_key, b"pool" + head, "sha256")[:_TAG_SIZE]


def session_of(proof: bytes) -> bytes:
    """Give the session that a proof names; nothing has been proven yet."""
    return proof[:SESSION_SIZE]


def begins_proof(first: bytes) -> bool:
    """Tell whether a connection that begins so may begin with a proof: neither HTTP nor TLS begins with such a byte."""
    return first[0] >= _LOWEST_FIRST_BYTE


def counter_of(proof: bytes) -> int:
    """Give the counter of a proof."""
    return int.from_bytes(proof[SESSION_SIZE:_COUNTER_END], "big")
