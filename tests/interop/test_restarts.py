"""What becomes of a tunnel with a v1 peer when either end dies, hangs or comes a second time."""

from __future__ import annotations

import itertools
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.harness import TIMEOUT, Echo, connect, echoed, exchange, free_port, read_all
from tests.interop.pair import CASES, Case, Pair

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Pair]

SIMPLE = [case for case in CASES if case.tls != 2]
OUR_SERVER = [case for case in SIMPLE if case.ours == "server"]


def assert_served(port: int) -> None:
    """Users are carried before long: those who come too early may be turned away, and there is no event to wait for."""
    end = time.monotonic() + 2 * TIMEOUT
    while True:
        try:
            assert echoed(port)
        except (OSError, EOFError):
            assert time.monotonic() < end, "nobody is served"
            time.sleep(0.05)
        else:
            return


@pytest.mark.parametrize(("case", "dies"), list(itertools.product(SIMPLE, ("server", "client"))), ids=str)
def test_service_comes_back_when_an_end_was_killed(pair: Make, case: Case, dies: str) -> None:
    tunnel = pair(case).up()
    with Echo(tunnel.target):
        with connect(tunnel.users) as user:
            assert exchange(user, b"before") == b"before"
            tunnel.ends[dies].kill()
            with suppress(ConnectionResetError):
                assert read_all(user) == b""
        tunnel.start(dies)
        assert_served(tunnel.users)


@pytest.mark.parametrize("case", OUR_SERVER, ids=str)
def test_a_client_that_comes_again_takes_the_place_of_its_dead_session(pair: Make, case: Case) -> None:
    tunnel = pair(case).up()
    url, users = tunnel.urls["client"], tunnel.users
    if not case.takes_users:
        # The first still holds its port.
        users = free_port()
        url = url.replace(f":{tunnel.users}?", f":{users}?")
    with Echo(tunnel.target):
        assert echoed(tunnel.users)
        tunnel.v1.send_signal(signal.SIGSTOP)
        tunnel.start("client", url)
        tunnel.ours.wait_for("gave no sign of life")
        assert_served(users)


@pytest.mark.parametrize("case", OUR_SERVER, ids=str)
def test_a_client_that_hung_is_served_again(pair: Make, case: Case) -> None:
    tunnel = pair(case).up()
    with Echo(tunnel.target):
        assert echoed(tunnel.users)
        tunnel.v1.send_signal(signal.SIGSTOP)
        tunnel.ours.wait_for("nothing was heard on the (control channel|QUIC connection)")
        tunnel.v1.send_signal(signal.SIGCONT)
        assert_served(tunnel.users)


@pytest.mark.parametrize("case", OUR_SERVER, ids=str)
def test_a_second_client_from_the_same_address_is_refused(pair: Make, case: Case) -> None:
    """One address, one session: the first goes on undisturbed."""
    tunnel = pair(case).up()
    first = tunnel.v1
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"before") == b"before"
        second = tunnel.start("client")
        second.wait_for("ERROR.*tunnelHandshake failed")
        second.kill()
        assert exchange(user, b"after") == b"after"
        assert echoed(tunnel.users)
    assert not first.matches("ERROR")
