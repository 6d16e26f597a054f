"""`notcp`, `noudp` and `dial`."""

from __future__ import annotations

import pytest

from tests.harness import Echo, Runner, Tunnel, UdpEcho, connect, echoed, free_port, turned_away, udp_socket

ENDS = ["both", "ingress", "egress", "single"]


def tcp_passes(tunnel: Tunnel) -> bool:
    try:
        return echoed(tunnel.users, 100)
    except (ConnectionError, EOFError):
        return False


def udp_passes(tunnel: Tunnel, timeout: float) -> bool:
    with udp_socket(tunnel.users, timeout=timeout) as user:
        try:
            user.send(b"?")
            return user.recv(10) == b"?"
        except (ConnectionRefusedError, TimeoutError):
            return False


@pytest.mark.every_transport
@pytest.mark.parametrize("end", ENDS)
def test_notcp(np: Runner, end: str) -> None:
    tunnel = np.at(end, "notcp=1")
    with Echo(tunnel.target), UdpEcho(tunnel.target):
        assert not tcp_passes(tunnel)
        assert udp_passes(tunnel, 10)


@pytest.mark.every_transport
@pytest.mark.parametrize("end", ENDS)
def test_noudp(np: Runner, end: str) -> None:
    tunnel = np.at(end, "noudp=1")
    with Echo(tunnel.target), UdpEcho(tunnel.target):
        assert not udp_passes(tunnel, 0.5)
        assert tcp_passes(tunnel)


def test_notcp_leaves_the_port_to_others(np: Runner) -> None:
    users = free_port()
    with Echo(users, greeting=b"someone else"):
        forwarder = np.tunnel(ingress="notcp=1", to=f"127.0.0.1:{free_port()}")
        with pytest.raises(ConnectionRefusedError):
            connect(forwarder.users)


@pytest.mark.parametrize("end", ["egress", "single"])
def test_dial_is_where_the_target_sees_us(np: Runner, end: str) -> None:
    tunnel = np.at(end, "dial=127.0.0.2")
    with Echo(tunnel.target) as target, UdpEcho(tunnel.target) as datagrams:
        assert echoed(tunnel.users)
        assert {target.peers.get(timeout=5)[0] for _ in range(target.count)} == {"127.0.0.2"}
        assert udp_passes(tunnel, 10)
        assert datagrams.next()[1][0] == "127.0.0.2"


@pytest.mark.parametrize("end", ["egress", "single"])
@pytest.mark.parametrize("unusable", ["192.0.2.1", "::1"])
def test_unusable_dial_falls_back(np: Runner, end: str, unusable: str) -> None:
    tunnel = np.at(end, f"dial={unusable}")
    with Echo(tunnel.target) as target, UdpEcho(tunnel.target):
        assert echoed(tunnel.users)
        assert "WARN" in tunnel.egress.wait_for("fallback to system auto").string
        assert target.peers.get(timeout=5)[0] == "127.0.0.1"
        assert udp_passes(tunnel, 10)


def test_dial_is_not_for_the_tunnel_itself(np: Runner) -> None:
    # The server sees the client as it is; only targets are dialled from `dial`.
    tunnel = np.tunnel("reverse", client="dial=127.0.0.2")
    assert tunnel.server.wait_for(r"Handshake with (\S+):\d+,")[1] == "127.0.0.1"
    assert turned_away(tunnel.users)
