"""`block`: users refused by the first bytes they send, and everyone else served as before."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.harness import Echo, Recorder, Runner, SpeaksFirst, connect, ended, exchange, read_exactly, turned_away

if TYPE_CHECKING:
    import socket

OPENINGS = {
    "socks4": b"\x04\x01\x00\x50\x7f\x00\x00\x01user\x00",
    "socks5": b"\x05\x01\x00",
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "http post": b"POST /upload HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing known": b"\x00\x01\x02\x03hello",
    "almost http": b"hello HTTP/1.1\r\n",
}
PROTOCOL = {"socks4": "1", "socks5": "1", "http": "2", "http post": "2", "tls": "3"}
ENDS = ["reverse", "forward", "single"]


def with_block(np: Runner, end: str, block: str) -> tuple[int, int]:
    """A tunnel that blocks; gives the ports of users and target."""
    query = f"block={block}"
    tunnel = np.forwarder(query) if end == "single" else np.tunnel(end, ingress=query)
    return tunnel.users, tunnel.target


@pytest.mark.parametrize("block", ["1", "2", "3", "13", "123", "0"])
def test_each_digit_refuses_its_protocol_only(np: Runner, block: str) -> None:
    users, port = with_block(np, "single", block)
    with Echo(port):
        for name, opening in OPENINGS.items():
            with connect(users) as user:
                if PROTOCOL.get(name, "none") in block:
                    user.sendall(opening)
                    assert ended(user), name
                else:
                    assert exchange(user, opening) == opening, name
                    assert exchange(user, opening) == opening, name


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", PROTOCOL)
def test_nothing_refused_reaches_the_target(np: Runner, end: str, name: str) -> None:
    users, port = with_block(np, end, "123")
    with Recorder(port) as target:
        assert turned_away(users, OPENINGS[name])
        with connect(users) as user:
            user.sendall(b"good")
        # The first that brought anything is the good one.
        assert target.next().all() == b"good"


def byte_by_byte(user: socket.socket, data: bytes) -> None:
    """Send each byte when the one before has come back, so that each comes alone."""
    for byte in data:
        exchange(user, bytes([byte]))


@pytest.mark.parametrize("name", PROTOCOL)
def test_byte_by_byte_is_refused_as_well(np: Runner, name: str) -> None:
    users, port = with_block(np, "single", "123")
    with Echo(port), connect(users) as user, pytest.raises((EOFError, ConnectionError)):
        byte_by_byte(user, OPENINGS[name])


@pytest.mark.parametrize("end", ENDS)
def test_server_that_speaks_first_is_not_waited_for_in_vain(np: Runner, end: str) -> None:
    users, port = with_block(np, end, "123")
    with SpeaksFirst(port), connect(users) as user:
        assert read_exactly(user, len(SpeaksFirst.GREETING)) == SpeaksFirst.GREETING
        assert exchange(user, b"QUIT\r\n") == b"QUIT\r\n"
        assert ended(user)


@pytest.mark.parametrize("end", ENDS)
def test_bulk_passes_whole(np: Runner, end: str) -> None:
    users, port = with_block(np, end, "123")
    data = b"\x00" + os.urandom(3_000_000)
    with Echo(port), connect(users) as user:
        assert exchange(user, data) == data


def test_refusals_are_logged(np: Runner) -> None:
    forwarder = np.forwarder("block=2")
    with Echo(forwarder.target), connect(forwarder.users) as user:
        user.sendall(OPENINGS["http"])
        forwarder.client.wait_for("Blocked HTTP from 127.0.0.1:")
