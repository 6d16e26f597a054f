"""UDP users through a tunnel with a v1 peer at the other end."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from nodepass.config import PoolTransport
from tests.harness import UdpEcho, udp_socket
from tests.interop.pair import CASES, PLAIN, Case, Pair

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Pair]

SIZES = (1, 17, 512, 1400, 4000, *range(1, 10), 8000, 16000)
"""Up to what v1 reads at a time. Under TLS it cuts at 1186 times the number of the datagram on a connection, to which the
small ones in the middle add."""

ONE_PACKET = 1186
"""Bytes that fit into one packet of any of the two. Over QUIC, v1 takes for a datagram what has come when it looks: larger
ones come in several packets, the last of which may be late; on this machine that is seldom between two of v1."""

USERS = 30

each_case = pytest.mark.parametrize("case", CASES, ids=str)


def sizes_over(case: Case) -> list[int]:
    return [size for size in SIZES if case.transport is not PoolTransport.QUIC or size <= ONE_PACKET]


@each_case
def test_datagrams_come_back_whole(pair: Make, case: Case) -> None:
    tunnel = pair(case).up()
    with UdpEcho(tunnel.target), udp_socket(tunnel.users) as user:
        for size in sizes_over(case):
            datagram = os.urandom(size)
            user.send(datagram)
            assert user.recv(65536) == datagram
    tunnel.assert_clean()


@each_case
def test_many_users_ask_once_each(pair: Make, case: Case) -> None:
    """As a DNS server would see them: a query and an answer for each source port."""
    tunnel = pair(case).up()
    with ExitStack() as stack:
        stack.enter_context(UdpEcho(tunnel.target, greeting=b"answer to "))
        users = [stack.enter_context(udp_socket(tunnel.users)) for _ in range(USERS)]
        for number, user in enumerate(users):
            user.send(b"query %d" % number)
        for number, user in enumerate(users):
            assert user.recv(65536) == b"answer to query %d" % number
    tunnel.assert_clean()


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_over_ipv6(pair: Make, case: Case) -> None:
    tunnel = pair(case, host="[::1]").up()
    with UdpEcho(tunnel.target, "::1"), udp_socket(tunnel.users, "::1") as user:
        user.send(b"hello")
        assert user.recv(65536) == b"hello"
    tunnel.assert_clean()
