"""Packets on their way to another process, with descriptors that go along, over a Unix socket that keeps packets whole.

The kernel may refuse a packet for two kinds of reasons. It may have no room for it now: then it stays first in line. Or
nobody is there to read it any more: then it is lost, as all that follow are, and whoever owns the socket hears of that by
reading, behind all that the other process has said.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

REFUSED_NOW: Final = frozenset({errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM})
"""More descriptors are on their way between processes than may be (unix(7)), or no memory is free. No event tells when
that has changed."""

RETRY: Final = 0.01
"""Seconds until a packet that was refused so is offered again."""


class PacketQueue:
    """What one end sends.

    What always holds: packets leave whole and in order; a descriptor is closed here once, when its packet has left or is
    lost. One of the loop and a timer, never both, waits to send the first.

    Args:
        sock: non-blocking; owned by whoever made this, who calls `close` before closing it, and bounds how many wait.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock: socket.socket | None = sock
        self._packets: deque[tuple[bytes, Sequence[int]]] = deque()

    def __len__(self) -> int:
        return len(self._packets)

    def put(self, packet: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a packet, with descriptors that are closed here then. After `close` it is lost."""
        self._packets.append((packet, descriptors))
        if self._sock is None:
            self._drop_first()
        elif len(self._packets) == 1:
            self._send(self._sock)

    def close(self) -> None:
        """Send no more; what waits is lost."""
        if self._sock is not None:
            self._loop.remove_writer(self._sock.fileno())
            self._sock = None
        while self._packets:
            self._drop_first()

    def _send(self, sock: socket.socket) -> None:
        while self._packets:
            packet, descriptors = self._packets[0]
            try:
                socket.send_fds(sock, [packet], list(descriptors))
            except BlockingIOError:
                self._loop.add_writer(sock.fileno(), self._on_writable, sock)
                return
            except OSError as error:
                if error.errno in REFUSED_NOW:
                    # After `close` nothing waits, and so nothing is sent then.
                    self._loop.call_later(RETRY, self._send, sock)
                    return
            self._drop_first()

    def _on_writable(self, sock: socket.socket) -> None:
        self._loop.remove_writer(sock.fileno())
        self._send(sock)

    def _drop_first(self) -> None:
        _, descriptors = self._packets.popleft()
        for descriptor in descriptors:
            os.close(descriptor)
