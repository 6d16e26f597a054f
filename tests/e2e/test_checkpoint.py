"""The CHECK_POINT line: exact, with counters equal to what was sent."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack

import pytest

from tests.harness import Echo, Recorder, Runner, UdpEcho, connect, exchange, read_all, udp_socket, unanswering

LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  EVENT  "
    r"CHECK_POINT\|MODE=[12]\|PING=\d+ms\|POOL=\d+\|TCPS=\d+\|UDPS=\d+\|TCPRX=\d+\|TCPTX=\d+\|UDPRX=\d+\|UDPTX=\d+"
)
UP, DOWN = 1_234_567, 765_432
OFTEN = {"NP_REPORT_INTERVAL": "300ms"}
SETUPS = ["reverse", "forward", "reverse tls", "single"]


@pytest.mark.every_transport
@pytest.mark.parametrize("setup", SETUPS)
def test_line_and_counters(np: Runner, setup: str) -> None:
    flow, _, tls = setup.partition(" ")
    tunnel = np.forwarder(env=OFTEN) if flow == "single" else np.tunnel(flow, server="tls=1" if tls else "", env=OFTEN)
    with Recorder(tunnel.target, answer=bytes(DOWN)) as target, connect(tunnel.users) as user:
        user.sendall(bytes(UP))
        user.shutdown(socket.SHUT_WR)
        assert len(read_all(user)) == DOWN
        assert len(target.next().all()) == UP
    with UdpEcho(tunnel.target, greeting=b"12345678"), udp_socket(tunnel.users) as user:
        for size in (100, 200, 300):
            user.send(bytes(size))
            assert len(user.recv(1000)) == size + 8
    # RX is what was read from users at the ingress, and from targets at the egress; a single end counts its users.
    tcp, udp = (UP, DOWN), (600, 624)
    having = rf"\|TCPS=0\|UDPS=1\|TCPRX={tcp[0]}\|TCPTX={tcp[1]}\|UDPRX={udp[0]}\|UDPTX={udp[1]}$"
    tunnel.ingress.checkpoint(having=having)
    if flow != "single":
        having = rf"\|TCPS=0\|UDPS=1\|TCPRX={tcp[1]}\|TCPTX={tcp[0]}\|UDPRX={udp[1]}\|UDPTX={udp[0]}$"
        tunnel.egress.checkpoint(having=having)
    for process in (tunnel.ingress, tunnel.egress):
        lines = [line for line in process.lines if "CHECK_POINT" in line]
        assert lines
        assert all(LINE.fullmatch(line) for line in lines)


@pytest.mark.every_transport
@pytest.mark.parametrize("setup", SETUPS)
def test_sessions_in_progress(np: Runner, setup: str) -> None:
    flow, _, tls = setup.partition(" ")
    tunnel = np.forwarder(env=OFTEN) if flow == "single" else np.tunnel(flow, server="tls=1" if tls else "", env=OFTEN)
    with Echo(tunnel.target), connect(tunnel.users) as one, connect(tunnel.users) as two:
        assert exchange(one, b"1") == b"1"
        assert exchange(two, b"2") == b"2"
        for process in (tunnel.ingress, tunnel.egress):
            process.checkpoint(having="TCPS=2")
        one.close()
        for process in (tunnel.ingress, tunnel.egress):
            process.checkpoint(having="TCPS=1")


@pytest.mark.every_transport
def test_counters_go_on_across_sessions(np: Runner) -> None:
    tunnel = np.tunnel()
    with Echo(tunnel.target):
        with connect(tunnel.users) as user:
            assert exchange(user, bytes(1000)) == bytes(1000)
        tunnel.client.kill()
        np.run(tunnel.client.argv[-1]).ready()
        with connect(tunnel.users) as user:
            assert exchange(user, bytes(1000)) == bytes(1000)
        tunnel.server.checkpoint(having="TCPRX=2000.TCPTX=2000")


def test_ping_of_a_forwarder_is_0_while_its_target_is_down(np: Runner) -> None:
    forwarder = np.forwarder()
    forwarder.client.wait_for("Target: cannot connect")
    assert forwarder.client.checkpoint()["PING"] == "0ms"


def test_a_target_that_hangs_delays_no_report(np: Runner) -> None:
    with ExitStack() as stack:
        to = f"127.0.0.1:{unanswering(stack)}"
        tunnel = np.forwarder(to=to, env={"NP_TCP_DIAL_TIMEOUT": "1h", "NP_REPORT_INTERVAL": "200ms"})
        for _ in range(3):
            assert tunnel.client.checkpoint()["PING"] == "0ms"
