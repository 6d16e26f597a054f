"""Pool transport 2: users through WebSockets, and what else comes to the port of a server that takes them."""

from __future__ import annotations

import base64
import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.harness import (
    Authority,
    Echo,
    Recorder,
    Runner,
    UdpEcho,
    connect,
    echoed,
    ended,
    exchange,
    read_all,
    read_exactly,
    udp_socket,
    user_context,
)
from tests.harness.raw import ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import Tunnel

MEGABYTES = 4_000_000
SETUPS = [("reverse", 0), ("reverse", 1), ("forward", 0), ("forward", 1)]
KEY = base64.b64encode(bytes(16)).decode()

each_setup = pytest.mark.parametrize(("flow", "tls"), SETUPS)


def tunnel_of(np: Runner, flow: str, tls: int) -> Tunnel:
    return np.tunnel(flow, server=f"type=2&tls={tls}")


@each_setup
def test_megabytes_both_ways_at_once(np: Runner, flow: str, tls: int) -> None:
    tunnel = tunnel_of(np, flow, tls)
    with Echo(tunnel.target):
        assert echoed(tunnel.users, MEGABYTES)


@each_setup
def test_datagrams_of_any_size_keep_their_bounds(np: Runner, flow: str, tls: int) -> None:
    """Each is a message of its own, also where a TLS record would be too small for it."""
    tunnel = tunnel_of(np, flow, tls)
    with UdpEcho(tunnel.target), udp_socket(tunnel.users) as user:
        sizes = (1, 17, 1400, 16384, 16385, 65507)
        for size in sizes:
            datagram = os.urandom(size)
            user.send(datagram)
            assert user.recv(65536) == datagram
        for number in range(20):
            user.send(bytes([number]) * (number + 1))
        assert sorted(user.recv(65536) for _ in range(20)) == [bytes([n]) * (n + 1) for n in range(20)]


@each_setup
def test_either_side_may_end_first(np: Runner, flow: str, tls: int) -> None:
    tunnel = tunnel_of(np, flow, tls)
    sent, answer = os.urandom(MEGABYTES), os.urandom(MEGABYTES)
    with Recorder(tunnel.target, answer=answer) as target, connect(tunnel.users) as user:
        user.sendall(sent)
        user.shutdown(socket.SHUT_WR)
        assert read_all(user) == answer
        assert target.next().all() == sent
    with Recorder(tunnel.target, answer=answer, eager=True) as target, connect(tunnel.users) as user:
        assert read_all(user) == answer
        user.sendall(sent)
        user.shutdown(socket.SHUT_WR)
        assert target.next().all() == sent
    for process in (tunnel.ingress, tunnel.egress):
        # With all bytes of both users counted, no report is older than the second.
        process.checkpoint(having=rf"TCPS=0\|.*TCPRX={2 * MEGABYTES}\|TCPTX={2 * MEGABYTES}\|")


@each_setup
def test_a_user_that_breaks_off_is_seen_by_the_target(np: Runner, flow: str, tls: int) -> None:
    tunnel = tunnel_of(np, flow, tls)
    with Recorder(tunnel.target) as target:
        with connect(tunnel.users) as user:
            user.sendall(b"never finished")
            received = target.next()
            user.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert received.ended.wait(10)
        assert received.ended_by == "reset"


def test_many_short_connections(np: Runner) -> None:
    tunnel = tunnel_of(np, "reverse", 0)
    with Echo(tunnel.target):
        assert all(echoed(tunnel.users, 100) for _ in range(100))
        assert tunnel.ingress.checkpoint(having="TCPS=0")["TCPTX"] == "10000"
    for process in (tunnel.ingress, tunnel.egress):
        assert not process.matches("WARN(?!.*TLS is off)|ERROR")


def test_a_server_with_certificate_files(np: Runner, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    crt, key = authority.issue("server", "localhost")
    tunnel = np.tunnel(
        server=f"type=2&tls=2&crt={crt}&key={key}", client="sni=localhost", env={"SSL_CERT_FILE": str(authority.path)}
    )
    with Echo(tunnel.target):
        assert echoed(tunnel.users)


def test_idle_users_and_connections_go_on(np: Runner) -> None:
    """Pings come and go all the while; nothing of them is seen by users."""
    tunnel = np.tunnel(server="type=2", env={"NP_REPORT_INTERVAL": "50ms"})
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"before") == b"before"
        for _ in range(20):
            tunnel.server.checkpoint()
        assert exchange(user, b"after") == b"after"
        assert echoed(tunnel.users)


# What else comes.


def upgrade(path: str = "/", **headers: str) -> bytes:
    given = {
        "Host": "x",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()


BAD = {
    "version": (upgrade(Sec_WebSocket_Version="99"), 426),
    "key": (upgrade(Sec_WebSocket_Key="short"), 400),
    "path": (upgrade("/other"), 404),
    "header": (upgrade(X="x" * 9000), 431),
    "headers": (upgrade(**{f"X_{n}": "x" * 4000 for n in range(10)}), 431),
    "bytes": (b"\x00\xff" * 300 + b"\r\n\r\n", 400),
}


def answer_to(port: int, data: bytes, *, tls: int = 0, source: str = "") -> tuple[int, bytes]:
    """Status and body of the answer."""
    with connect(port, source=source) as plain:
        if not tls:
            answer = said_to(plain, data)
        else:
            with user_context().wrap_socket(plain) as encrypted:
                answer = said_to(encrypted, data)
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def said_to(sock: socket.socket, data: bytes) -> bytes:
    sock.sendall(data)
    return read_all(sock)


@pytest.mark.parametrize("tls", [0, 1])
@pytest.mark.parametrize("kind", list(BAD))
def test_a_bad_upgrade_is_refused_with_one_line_and_users_go_on(np: Runner, kind: str, tls: int) -> None:
    data, status = BAD[kind]
    tunnel = tunnel_of(np, "reverse", tls)
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"before") == b"before"
        for _ in range(5):
            found, body = answer_to(tunnel.port, data, tls=tls)
            assert found == status
            assert 0 < len(body) < 300
        assert exchange(user, b"after") == b"after"
        assert echoed(tunnel.users)
        tunnel.server.wait_for(rf"WARN .*refused: {status} ")
    assert len(tunnel.server.matches("refused")) <= 2
    assert not tunnel.server.matches("session with .* ended")


@pytest.mark.parametrize("tls", [0, 1])
def test_a_plain_request_gets_a_plain_answer(np: Runner, tls: int) -> None:
    tunnel = tunnel_of(np, "reverse", tls)
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert answer_to(tunnel.port, request) == (401, b"wrong token\n")
    if tls:
        status, body = answer_to(tunnel.port, request, tls=tls)
        assert status == 426
        assert b"You need a WebSocket client" in body


@pytest.fixture
def intruder(np: Runner) -> Iterator[tuple[Tunnel, socket.socket]]:
    """A tunnel, and a pool connection of a v1 client that is made by hand."""
    tunnel = tunnel_of(np, "reverse", 0)
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"before") == b"before"
        assert ask(tunnel.port, source=V1_ADDRESS)[0] == 200
        with v1_pool_connection(tunnel.port), v1_pool_connection(tunnel.port) as sock:
            yield tunnel, sock
            assert exchange(user, b"after") == b"after"
            assert echoed(tunnel.users)
            assert not tunnel.server.matches("session with .* ended")


V1_ADDRESS = "127.0.0.5"


def v1_pool_connection(port: int) -> socket.socket:
    """A WebSocket of a v1 client, which has its ID."""
    sock = connect(port, source=V1_ADDRESS)
    sock.sendall(upgrade())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read_exactly(sock, 1)
    assert head.startswith(b"HTTP/1.1 101 ")
    assert read_exactly(sock, 6)[:2] == b"\x82\x04"
    return sock


MASK = bytes(4)
BAD_FRAMES = {
    "text": (b"\x81\x81" + MASK + b"x", "text message"),
    "unmasked": (b"\x82\x01x", "masking"),
    "reserved bit": (b"\xc2\x81" + MASK + b"x", "reserved bits"),
    "2 MiB": (b"\x82\xff" + struct.pack("!Q", 1 << 21) + MASK, "1048576"),
    "pings": ((b"\x89\x80" + MASK) * 5000, "carry nothing"),
    "garbage": (b"\xff" * 5000, "broken off"),
}


@pytest.mark.parametrize("kind", list(BAD_FRAMES))
def test_a_peer_that_breaks_the_rules_is_broken_off_alone(intruder: tuple[Tunnel, socket.socket], kind: str) -> None:
    data, said = BAD_FRAMES[kind]
    tunnel, sock = intruder
    with suppress(OSError):
        sock.sendall(data)
    assert ended(sock)
    tunnel.server.wait_for(rf"WARN .*broken off: .*{said}|WARN .*{said}")
    assert len(tunnel.server.matches("broken off")) == 1
