"""TCP users through a tunnel with a v1 peer at the other end."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.harness import Echo, Recorder, SpeaksFirst, connect, echoed, read_all, read_exactly
from tests.interop.pair import CASES, ENDING, PLAIN, Case, Pair

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Pair]

MEGABYTES = 3_000_000
ANSWER = os.urandom(MEGABYTES)
BURST = 200
CUT = 64 * 1024
"""Bytes that a v1 peer may drop where it cuts streams; four or ten thousand have been seen."""

each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_that_ends = pytest.mark.parametrize("case", ENDING, ids=str)


def whole(got: bytes, sent: bytes, case: Case) -> bool:
    """Whether all came, as far as v1 lets it."""
    return got == sent or (case.v1_cuts_streams and sent.startswith(got) and len(got) > len(sent) - CUT)


@each_case
def test_megabytes_both_ways_at_once(pair: Make, case: Case) -> None:
    tunnel = pair(case).up()
    with Echo(tunnel.target):
        assert echoed(tunnel.users, MEGABYTES)
    tunnel.assert_clean()


@each_case
def test_a_burst_of_short_connections_loses_none(pair: Make, case: Case) -> None:
    tunnel = pair(case).up()
    with Echo(tunnel.target), ThreadPoolExecutor(BURST) as pool:
        assert all(pool.map(lambda _: echoed(tunnel.users, 2000), range(BURST)))
    tunnel.assert_clean()


@each_case
def test_a_server_that_speaks_first(pair: Make, case: Case) -> None:
    tunnel = pair(case).up()
    with SpeaksFirst(tunnel.target), connect(tunnel.users) as user:
        assert read_exactly(user, len(SpeaksFirst.GREETING)) == SpeaksFirst.GREETING
        user.sendall(b"QUIT\r\n")
        assert (read_all(user) if case.v1_ends_streams else read_exactly(user, 6)) == b"QUIT\r\n"
    tunnel.assert_clean()


@each_that_ends
def test_a_user_that_ends_first(pair: Make, case: Case) -> None:
    """All it sent arrives, and its end. The answer does where v1 can half-close: on a plain user's side."""
    tunnel = pair(case).up()
    with Recorder(tunnel.target, answer=ANSWER) as target, connect(tunnel.users) as user:
        data = os.urandom(MEGABYTES)
        user.sendall(data)
        user.shutdown(socket.SHUT_WR)
        assert whole(target.next().all(), data, case)
        answer = read_all(user)
    if case.takes_users or case.tls or case.transport:
        assert ANSWER.startswith(answer)
    else:
        assert answer == ANSWER
    tunnel.assert_clean()


@each_that_ends
def test_a_target_that_ends_first(pair: Make, case: Case) -> None:
    """All it sent arrives, and its end. What the user sends then does where v1 can half-close: on a plain target's side."""
    half_closes = case.takes_users and not case.tls and not case.transport
    tunnel = pair(case).up()
    with Recorder(tunnel.target, answer=ANSWER, eager=True) as target, connect(tunnel.users) as user:
        assert whole(read_all(user), ANSWER, case)
        if half_closes:
            data = os.urandom(MEGABYTES)
            user.sendall(data)
            user.shutdown(socket.SHUT_WR)
            assert target.next().all() == data
        user.close()
        if not half_closes:
            assert target.next().all() == b""
    tunnel.assert_clean()


@each_that_ends
def test_a_user_whose_target_is_down_is_turned_away(pair: Make, case: Case) -> None:
    tunnel = pair(case).up()
    with connect(tunnel.users) as user:
        try:
            assert read_all(user) == b""
        except ConnectionResetError:
            # That is how a broken stream should look; v1 ends it in order.
            assert case.takes_users
    with Echo(tunnel.target):
        assert echoed(tunnel.users)


@pytest.mark.parametrize("case", PLAIN, ids=str)
def test_the_proxy_header_names_the_user(pair: Make, case: Case) -> None:
    tunnel = pair(case, egress="&proxy=1").up()
    with Recorder(tunnel.target) as target, connect(tunnel.users) as user:
        user.sendall(b"hello")
        port = user.getsockname()[1]
        user.shutdown(socket.SHUT_WR)
        assert target.next().all() == b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\nhello" % (port, tunnel.target)
    tunnel.assert_clean()


@pytest.mark.parametrize("case", [case for case in CASES if case.tls != 2], ids=str)
def test_over_ipv6(pair: Make, case: Case) -> None:
    tunnel = pair(case, host="[::1]").up()
    with Echo(tunnel.target, "::1"):
        assert echoed(tunnel.users, host="::1")
    tunnel.assert_clean()
