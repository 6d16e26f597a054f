"""Datagrams through a tunnel of two ends of this project: each arrives, whole, in the order of sending.

v1 marks no boundaries: it merges datagrams that come close together, and cuts those over 16,384 bytes.
"""

from __future__ import annotations

import os
import random
import threading
from typing import TYPE_CHECKING, Self

import pytest

from nodepass.net.udp import enlarge_buffers
from tests.harness import UdpEcho, udp_socket

if TYPE_CHECKING:
    import socket

    from tests.harness import Runner

LARGEST = 65507
"""Bytes of payload that fit into a UDP datagram over IPv4."""

EDGES = (0, 1, 2, *range(1399, 1474), 16383, 16384, 16385, 65506, LARGEST)
"""Nothing, about one packet of an Ethernet, about one read of v1's, and the most there is."""

OTHERS = 200
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
