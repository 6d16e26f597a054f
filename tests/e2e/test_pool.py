"""`min`, `max`, and the NP_* variables of the pool and of signals."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from typing import Self

import pytest

from tests.harness import KEY, Echo, Runner, UdpEcho, connect, echoed, exchange, free_port, turned_away, udp_socket
from tests.harness.raw import ask, pool_connection


@pytest.mark.every_transport
@pytest.mark.parametrize("tls", [0, 1])
@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_client_keeps_min_connections_ready(np: Runner, flow: str, tls: int) -> None:
    tunnel = np.tunnel(flow, client="min=7&pool=single", server=f"tls={tls}")
    # A refill while the pool is started may open a few more, which shrink away only by use.
    tunnel.client.checkpoint(having=r"POOL=[78]\|")
    tunnel.server.checkpoint(having=r"POOL=[78]\|")


@pytest.mark.every_transport
def test_max_of_the_server_counts(np: Runner) -> None:
    tunnel = np.tunnel(client="min=50", server="max=3&pool=single")
    assert tunnel.client.checkpoint(having=r"POOL=3\|")
    with Echo(tunnel.target):
        assert all(echoed(tunnel.users, 1000) for _ in range(10))
    assert not tunnel.server.matches("opened over")


@pytest.mark.every_transport
def test_users_beyond_max_are_served_as_the_pool_refills(np: Runner) -> None:
    tunnel = np.tunnel(client="min=1", server="max=2&pool=single")
    with Echo(tunnel.target), ExitStack() as stack:
        users = [stack.enter_context(connect(tunnel.users)) for _ in range(20)]
        for number, user in enumerate(users):
            text = f"user {number}".encode()
            assert exchange(user, text) == text


def test_client_that_opens_more_than_max_is_stopped(np: Runner) -> None:
    port = free_port()
    server = np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{free_port()}?mode=1&max=3&log=debug").listening()
    assert ask(port)[0] == 200
    with ExitStack() as stack:
        ids = []
        for _ in range(10):
            connection_id, sock = pool_connection(port)
            stack.callback(sock.close)
            ids.append(connection_id)
        assert ids[0] == bytes(4)
        assert len([connection_id for connection_id in ids if connection_id]) == 1 + 3
        assert len(set(ids[:4])) == 4
        server.wait_for("opened over 3 pool connections")


def test_user_waits_for_a_pool_connection_so_long_and_no_longer(np: Runner) -> None:
    port, users = free_port(), free_port()
    env = {"NP_POOL_GET_TIMEOUT": "500ms", "NP_REPORT_INTERVAL": "1h"}
    server = np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1", env=env).listening()
    begun = time.monotonic()
    assert turned_away(users)
    assert time.monotonic() - begun > 0.3
    server.wait_for("no peer is connected")


def test_user_of_a_peer_that_opens_no_connections_waits_as_long(np: Runner) -> None:
    port, users = free_port(), free_port()
    env = {"NP_POOL_GET_TIMEOUT": "500ms", "NP_REPORT_INTERVAL": "1h"}
    server = np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1", env=env).listening()
    assert ask(port)[0] == 200
    _, control = pool_connection(port)
    with control:
        server.ready()
        assert turned_away(users)
        server.wait_for("no pool connection within 0.5 s")


def test_semaphore_limit_bounds_those_who_wait(np: Runner) -> None:
    port, users = free_port(), free_port()
    env = {"NP_POOL_GET_TIMEOUT": "1h", "NP_SEMAPHORE_LIMIT": "2"}
    server = np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1", env=env).listening()
    with Echo() as target, connect(users) as one, connect(users) as two:
        assert turned_away(users)
        server.wait_for("too many users wait for the tunnel")
        np.run(f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2").ready()
        assert exchange(one, b"1") == b"1"
        assert exchange(two, b"2") == b"2"


@pytest.mark.parametrize("name", ["NP_MIN_POOL_INTERVAL", "NP_MAX_POOL_INTERVAL"])
def test_pool_intervals_bound_the_pause_after_a_failure(np: Runner, name: str) -> None:
    """A client whose server takes no more connections tries again once an interval, and counts what it lost."""
    interval = {"NP_MIN_POOL_INTERVAL": "50ms", "NP_MAX_POOL_INTERVAL": "50ms"}
    if name == "NP_MIN_POOL_INTERVAL":
        interval = {"NP_MIN_POOL_INTERVAL": "1h", "NP_MAX_POOL_INTERVAL": "1h"}
    with HandshakeOnly() as server:
        client = np.run(
            f"client://{KEY}@127.0.0.1:{server.port}/127.0.0.1:9?mode=2&min=1",
            env={**interval, "NP_HANDSHAKE_TIMEOUT": "1h"},
        )
        server.refused.acquire(timeout=10)
        if name == "NP_MAX_POOL_INTERVAL":
            for _ in range(5):
                assert server.refused.acquire(timeout=10)
        else:
            assert not server.refused.acquire(timeout=1)
        assert client.is_running


class HandshakeOnly:
    """A server that agrees to everything, and then closes every pool connection."""

    BODY = b'{"flow":"-","max":1024,"tls":"0","type":"0"}\n'

    def __init__(self) -> None:
        self.port = free_port()
        self.refused = threading.Semaphore(0)
        self._listener = socket.create_server(("127.0.0.1", self.port))

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        shaken = False
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock:
                if not shaken:
                    sock.recv(10_000)
                    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(self.BODY)}\r\n\r\n"
                    sock.sendall(head.encode() + self.BODY)
                    shaken = True
                else:
                    self.refused.release()


def test_report_interval_is_the_time_between_reports(np: Runner) -> None:
    forwarder = np.forwarder(env={"NP_REPORT_INTERVAL": "50ms"})
    begun = time.monotonic()
    for _ in range(10):
        forwarder.client.checkpoint()
    assert time.monotonic() - begun > 0.25
    seldom = np.forwarder(env={"NP_REPORT_INTERVAL": "1h"})
    seldom.client.wait_for("CHECK_POINT")
    with Echo(seldom.target):
        assert echoed(seldom.users)
    assert len(seldom.client.matches("CHECK_POINT")) == 1


@pytest.mark.every_transport
def test_udp_read_timeout_ends_a_session_without_traffic(np: Runner) -> None:
    tunnel = np.tunnel(env={"NP_UDP_READ_TIMEOUT": "500ms"})
    with UdpEcho(tunnel.target) as target, udp_socket(tunnel.users) as user:
        sources = set()
        for _ in range(2):
            user.send(b"hello")
            assert user.recv(10) == b"hello"
            sources.add(target.next()[1])
            tunnel.ingress.checkpoint(having="UDPS=0")
            tunnel.egress.checkpoint(having="UDPS=0")
        # Another session, from another port.
        assert len(sources) == 2


def test_udp_buffer_size_is_the_largest_datagram(np: Runner) -> None:
    forwarder = np.forwarder(env={"NP_UDP_DATA_BUF_SIZE": "1000"})
    with UdpEcho(forwarder.target) as target, udp_socket(forwarder.users) as user:
        user.send(bytes(1001))
        forwarder.client.wait_for("UDP: dropped a datagram of over 1000 bytes from user 127.0.0.1")
        user.send(bytes(1000))
        assert len(target.next()[0]) == 1000
        assert len(user.recv(2000)) == 1000


@pytest.mark.every_transport
@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_tcp_buffer_size_changes_nothing_in_the_bytes(np: Runner, size: int) -> None:
    # Byte by byte, an end is busy for so long that it may seem dead.
    tunnel = np.tunnel(server="tls=1", env={"NP_TCP_DATA_BUF_SIZE": str(size), "NP_REPORT_INTERVAL": "1h"})
    with Echo(tunnel.target):
        assert echoed(tunnel.users, 3000)


def unanswering(stack: ExitStack) -> int:
    """A port that lets connections hang: its queue is full and nobody accepts."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", free_port()), backlog=0))
    for _ in range(3):
        filler = stack.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    return int(listener.getsockname()[1])


@pytest.mark.parametrize("end", ["egress", "single"])
def test_tcp_dial_timeout(np: Runner, end: str) -> None:
    with ExitStack() as stack:
        tunnel = np.at(end, "", to=f"127.0.0.1:{unanswering(stack)}", env={"NP_TCP_DIAL_TIMEOUT": "300ms"})
        assert turned_away(tunnel.users)
        tunnel.egress.wait_for("user at .* cannot connect to .*: no answer in time")


def test_handshake_timeout_of_a_client(np: Runner) -> None:
    with ExitStack() as stack:
        port = unanswering(stack)
        client = np.run(f"client://k@127.0.0.1:{port}/:9?mode=2", env={"NP_HANDSHAKE_TIMEOUT": "200ms"})
        client.wait_for("Client error: the server at .* did not answer within 0.2 s")


def test_handshake_timeout_of_a_user_of_tls(np: Runner) -> None:
    forwarder = np.forwarder("tls=1", env={"NP_HANDSHAKE_TIMEOUT": "200ms"})
    assert turned_away(forwarder.users, b"\x16\x03")
    forwarder.client.wait_for("TLS handshake with the user at")
