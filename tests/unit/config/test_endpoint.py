from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.config import Endpoint, parse_endpoint


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":80", "", 80),
        ("127.0.0.1:1", "127.0.0.1", 1),
        ("example.com:65535", "example.com", 65535),
        ("example.com.:80", "example.com.", 80),
        ("my_host-1:0080", "my_host-1", 80),
        ("[::1]:80", "::1", 80),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        ("münchen.de:80", "xn--mnchen-3ya.de", 80),
        ("\uff11\uff12\uff17.0.0.1:80", "127.0.0.1", 80),  # full-width digits: IDNA makes plain ones of them
        ("例え.テスト:80", "xn--r8jz45g.xn--zckzah", 80),
        ("3com.example:80", "3com.example", 80),
    ],
)
def test_reads(text: str, host: str, port: int) -> None:
    assert parse_endpoint(text) == Endpoint(host, port)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "host:port"),
        ("host", "host:port"),
        ("[::1]", "host:port"),
        ("host:", "a port from 1 to 65535"),
        ("host:0", "a port from 1 to 65535"),
        ("host:65536", "a port from 1 to 65535"),
        ("host:-1", "a port from 1 to 65535"),
        ("host:٨٠", "a port from 1 to 65535"),
        ("host:80/x", "a port from 1 to 65535"),
        ("::1:80", "IPv6 address in brackets"),
        ("[1.2.3.4]:80", "IPv6 address between the brackets"),
        ("[fe80::1%e th]:80", "IPv6 address between the brackets"),
        ("[::1:80", "IPv6 address in brackets"),
        ("a..b:80", "a host name"),
        (".a:80", "a host name"),
        (".:80", "a host name"),
        ("a b:80", "a host name"),
        ("a\r\nb:80", "a host name"),
        ("a/b:80", "a host name"),
        ("℀:80", "a host name"),  # IDNA would make "a/c" of it
        ("a" * 64 + ":80", "a host name"),
        ("ä" * 63 + ":80", "a host name"),
        ("a." * 127 + "a:80", "a host name"),
        ("1.2.3.256:80", "IPv4"),
        ("1.2.3:80", "IPv4"),
        ("12345:80", "IPv4"),
    ],
)
def test_refuses_and_says_what_it_wants(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_endpoint(text)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        endpoint = parse_endpoint(text)
    except ValueError:
        return
    assert endpoint.host.isascii()
    assert parse_endpoint(str(endpoint)) == endpoint


@given(st.ip_addresses(), st.integers(1, 65535))
def test_addresses_survive_the_round_trip(address: object, port: int) -> None:
    endpoint = Endpoint(str(address), port)
    assert parse_endpoint(str(endpoint)) == endpoint
    assert endpoint.ip == address


@pytest.mark.parametrize(
    ("host", "unspecified", "loopback"),
    [
        ("", True, False),
        ("0.0.0.0", True, False),
        ("::", True, False),
        ("localhost", False, True),
        ("LocalHost.", False, True),
        ("127.255.0.1", False, True),
        ("::1", False, True),
        ("::ffff:127.0.0.1", False, True),
        ("10.0.0.1", False, False),
        ("localhost.example", False, False),
    ],
)
def test_what_a_host_stands_for(host: str, unspecified: bool, loopback: bool) -> None:
    endpoint = Endpoint(host, 80)
    assert (endpoint.is_unspecified, endpoint.is_loopback) == (unspecified, loopback)


def test_ip_is_none_for_names() -> None:
    assert Endpoint("example.com", 80).ip is None
    assert Endpoint("", 80).ip is None
    assert Endpoint("::1", 80).ip == ip_address("::1")
