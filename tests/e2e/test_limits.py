"""`rate`, `slot` and `read`: what an instance lets pass."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import Queue
from typing import TYPE_CHECKING

import pytest

from tests.harness import (
    Echo,
    Recorder,
    Runner,
    Silent,
    TcpTarget,
    UdpEcho,
    connect,
    echoed,
    ended,
    exchange,
    read_all,
    read_exactly,
    turned_away,
    udp_socket,
)

if TYPE_CHECKING:
    from pathlib import Path

MBIT = 125_000
SIZE = 8 * MBIT // 2
"""Half a second's worth at rate=8."""

AT_LEAST = 0.25
"""Half of what it should take: the burst at the start, and timers that are late, never make up for more."""


@pytest.mark.every_transport
@pytest.mark.parametrize("end", ["ingress", "egress", "single"])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_rate_holds_tcp_back(np: Runner, end: str, direction: str) -> None:
    tunnel = np.at(end, "rate=8")
    data = os.urandom(SIZE)
    with Recorder(tunnel.target, answer=data if direction == "down" else b"ok") as target:
        user = connect(tunnel.users)
        begun = time.monotonic()
        with user:
            if direction == "up":
                user.sendall(data)
            user.shutdown(socket.SHUT_WR)
            answer = read_all(user)
        assert time.monotonic() - begun > AT_LEAST
        assert (target.next().all() if direction == "up" else answer) == data


@pytest.mark.every_transport
def test_rate_holds_each_direction_on_its_own(np: Runner) -> None:
    tunnel = np.tunnel(ingress="rate=8")
    data = os.urandom(SIZE)
    with Echo(tunnel.target), connect(tunnel.users) as user:
        begun = time.monotonic()
        assert exchange(user, data) == data
        assert time.monotonic() - begun > AT_LEAST


COUNT, DATAGRAM = 64, 1250
"""Over half a second's worth at rate=1, and little enough for a socket's buffer to hold."""


def flood(answer_port: int) -> socket.socket:
    """A UDP target that sends `COUNT` datagrams to whoever sends it one."""
    target = udp_bound(answer_port)

    def serve() -> None:
        _, user = target.recvfrom(100)
        for _ in range(COUNT):
            target.sendto(bytes(DATAGRAM), user)

    threading.Thread(target=serve, daemon=True).start()
    return target


def udp_bound(port: int) -> socket.socket:
    """A UDP socket on a port of this machine."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(10)
    sock.bind(("127.0.0.1", port))
    return sock


def bytes_of(sock: socket.socket, count: int) -> None:
    """Read datagrams of that many bytes in all: a tunnel without the extension may join some."""
    while count > 0:
        count -= len(sock.recv(65536))


@pytest.mark.every_transport
@pytest.mark.parametrize("end", ["ingress", "egress", "single"])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_rate_holds_udp_back(np: Runner, end: str, direction: str) -> None:
    tunnel = np.at(end, "rate=1")
    with udp_socket(tunnel.users) as user:
        begun = time.monotonic()
        if direction == "up":
            with udp_bound(tunnel.target) as target:
                # What comes while a session waits for its connection is passed on at once when it has one, and owed.
                user.send(b"first")
                bytes_of(target, len(b"first"))
                begun = time.monotonic()
                for _ in range(COUNT):
                    user.send(bytes(DATAGRAM))
                bytes_of(target, COUNT * DATAGRAM)
        else:
            with flood(tunnel.target):
                user.send(b"go")
                bytes_of(user, COUNT * DATAGRAM)
        assert time.monotonic() - begun > AT_LEAST


@pytest.mark.every_transport
@pytest.mark.parametrize("end", ["ingress", "egress", "single"])
def test_slots_are_shared_by_tcp_and_udp(np: Runner, end: str) -> None:
    tunnel = np.at(end, "slot=2")
    limited = tunnel.egress if end == "egress" else tunnel.ingress
    with Echo(tunnel.target), UdpEcho(tunnel.target), connect(tunnel.users) as tcp, udp_socket(tunnel.users) as udp:
        assert exchange(tcp, b"one") == b"one"
        udp.send(b"two")
        assert udp.recv(10) == b"two"
        assert turned_away(tunnel.users)
        with udp_socket(tunnel.users, timeout=0.3) as fourth, pytest.raises(TimeoutError):
            exchange_datagram(fourth, b"four")
        limited.wait_for("All slots are taken: refused the user at")
        # Those who are in stay in, and a slot that is given back is used again.
        assert exchange(tcp, b"still") == b"still"
        tcp.close()
        limited.wait_for("Exchange complete: 127")
        assert echoed(tunnel.users, 10)


def exchange_datagram(user: socket.socket, datagram: bytes) -> bytes:
    """Send a datagram and wait for the answer."""
    user.send(datagram)
    return user.recv(65536)


def pulse(user: socket.socket, times: int, pause: float) -> None:
    """Say something again and again, never silent for longer than `pause`."""
    nothing = threading.Event()
    for _ in range(times):
        assert exchange(user, b"pulse") == b"pulse"
        nothing.wait(pause)


@pytest.mark.every_transport
@pytest.mark.parametrize("end", ["ingress", "egress", "single"])
def test_read_ends_idle_connections_only(np: Runner, end: str) -> None:
    tunnel = np.at(end, "read=600ms")
    with Echo(tunnel.target), connect(tunnel.users) as busy, connect(tunnel.users) as idle:
        begun = time.monotonic()
        assert exchange(idle, b"hello") == b"hello"
        pulse(busy, 10, 0.1)
        assert ended(idle)
        assert time.monotonic() - begun > 0.5
        assert exchange(busy, b"alive") == b"alive"
        assert ended(busy)


class Halfway(TcpTarget):
    """Sends a part, and never the rest."""

    PART = b"the first part"

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.heard: Queue[bytes] = Queue()
        self.ends: Queue[str] = Queue()

    def serve(self, sock: socket.socket) -> None:
        sock.sendall(self.PART)
        broken = select.poll()
        broken.register(sock, 0)
        try:
            if not (data := sock.recv(1000)):
                # A forwarder that measures how long it takes to connect.
                return
            self.heard.put(data)
            sock.recv(1000)
            self.ends.put("EOF")
            broken.poll(10_000)
            sock.send(b"is anybody there?")
        except ConnectionError:
            self.ends.put("reset")


@pytest.mark.every_transport
@pytest.mark.parametrize("end", ["ingress", "egress", "single"])
@pytest.mark.parametrize("half_closed", [False, True], ids=["open", "half-closed"])
def test_what_read_ends_looks_whole_to_nobody(np: Runner, end: str, half_closed: bool) -> None:
    """Both sides have sent a part, and then nothing more: each sees a connection that broke, behind that part."""
    tunnel = np.at(end, "read=600ms")
    with Halfway(tunnel.target) as target, connect(tunnel.users) as user:
        user.sendall(b"a part")
        assert read_exactly(user, len(target.PART)) == target.PART
        if half_closed:
            user.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            user.recv(1)
        assert target.heard.get(timeout=10) == b"a part"
        assert target.ends.get(timeout=10) == ("EOF" if half_closed else "reset")
        if half_closed:
            assert target.ends.get(timeout=10) == "reset"


def test_read_ends_what_the_target_never_reads(np: Runner) -> None:
    tunnel = np.forwarder("read=400ms")
    with Silent(tunnel.target), connect(tunnel.users) as user, pytest.raises(ConnectionError):
        user.sendall(bytes(1 << 28))


USERS, EACH, AT_ONCE = 10, 1 << 16, 1 << 14
"""Each waits for its turn for longer than `read` allows: at rate=1, one piece for each takes over a second."""


@pytest.fixture(params=["uvloop", "asyncio"])
def on_loop(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of a process that runs on this loop."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
        return {}
    (tmp_path / "uvloop.py").write_text("raise ImportError")
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("end", ["ingress", "egress", "single"])
def test_read_ends_nobody_whom_the_rate_holds(np: Runner, end: str, on_loop: dict[str, str]) -> None:
    tunnel = np.at(end, "rate=1&read=400ms", env={"NP_TCP_DATA_BUF_SIZE": str(AT_ONCE), **on_loop}, forked=False)
    data = os.urandom(EACH)
    with (
        Recorder(tunnel.target, answer=data, eager=True),
        ExitStack() as stack,
        ThreadPoolExecutor(USERS) as readers,
    ):
        users = [stack.enter_context(connect(tunnel.users)) for _ in range(USERS)]
        for user in users:
            user.sendall(b"what there is")
            user.shutdown(socket.SHUT_WR)
        assert list(readers.map(read_all, users)) == [data] * USERS


@pytest.mark.every_transport
@pytest.mark.parametrize("end", ["ingress", "single"])
def test_read_ends_nobody_who_takes_it_slowly(np: Runner, end: str) -> None:
    """What the system keeps for a user makes room in leaps, between which nothing passes for longer than `read`."""
    tunnel = np.at(end, "read=300ms")
    data = os.urandom(1 << 22)
    with Recorder(tunnel.target, answer=data, eager=True), connect(tunnel.users) as user:
        user.sendall(b"what there is")
        nothing = threading.Event()
        got = bytearray()
        while part := user.recv(1 << 15):
            got += part
            nothing.wait(0.02)
        assert got == data


@pytest.mark.every_transport
def test_without_read_idle_connections_stay(np: Runner) -> None:
    tunnel = np.tunnel(both="read=0")
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"a") == b"a"
        tunnel.ingress.checkpoint()
        tunnel.ingress.checkpoint()
        assert exchange(user, b"b") == b"b"
