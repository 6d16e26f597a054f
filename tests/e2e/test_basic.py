"""The shortest proof that a tunnel carries bytes, each way round and single-ended."""

from __future__ import annotations

import os

import pytest

from tests.harness import Echo, NodePass, UdpEcho, connect, free_port, read_exactly, udp_socket


@pytest.mark.parametrize("flow", ["reverse", "forward"])
@pytest.mark.parametrize("tls", [0, 1])
def test_tunnel_carries_tcp_and_udp(flow: str, tls: int) -> None:
    tunnel, users, target = free_port(), free_port(), free_port()
    near, far = f"127.0.0.1:{users}", f"127.0.0.1:{target}"
    at_server, at_client = (near, far) if flow == "reverse" else (far, near)
    mode = 1 if flow == "reverse" else 2
    with (
        Echo(target),
        UdpEcho(target),
        NodePass(f"server://key@127.0.0.1:{tunnel}/{at_server}?mode={mode}&tls={tls}") as server,
        NodePass(f"client://key@127.0.0.1:{tunnel}/{at_client}?mode=2") as client,
    ):
        server.ready()
        client.ready()
        data = os.urandom(1 << 20)
        with connect(users) as user:
            user.sendall(data[:100_000])
            assert read_exactly(user, 100_000) == data[:100_000]
        with udp_socket(users) as user:
            user.send(data[:1200])
            assert user.recv(2000) == data[:1200]
