"""A server's connection with a client that has no connection ID of its own, which v1 is.

Such a client wants packets with an empty destination ID (RFC 9000, 5.1). At a server, the library's core begins with the ID
that the client made up for the first packets and replaces it by the client's own, but not if that is empty. So the core is
told from the beginning that it is empty. Then it can neither know the first packets by the ID they were sent to, nor derive
the keys of the Initial packets from it: this end takes that ID for its own, and the keys are derived here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qh3.quic.crypto import derive_key_iv_hp
from qh3.quic.packet import QuicProtocolVersion
from qh3.tls import CipherSuite, Epoch, cipher_suite_hash, hkdf_expand_label, hkdf_extract

if TYPE_CHECKING:
    from qh3._hazmat import QuicConnectionCore

_SALT: Final = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
"""RFC 9001, 5.2."""

_CIPHER: Final = CipherSuite.AES_128_GCM_SHA256
_SECRET_SIZE: Final = 32


def install_initial_keys(core: QuicConnectionCore, destination: bytes) -> None:
    """Give a server's core the keys of the Initial packets of a connection that began with this destination ID."""
    hashed = cipher_suite_hash(_CIPHER)
    secret = hkdf_extract(hashed, _SALT, destination)
    for direction, label in (("receive", b"client in"), ("send", b"server in")):
        traffic = hkdf_expand_label(hashed, secret, label, b"", _SECRET_SIZE)
        key, iv, header = derive_key_iv_hp(cipher_suite=_CIPHER, secret=traffic, version=QuicProtocolVersion.VERSION_1)
        core.install_packet_key(direction, Epoch.INITIAL, ("aes-128-gcm", "aes-128-ecb"), key, iv, header, 0)
