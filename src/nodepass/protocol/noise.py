"""The Noise protocol: everything that knows the library.

The one handshake that is used is ``Noise_NNpsk0_25519_ChaChaPoly_SHA256`` (Noise specification, revision 34): two messages,
the first sealed under the pre-shared key, the second under that and a fresh Diffie-Hellman secret. After it, each direction
has a key of its own and counts its messages.

What always holds: whatever the other end sends, reading it ends in bytes or in the error that is documented; and a message
that is refused leaves everything as it was, so that the next good one is read.
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from noise.connection import NoiseConnection
from noise.exceptions import NoiseInvalidMessage, NoiseMaxNonceError, NoiseValueError

from nodepass.errors import HandshakeError, SignalError

KEY_SIZE: Final = 32
"""Bytes of a pre-shared key, and of the public key that begins each handshake message."""

TAG_SIZE: Final = 16
"""Bytes by which a sealed message is longer than what it holds."""

_NAME: Final = b"Noise_NNpsk0_25519_ChaChaPoly_SHA256"

# Any key will do: with a public key of small order each gives a secret of zeros, which is refused (RFC 7748, section 6.1).
_PROBE: Final = X25519PrivateKey.from_private_bytes(bytes(KEY_SIZE))


class NoiseHandshake:
    """One end of one handshake, and of the sealed channel that comes of it.

    The initiator writes the first message and reads the second; the responder the other way round.

    Args:
        pre_shared_key: `KEY_SIZE` bytes.
        initiator: which end this is.
    """

    def __init__(self, pre_shared_key: bytes, *, initiator: bool) -> None:
        self._initiator = initiator
        self._connection = NoiseConnection.from_name(_NAME)
        self._connection.set_psks(pre_shared_key)
        if initiator:
            self._connection.set_as_initiator()
        else:
            self._connection.set_as_responder()
        self._connection.start_handshake()

    def write_message(self, payload: bytes) -> bytes:
        """Write this end's message of the handshake."""
        return bytes(self._connection.write_message(payload))

    def read_message(self, message: bytes) -> bytes:
        """Read the other end's message of the handshake; once, for a handshake that has failed is of no more use.

        Returns:
            Its payload.

        Raises:
            HandshakeError: it is malformed, has been changed, or was made under another key.
        """
        try:
            payload = bytes(self._connection.read_message(message))
            # The secret is computed later, when the answer is written; what it cannot be computed from is refused here.
            _PROBE.exchange(X25519PublicKey.from_public_bytes(message[:KEY_SIZE]))
        except (InvalidTag, NoiseInvalidMessage, NoiseValueError, ValueError) as error:
            raise HandshakeError("the Noise handshake failed: another key, or changed on the way") from error
        return payload

    @property
    def hash(self) -> bytes:
        """What names this handshake, and is the same at both ends once it is done: 32 bytes.

        It depends on the pre-shared key and on what was sent, and not on the Diffie-Hellman secret.
        """
        return self._connection.get_handshake_hash()

    def secret(self, label: bytes) -> bytes:
        """Derive a key that only the two ends have, not who knows the pre-shared key and heard all: 32 bytes.

        HMAC-SHA256 with the key of what the initiator sends (Noise specification, section 5.2, Split) as its key, and the
        label and the handshake hash as its message.
        """
        protocol = self._connection.noise_protocol
        sending = protocol.cipher_state_encrypt if self._initiator else protocol.cipher_state_decrypt
        return hmac.digest(sending.k, label + self.hash, "sha256")

    def encrypt(self, plain: bytes) -> bytes:
        """Seal the next message to the other end; it is `TAG_SIZE` bytes longer."""
        return self._connection.encrypt(plain)

    def decrypt(self, sealed: bytes) -> bytes:
        """Open the next message from the other end.

        Raises:
            SignalError: it is not the next message as the other end sealed it.
        """
        try:
            return self._connection.decrypt(sealed)
        except (NoiseInvalidMessage, NoiseMaxNonceError) as error:
            raise SignalError(f"{len(sealed)} bytes are not the next sealed message") from error
