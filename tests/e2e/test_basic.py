"""The shortest proof that a tunnel carries bytes: each flow, each encryption, each family, host names."""

from __future__ import annotations

import os

import pytest

from tests.harness import Echo, Runner, UdpEcho, connect, echoed, exchange, udp_socket

LARGE = 8_000_000


@pytest.mark.every_transport
@pytest.mark.parametrize("flow", ["reverse", "forward"])
@pytest.mark.parametrize("tls", [0, 1])
def test_tunnel_carries_tcp_and_udp(np: Runner, flow: str, tls: int) -> None:
    tunnel = np.tunnel(flow, server=f"tls={tls}")
    data = os.urandom(LARGE)
    with Echo(tunnel.target), UdpEcho(tunnel.target):
        with connect(tunnel.users) as user:
            assert exchange(user, data) == data
        with udp_socket(tunnel.users) as user:
            for size in (1, 1200, 9000):
                user.send(data[:size])
                assert user.recv(LARGE) == data[:size]


def test_forwarder_carries_tcp_and_udp(np: Runner) -> None:
    forwarder = np.forwarder()
    data = os.urandom(LARGE)
    with Echo(forwarder.target), UdpEcho(forwarder.target):
        with connect(forwarder.users) as user:
            assert exchange(user, data) == data
        with udp_socket(forwarder.users) as user:
            user.send(data[:65507])
            assert user.recv(LARGE) == data[:65507]


@pytest.mark.every_transport
@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_ipv6_end_to_end(np: Runner, flow: str) -> None:
    tunnel = np.tunnel(flow, host="[::1]", server="tls=1")
    with Echo(tunnel.target, "::1"), UdpEcho(tunnel.target, "::1"):
        assert echoed(tunnel.users, host="::1")
        with udp_socket(tunnel.users, "::1") as user:
            user.send(b"six")
            assert user.recv(100) == b"six"


@pytest.mark.every_transport
@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_host_names_everywhere(np: Runner, flow: str) -> None:
    tunnel = np.tunnel(flow, host="localhost")
    with Echo(tunnel.target), UdpEcho(tunnel.target):
        assert echoed(tunnel.users)
        with udp_socket(tunnel.users) as user:
            user.send(b"by name")
            assert user.recv(100) == b"by name"


@pytest.mark.parametrize("family", ["127.0.0.1", "::1"])
def test_empty_host_listens_on_all_interfaces(np: Runner, family: str) -> None:
    with Echo() as target, UdpEcho(target.port):
        forwarder = np.forwarder(host="", to=f":{target.port}")
        assert echoed(forwarder.users, host=family)
        with udp_socket(forwarder.users, family) as user:
            user.send(b"any")
            assert user.recv(100) == b"any"


@pytest.mark.every_transport
@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_one_udp_session_per_user_address(np: Runner, flow: str) -> None:
    tunnel = np.tunnel(flow)
    with UdpEcho(tunnel.target) as target, udp_socket(tunnel.users) as one, udp_socket(tunnel.users) as two:
        sources: dict[bytes, tuple[str, int]] = {}
        for _ in range(3):
            for user, text in ((one, b"one"), (two, b"two")):
                user.send(text)
                assert user.recv(100) == text
                datagram, source = target.next()
                assert datagram == text
                assert sources.setdefault(text, source) == source
        assert sources[b"one"] != sources[b"two"]
        tunnel.ingress.checkpoint(having=r"UDPS=2\|")
