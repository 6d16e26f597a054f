"""The UDP socket under QUIC: batches where the kernel can, single datagrams where it cannot, and nothing raised."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from nodepass.net.udp import enlarge_buffers
from nodepass.transport.quic import datagrams
from nodepass.transport.quic.datagrams import SOL_UDP, UDP_SEGMENT, DatagramSocket

if TYPE_CHECKING:
    from collections.abc import Iterable

LOCALHOST = "127.0.0.1"
SIZES = [1200] * 100 + [300] + [1400] * 3 + [1, 2, 3] + [1200] * 2
SENT = [bytes([number % 256]) * size for number, size in enumerate(SIZES)]


class Troubled(socket.socket):
    """A UDP socket whose system does not take everything."""

    refuses_batches: int | None = None
    full_once = False
    fails_once: int | None = None
    batches = 0

    def sendmsg(self, buffers: Iterable[Any], ancillary: Iterable[Any] = (), *more: Any) -> int:
        batch = any(part[:2] == (SOL_UDP, UDP_SEGMENT) for part in ancillary)
        if batch and self.refuses_batches is not None:
            raise OSError(self.refuses_batches, "no such option")
        if self.full_once:
            self.full_once = False
            raise BlockingIOError
        if self.fails_once is not None:
            error, self.fails_once = self.fails_once, None
            raise OSError(error, os.strerror(error))
        self.batches += batch
        return super().sendmsg(buffers, ancillary, *more)


class Two:
    """Two sockets, the first of which has troubles; what the second gets."""

    def __init__(self) -> None:
        self.near = Troubled(socket.AF_INET, socket.SOCK_DGRAM)
        far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for sock in (self.near, far):
            sock.bind((LOCALHOST, 0))
            sock.setblocking(False)
            enlarge_buffers(sock)
        self.near.connect(far.getsockname())
        self.got: list[bytes] = []
        self.pieces = 0
        self.failures: list[int | None] = []
        self.writable = 0
        self.changed = asyncio.Event()
        self.sender = DatagramSocket(self.near, self._received, self.changed.set, self._on_writable, self._failed)
        self.receiver = DatagramSocket(far, self._received, self.changed.set, self._on_writable, self._failed)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.got) < count:
                self.changed.clear()
                await self.changed.wait()

    def close(self) -> None:
        self.sender.close()
        self.receiver.close()
        self.sender.close()

    def _received(self, data: bytes, segment: int, *_: object) -> None:
        self.pieces += 1
        self.got += [data[start : start + segment] for start in range(0, len(data), segment)]

    def _on_writable(self) -> None:
        self.writable += 1
        self.changed.set()

    def _failed(self, error: OSError) -> None:
        self.failures.append(error.errno)
        self.changed.set()

    def is_blocked(self) -> bool:
        return self.sender.blocked


async def test_batches_keep_their_bounds() -> None:
    two = Two()
    two.sender.send(SENT, None)
    await two.until(len(SENT))
    assert two.got == SENT
    if sys.platform == "linux":
        assert two.near.batches >= 3
    two.close()


@pytest.mark.parametrize("how", sorted(datagrams.SEGMENTS_REFUSED))
async def test_a_system_that_refuses_batches_gets_single_ones(how: int) -> None:
    two = Two()
    two.near.refuses_batches = how
    two.sender.send(SENT, None)
    await two.until(len(SENT))
    assert two.got == SENT
    assert not two.failures
    two.close()


async def test_a_system_that_joins_nothing_is_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "_enable", lambda *_: False)
    two = Two()
    two.sender.send(SENT, None)
    await two.until(len(SENT))
    assert two.got == SENT
    assert two.pieces == len(SENT)
    two.close()


async def test_what_the_system_has_no_room_for_goes_out_when_it_has() -> None:
    two = Two()
    two.near.full_once = True
    two.sender.send(SENT[:50], None)
    assert two.is_blocked()
    two.sender.send(SENT[50:], None)
    await two.until(len(SENT))
    assert two.got == SENT
    assert not two.is_blocked()
    assert two.writable == 1
    two.close()


@pytest.mark.parametrize("error", [errno.ENOBUFS, errno.EMSGSIZE, errno.EPERM, errno.ENETUNREACH])
async def test_what_the_system_refuses_is_lost_and_no_more(error: int) -> None:
    two = Two()
    two.near.fails_once = error
    two.sender.send([b"first"], None)
    two.sender.send([b"second"], None)
    await two.until(1)
    assert two.got == [b"second"]
    assert two.failures == ([error] if error in (errno.EPERM, errno.ENETUNREACH) else [])
    two.close()


async def test_a_closed_port_is_told_of() -> None:
    two = Two()
    two.receiver.close()
    two.sender.send([b"anyone?"], None)
    async with asyncio.timeout(10):
        while not two.failures:
            two.changed.clear()
            await two.changed.wait()
    assert two.failures == [errno.ECONNREFUSED]
    two.close()


async def test_an_answer_comes_from_the_address_that_was_asked() -> None:
    """A socket bound to all addresses would else answer from the one that leads to the peer, which does not know it."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("0.0.0.0", 0))
        server.setblocking(False)
        asker.bind((LOCALHOST, 0))
        asker.setblocking(False)
        asker.connect(("127.0.0.2", server.getsockname()[1]))

        def echo(data: bytes, _: int, address: Any, answer: Any) -> None:
            wrapped.send([data], address, answer)

        wrapped = DatagramSocket(server, echo, lambda: None, lambda: None, lambda _: None)
        asker.send(b"hello")
        async with asyncio.timeout(10):
            assert await loop.sock_recv(asker, 100) == b"hello"
        wrapped.close()
