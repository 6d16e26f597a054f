"""Messages between processes: whole, in order, with their sockets, and not for ever to one that does not read."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest

from nodepass.tunnel.workers.channel import MOST_UNSENT, Channel
from nodepass.tunnel.workers.messages import Bound, Progress, Release, Stop
from tests.harness.descriptors import no_more_descriptors

if TYPE_CHECKING:
    from nodepass.tunnel.workers.packets import Message


class End:
    """One end, and what it has heard."""

    def __init__(self, sock: socket.socket) -> None:
        self.messages: list[Message] = []
        self.descriptors: list[int] = []
        self.lost = asyncio.Event()
        self.heard = asyncio.Event()
        self.shorts = 0
        self.channel = Channel(sock, self._received, self.lost.set, self._short)

    def _received(self, message: Message, descriptors: list[int]) -> None:
        self.messages.append(message)
        self.descriptors += descriptors
        self.heard.set()

    def _short(self) -> None:
        self.shorts += 1


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


async def test_messages_and_descriptors_arrive_in_order() -> None:
    one, two = map(End, pair())
    reading, writing = os.pipe()
    count = 2000
    for number in range(count):
        one.channel.send(Bound(number, ""), [os.dup(writing)] if number == count // 2 else ())
    os.close(writing)
    async with asyncio.timeout(15):
        while len(two.messages) < count:
            two.heard.clear()
            await two.heard.wait()
    assert two.messages == [Bound(number, "") for number in range(count)]
    (descriptor,) = two.descriptors
    os.write(descriptor, b"same pipe")
    os.close(descriptor)
    # The sender has kept none.
    assert os.read(reading, 100) == b"same pipe"
    assert os.read(reading, 100) == b""
    os.close(reading)
    one.channel.close()
    async with asyncio.timeout(15):
        await two.lost.wait()


@pytest.mark.parametrize("left", [0, 1, 2])
async def test_descriptors_come_whole_or_not_at_all(left: int) -> None:
    one, two = map(End, pair())
    reading, writing = os.pipe()
    one.channel.send(Bound(1, ""), [os.dup(writing), os.dup(writing)])
    one.channel.send(Stop())
    os.close(writing)
    with no_more_descriptors(left):
        async with asyncio.timeout(15):
            while len(two.messages) < 2:
                two.heard.clear()
                await two.heard.wait()
    whole = left == 2
    assert len(two.descriptors) == (2 if whole else 0)
    assert two.shorts == (not whole)
    for descriptor in two.descriptors:
        os.close(descriptor)
    # The kernel has kept none, and this process neither.
    assert os.read(reading, 100) == b""
    os.close(reading)
    one.channel.close()
    two.channel.close()


async def test_one_that_does_not_read_is_given_up() -> None:
    ours, theirs = pair()
    end = End(ours)
    reading, writing = os.pipe()
    end.channel.send(Stop())
    was_congested = end.channel.congested
    assert not was_congested
    while not end.lost.is_set():
        # Small ones: what the system takes, it counts as hundreds of bytes each.
        end.channel.send(Release(("::1",), 1))
        assert len(end.channel._unsent) <= MOST_UNSENT
        was_congested = was_congested or end.channel.congested
    assert was_congested
    # What comes later is lost, and its descriptors with it.
    end.channel.send(Stop(), [writing])
    assert os.read(reading, 1) == b""
    os.close(reading)
    theirs.close()


async def test_what_is_sent_to_one_that_is_gone_is_lost() -> None:
    one, two = map(End, pair())
    two.channel.close()
    reading, writing = os.pipe()
    one.channel.send(Progress(ready=True, connected=True), [writing])
    assert os.read(reading, 1) == b""
    os.close(reading)
    async with asyncio.timeout(15):
        await one.lost.wait()
    assert not two.lost.is_set()
