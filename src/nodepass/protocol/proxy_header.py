r"""The PROXY protocol, versions 1 (text) and 2 (binary): who the user behind a connection is.

Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, sections 2.1 and 2.2.

Addresses are ``(ip, port)``. IPv4 addresses in IPv6 dress (``::ffff:10.1.2.3``, as a dual-stack socket shows them) are
taken for what they are, on writing and on reading. A header has one family for both its addresses: where they differ,
the IPv4 one is dressed as IPv6.

What always holds: the parser never looks at more than the longest header it accepts (`V1_LIMIT`, `V2_LIMIT`), and how
the bytes were cut into pieces makes no difference to what it finds.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from nodepass.errors import ProxyHeaderError

Address = tuple[str, int]
"""IP address and port."""

V1_LIMIT: Final = 107
"""Longest version 1 header in bytes, its CRLF included."""

_V1_START: Final = b"PROXY "
# The UNKNOWN form may be followed by anything up to the CRLF, which is to be ignored.
_V1_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN(?: .*)?", re.DOTALL)
_V1_KNOWN: Final = re.compile(
    rb"PROXY TCP(?P<family>[46]) (?P<source>[0-9A-Fa-f:.]+) (?P<destination>[0-9A-Fa-f:.]+)"
    rb" (?P<source_port>0|[1-9][0-9]{0,4}) (?P<destination_port>0|[1-9][0-9]{0,4})"
)

_V2_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_FIXED: Final = struct.Struct("!12sBBH")
_V2_BODY_LIMIT: Final = 2048
_V2_LOCAL, _V2_PROXY = 0x20, 0x21
_V2_IPV4: Final = struct.Struct("!4s4sHH")
_V2_IPV6: Final = struct.Struct("!16s16sHH")
# Family and transport in one byte: the layout of the addresses, or None where they are of no use here.
_V2_LAYOUTS: Final = {
    0x00: None,
    0x11: _V2_IPV4,
    0x12: _V2_IPV4,
    0x21: _V2_IPV6,
    0x22: _V2_IPV6,
    0x31: None,
    0x32: None,
}
_V2_STREAM, _V2_DATAGRAM = 0x1, 0x2

V2_LIMIT: Final = _V2_FIXED.size + _V2_BODY_LIMIT
"""Longest version 2 header in bytes that is accepted, its TLVs included."""

_MAPPED_PREFIX: Final = bytes(10) + b"\xff\xff"


def encode_v1(source: Address, destination: Address) -> bytes:
    """Write a version 1 header. It knows only TCP; v1 peers write it for UDP sessions too.

    Raises:
        ProxyHeaderError: one of the two is not an IP address and a port.
    """
    (source_ip, source_port), (destination_ip, destination_port) = _parsed(source), _parsed(destination)
    if isinstance(source_ip, IPv4Address) and isinstance(destination_ip, IPv4Address):
        text = f"PROXY TCP4 {source_ip} {destination_ip} {source_port} {destination_port}\r\n"
    else:
        text = f"PROXY TCP6 {_ipv6_text(source_ip)} {_ipv6_text(destination_ip)} {source_port} {destination_port}\r\n"
    return text.encode("ascii")


def encode_v2(source: Address, destination: Address, *, datagram: bool) -> bytes:
    """Write a version 2 header, without TLVs.

    Args:
        source: the user.
        destination: the target.
        datagram: the connection is a UDP session.

    Raises:
        ProxyHeaderError: one of the two is not an IP address and a port.
    """
    (source_ip, source_port), (destination_ip, destination_port) = _parsed(source), _parsed(destination)
    if isinstance(source_ip, IPv4Address) and isinstance(destination_ip, IPv4Address):
        family = 0x1
        body = _V2_IPV4.pack(source_ip.packed, destination_ip.packed, source_port, destination_port)
    else:
        family = 0x2
        body = _V2_IPV6.pack(_ipv6_bytes(source_ip), _ipv6_bytes(destination_ip), source_port, destination_port)
    transport = _V2_DATAGRAM if datagram else _V2_STREAM
    return _V2_FIXED.pack(_V2_SIGNATURE, _V2_PROXY, family << 4 | transport, len(body)) + body


def _parsed(address: Address) -> tuple[IPv4Address | IPv6Address, int]:
    text, port = address
    if not 0 <= port <= 65535:
        raise ProxyHeaderError(f"port {port} is not in 0-65535")
    try:
        # A zone ("%eth0") means nothing to another machine, and the header has no place for it.
        ip = ip_address(text.partition("%")[0])
    except ValueError as error:
        raise ProxyHeaderError(f"{text[:60]!r} is not an IP address") from error
    return _undressed(ip), port


def _undressed(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def _ipv6_text(ip: IPv4Address | IPv6Address) -> str:
    return f"::ffff:{ip}" if isinstance(ip, IPv4Address) else str(ip)


def _ipv6_bytes(ip: IPv4Address | IPv6Address) -> bytes:
    return _MAPPED_PREFIX + ip.packed if isinstance(ip, IPv4Address) else ip.packed


@dataclass(frozen=True, slots=True)
class ParsedHeader:
    """What a PROXY header says.

    Args:
        source: the user; None when the header names nobody (``UNKNOWN``, ``LOCAL``, a Unix socket), so that the
            connection's own peer counts.
        destination: the address the user connected to; None together with ``source``.
    """

    source: Address | None
    destination: Address | None


_NOBODY: Final = ParsedHeader(None, None)


class ProxyHeaderParser:
    """Reads the header that opens one connection. Of no more use once it has returned a header or raised.

    Attributes:
        rest: the bytes that came after the header, once there is one.
    """

    def __init__(self) -> None:
        self.rest = b""
        self._buffer = b""

    def feed(self, data: bytes) -> ParsedHeader | None:
        """Take the next bytes.

        Returns:
            The header, or None while it is not whole; the bytes after it are then in `rest`.

        Raises:
            ProxyHeaderError: the bytes do not begin with a PROXY header, or it is over the limit.
        """
        self._buffer += data
        head = self._buffer[: len(_V2_SIGNATURE)]
        if _V2_SIGNATURE.startswith(head):
            return self._version_2()
        if _V1_START.startswith(head[: len(_V1_START)]):
            return self._version_1()
        raise ProxyHeaderError("the connection does not begin with a PROXY header")

    def _version_1(self) -> ParsedHeader | None:
        line, ending, _ = self._buffer[:V1_LIMIT].partition(b"\r\n")
        if not ending:
            if len(line) == V1_LIMIT:
                raise ProxyHeaderError(f"PROXY header v1 over {V1_LIMIT} bytes")
            return None
        header = _parse_v1(line)
        self._end_at(len(line) + len(ending))
        return header

    def _version_2(self) -> ParsedHeader | None:
        if len(self._buffer) < _V2_FIXED.size:
            return None
        _, command, kind, size = _V2_FIXED.unpack_from(self._buffer)
        if size > _V2_BODY_LIMIT:
            raise ProxyHeaderError(f"PROXY header v2 over {V2_LIMIT} bytes")
        end = _V2_FIXED.size + size
        if len(self._buffer) < end:
            return None
        header = _parse_v2(command, kind, self._buffer[_V2_FIXED.size : end])
        self._end_at(end)
        return header

    def _end_at(self, end: int) -> None:
        self.rest = self._buffer[end:]
        self._buffer = b""


def _parse_v1(line: bytes) -> ParsedHeader:
    if _V1_UNKNOWN.fullmatch(line):
        return _NOBODY
    match = _V1_KNOWN.fullmatch(line)
    if match is None:
        raise ProxyHeaderError("malformed PROXY header v1")
    family = IPv4Address if match["family"] == b"4" else IPv6Address
    try:
        source, destination = family(match["source"].decode()), family(match["destination"].decode())
    except ValueError as error:
        raise ProxyHeaderError("PROXY header v1 with a malformed address") from error
    source_port, destination_port = int(match["source_port"]), int(match["destination_port"])
    if max(source_port, destination_port) > 65535:
        raise ProxyHeaderError("PROXY header v1 with a port over 65535")
    return ParsedHeader((str(_undressed(source)), source_port), (str(_undressed(destination)), destination_port))


def _parse_v2(command: int, kind: int, body: bytes) -> ParsedHeader:
    if command == _V2_LOCAL:
        # A health check of the proxy itself; the rest, family included, is to be ignored.
        return _NOBODY
    if command != _V2_PROXY:
        raise ProxyHeaderError(f"PROXY header v2 with unknown version and command {command:#04x}")
    if kind not in _V2_LAYOUTS:
        raise ProxyHeaderError(f"PROXY header v2 with unknown family and transport {kind:#04x}")
    layout = _V2_LAYOUTS[kind]
    if layout is None:
        return _NOBODY
    if len(body) < layout.size:
        raise ProxyHeaderError(f"PROXY header v2 with {len(body)} bytes of addresses, expected {layout.size}")
    source, destination, source_port, destination_port = layout.unpack_from(body)  # what follows are TLVs
    return ParsedHeader(
        (str(_undressed(ip_address(source))), source_port), (str(_undressed(ip_address(destination))), destination_port)
    )
