"""What stands unencrypted in QUIC packets: whose they are, and whether they come from where they say."""

from __future__ import annotations

import hmac
import os
import struct
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from qh3._hazmat import pull_quic_header
from qh3.quic.packet import QuicPacketType, QuicProtocolVersion, encode_quic_retry

from nodepass.transport.quic.settings import CID_SIZE

if TYPE_CHECKING:
    from nodepass.net.address import SocketAddress

TOKEN_LIFETIME: Final = 10
"""Seconds in which a Retry has to be answered."""

_STAMP: Final = struct.Struct(">Q")
_MAC_SIZE: Final = 32


class Header(NamedTuple):
    """What stands unencrypted at the beginning of a packet with a long header (RFC 9000, 17.2)."""

    version: int
    initial: bool
    destination: bytes
    source: bytes
    token: bytes


def is_long(data: bytes) -> bool:
    """Whether a packet has a long header: it belongs to a handshake."""
    return data[0] & 0x80 != 0


def parse_long(data: bytes) -> Header | None:
    """The header of such a packet; None where it is none of a version that is known."""
    try:
        version, kind, _, destination, source, token, *_ = pull_quic_header(data, 0, CID_SIZE)
    except ValueError:
        return None
    if version != QuicProtocolVersion.VERSION_1:
        return None
    return Header(version, kind == QuicPacketType.INITIAL, destination, source, token)


class Retries:
    """Has whoever begins a connection prove that it gets what is sent to its address (RFC 9000, 8.1.2).

    Nothing is remembered of it: the token says what is to be known, and that it was made here.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)

    def retry(self, header: Header, address: SocketAddress) -> bytes:
        """The packet that asks for the token in it."""
        source = os.urandom(CID_SIZE)
        token = self._token(int(time.monotonic()), header.destination, source, address)
        return bytes(
            encode_quic_retry(
                version=header.version,
                source_cid=source,
                destination_cid=header.source,
                original_destination_cid=header.destination,
                retry_token=token,
            )
        )

    def check(self, header: Header, address: SocketAddress) -> bytes | None:
        """The connection ID before the Retry, of a packet with a good token; None of any other."""
        if len(header.token) < _STAMP.size + _MAC_SIZE:
            return None
        (made,) = _STAMP.unpack_from(header.token)
        first = header.token[_STAMP.size : -_MAC_SIZE]
        expected = self._token(made, first, header.destination, address)
        if not hmac.compare_digest(expected, header.token) or time.monotonic() - made > TOKEN_LIFETIME:
            return None
        return first

    def _token(self, made: int, first: bytes, source: bytes, address: SocketAddress) -> bytes:
        content = _STAMP.pack(made) + first
        bound = f"{address[0]} {address[1]} ".encode() + bytes([len(source)]) + source
        return content + hmac.digest(self._key, bound + content, "sha256")
