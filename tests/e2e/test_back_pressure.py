"""Back-pressure: a target that stops reading stops the user, and nobody's memory grows for it."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.harness import Runner, Silent, TcpTarget, connect

if TYPE_CHECKING:
    import socket

pytestmark = pytest.mark.every_transport

MEGABYTE = 1 << 20
MOST_ON_THE_WAY = 64 * MEGABYTE
"""More than all buffers of systems and processes hold together."""

GROWTH = 16 * MEGABYTE


def sent_until_blocked(user: socket.socket) -> int:
    """How much can be sent before a second passes in which nothing can."""
    sent = 0
    with suppress(TimeoutError):
        while sent < MOST_ON_THE_WAY:
            sent += user.send(bytes(MEGABYTE))
    return sent


@pytest.mark.parametrize("setup", ["reverse", "forward", "reverse tls", "forward tls", "single"])
def test_target_that_does_not_read_stops_the_user(np: Runner, setup: str) -> None:
    flow, _, tls = setup.partition(" ")
    tunnel = np.forwarder() if flow == "single" else np.tunnel(flow, server="tls=1" if tls else "")
    processes = {tunnel.ingress.pid: tunnel.ingress, tunnel.egress.pid: tunnel.egress}.values()
    with Silent(tunnel.target) as target, connect(tunnel.users, timeout=1) as user:
        before = [process.rss() for process in processes]
        sent = sent_until_blocked(user)
        assert sent < MOST_ON_THE_WAY
        for process, was in zip(processes, before, strict=True):
            assert process.rss() - was < GROWTH
        # It was held back, not lost.
        target.release.set()
        user.settimeout(10)
        user.sendall(b"the end")
        sent += len(b"the end")
        user.close()
        while (received := target.received.get(timeout=10)) == 0:
            pass  # a forwarder's ping of its target
        assert received == sent


@pytest.mark.parametrize("setup", ["reverse", "forward tls", "single"])
def test_user_that_does_not_read_stops_the_target(np: Runner, setup: str) -> None:
    flow, _, tls = setup.partition(" ")
    tunnel = np.forwarder() if flow == "single" else np.tunnel(flow, server="tls=1" if tls else "")
    with Pouring(tunnel.target) as target, connect(tunnel.users) as user:
        user.sendall(b"go")
        before = tunnel.ingress.rss() + tunnel.egress.rss()
        assert target.blocked.wait(10)
        assert tunnel.ingress.rss() + tunnel.egress.rss() - before < 2 * GROWTH
        assert target.poured < MOST_ON_THE_WAY
        # One slow user is no matter to another.
        with connect(tunnel.users) as other:
            other.sendall(b"go")
            assert other.recv(10)


class Pouring(TcpTarget):
    """Sends without end once it has been spoken to, and notes when it can send no more."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.blocked = threading.Event()
        self.poured = 0

    def serve(self, sock: socket.socket) -> None:
        if not sock.recv(10):
            return
        sock.settimeout(1)
        try:
            while True:
                self.poured += sock.send(bytes(MEGABYTE))
        except TimeoutError:
            self.blocked.set()
            # Stays, as a server does whose client is slow.
            sock.settimeout(None)
            sock.recv(1)
