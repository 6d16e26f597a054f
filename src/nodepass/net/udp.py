"""UDP sockets read in batches, without a task or a transport per socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.net.address import SocketAddress

SOCKET_BUFFER = 4 * 1024 * 1024
"""Bytes asked of the system for each direction of a shared socket; it may give less."""


SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
"""Linux: the same past the system's limit, for those who may (asm-generic/socket.h)."""


def enlarge_buffers(sock: socket.socket) -> None:
    """Ask for room for bursts."""
    for option, forced in ((socket.SO_RCVBUF, SO_RCVBUFFORCE), (socket.SO_SNDBUF, SO_SNDBUFFORCE)):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
            if sys.platform == "linux":
                sock.setsockopt(socket.SOL_SOCKET, forced, SOCKET_BUFFER)


class UdpSocket:
    """One bound or connected UDP socket: reads what has come in batches, sends at once or not at all.

    Args:
        sock: non-blocking, bound or connected; owned from here on.
        buffer: where datagrams are read to, shared by the sockets of one event loop. It is one byte longer than the
            largest datagram to take, which tells one that is too large from one that just fits.
        received: called with each datagram, valid during the call, and where it came from.
        oversized: called with where a datagram came from that is too large to take: it is dropped, never cut.
        failed: called with what the system reports about the socket, such as a refused port.
    """

    BATCH = 64

    __slots__ = ("_buffer", "_failed", "_largest", "_loop", "_oversized", "_reading", "_received", "_sock")

    def __init__(
        self,
        sock: socket.socket,
        buffer: memoryview,
        received: Callable[[memoryview, SocketAddress], None],
        oversized: Callable[[SocketAddress], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock: socket.socket | None = sock
        self._largest = len(buffer) - 1
        self._buffer = buffer
        self._received = received
        self._oversized = oversized
        self._failed = failed
        self._reading = False
        self.resume()

    def send(self, datagram: bytes | memoryview, address: SocketAddress | None = None) -> bool:
        """Send one datagram; False when the system has no room for it now or the socket is closed."""
        if self._sock is None:
            return False
        try:
            if address is None:
                self._sock.send(datagram)
            else:
                self._sock.sendto(datagram, address)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._rearm()
            self._failed(error)
            return False
        return True

    def pause(self) -> None:
        """Read no more; what comes waits in the system's buffer, and beyond that is dropped there."""
        if self._reading and self._sock is not None:
            self._reading = False
            self._loop.remove_reader(self._sock.fileno())

    def resume(self) -> None:
        """Go on reading."""
        if not self._reading and self._sock is not None:
            self._reading = True
            self._loop.add_reader(self._sock.fileno(), self._on_readable)

    def close(self) -> None:
        """Let go of the socket."""
        self.pause()
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _rearm(self) -> None:
        """Go on being watched: libuv, below uvloop, stops watching a socket on which an error has come up."""
        if self._reading:
            self.pause()
            self.resume()

    def _on_readable(self) -> None:
        buffer, received = self._buffer, self._received
        for turn in range(self.BATCH):
            if self._sock is None or not self._reading:
                return
            try:
                count, address = self._sock.recvfrom_into(buffer)
            except (BlockingIOError, InterruptedError):
                if not turn:
                    self._rearm()
                return
            except OSError as error:
                self._rearm()
                self._failed(error)
                return
            if count > self._largest:
                self._oversized(address)
            else:
                received(buffer[:count], address)
