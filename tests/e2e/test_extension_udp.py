"""Datagrams through a tunnel of two ends of this project: each arrives, whole, in the order of sending.

v1 marks no boundaries: it merges datagrams that come close together, and cuts those over 16,384 bytes.
"""

from __future__ import annotations

import os
import random
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

import pytest

from nodepass.net.udp import enlarge_buffers
from nodepass.tunnel.udp_ingress import PENDING_OF_ALL
from tests.harness import KEY, UdpEcho, free_port, udp_socket

if TYPE_CHECKING:
    import socket

    from tests.harness import NodePass, Runner

LARGEST = 65507
"""Bytes of payload that fit into a UDP datagram over IPv4."""

EDGES = (0, 1, 2, *range(1399, 1474), 16383, 16384, 16385, 65506, LARGEST)
"""Nothing, about one packet of an Ethernet, about one read of v1's, and the most there is."""

OTHERS = 200
CROWD = 400
BURST, BURST_SIZE = 200, 1200

each_flow = pytest.mark.parametrize("flow", ["reverse", "forward"])


class LargeEcho(UdpEcho):
    """One that loses nothing of a burst."""

    def start(self) -> Self:
        enlarge_buffers(self._socket)
        return super().start()

    __enter__ = start


def user_of(port: int) -> socket.socket:
    user = udp_socket(port)
    enlarge_buffers(user)
    return user


@pytest.mark.every_transport
@each_flow
def test_datagrams_of_every_size_arrive_whole(np: Runner, flow: str) -> None:
    chance = random.Random(7)
    tunnel = np.tunnel(flow)
    with LargeEcho(tunnel.target) as target, user_of(tunnel.users) as user:
        for size in (*EDGES, *(chance.randint(0, LARGEST) for _ in range(OTHERS))):
            datagram = os.urandom(size)
            user.send(datagram)
            assert user.recv(1 << 16) == datagram
            assert target.next()[0] == datagram


@pytest.mark.every_transport
@each_flow
def test_a_burst_arrives_as_it_was_sent(np: Runner, flow: str) -> None:
    """Also where it is the first thing that a user says."""
    tunnel = np.tunnel(flow)
    with LargeEcho(tunnel.target) as target, user_of(tunnel.users) as user:
        for _ in range(3):
            burst = [number.to_bytes(2, "big") + os.urandom(BURST_SIZE - 2) for number in range(BURST)]
            sender = threading.Thread(target=lambda burst=burst: [user.send(datagram) for datagram in burst])
            sender.start()
            back = [user.recv(1 << 16) for _ in burst]
            sender.join()
            assert [target.next()[0] for _ in burst] == burst
            assert back == burst


def server_alone(np: Runner, **env: str) -> tuple[NodePass, int, int]:
    """A server without a client, whose users wait; and its ports: for clients, for users."""
    port, users = free_port(), free_port()
    env["NP_POOL_GET_TIMEOUT"] = "1h"
    return np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1", env=env).listening(), port, users


def test_a_burst_waits_for_the_client(np: Runner) -> None:
    server, port, users = server_alone(np, NP_UDP_DATA_BUF_SIZE="1000")
    burst = [number.to_bytes(2, "big") for number in range(BURST)]
    with LargeEcho() as target, user_of(users) as user:
        for datagram in burst:
            user.send(datagram)
        # One that is too large tells that those before it have been read.
        user.send(bytes(1001))
        server.wait_for("dropped a datagram of over 1000 bytes from user")
        np.run(f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2").ready()
        assert [target.next()[0] for _ in burst] == burst
        assert [user.recv(10) for _ in burst] == burst


def test_what_waits_for_the_client_is_bounded(np: Runner) -> None:
    """The first 256 KiB are kept; for what is dropped there is a line in the log."""
    server, port, users = server_alone(np)
    burst = [bytes((number,)) * 60_000 for number in range(5)]
    with LargeEcho() as target, user_of(users) as user:
        for datagram in burst:
            user.send(datagram)
        server.wait_for("dropped a datagram of the user at 127.0.0.1")
        np.run(f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2").ready()
        assert [target.next()[0] for _ in range(4)] == burst[:4]
        user.send(b"later")
        assert target.next()[0] == b"later"


@pytest.mark.every_transport
def test_users_who_send_at_once_are_kept_apart(np: Runner) -> None:
    """Sizes that differ by user, so that one merged with another, or cut, has a size that nobody sent."""
    tunnel = np.tunnel()
    with LargeEcho(tunnel.target):
        users = [user_of(tunnel.users) for _ in range(10)]
        try:
            for turn in range(20):
                sent = [bytes((number, turn)) * (100 * number + 1) for number in range(len(users))]
                for user, datagram in zip(users, sent, strict=True):
                    user.send(datagram)
                assert [user.recv(1 << 16) for user in users] == sent
        finally:
            for user in users:
                user.close()


def test_what_waits_for_a_way_is_bounded_for_all_users_together(np: Runner) -> None:
    """Anybody can send from as many addresses as he likes, and before a client has come there is no way."""
    port, users, target = free_port(), free_port(), free_port()
    url = f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1"
    server = np.run(url, env={"NP_POOL_GET_TIMEOUT": "60s"}).listening()
    before = server.rss()
    with ExitStack() as stack:
        for _ in range(CROWD):
            user = stack.enter_context(udp_socket(users))
            for _ in range(4):
                user.send(bytes(60_000))
            if server.matches("UDP: dropped"):
                break
        server.wait_for(rf"UDP: dropped a datagram of .*: \d+ bytes of it wait .*, {str(PENDING_OF_ALL)[:2]}\d+ of all")
        assert server.rss() - before < 3 * PENDING_OF_ALL
        np.run(f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target}?mode=2").ready()
        with UdpEcho(target), user_of(users) as user:
            user.settimeout(1)
            assert any(answered(user) for _ in range(10))


def answered(user: socket.socket) -> bool:
    """Whether what is said now is: it may come while the others' still waits."""
    user.send(b"still here?")
    with suppress(TimeoutError):
        return user.recv(100) == b"still here?"
    return False
