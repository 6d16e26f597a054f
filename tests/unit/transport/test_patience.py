"""How long a link that is over is waited for, and what comes of it where nothing moves any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from nodepass.log import ERROR, Log
from nodepass.net.pair import tcp_pair
from nodepass.net.tcp_options import reset_on_close
from nodepass.relay.meter import Meter
from nodepass.relay.tcp import TcpRelay
from nodepass.transport import patience
from nodepass.transport.mux import MuxConnection
from nodepass.transport.patience import Patience, UnreadError
from nodepass.transport.socket_link import Shared
from nodepass.transport.tcp_link import TcpLink
from tests.harness import read_all
from tests.unit.transport.links import attached

if TYPE_CHECKING:
    import socket

    from nodepass.transport.mux import MuxLink

LONG = 1e6


async def test_what_moves_is_waited_for_until_it_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "STANDSTILL", 0.001)
    monkeypatch.setattr(patience, "LINGER", LONG)
    over, moves = asyncio.Event(), iter(range(10))
    seen: list[int] = []

    def left() -> int:
        seen.append(next(moves, -1))
        return seen[-1]

    Patience(left, over.set)
    async with asyncio.timeout(10):
        await over.wait()
    # Ten that differ, and two that do not.
    assert seen == [*range(10), -1, -1]


async def test_what_never_stands_still_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "STANDSTILL", 0.001)
    monkeypatch.setattr(patience, "LINGER", 0.02)
    over = asyncio.Event()
    Patience(object, over.set)
    async with asyncio.timeout(10):
        await over.wait()


async def test_what_is_called_off_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "STANDSTILL", 0.001)
    over: list[str] = []
    called_off = Patience(lambda: 0, lambda: over.append("first"))
    called_off.cancel()
    last = asyncio.Event()
    Patience(lambda: 0, last.set)
    async with asyncio.timeout(10):
        await last.wait()
    assert not over


class Tunnel:
    """Two ends that share a connection: a user here, a target there that reads nothing."""

    def __init__(self) -> None:
        self.shared = Shared(64 * 1024)
        self.errors: list[Exception | None] = []
        self.over = asyncio.Event()
        one, two = tcp_pair()
        self._target_side, self.target = tcp_pair()
        user_side, self.user = tcp_pair()
        self.ends = [
            self._end(TcpLink(one, self.shared), dialled=True),
            self._end(TcpLink(two, self.shared), dialled=False),
        ]
        for end in self.ends:
            end.begin(b"")
        self._relay(TcpLink(user_side, self.shared), self.ends[0].open())

    def _end(self, lower: TcpLink, *, dialled: bool) -> MuxConnection:
        return MuxConnection(
            lower,
            dialled=dialled,
            accepted=None if dialled else self._accepted,
            ended=lambda _: None,
            departed=lambda _: None,
            interval=LONG,
            log=Log(ERROR),
        )

    def _accepted(self, link: MuxLink) -> None:
        self._relay(TcpLink(self._target_side, self.shared), link)

    def _relay(self, near: TcpLink, far: MuxLink) -> None:
        TcpRelay(near, far, Meter(0, 0, 0), self._ended).start()

    def _ended(self, _: TcpRelay, error: Exception | None) -> None:
        self.errors.append(error)
        if len(self.errors) == 2:
            self.over.set()

    def close(self) -> None:
        for end in self.ends:
            end.abort()
        self.shared.resets.close()
        self.target.close()


async def fill(sock: socket.socket) -> None:
    """Send until nothing is taken for a while."""
    loop, chunk = asyncio.get_running_loop(), bytes(1 << 16)
    sock.setblocking(False)
    try:
        while True:
            async with asyncio.timeout(0.2):
                await loop.sock_sendall(sock, chunk)
    except TimeoutError:
        pass


async def test_a_user_who_stands_still_and_breaks_is_gone_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of what it has sent will move any more: each end waits once, and not for long."""
    monkeypatch.setattr(patience, "STANDSTILL", 0.01)
    monkeypatch.setattr(patience, "LINGER", LONG)
    tunnel = Tunnel()
    await fill(tunnel.user)
    assert not tunnel.errors
    tunnel.target.settimeout(10)
    reset_on_close(tunnel.user)
    tunnel.user.close()
    async with asyncio.timeout(10):
        await tunnel.over.wait()
    assert [type(error) for error in tunnel.errors] == [UnreadError, UnreadError]
    with pytest.raises(ConnectionResetError):
        read_all(tunnel.target)
    tunnel.close()


async def test_a_link_that_is_broken_off_is_gone_where_the_other_side_takes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one is on which a user has been refused."""
    monkeypatch.setattr(patience, "STANDSTILL", 0.01)
    monkeypatch.setattr(patience, "LINGER", LONG)
    shared = Shared(64 * 1024)
    near, far = tcp_pair()
    link = TcpLink(near, shared)
    notes = attached(link)
    link.write(bytes(1 << 25))
    assert link.unsent
    link.break_off()
    await notes.until(lambda: "lost" in notes.events)
    far.settimeout(10)
    with pytest.raises(ConnectionResetError):
        read_all(far)
    far.close()
    shared.resets.close()
