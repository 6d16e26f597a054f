"""The life of an instance: restart, drain, signals, exit codes, ports that are taken."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.harness import (
    KEY,
    Echo,
    Runner,
    Silent,
    Tunnel,
    UdpEcho,
    connect,
    echoed,
    ended,
    exchange,
    free_port,
    turned_away,
    udp_socket,
)

if TYPE_CHECKING:
    from tests.harness import NodePass

SIGNALS = [signal.SIGTERM, signal.SIGINT]


def role(tunnel: Tunnel, which: str) -> NodePass:
    return {"server": tunnel.server, "client": tunnel.client}[which]


@pytest.mark.every_transport
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("which", ["server", "client"])
def test_a_signal_ends_it_with_0(np: Runner, which: str, number: int) -> None:
    process = role(np.tunnel(), which)
    process.send_signal(number)
    assert process.wait() == 0
    assert "shutdown complete" in process.lines[-1]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_it_waits_to_start_again(np: Runner, number: int) -> None:
    client = np.run(f"client://k@127.0.0.1:{free_port()}/:9?mode=2", env={"NP_SERVICE_COOLDOWN": "1h"})
    client.wait_for("Client error")
    client.send_signal(number)
    assert client.wait() == 0


@pytest.mark.every_transport
@pytest.mark.parametrize("flow", ["reverse", "forward"])
@pytest.mark.parametrize("which", ["server", "client", "single"])
def test_a_transfer_is_let_finish(np: Runner, flow: str, which: str) -> None:
    if which == "single" and flow == "forward":
        pytest.skip("a single end has no flow")
    tunnel = np.forwarder() if which == "single" else np.tunnel(flow, server="tls=1")
    process = tunnel.client if which == "single" else role(tunnel, which)
    data = os.urandom(3_000_000)
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"begun") == b"begun"
        process.send_signal()
        process.wait_for(r"Waiting up to 5 s for 1 sessions")
        # No one else comes in any more.
        if process is tunnel.ingress:
            assert turned_away(tunnel.users)
        assert exchange(user, data) == data
        user.close()
        assert process.wait() == 0


@pytest.mark.every_transport
def test_the_other_end_lets_it_finish_as_well(np: Runner) -> None:
    tunnel = np.tunnel()
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"begun") == b"begun"
        for process in (tunnel.server, tunnel.client):
            process.send_signal()
            process.wait_for("Waiting up to")
        assert exchange(user, b"going on") == b"going on"
        user.close()
        assert tunnel.server.wait() == 0
        assert tunnel.client.wait() == 0


@pytest.mark.every_transport
@pytest.mark.parametrize("which", ["server", "client", "single"])
def test_the_time_to_finish_is_limited(np: Runner, which: str) -> None:
    env = {"NP_SHUTDOWN_TIMEOUT": "300ms"}
    tunnel = np.forwarder(env=env) if which == "single" else np.tunnel(env=env)
    process = tunnel.client if which == "single" else role(tunnel, which)
    with Silent(tunnel.target), connect(tunnel.users) as user:
        user.sendall(b"never answered")
        process.wait_for(r"TCPS=1")
        process.send_signal()
        process.wait_for("1 sessions had not finished in time")
        assert process.wait() == 0
        assert ended(user)


@pytest.mark.every_transport
@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_it_at_once(np: Runner, number: int) -> None:
    tunnel = np.tunnel(env={"NP_SHUTDOWN_TIMEOUT": "1h"})
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"hold") == b"hold"
        tunnel.server.send_signal(number)
        tunnel.server.wait_for("Waiting up to")
        tunnel.server.send_signal(number)
        assert tunnel.server.wait() == 128 + number


@pytest.mark.every_transport
@pytest.mark.parametrize("tls", [0, 1])
def test_client_comes_back_to_a_server_that_died(np: Runner, tls: int) -> None:
    tunnel = np.tunnel(server=f"tls={tls}")
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"x") == b"x"
        since = len(tunnel.client.lines)
        tunnel.server.kill()
        assert ended(user)
        tunnel.client.wait_for("Client error: .*control channel", since=since)
        tunnel.client.wait_for("Client restart", since=since)
        np.run(
            f"server://{KEY}@127.0.0.1:{tunnel.port}/127.0.0.1:{tunnel.users}?mode=1&tls={tls}",
        ).ready()
        assert echoed(tunnel.users)


@pytest.mark.every_transport
@pytest.mark.parametrize("tls", [0, 1])
@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_server_takes_a_client_that_died_back(np: Runner, flow: str, tls: int) -> None:
    tunnel = np.tunnel(flow, server=f"tls={tls}")
    url = tunnel.client.argv[-1]
    with Echo(tunnel.target):
        client = tunnel.client
        for _ in range(2):
            assert echoed(tunnel.users)
            client.kill()
            since = len(tunnel.server.lines)
            client = np.run(url).ready()
            tunnel.server.ready(since=since)
        assert echoed(tunnel.users)


@pytest.mark.every_transport
def test_frozen_client_is_found_out_and_replaced(np: Runner) -> None:
    """A client that does not answer within three report intervals is dead, whatever its connections say."""
    tunnel = np.tunnel(env={"NP_REPORT_INTERVAL": "300ms"})
    with Echo(tunnel.target):
        assert echoed(tunnel.users)
        tunnel.client.send_signal(signal.SIGSTOP)
        # QUIC notices by itself, at about the same time.
        tunnel.server.wait_for("session with .* ended: .*nothing was heard")
        since = len(tunnel.server.lines)
        tunnel.client.send_signal(signal.SIGCONT)
        tunnel.server.ready(since=since)
        assert echoed(tunnel.users)


def test_cooldown_comes_before_each_new_attempt(np: Runner) -> None:
    client = np.run(f"client://k@127.0.0.1:{free_port()}/:9?mode=2", env={"NP_SERVICE_COOLDOWN": "1h"})
    client.wait_for("Client error: cannot connect to the server")
    assert not client.matches("Client restart")
    quick = np.run(f"client://k@127.0.0.1:{free_port()}/:9?mode=2", env={"NP_SERVICE_COOLDOWN": "1ms"})
    quick.wait_for("Client restart")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("which", ["server tunnel", "server users", "client users", "single"])
def test_port_that_is_taken_is_tried_again(np: Runner, which: str, kind: socket.SocketKind) -> None:
    port, users, target = free_port(), free_port(), free_port()
    taken = port if which in {"server tunnel", "single"} else users
    if which == "server tunnel" and kind == socket.SOCK_DGRAM:
        pytest.skip("a server's tunnel port is TCP only")
    with socket.socket(socket.AF_INET, kind) as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
        squatter.bind(("127.0.0.1", taken))
        if kind == socket.SOCK_STREAM:
            squatter.listen()
        if which == "client users":
            np.run(f"server://k@127.0.0.1:{port}/127.0.0.1:{target}?mode=2").listening()
            process = np.run(f"client://k@127.0.0.1:{port}/127.0.0.1:{users}?mode=2")
        elif which == "single":
            process = np.run(f"client://k@127.0.0.1:{port}/127.0.0.1:{target}?mode=1")
        else:
            process = np.run(f"server://k@127.0.0.1:{port}/127.0.0.1:{users}?mode=1")
        protocol = "TCP" if kind == socket.SOCK_STREAM else "UDP"
        process.wait_for(f"error: cannot listen on {protocol} 127.0.0.1:{taken}: Address already in use")
        process.wait_for("restart")
    process.wait_for("Listening on|Forwarding|is ready")
    if which == "single":
        with Echo(target), UdpEcho(target), udp_socket(port) as user:
            assert echoed(port)
            user.send(b"u")
            assert user.recv(10) == b"u"


@pytest.mark.every_transport
@pytest.mark.parametrize("which", ["server", "client", "single"])
def test_datagrams_go_on_while_it_drains(np: Runner, which: str) -> None:
    env = {"NP_UDP_READ_TIMEOUT": "1s"}
    tunnel = np.forwarder(env=env) if which == "single" else np.tunnel(env=env)
    process = tunnel.client if which == "single" else role(tunnel, which)
    with UdpEcho(tunnel.target), udp_socket(tunnel.users) as user:
        user.send(b"before")
        assert user.recv(10) == b"before"
        process.send_signal()
        process.wait_for("Waiting up to 5 s for 1 sessions")
        user.send(b"meanwhile")
        assert user.recv(10) == b"meanwhile"
        # Its time without traffic ends it, and with it the process.
        assert process.wait() == 0
    assert not process.matches("had not finished in time")


@pytest.mark.every_transport
def test_sessions_of_a_peer_that_is_killed_end_and_no_others(np: Runner) -> None:
    """Two users of a server: one through a peer that dies, one of another instance beside it."""
    dying, living = np.tunnel(), np.tunnel()
    with Echo(dying.target), Echo(living.target), connect(dying.users) as one, connect(living.users) as two:
        assert exchange(one, b"1") == b"1"
        assert exchange(two, b"2") == b"2"
        dying.client.kill()
        assert ended(one)
        assert exchange(two, b"2") == b"2"
        dying.server.wait_for("session with .* ended")
        assert np.run(dying.client.argv[-1]).ready().is_running
        assert echoed(dying.users)
