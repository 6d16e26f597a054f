from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.errors import ProxyHeaderError
from nodepass.protocol.proxy_header import (
    V1_LIMIT,
    V2_LIMIT,
    Address,
    ParsedHeader,
    ProxyHeaderParser,
    encode_v1,
    encode_v2,
)
from nodepass.protocol.remote import parse_remote
from tests.unit.protocol.chunks import cut, cuts, every_byte
from tests.unit.protocol.vectors import section, text

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
NOBODY = ParsedHeader(None, None)

Outcome = tuple[ParsedHeader | None, bytes] | str


def outcome(pieces: list[bytes]) -> Outcome:
    """Feed pieces as the caller does: until there is a header, the rest counting as what follows it."""
    parser = ProxyHeaderParser()
    for number, piece in enumerate(pieces):
        try:
            header = parser.feed(piece)
        except ProxyHeaderError:
            return "refused"
        if header is not None:
            return header, parser.rest + b"".join(pieces[number + 1 :])
    return None, b""


def v2(command: int, kind: int, body: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, kind, len(body)) + body


def test_vector() -> None:
    vector = section("captured")["proxy_v1"]
    assert isinstance(vector, dict)
    source, destination = parse_remote(text(vector, "remote")), parse_remote(text(vector, "target"))
    assert encode_v1(source, destination) == text(vector, "header").encode()


def test_v1_forms() -> None:
    assert encode_v1(("2001:db8::1", 1), ("::1", 2)) == b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n"
    assert encode_v1(("10.1.2.3", 1), ("::1", 2)) == b"PROXY TCP6 ::ffff:10.1.2.3 ::1 1 2\r\n"
    assert encode_v1(("::1", 1), ("10.1.2.3", 2)) == b"PROXY TCP6 ::1 ::ffff:10.1.2.3 1 2\r\n"
    assert encode_v1(("::ffff:10.1.2.3", 1), ("10.9.9.9", 2)) == b"PROXY TCP4 10.1.2.3 10.9.9.9 1 2\r\n"
    assert encode_v1(("fe80::1%eth0", 1), ("::1", 2)) == b"PROXY TCP6 fe80::1 ::1 1 2\r\n"


def test_v2_forms() -> None:
    ipv4 = b"\x0a\x01\x02\x03\x7f\x00\x00\x01" + struct.pack("!HH", 4444, 80)
    assert encode_v2(("10.1.2.3", 4444), ("127.0.0.1", 80), datagram=False) == v2(0x21, 0x11, ipv4)
    assert encode_v2(("10.1.2.3", 4444), ("127.0.0.1", 80), datagram=True) == v2(0x21, 0x12, ipv4)
    mixed = bytes(10) + b"\xff\xff\x0a\x01\x02\x03" + bytes(15) + b"\x01" + struct.pack("!HH", 4444, 80)
    assert encode_v2(("10.1.2.3", 4444), ("::1", 80), datagram=False) == v2(0x21, 0x21, mixed)
    assert encode_v2(("10.1.2.3", 4444), ("::1", 80), datagram=True) == v2(0x21, 0x22, mixed)


@pytest.mark.parametrize("source", [("example.com", 1), ("1.2.3.4", -1), ("1.2.3.4", 65536), ("", 1)])
def test_what_is_no_address_is_not_written(source: Address) -> None:
    with pytest.raises(ProxyHeaderError):
        encode_v1(source, ("1.2.3.4", 1))
    with pytest.raises(ProxyHeaderError):
        encode_v2(("1.2.3.4", 1), source, datagram=False)


def real_address(ip: str, port: int) -> Address:
    return ip, port


ports = st.integers(0, 65535)
ips = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str).filter(lambda ip: not ip.startswith("::ffff:"))
addresses = st.builds(real_address, ips, ports)


@given(addresses, addresses, st.booleans(), st.binary(max_size=8), cuts)
def test_what_is_written_is_read(
    source: Address, destination: Address, datagram: bool, rest: bytes, places: list[int]
) -> None:
    expected = ParsedHeader(source, destination)
    for header in encode_v1(source, destination), encode_v2(source, destination, datagram=datagram):
        assert outcome(cut(header + rest, places)) == (expected, rest)
        assert outcome(every_byte(header + rest)) == (expected, rest)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        v2(0x20, 0x00, b""),
        v2(0x20, 0xEE, b"whatever"),
        v2(0x21, 0x00, b"tlv"),
        v2(0x21, 0x31, bytes(216)),
    ],
)
def test_headers_that_name_nobody(header: bytes) -> None:
    assert outcome([header + b"rest"]) == (NOBODY, b"rest")


def test_tlvs_are_skipped() -> None:
    header = encode_v2(("10.1.2.3", 1), ("10.1.2.4", 2), datagram=False)
    with_tlv = v2(0x21, 0x11, header[16:] + b"\x04\x00\x03abc")
    assert outcome([with_tlv + b"rest"]) == (ParsedHeader(("10.1.2.3", 1), ("10.1.2.4", 2)), b"rest")


def test_ipv4_in_ipv6_dress_is_read_as_ipv4() -> None:
    assert outcome([b"PROXY TCP6 ::ffff:10.1.2.3 ::1 1 2\r\n"]) == (ParsedHeader(("10.1.2.3", 1), ("::1", 2)), b"")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXX",
        b"PROXY\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        b"PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 ::1 ::2 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY UNKNOWN " + b"x" * V1_LIMIT,
        SIGNATURE[:-1] + b"X",
        v2(0x11, 0x11, bytes(12)),
        v2(0x22, 0x11, bytes(12)),
        v2(0x21, 0x13, bytes(12)),
        v2(0x21, 0x41, bytes(12)),
        v2(0x21, 0x11, bytes(11)),
        v2(0x21, 0x21, bytes(35)),
        v2(0x20, 0x00, bytes(V2_LIMIT - 15)),
    ],
)
def test_what_is_refused(data: bytes) -> None:
    assert outcome([data]) == "refused"
    assert outcome(every_byte(data)) == "refused"


def test_v1_limit_is_exact() -> None:
    longest = b"PROXY UNKNOWN ".ljust(V1_LIMIT - 2, b"x") + b"\r\n"
    assert outcome([longest + b"rest"]) == (NOBODY, b"rest")
    assert outcome([longest[:-2] + b"x\r\n"]) == "refused"


def test_v2_limit_is_exact() -> None:
    assert outcome([v2(0x20, 0x00, bytes(V2_LIMIT - 16))]) == (NOBODY, b"")


STARTS = [b"", b"PROXY ", b"PROXY TCP4 1.2.3.4 5.6.7.8 ", b"PROXY UNKNOWN", SIGNATURE, SIGNATURE + b"\x21\x11\x00\x0c"]


@given(st.sampled_from(STARTS), st.binary(max_size=130), cuts)
def test_any_bytes_in_any_chunks_have_one_outcome(start: bytes, rest: bytes, places: list[int]) -> None:
    data = start + rest
    assert outcome([data]) == outcome(cut(data, places))
