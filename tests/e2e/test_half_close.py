"""Half-close: each direction ends on its own, on plain and TLS tunnels, both flows, and single-ended."""

from __future__ import annotations

import os
import socket
import ssl
import struct
from contextlib import suppress

import pytest

from tests.harness import Recorder, Runner, Tunnel, connect, read_all, user_context

pytestmark = pytest.mark.every_transport

SIZE = 2_000_000
SETUPS = ["reverse", "forward", "reverse tls", "forward tls", "single"]


def started(np: Runner, setup: str) -> Tunnel:
    if setup == "single":
        return np.forwarder()
    flow, _, tls = setup.partition(" ")
    return np.tunnel(flow, server="tls=1" if tls else "")


@pytest.mark.parametrize("setup", SETUPS)
def test_user_ends_first_and_still_gets_the_answer(np: Runner, setup: str) -> None:
    tunnel = started(np, setup)
    sent, answer = os.urandom(SIZE), os.urandom(SIZE)
    with Recorder(tunnel.target, answer=answer) as target, connect(tunnel.users) as user:
        user.sendall(sent)
        user.shutdown(socket.SHUT_WR)
        assert read_all(user) == answer
        received = target.next()
        assert received.all() == sent
        assert received.ended_by == "EOF"


@pytest.mark.parametrize("setup", SETUPS)
def test_target_ends_first_and_still_gets_the_rest(np: Runner, setup: str) -> None:
    tunnel = started(np, setup)
    sent, answer = os.urandom(SIZE), os.urandom(SIZE)
    with Recorder(tunnel.target, answer=answer, eager=True) as target, connect(tunnel.users) as user:
        assert read_all(user) == answer
        user.sendall(sent)
        user.shutdown(socket.SHUT_WR)
        received = target.next()
        assert received.all() == sent
        assert received.ended_by == "EOF"


@pytest.mark.parametrize("setup", SETUPS)
def test_user_that_says_nothing_and_ends(np: Runner, setup: str) -> None:
    tunnel = started(np, setup)
    with Recorder(tunnel.target, answer=b"for nothing"), connect(tunnel.users) as user:
        user.shutdown(socket.SHUT_WR)
        assert read_all(user) == b"for nothing"


@pytest.mark.parametrize("setup", SETUPS)
def test_user_that_breaks_off_is_seen_by_the_target(np: Runner, setup: str) -> None:
    tunnel = started(np, setup)
    with Recorder(tunnel.target) as target:
        with connect(tunnel.users) as user:
            user.sendall(b"never finished")
            received = target.next()
            # Lingering for no time at all sends a reset in place of an end.
            user.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert received.ended.wait(10)
        assert received.ended_by == "reset"


@pytest.mark.parametrize("setup", SETUPS)
def test_nothing_is_left_behind(np: Runner, setup: str) -> None:
    tunnel = started(np, setup)
    with Recorder(tunnel.target, answer=b"done"):
        for _ in range(20):
            with connect(tunnel.users) as user:
                user.sendall(b"x")
                user.shutdown(socket.SHUT_WR)
                assert read_all(user) == b"done"
    # With all bytes of all users counted, no report is older than the last of them.
    for process in (tunnel.ingress, tunnel.egress):
        process.checkpoint(having=r"TCPS=0\|.*TCPRX=(20\|TCPTX=80|80\|TCPTX=20)\|")


def test_target_ends_first_behind_tls_termination(np: Runner) -> None:
    forwarder = np.forwarder("tls=1")
    sent, answer = os.urandom(SIZE), os.urandom(SIZE)
    with Recorder(forwarder.target, answer=answer, eager=True) as target:
        with user_context().wrap_socket(connect(forwarder.users)) as user:
            assert read_all(user) == answer
            # Python's `ssl` has no half-close of its own; it can still write after it has read the end.
            user.sendall(sent)
            user.unwrap().close()
        assert target.next().all() == sent


def test_user_ends_first_with_tls_termination(np: Runner) -> None:
    forwarder = np.forwarder("tls=1")
    answer = os.urandom(SIZE)
    with Recorder(forwarder.target, answer=answer) as target, connect(forwarder.users) as plain:
        plain.setblocking(True)
        user = HalfClosingTls(plain)
        user.send(b"question")
        user.end()
        assert user.read_all() == answer
        assert target.next().all() == b"question"


class HalfClosingTls:
    """A TLS user that can end its own direction and read on: OpenSSL can, through memory, what `SSLSocket` does not."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._from_peer, self._to_peer = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = user_context().wrap_bio(self._from_peer, self._to_peer)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._from_peer.write(self._sock.recv(65536))
            else:
                self._flush()
                return

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def end(self) -> None:
        """Send close_notify."""
        with suppress(ssl.SSLWantReadError, ssl.SSLSyscallError):
            self._tls.unwrap()
        self._flush()

    def read_all(self) -> bytes:
        """Read to the end."""
        parts: list[bytes] = []
        while True:
            try:
                part = self._tls.read(65536)
            except ssl.SSLWantReadError:
                data = self._sock.recv(65536)
                assert data, "the connection ended without close_notify"
                self._from_peer.write(data)
            except ssl.SSLZeroReturnError:
                return b"".join(parts)
            else:
                if not part:
                    return b"".join(parts)
                parts.append(part)

    def _flush(self) -> None:
        self._sock.sendall(self._to_peer.read())
