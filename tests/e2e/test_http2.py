"""Pool transport 3 through real processes: users in both flows, and a tunnel port that somebody attacks meanwhile."""

from __future__ import annotations

import os
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from hyperframe.frame import GoAwayFrame, PingFrame

from tests.harness import (
    Authority,
    Echo,
    Recorder,
    Runner,
    Silent,
    UdpEcho,
    connect,
    echoed,
    ended,
    exchange,
    read_all,
    udp_socket,
    user_context,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Tunnel

BULK = os.urandom(5_000_000)
BURST = 200
SIZES = (1, 100, 1472, 16_000, 40_000, 60_000)
REQUEST = [(":method", "POST"), (":scheme", "https"), (":authority", "none"), (":path", "/stream")]

both_flows = pytest.mark.parametrize("flow", ["reverse", "forward"])


def assert_quiet(tunnel: Tunnel) -> None:
    """Neither end has anything to complain of."""
    for process in (tunnel.server, tunnel.client):
        assert not process.matches("WARN|ERROR")


@both_flows
@pytest.mark.parametrize("tls", [0, 1])
def test_tcp_both_ways(np: Runner, flow: str, tls: int) -> None:
    tunnel = np.tunnel(flow, server=f"type=3&tls={tls}")
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, BULK) == BULK
    assert tunnel.server.matches('"tls":"1","type":"3"')
    assert_quiet(tunnel)


@both_flows
def test_each_direction_ends_by_itself(np: Runner, flow: str) -> None:
    tunnel = np.tunnel(flow, server="type=3")
    answer = BULK[::-1]
    with Recorder(tunnel.target, answer=answer) as target, connect(tunnel.users) as user:
        user.sendall(BULK)
        user.shutdown(socket.SHUT_WR)
        received = target.next()
        assert received.all() == BULK
        assert received.ended_by == "EOF"
        assert read_all(user) == answer
    with Recorder(tunnel.target, answer=answer, eager=True) as target, connect(tunnel.users) as user:
        assert read_all(user) == answer
        user.sendall(BULK)
        user.shutdown(socket.SHUT_WR)
        received = target.next()
        assert received.all() == BULK
        assert received.ended_by == "EOF"
    assert_quiet(tunnel)


@both_flows
def test_a_broken_connection_is_broken_at_the_other_end(np: Runner, flow: str) -> None:
    tunnel = np.tunnel(flow, server="type=3")
    with Recorder(tunnel.target) as target:
        with connect(tunnel.users) as user:
            user.sendall(b"half a")
            received = target.next()
            assert received.first.wait(10)
            user.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        received.ended.wait(10)
        assert received.ended_by == "reset"
    # And a target that is down.
    with connect(tunnel.users) as user:
        assert ended(user)


@both_flows
def test_datagrams_keep_their_boundaries(np: Runner, flow: str) -> None:
    tunnel = np.tunnel(flow, server="type=3")
    with UdpEcho(tunnel.target), udp_socket(tunnel.users) as user:
        for size in SIZES:
            datagram = os.urandom(size)
            user.send(datagram)
            assert user.recv(65536) == datagram
        # Back to back, and none of them joined with another.
        batch = [bytes([number]) * (number + 1) for number in range(50)]
        for datagram in batch:
            user.send(datagram)
        assert [user.recv(65536) for _ in batch] == batch
    assert_quiet(tunnel)


@both_flows
def test_many_users_at_once(np: Runner, flow: str) -> None:
    tunnel = np.tunnel(flow, server="type=3", client="min=16")
    with Echo(tunnel.target), ThreadPoolExecutor(BURST) as pool:
        assert all(pool.map(lambda _: echoed(tunnel.users, 20_000), range(BURST)))
    assert_quiet(tunnel)


def test_more_users_than_streams_of_one_connection(np: Runner) -> None:
    tunnel = np.tunnel(server="type=3&max=16", client="min=16")
    with Echo(tunnel.target), ExitStack() as stack:
        users = [stack.enter_context(connect(tunnel.users)) for _ in range(600)]
        for number, user in enumerate(users):
            user.sendall(b"%04d" % number)
        for number, user in enumerate(users):
            assert user.recv(100) == b"%04d" % number
    assert_quiet(tunnel)


@both_flows
def test_a_slow_user_holds_up_nobody(np: Runner, flow: str) -> None:
    tunnel = np.tunnel(flow, server="type=3", client="min=4")
    with Silent(tunnel.target) as target, ExitStack() as stack:
        slow = [stack.enter_context(connect(tunnel.users, timeout=1)) for _ in range(4)]
        before = tunnel.server.rss() + tunnel.client.rss()
        sent = []
        for user in slow:
            done = 0
            with suppress(TimeoutError):
                while done < 64 << 20:
                    done += user.send(bytes(1 << 20))
            sent.append(done)
        assert max(sent) < 64 << 20
        assert tunnel.server.rss() + tunnel.client.rss() - before < 32 << 20
        with UdpEcho(tunnel.target), udp_socket(tunnel.users) as other:
            other.send(b"quick")
            assert other.recv(100) == b"quick"
        target.release.set()
        for user in slow:
            user.close()
        assert sorted(target.received.get(timeout=15) for _ in slow) == sorted(sent)


def attack(tunnel: Tunnel, data: bytes, *alpn: str) -> bytes:
    """Say something on a TLS connection to the tunnel's port, from the client's address; what came back until it ended."""
    context = user_context()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    with connect(tunnel.port) as sock, context.wrap_socket(sock) as hostile:
        answer = b""
        with suppress(OSError):
            hostile.sendall(data)
        with suppress(ConnectionError, ssl.SSLError):
            while part := hostile.recv(1 << 16):
                answer += part
        return answer


def flood() -> bytes:
    """A client's beginning, and far too many pings."""
    h2 = H2Connection(H2Configuration(client_side=True))
    h2.initiate_connection()
    return h2.data_to_send() + PingFrame(0, b"12345678").serialize() * 20_000


def resets() -> bytes:
    """A client's beginning, and far too many streams that it resets at once."""
    h2 = H2Connection(H2Configuration(client_side=True))
    h2.initiate_connection()
    for _ in range(5000):
        stream_id = h2.get_next_available_stream_id()
        h2.send_headers(stream_id, REQUEST)
        h2.reset_stream(stream_id)
    return h2.data_to_send()


HOSTILE: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "no ALPN": (b"\x00", ()),
    "another ALPN": (b"\x00", ("http/1.1",)),
    "garbage": (os.urandom(100_000), ("h2",)),
    "HTTP/1.1": (b"GET / HTTP/1.1\r\n\r\n", ("h2",)),
    "pings": (flood(), ("h2",)),
    "rapid reset": (resets(), ("h2",)),
}


@pytest.mark.parametrize(("data", "alpn"), HOSTILE.values(), ids=HOSTILE)
def test_users_go_on_while_the_port_is_attacked(np: Runner, data: bytes, alpn: tuple[str, ...]) -> None:
    tunnel = np.tunnel(server="type=3")
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"before") == b"before"
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: attack(tunnel, data, *alpn), range(8)))
        assert exchange(user, BULK) == BULK
        assert echoed(tunnel.users)
        assert tunnel.server.matches("WARN")
        if data.startswith(b"PRI "):
            assert any(GoAwayFrame(0, error_code=11).serialize()[-4:] in answer for answer in answers)


def test_a_server_that_stops_lets_users_end(np: Runner) -> None:
    tunnel = np.tunnel(server="type=3", env={"NP_SHUTDOWN_TIMEOUT": "10s"})
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"before") == b"before"
        tunnel.server.send_signal()
        assert exchange(user, BULK) == BULK
        user.close()
        assert tunnel.server.wait() == 0


def test_a_client_comes_back_to_a_server_that_was_away(np: Runner) -> None:
    tunnel = np.tunnel(server="type=3")
    again = tunnel.server.argv[-1]
    tunnel.server.kill()
    since = len(tunnel.client.lines)
    tunnel.client.wait_for("ERROR", since=since)
    server = np.run(again).ready()
    tunnel.client.ready(since=since)
    with Echo(tunnel.target):
        assert echoed(tunnel.users)
    assert not server.matches("WARN")


def test_a_certificate_that_is_not_trusted_is_told(np: Runner, tmp_path: Path) -> None:
    crt, key = Authority(tmp_path).issue("server", "localhost")
    tunnel = np.tunnel(server=f"type=3&tls=2&crt={crt}&key={key}", dialled="localhost", wait=False)
    tunnel.client.wait_for("ERROR .*CERTIFICATE_VERIFY_FAILED")
    assert not tunnel.client.matches("is ready")
