"""Messages between two processes of an instance, with sockets that go along."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Final

from nodepass.net.packet_queue import PacketQueue
from nodepass.net.packets import LARGEST_PACKET, encode
from nodepass.tunnel.workers.packets import MOST_DESCRIPTORS, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nodepass.tunnel.workers.packets import Message

BATCH: Final = 64
"""Messages that are read in one turn of the loop."""

MOST_UNSENT: Final = 4096
"""Messages that wait for a process that does not read; one with which it comes to more is given up."""


class Channel:
    """One end.

    What always holds: messages come whole and in order; `closed` is called once, when the other process is gone or given
    up, and nothing comes after it. Of the descriptors that came with a message there are all, or none: where this process
    has as many as it may, the kernel gives it fewer, and whoever holds the other ends of the rest sees them closed.

    Args:
        sock: a socket that keeps packets whole; owned from here on.
        received: called with each message, and the descriptors that came with it, which are the callee's.
        closed: called once when there is nobody at the other end any more.
        short: called before a message whose descriptors are lost because this process has as many as it may.
    """

    def __init__(
        self,
        sock: socket.socket,
        received: Callable[[Message, list[int]], None],
        closed: Callable[[], None],
        short: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock: socket.socket | None = sock
        self._received = received
        self._closed = closed
        self._short = short
        self._unsent = PacketQueue(sock)
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._on_readable)

    @property
    def congested(self) -> bool:
        """Whether the other process is far behind: what strangers ask for can wait, or be refused."""
        return len(self._unsent) > MOST_UNSENT // 2

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send a message, with descriptors that are closed here then. To a process that is gone, it is lost."""
        self._unsent.put(encode(message), descriptors)
        if len(self._unsent) > MOST_UNSENT:
            self._lose()

    def close(self) -> None:
        """Let go of it; `closed` is not called."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.remove_reader(sock.fileno())
            self._unsent.close()
            sock.close()

    def _on_readable(self) -> None:
        for _ in range(BATCH):
            if self._sock is None:
                return
            try:
                packet, descriptors, flags, _ = socket.recv_fds(self._sock, LARGEST_PACKET, MOST_DESCRIPTORS)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                packet, descriptors, flags = b"", [], 0
            if not packet:
                self._lose()
                return
            if flags & socket.MSG_CTRUNC:
                close_all(descriptors)
                descriptors = []
                self._short()
            self._received(decode(packet), descriptors)

    def _lose(self) -> None:
        if self._sock is not None:
            self.close()
            self._closed()


def close_all(descriptors: Sequence[int]) -> None:
    """Nobody wants what came with a message."""
    for descriptor in descriptors:
        os.close(descriptor)
