"""Pool transport 1: users over ways on which datagrams are lost, repeated, swapped, and come from elsewhere."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.harness import (
    Authority,
    Echo,
    Recorder,
    Runner,
    Silent,
    Troubles,
    UdpEcho,
    UdpWay,
    Wiretap,
    connect,
    echoed,
    exchange,
    read_all,
    udp_socket,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import Tunnel

MEGABYTES = 3_000_000
BURST = 200
CLEAR = Troubles()
BAD = Troubles(loss=0.02, repeat=0.02, swap=0.03)
ANSWER = os.urandom(MEGABYTES)
TAIL = 50_000
"""Bytes that fit into the buffers of a user's socket."""

MOST_GROWTH = 48 * 1024 * 1024
"""Bytes that an end may grow by while a few readers sleep: each holds a window and some buffers."""

each_flow = pytest.mark.parametrize("flow", ["reverse", "forward"])


@contextmanager
def over_a_way(np: Runner, flow: str = "reverse", troubles: Troubles = CLEAR) -> Iterator[tuple[Tunnel, UdpWay]]:
    """A tunnel whose client finds the server at the near end of a way for UDP, and of one for TCP, which only passes on."""
    with Wiretap() as tap, UdpWay(port=tap.port, troubles=troubles) as way:
        tunnel = np.tunnel(flow, server="type=1", via=tap.port, wait=False)
        tap.to = way.to = tunnel.port
        tunnel.server.ready()
        tunnel.client.ready()
        yield tunnel, way


@each_flow
def test_all_arrives_over_a_bad_way(np: Runner, flow: str) -> None:
    with over_a_way(np, flow, BAD) as (tunnel, _):
        with Echo(tunnel.target), UdpEcho(tunnel.target):
            assert echoed(tunnel.users, MEGABYTES)
            with udp_socket(tunnel.users) as user:
                for number in range(20):
                    user.send(b"datagram %d" % number)
                    assert user.recv(100) == b"datagram %d" % number
        sent = os.urandom(MEGABYTES)
        with Recorder(tunnel.target, answer=ANSWER) as target, connect(tunnel.users) as user:
            user.sendall(sent)
            user.shutdown(socket.SHUT_WR)
            assert read_all(user) == ANSWER
            assert target.next().all() == sent


@each_flow
def test_many_users_at_once(np: Runner, flow: str) -> None:
    tunnel = np.tunnel(flow, server="type=1")
    with Echo(tunnel.target), ThreadPoolExecutor(BURST) as pool:
        assert all(pool.map(lambda _: echoed(tunnel.users, 20_000), range(BURST)))


@each_flow
def test_targets_that_sleep_hold_up_nobody_and_little_memory(np: Runner, flow: str) -> None:
    tunnel = np.tunnel(flow, server="type=1")
    with Silent(tunnel.target) as sleeper:
        before = [end.rss() for end in (tunnel.ingress, tunnel.egress)]
        users = [connect(tunnel.users, timeout=0.5) for _ in range(4)]
        for user in users:
            with pytest.raises(TimeoutError):
                user.sendall(bytes(100_000_000))
        for end, size in zip((tunnel.ingress, tunnel.egress), before, strict=True):
            assert end.rss() - size < MOST_GROWTH
        # The same target port for others: `Silent` takes their connection, and reads when it is released.
        sleeper.release.set()
        with connect(tunnel.users) as user:
            user.sendall(ANSWER)
            user.shutdown(socket.SHUT_WR)
            assert read_all(user) == b""
        for user in users:
            user.close()


def test_a_client_behind_a_nat_that_forgets_goes_on(np: Runner) -> None:
    with over_a_way(np) as (tunnel, way), Echo(tunnel.target), connect(tunnel.users) as user:
        for _ in range(3):
            data = os.urandom(MEGABYTES)
            assert exchange(user, data) == data
            way.move()
        assert exchange(user, ANSWER) == ANSWER
        assert len(tunnel.server.matches("Handshake with")) == 1


def test_a_session_that_follows_another_begins_with_the_first_packet(np: Runner) -> None:
    with over_a_way(np) as (tunnel, way), Echo(tunnel.target):
        assert echoed(tunnel.users)
        since = len(tunnel.client.lines)
        way.silent = True
        tunnel.client.wait_for("Client error: .*nothing was heard", since=since)
        tunnel.server.wait_for("Server error: session with .* ended")
        way.silent = False
        tunnel.client.ready(since=since)
        tunnel.client.wait_for("QUIC with .* resumed", since=since)
        tunnel.server.wait_for("QUIC with .* resumed, with early streams")
        assert echoed(tunnel.users)


def test_hostile_datagrams_disturb_nobody(np: Runner) -> None:
    tunnel = np.tunnel(server="type=1")
    chance = random.Random(5)
    done = threading.Event()

    def bombard() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not done.is_set():
                for beginning in (b"\xc0\x00\x00\x00\x01\x08", b"\x40", b"\xff\x00\x00\x00\x00", b""):
                    sock.sendto(beginning + chance.randbytes(chance.randrange(1, 1400)), ("127.0.0.1", tunnel.port))
                done.wait(0.001)

    bomber = threading.Thread(target=bombard)
    bomber.start()
    try:
        with Echo(tunnel.target):
            for _ in range(5):
                assert echoed(tunnel.users, MEGABYTES)
    finally:
        done.set()
        bomber.join()
    assert len(tunnel.server.matches("Handshake with")) == 1


@each_flow
def test_an_end_that_is_stopped_lets_what_it_sent_arrive(np: Runner, flow: str) -> None:
    """The target has said all, on a way where much is lost; then the end that dialled it goes, which holds the rest."""
    with over_a_way(np, flow) as (tunnel, way), Recorder(tunnel.target, answer=ANSWER[:TAIL], eager=True) as target:
        way.troubles = Troubles(loss=0.2)
        with connect(tunnel.users) as user:
            user.sendall(b"go")
            user.shutdown(socket.SHUT_WR)
            assert target.next().all() == b"go"
            tunnel.egress.send_signal(signal.SIGTERM)
            assert read_all(user) == ANSWER[:TAIL]
            assert tunnel.egress.wait() == 0


def test_a_server_that_is_killed_is_noticed_at_once_and_met_again(np: Runner) -> None:
    tunnel = np.tunnel(server="type=1", env={"NP_REPORT_INTERVAL": "1s"})
    url = tunnel.server.argv[-1]
    np.forgive(tunnel.server)
    tunnel.server.kill()
    tunnel.client.wait_for("Client error: .*refused")
    since = len(tunnel.client.lines)
    np.run(url).listening()
    tunnel.client.ready(since=since)
    with Echo(tunnel.target):
        assert echoed(tunnel.users)


def test_a_certificate_is_verified(np: Runner, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    crt, key = authority.issue("server", "localhost")
    query = f"type=1&tls=2&crt={crt}&key={key}"
    tunnel = np.tunnel(server=query, client="sni=localhost", client_env={"SSL_CERT_FILE": str(authority.path)})
    with Echo(tunnel.target):
        assert echoed(tunnel.users)
    other = np.tunnel(server=query, client="sni=example.org", client_env={"SSL_CERT_FILE": str(authority.path)}, wait=False)
    other.client.wait_for("certificate is not trusted")
