"""`mode`: who takes in users, decided by the URL or by who can bind."""

from __future__ import annotations

import re

import pytest

from tests.harness import KEY, Echo, Runner, UdpEcho, echoed, free_port


def test_server_auto_takes_users_in_where_it_can_bind(np: Runner) -> None:
    tunnel = np.tunnel("reverse", server="mode=0")
    with Echo(tunnel.target):
        assert echoed(tunnel.users)
    assert tunnel.server.checkpoint()["MODE"] == "1"


def test_server_auto_lets_the_client_take_users_in_where_it_cannot_bind(np: Runner) -> None:
    with Echo() as target, UdpEcho(target.port):
        tunnel = np.tunnel("forward", server="mode=0", to=f"127.0.0.1:{target.port}")
        assert echoed(tunnel.users)
        assert tunnel.server.checkpoint()["MODE"] == "2"


def test_server_auto_target_on_another_machine(np: Runner) -> None:
    # TEST-NET-1 is nobody's address, so it cannot be bound.
    tunnel = np.tunnel("forward", server="mode=0", to="192.0.2.1:80")
    assert '"flow":"+"' in tunnel.client.wait_for("The server decides.*").string


@pytest.mark.parametrize("mode", [0, 1])
def test_client_is_a_single_end_where_it_can_bind(np: Runner, mode: int) -> None:
    forwarder = np.forwarder(f"mode={mode}")
    with Echo(forwarder.target):
        assert echoed(forwarder.users)
    line = forwarder.client.wait_for("CHECK_POINT.*").string
    assert re.search(r"MODE=1\|PING=\d+ms\|POOL=0", line)


def test_client_auto_is_dual_end_where_the_server_has_the_address(np: Runner) -> None:
    tunnel = np.tunnel("reverse", client="mode=0")
    with Echo(tunnel.target):
        assert echoed(tunnel.users)
    assert tunnel.client.checkpoint()["MODE"] == "2"


def test_client_mode_1_never_looks_for_a_server(np: Runner) -> None:
    tunnel = np.tunnel("reverse")
    client = np.run(f"client://{KEY}@127.0.0.1:{tunnel.port}/127.0.0.1:{tunnel.target}?mode=1")
    client.wait_for(f"Client error: cannot listen on TCP 127.0.0.1:{tunnel.port}")
    client.wait_for("Client restart")
    assert not client.matches("Shaking hands")


def test_client_mode_2_waits_for_a_server(np: Runner) -> None:
    port, users = free_port(), free_port()
    with Echo() as target:
        client = np.run(f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2")
        client.wait_for("Client error")
        client.wait_for("Client restart")
        np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1").ready()
        assert echoed(users)


@pytest.mark.parametrize("mode", [1, 2])
def test_flow_in_the_log_of_both(np: Runner, mode: int) -> None:
    tunnel = np.tunnel("reverse" if mode == 1 else "forward")
    assert tunnel.server.checkpoint()["MODE"] == str(mode)
    assert tunnel.client.checkpoint()["MODE"] == "2"
