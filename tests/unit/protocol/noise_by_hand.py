"""The initiator of Noise_NNpsk0_25519_ChaChaPoly_SHA256, word for word after the specification (revision 34, section 5).

A second opinion on the library, and a way to send what no honest initiator sends.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


def hkdf(chaining_key: bytes, material: bytes, count: int) -> list[bytes]:
    temporary = hmac.digest(chaining_key, material, "sha256")
    outputs, last = [], b""
    for number in range(1, count + 1):
        last = hmac.digest(temporary, last + bytes([number]), "sha256")
        outputs.append(last)
    return outputs


def nonce(counter: int) -> bytes:
    return bytes(4) + counter.to_bytes(8, "little")


class Initiator:
    def __init__(self, psk: bytes, *, public: bytes | None = None) -> None:
        self.private = X25519PrivateKey.generate()
        self.public = self.private.public_key().public_bytes_raw() if public is None else public
        self.psk = psk
        self.hash = self.chaining_key = hashlib.sha256(b"Noise_NNpsk0_25519_ChaChaPoly_SHA256").digest()
        self.key = b""
        self.counter = 0
        self.mix_hash(b"")

    def mix_hash(self, data: bytes) -> None:
        self.hash = hashlib.sha256(self.hash + data).digest()

    def mix_key(self, material: bytes) -> None:
        self.chaining_key, self.key = hkdf(self.chaining_key, material, 2)
        self.counter = 0

    def first_message(self, payload: bytes) -> bytes:
        self.chaining_key, temporary, self.key = hkdf(self.chaining_key, self.psk, 3)
        self.mix_hash(temporary)
        self.mix_hash(self.public)
        self.mix_key(self.public)
        sealed = ChaCha20Poly1305(self.key).encrypt(nonce(0), payload, self.hash)
        self.mix_hash(sealed)
        return self.public + sealed

    def read_second_message(self, message: bytes) -> bytes:
        public, sealed = message[:32], message[32:]
        self.mix_hash(public)
        self.mix_key(public)
        self.mix_key(self.private.exchange(X25519PublicKey.from_public_bytes(public)))
        payload = ChaCha20Poly1305(self.key).decrypt(nonce(0), sealed, self.hash)
        self.mix_hash(sealed)
        return payload

    def transport_keys(self) -> tuple[bytes, bytes]:
        """Of what the initiator sends, and of what it is sent."""
        to_responder, to_initiator = hkdf(self.chaining_key, b"", 2)
        return to_responder, to_initiator
