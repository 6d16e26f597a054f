"""`allow`, `deny` and `proxyin`: who may come in, and who says so."""

from __future__ import annotations

import ipaddress
import socket
import struct

import pytest

from tests.harness import (
    Echo,
    Recorder,
    Runner,
    Tunnel,
    UdpEcho,
    connect,
    echoed,
    ended,
    exchange,
    turned_away,
    udp_socket,
    user_context,
)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ENDS = ["ingress", "single"]
LOOPBACK = "127.0.0.1"


def tcp_admits(tunnel: Tunnel, source: str) -> bool:
    try:
        return echoed(tunnel.users, 100, source=source)
    except (ConnectionError, EOFError):
        return False


def udp_admits(tunnel: Tunnel, source: str, *, expected: bool) -> bool:
    with udp_socket(tunnel.users, source=source, timeout=10 if expected else 0.3) as user:
        user.send(b"?")
        try:
            return user.recv(10) == b"?"
        except TimeoutError:
            return False


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("query", "admitted", "refused"),
    [
        ("allow=127.0.0.2", ["127.0.0.2"], ["127.0.0.1"]),
        ("allow=127.0.0.0/30,127.1.0.0/16", ["127.0.0.3", "127.1.2.3"], ["127.0.0.4"]),
        ("deny=127.0.0.2", ["127.0.0.1"], ["127.0.0.2"]),
        ("deny=127.0.0.2/31,::1", ["127.0.0.1"], ["127.0.0.2", "127.0.0.3"]),
        ("allow=127.0.0.0/24&deny=127.0.0.9", ["127.0.0.8"], ["127.0.0.9", "127.0.1.1"]),
    ],
)
def test_allow_and_deny(np: Runner, end: str, query: str, admitted: list[str], refused: list[str]) -> None:
    tunnel = np.at(end, query)
    with Echo(tunnel.target), UdpEcho(tunnel.target):
        for source in refused:
            assert not tcp_admits(tunnel, source)
            assert not udp_admits(tunnel, source, expected=False)
        # Of many refusals in a second only the first is told.
        tunnel.ingress.wait_for(f"Refused a user from {refused[0]}: not allowed")
        for source in admitted:
            assert tcp_admits(tunnel, source)
            assert udp_admits(tunnel, source, expected=True)


def test_allow_ipv6(np: Runner) -> None:
    tunnel = np.forwarder("allow=::1", host="", to="localhost:9")
    assert turned_away(tunnel.users)
    tunnel.client.wait_for("Refused a user from 127.0.0.1: not allowed")


def test_egress_admits_whomever_the_ingress_sends(np: Runner) -> None:
    tunnel = np.tunnel(egress="deny=127.0.0.1")
    with Echo(tunnel.target):
        assert echoed(tunnel.users)


TEXT = b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n"


def binary(source: str, port: int, *, datagram: bool = False, local: bool = False) -> bytes:
    """A binary PROXY header, as section 2.2 of its specification says."""
    if local:
        return SIGNATURE + b"\x20\x00\x00\x00"
    packed = ipaddress.ip_address(source).packed
    family = 0x20 if len(packed) == 16 else 0x10
    block = packed + bytes(len(packed)) + port.to_bytes(2, "big") + (443).to_bytes(2, "big")
    return SIGNATURE + bytes([0x21, family | (2 if datagram else 1)]) + len(block).to_bytes(2, "big") + block


HEADERS = [
    (TEXT, "TCP4 203.0.113.7 127.0.0.1"),
    (binary("203.0.113.7", 4711), "TCP4 203.0.113.7 127.0.0.1"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", "TCP6 2001:db8::7 ::ffff:127.0.0.1"),
    (binary("2001:db8::7", 4711), "TCP6 2001:db8::7 ::ffff:127.0.0.1"),
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("header", "expected"), HEADERS, ids=["text", "binary", "text 6", "binary 6"])
def test_proxyin_gives_the_users_address(np: Runner, end: str, header: bytes, expected: str) -> None:
    """What `proxy=1` then tells the target proves whom the ingress believes to be the user."""
    query = f"proxyin={LOOPBACK}"
    tunnel = np.forwarder(f"{query}&proxy=1") if end == "single" else np.tunnel(ingress=query, egress="proxy=1")
    with Recorder(tunnel.target) as target, connect(tunnel.users) as user:
        user.sendall(header + b"hello")
        user.shutdown(socket.SHUT_WR)
        data = target.next().all()
    line, _, rest = data.partition(b"\r\n")
    assert rest == b"hello"
    assert line.decode() == f"PROXY {expected} 4711 {tunnel.target}"


@pytest.mark.parametrize("end", ENDS)
def test_proxyin_header_in_pieces(np: Runner, end: str) -> None:
    tunnel = np.at(end, f"proxyin={LOOPBACK}&deny=203.0.113.8")
    with Echo(tunnel.target), connect(tunnel.users) as user:
        for byte in TEXT:
            user.sendall(bytes([byte]))
        assert exchange(user, b"hello") == b"hello"


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("opening", [b"GET / HTTP/1.1\r\n\r\n", SIGNATURE + b"\x31\x11\x00\x00", b"PROXY nonsense\r\n"])
def test_proxyin_refuses_who_does_not_say(np: Runner, end: str, opening: bytes) -> None:
    tunnel = np.at(end, f"proxyin={LOOPBACK}")
    with Echo(tunnel.target):
        assert turned_away(tunnel.users, opening)
    tunnel.ingress.wait_for(f"Refused a connection from the proxy {LOOPBACK}")


def test_proxyin_refuses_who_breaks_off(np: Runner) -> None:
    tunnel = np.forwarder(f"proxyin={LOOPBACK}")
    with connect(tunnel.users) as user:
        user.sendall(TEXT[:10])
        user.shutdown(socket.SHUT_WR)
        assert ended(user)
    tunnel.client.wait_for(f"WARN .*Refused a connection from the proxy {LOOPBACK}: it ended in its first bytes")


def test_a_proxy_that_only_looks_is_not_refused(np: Runner) -> None:
    """Two hops: with each report, the first measures how far it is to the second."""
    second = np.forwarder(f"proxyin={LOOPBACK}")
    np.forwarder("proxy=1", to=f"{LOOPBACK}:{second.users}")
    second.client.wait_for(f"DEBUG .*from the proxy {LOOPBACK}: it ended before it began")
    seen = len(second.client.lines)
    with connect(second.users) as user:
        user.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Whoever came before somebody who is served has been taken in: a reset comes to nobody's notice before.
        with Echo(second.target), connect(second.users) as another:
            another.sendall(TEXT)
            assert exchange(another, b"hello") == b"hello"
    second.client.wait_for(f"DEBUG .*from the proxy {LOOPBACK}: it was reset before it began", since=seen)
    assert not second.client.matches("Refused a connection")


def test_proxyin_does_not_wait_for_ever(np: Runner) -> None:
    tunnel = np.forwarder(f"proxyin={LOOPBACK}", env={"NP_HANDSHAKE_TIMEOUT": "300ms"})
    assert turned_away(tunnel.users, TEXT[:10])


def test_proxyin_concerns_only_its_networks(np: Runner) -> None:
    tunnel = np.forwarder("proxyin=127.0.0.2")
    with Echo(tunnel.target):
        assert echoed(tunnel.users)


@pytest.mark.parametrize("end", ENDS)
def test_allow_and_deny_concern_the_user_behind_the_proxy(np: Runner, end: str) -> None:
    tunnel = np.at(end, f"proxyin={LOOPBACK}&allow=203.0.113.0/24&deny=203.0.113.9")
    with Echo(tunnel.target):
        with connect(tunnel.users) as user:
            user.sendall(binary("203.0.113.7", 1))
            assert exchange(user, b"in") == b"in"
        for outsider in ("203.0.113.9", "198.51.100.1"):
            assert turned_away(tunnel.users, binary(outsider, 1))


def test_proxyin_local_is_the_proxy_itself(np: Runner) -> None:
    tunnel = np.forwarder(f"proxyin={LOOPBACK}")
    with Echo(tunnel.target), connect(tunnel.users) as user:
        user.sendall(binary("", 0, local=True))
        assert exchange(user, b"health check") == b"health check"


@pytest.mark.parametrize("end", ENDS)
def test_proxyin_on_datagrams(np: Runner, end: str) -> None:
    tunnel = np.at(end, f"proxyin={LOOPBACK}&allow=203.0.113.7")
    with UdpEcho(tunnel.target) as target, udp_socket(tunnel.users) as user:
        for text in (b"first", b"second"):
            user.send(binary("203.0.113.7", 4711, datagram=True) + text)
            assert target.next()[0] == text
            assert user.recv(100) == text
        with udp_socket(tunnel.users) as stranger:
            stranger.send(binary("203.0.113.8", 4711, datagram=True) + b"no")
            stranger.send(b"no header at all")
        tunnel.ingress.wait_for("Refused a user from 203.0.113.8")
        tunnel.ingress.wait_for("Dropped a datagram of the proxy")
        user.send(binary("203.0.113.7", 4711, datagram=True) + b"third")
        assert target.next()[0] == b"third"


def test_proxyin_in_front_of_tls(np: Runner) -> None:
    tunnel = np.forwarder(f"proxyin={LOOPBACK}&tls=1")
    with Echo(tunnel.target):
        plain = connect(tunnel.users)
        plain.sendall(TEXT)
        with user_context().wrap_socket(plain) as user:
            assert exchange(user, b"hello") == b"hello"


def test_a_proxy_that_says_nothing_holds_a_slot(np: Runner) -> None:
    tunnel = np.forwarder(f"proxyin={LOOPBACK}&slot=1")
    with connect(tunnel.users), connect(tunnel.users) as second:
        assert ended(second)
        tunnel.client.wait_for("All slots are taken")
