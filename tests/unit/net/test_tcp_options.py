"""What is set on TCP connections, as the sockets themselves tell."""

from __future__ import annotations

import asyncio
import select
import socket
from typing import TYPE_CHECKING

import pytest

from nodepass.log import ERROR, Log
from nodepass.net import tcp_options
from nodepass.net.address import Address
from nodepass.net.dial import Dial, LocalAddress
from nodepass.net.listen import TcpListener, bind
from nodepass.net.pair import tcp_pair
from nodepass.net.tcp_options import MOST_UNSENT, is_paced, tune_accepted, tune_dialled, tune_listening

if TYPE_CHECKING:
    from collections.abc import Callable


def congestion_control(sock: socket.socket) -> str:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


def pace(sock: socket.socket) -> None:
    if not is_paced():
        pytest.skip("this system does not pace connections")
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")
    except OSError:
        pytest.skip("this system does not let us choose BBR")


async def test_a_user_inside_the_machine_is_not_paced_where_all_others_are() -> None:
    (listening,) = bind(["127.0.0.1"], 0, socket.SOCK_STREAM)
    pace(listening)
    accepted: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
    listener = TcpListener([listening], lambda sock, _: accepted.set_result(sock), Log(ERROR))
    with socket.create_connection(listening.getsockname()):
        with await accepted as user:
            assert congestion_control(user) == "reno"
        assert congestion_control(listening) == "bbr"
    listener.close()


async def test_a_dial_inside_the_machine_is_not_paced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as target:
        dialled: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        Dial(
            [Address(*target.getsockname())],
            5,
            LocalAddress(None, Log(ERROR)),
            lambda sock, _: dialled.set_result(sock),
            dialled.set_exception,
        )
        with await dialled as sock:
            assert congestion_control(sock) != "bbr"


def test_a_pair_is_not_paced() -> None:
    near, far = tcp_pair()
    with near, far:
        assert "bbr" not in {congestion_control(near), congestion_control(far)}


@pytest.mark.parametrize("tune", [tune_accepted, tune_dialled])
@pytest.mark.parametrize(
    ("ip", "expected"), [("127.3.2.1", "reno"), ("::1", "reno"), ("192.0.2.7", "bbr"), ("2001:db8::1", "bbr")]
)
def test_only_what_stays_inside_the_machine_is_not_paced(
    tune: Callable[[socket.socket, str], None], ip: str, expected: str
) -> None:
    with socket.socket() as sock:
        pace(sock)
        tune(sock, ip)
        assert congestion_control(sock) == expected


def test_what_the_system_chose_without_pacing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_options, "is_paced", lambda: False)
    with socket.socket() as sock:
        before = congestion_control(sock)
        tune_dialled(sock, "127.0.0.1")
        assert congestion_control(sock) == before


def test_only_peers_on_other_machines_are_asked_for_signs_of_life() -> None:
    with socket.socket() as near, socket.socket() as far:
        tune_dialled(near, "127.0.0.1")
        tune_dialled(far, "192.0.2.7")
        alive = [sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) for sock in (near, far)]
        assert alive == [0, 1]


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="this system has no such option")
def test_a_side_that_does_not_read_is_sent_little() -> None:
    """Beyond what its own buffer has room for; the system's own bound is megabytes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        tune_listening(listening)
        with socket.create_connection(listening.getsockname()) as near:
            far, _ = listening.accept()
            with far:
                far.setblocking(False)
                room = near.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
                sent = 0
                # It is writable again once the other side's system has taken some.
                while select.select((), (far,), (), 0.2)[1]:
                    sent += far.send(bytes(1 << 19))
                assert sent < room + 2 * MOST_UNSENT
