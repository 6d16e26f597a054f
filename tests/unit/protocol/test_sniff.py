from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.protocol.sniff import MOST_NEEDED, Sniffer, Verdict, begins_like_http
from tests.unit.protocol.chunks import cut, cuts, every_byte


def sniff_all() -> Sniffer:
    return Sniffer(socks=True, http=True, tls=True)


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (b"", Verdict.UNDECIDED),
        (b"\x04", Verdict.UNDECIDED),
        (b"\x04\x01", Verdict.SOCKS4),
        (b"\x04\x02\x00\x50", Verdict.SOCKS4),
        (b"\x04\x03", Verdict.CLEAR),
        (b"\x04\x00", Verdict.CLEAR),
        (b"\x05", Verdict.UNDECIDED),
        (b"\x05\x01\x00", Verdict.SOCKS5),
        (b"\x05\x03", Verdict.SOCKS5),
        (b"\x05\x04", Verdict.CLEAR),
        (b"\x05\x00", Verdict.CLEAR),
        (b"\x16", Verdict.UNDECIDED),
        (b"\x16\x03\x01", Verdict.TLS),
        (b"\x16\x04", Verdict.CLEAR),
        (b"G", Verdict.UNDECIDED),
        (b"GET", Verdict.UNDECIDED),
        (b"GET ", Verdict.HTTP),
        (b"PROPFIND / HTTP/1.1\r\n", Verdict.HTTP),
        (b"get / HTTP/1.1\r\n", Verdict.CLEAR),
        (b"GEt ", Verdict.CLEAR),
        (b" GET ", Verdict.CLEAR),
        (b"GET/", Verdict.CLEAR),
        (b"SSH-2.0-x", Verdict.CLEAR),
        (b"A" * 20, Verdict.UNDECIDED),
        (b"A" * 20 + b" ", Verdict.HTTP),
        (b"A" * 21, Verdict.CLEAR),
        (b"\x00", Verdict.CLEAR),
    ],
)
def test_first_bytes(data: bytes, verdict: Verdict) -> None:
    assert sniff_all().feed(data) is verdict
    one_by_one = sniff_all()
    assert [one_by_one.feed(piece) for piece in [b"", *every_byte(data)]][-1] is verdict


@pytest.mark.parametrize(
    ("sniffer", "passing"),
    [
        (Sniffer(socks=False, http=True, tls=True), b"\x05\x01"),
        (Sniffer(socks=True, http=False, tls=True), b"GET /"),
        (Sniffer(socks=True, http=True, tls=False), b"\x16\x03"),
    ],
)
def test_what_is_not_blocked_is_clear_from_its_first_byte(sniffer: Sniffer, passing: bytes) -> None:
    assert sniffer.feed(passing[:1]) is Verdict.CLEAR


def test_nothing_blocked_needs_no_bytes() -> None:
    assert Sniffer(socks=False, http=False, tls=False).feed(b"") is Verdict.CLEAR


def test_a_verdict_stays() -> None:
    sniffer = sniff_all()
    assert sniffer.feed(b"hello") is Verdict.CLEAR
    assert sniffer.feed(b"GET / ") is Verdict.CLEAR


FIRST_BYTES = st.sampled_from([b"\x04", b"\x05", b"\x16", b"GET", b"A" * 18, b""])


@given(FIRST_BYTES, st.binary(max_size=40), cuts)
def test_chunking_changes_nothing_and_a_verdict_comes(start: bytes, rest: bytes, places: list[int]) -> None:
    data = start + rest
    whole, pieces = sniff_all().feed(data), sniff_all()
    assert [pieces.feed(piece) for piece in cut(data, places)][-1] is whole
    if len(data) >= MOST_NEEDED:
        assert whole is not Verdict.UNDECIDED


def test_an_empty_prefix_may_become_http() -> None:
    assert begins_like_http(b"") is None
