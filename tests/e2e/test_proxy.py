"""`proxy`: the header a target gets, over TCP and UDP, IPv4 and IPv6, whichever end dials."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from tests.harness import Recorder, Runner, Tunnel, UdpEcho, connect, udp_socket

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
SETUPS = ["reverse", "forward", "single"]
HOSTS = {"127.0.0.1": "127.0.0.1", "::1": "[::1]"}


def started(np: Runner, setup: str, query: str, host: str) -> Tunnel:
    if setup == "single":
        return np.forwarder(query, host=HOSTS[host])
    return np.tunnel(setup, egress=query, host=HOSTS[host], server="tls=1")


def header_v2(source: tuple[str, int], destination: tuple[str, int], *, datagram: bool) -> bytes:
    """What the specification of the PROXY protocol says, section 2.2."""
    packed = [ipaddress.ip_address(address[0]).packed for address in (source, destination)]
    family = 0x20 if len(packed[0]) == 16 else 0x10
    ports = source[1].to_bytes(2, "big") + destination[1].to_bytes(2, "big")
    block = b"".join(packed) + ports
    return SIGNATURE + bytes([0x21, family | (2 if datagram else 1)]) + len(block).to_bytes(2, "big") + block


def of_one_connection(tunnel: Tunnel, host: str) -> tuple[bytes, tuple[str, int]]:
    """What the target gets of a user that says `hello`, and where the user was."""
    with Recorder(tunnel.target, host) as target, connect(tunnel.users, host) as user:
        source = user.getsockname()
        user.sendall(b"hello")
        user.shutdown(socket.SHUT_WR)
        return target.next().all(), (source[0], source[1])


@pytest.mark.every_transport
@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("host", HOSTS)
def test_text_header(np: Runner, setup: str, host: str) -> None:
    tunnel = started(np, setup, "proxy=1", host)
    data, source = of_one_connection(tunnel, host)
    protocol = "TCP6" if ":" in host else "TCP4"
    assert data == f"PROXY {protocol} {host} {host} {source[1]} {tunnel.target}\r\nhello".encode()


@pytest.mark.every_transport
@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("host", HOSTS)
def test_binary_header(np: Runner, setup: str, host: str) -> None:
    tunnel = started(np, setup, "proxy=2", host)
    data, source = of_one_connection(tunnel, host)
    assert data == header_v2(source, (host, tunnel.target), datagram=False) + b"hello"


@pytest.mark.every_transport
@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("host", HOSTS)
def test_binary_header_on_datagrams(np: Runner, setup: str, host: str) -> None:
    tunnel = started(np, setup, "proxy=2", host)
    with UdpEcho(tunnel.target, host) as target, udp_socket(tunnel.users, host) as user:
        source = user.getsockname()
        expected = header_v2((source[0], source[1]), (host, tunnel.target), datagram=True)
        for text in (b"first", b"second"):
            user.send(text)
            assert target.next()[0] == expected + text


def test_text_header_knows_no_datagrams(np: Runner) -> None:
    tunnel = started(np, "single", "proxy=1", "127.0.0.1")
    with UdpEcho(tunnel.target) as target, udp_socket(tunnel.users) as user:
        user.send(b"bare")
        assert target.next()[0] == b"bare"


def test_no_header_unless_asked(np: Runner) -> None:
    tunnel = started(np, "reverse", "proxy=0", "127.0.0.1")
    assert of_one_connection(tunnel, "127.0.0.1")[0] == b"hello"


def test_header_comes_before_the_user_has_spoken(np: Runner) -> None:
    tunnel = started(np, "reverse", "proxy=1", "127.0.0.1")
    with Recorder(tunnel.target) as target, connect(tunnel.users) as user:
        received = target.next()
        assert received.first.wait(10)
        assert received.data.startswith(b"PROXY TCP4")
        user.sendall(b"x")
