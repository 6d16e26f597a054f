"""Packets to another process: none is lost while that is there, whatever the kernel says in between."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from nodepass.net.packet_queue import REFUSED_NOW, PacketQueue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


def pipe() -> tuple[int, int]:
    """A pipe of which a read fails, and does not wait, while somebody has the other end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    return reading, writing


class Kernel:
    """In the place of `socket.send_fds`: refuses with this error until it is to take packets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refusal: int) -> None:
        self._send_fds = socket.send_fds
        self._refusal = refusal
        self.takes = False
        self.refused: Counter[bytes] = Counter()
        self.asked_again = asyncio.Event()
        monkeypatch.setattr(socket, "send_fds", self._send)

    def _send(self, sock: socket.socket, packets: list[bytes], descriptors: Sequence[int]) -> int:
        if self.takes:
            return self._send_fds(sock, packets, descriptors)
        self.refused.update(packets)
        self.asked_again.set()
        raise OSError(self._refusal, os.strerror(self._refusal))

    async def refuse_again(self) -> None:
        self.asked_again.clear()
        async with asyncio.timeout(15):
            await self.asked_again.wait()


@pytest.mark.parametrize("refusal", sorted(REFUSED_NOW), ids=lambda number: errno.errorcode[number])
async def test_what_is_refused_for_a_while_arrives_in_order(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    ours, theirs = pair
    kernel = Kernel(monkeypatch, refusal)
    queue = PacketQueue(ours)
    reading, writing = pipe()
    queue.put(b"first", [writing])
    queue.put(b"second")
    for _ in range(3):
        await kernel.refuse_again()
    assert len(queue) == 2
    kernel.takes = True
    async with asyncio.timeout(15):
        assert await asyncio.get_running_loop().sock_recv(theirs, 1) == b"f"
    assert theirs.recv(100) == b"second"
    assert not queue
    # The descriptor was dropped by this test, which has not received it, and the queue has kept none.
    assert os.read(reading, 1) == b""
    os.close(reading)
    queue.close()


async def test_what_waits_is_lost_when_it_is_closed(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(monkeypatch, errno.ETOOMANYREFS)
    queue, other = PacketQueue(pair[0]), PacketQueue(pair[0])
    reading, writing = pipe()
    queue.put(b"never", [writing, os.dup(writing)])
    queue.close()
    assert os.read(reading, 1) == b""
    later = os.dup(reading)
    queue.put(b"nor this", [later])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(later)
    os.close(reading)
    # The time to offer it again passes: that of another has come behind it.
    other.put(b"again")
    await kernel.refuse_again()
    assert kernel.refused == {b"never": 1, b"again": 2}
    other.close()


@pytest.mark.parametrize(
    "refusal", [errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN], ids=lambda number: errno.errorcode[number]
)
async def test_what_is_sent_to_one_that_is_gone_is_lost(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    Kernel(monkeypatch, refusal)
    queue = PacketQueue(pair[0])
    reading, writing = pipe()
    queue.put(b"to nobody", [writing])
    assert not queue
    assert os.read(reading, 1) == b""
    os.close(reading)
    queue.close()


async def test_what_has_no_room_waits_until_the_other_reads(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    queue = PacketQueue(ours)
    count = 0
    while not queue:
        queue.put(count.to_bytes(4, "big") * 1000)
        count += 1
    for number in range(count):
        async with asyncio.timeout(15):
            packet = await asyncio.get_running_loop().sock_recv(theirs, 4000)
        assert packet == number.to_bytes(4, "big") * 1000
    assert not queue
    queue.close()
