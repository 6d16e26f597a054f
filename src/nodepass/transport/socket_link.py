"""What links over a TCP socket share, driven by the event loop's readiness callbacks.

A `SocketLink` has the socket, its registrations with the loop, the queue of what the kernel would not take, the watermarks,
the end of life. It knows raw bytes only; `TcpLink` passes them on untouched, `TlsLink` has TLS in between.

How it goes: the loop calls `_on_readable`; one `recv_into` fills the buffer that all links of the loop share, and the
receiver gets a view of it. A relay writes that view straight to the other socket, so in the common case a chunk costs
two system calls, no allocation and no copy. Only what the other socket does not take is copied and queued.

A link ends in one of three ways: both directions come to their end; its owner ends it (`_Ending`); the socket breaks. When
only writing fails, what the other side had sent before is read first: an early answer often comes with a reset behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from abc import abstractmethod
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

from nodepass.net.address import Address, from_socket
from nodepass.transport.base import HIGH_WATER, LOW_WATER, NOBODY, Link

if sys.platform != "win32":
    import fcntl
    import termios

if TYPE_CHECKING:
    from nodepass.transport.base import Receiver

LINGER = 10.0
"""Seconds a closed link may take to send what is left before it is aborted."""

RECHECK = 0.01
"""Seconds between looks at whether what a broken link had sent has arrived."""

KEEPALIVE_IDLE = 15
KEEPALIVE_INTERVAL = 5
KEEPALIVE_PROBES = 3
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Ending(Enum):
    """How the owner of a link has asked for its end."""

    CLOSE = auto()
    """Send what is left, then end the stream in order."""
    BREAK = auto()
    """Send what is left, then let the other side see that the stream is broken."""


def unacknowledged(sock: socket.socket) -> int:
    """Bytes that the kernel took and the other side's has not acknowledged; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    (count,) = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))
    return int(count)


def tune(sock: socket.socket) -> None:
    """Set what every TCP connection here has: non-blocking, no Nagle delay, dead peers found within half a minute."""
    sock.setblocking(False)
    # A socket whose peer has already reset it refuses options on some systems; the first read will tell.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)


class SocketLink(Link):
    """What plain and TLS links over one TCP socket share.

    Args:
        sock: connected; the link owns it from here on.
        buffer: where reads go, shared by all links of the event loop.
        remote: the other side, where it is not what the socket says (a PROXY header told otherwise).
    """

    __slots__ = (
        "_buffer",
        "_ending",
        "_failure",
        "_fd",
        "_linger",
        "_loop",
        "_over_high_water",
        "_queue",
        "_queued",
        "_read_ended",
        "_reading",
        "_receiver",
        "_recv_into",
        "_send",
        "_sock",
        "_write_ended",
    )

    can_half_close = True

    def __init__(self, sock: socket.socket, buffer: memoryview, remote: Address | None = None) -> None:
        tune(sock)
        self._loop = asyncio.get_running_loop()
        self._sock: socket.socket | None = sock
        self._fd = sock.fileno()
        self._recv_into = sock.recv_into
        self._send = sock.send
        self._buffer = buffer
        self._receiver: Receiver = NOBODY
        self._queue: deque[bytes | memoryview] = deque()
        self._queued = 0
        self._over_high_water = False
        self._reading = False
        self._read_ended = False
        self._write_ended = False
        self._ending: _Ending | None = None
        self._failure: OSError | None = None
        self._linger: asyncio.TimerHandle | None = None
        self.coalesce = True
        self.remote = from_socket(sock.getpeername()) if remote is None else remote

    # What is asked of a link.

    @property
    def unsent(self) -> int:
        return self._queued

    @property
    def gone(self) -> bool:
        """Whether the socket has been let go."""
        return self._sock is None

    def attach(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.resume_reading()

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        if not self._reading and not self._read_ended and self._ending is None and self._sock is not None:
            self._reading = True
            self._loop.add_reader(self._fd, self._on_readable)

    def close(self) -> None:
        if self._ending is not None or self._sock is None:
            return
        self._ending = _Ending.CLOSE
        self.pause_reading()
        self._end_stream()
        if self._queued:
            self._linger = self._loop.call_later(LINGER, self.abort)
        else:
            self._lose(None)

    def break_off(self) -> None:
        if self._ending is not None or self._sock is None:
            return
        self._ending = _Ending.BREAK
        self.pause_reading()
        self._linger = self._loop.call_later(LINGER, self.abort)
        if not self._queue:
            self._abort_when_received()

    def abort(self) -> None:
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self._lose(None)

    # What plain and TLS links do each in their way.

    @abstractmethod
    def _on_readable(self) -> None:
        """The socket has bytes, an end or an error."""

    def _end_stream(self) -> None:
        """Queue whatever the protocol says before a stream ends."""

    # The sending half, in raw bytes.

    def _send_raw(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or queue a copy of what the kernel does not take."""
        if self._queue:
            self._enqueue(data, 0)
            return
        try:
            sent = self._send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._writing_failed(error)
            return
        if sent < len(data):
            self._enqueue(data, sent)

    def _enqueue(self, data: bytes | bytearray | memoryview, start: int) -> None:
        if not self._queue:
            self._loop.add_writer(self._fd, self._on_writable)
        rest = bytes(memoryview(data)[start:])
        self._queue.append(rest)
        self._queued += len(rest)
        if self._queued > HIGH_WATER and not self._over_high_water:
            self._over_high_water = True
            self._receiver.pause_writing()

    def _on_writable(self) -> None:
        queue = self._queue
        try:
            while queue:
                chunk = queue[0]
                sent = self._send(chunk)
                self._queued -= sent
                if sent < len(chunk):
                    queue[0] = memoryview(chunk)[sent:]
                    break
                queue.popleft()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._writing_failed(error)
            return
        if not queue:
            self._loop.remove_writer(self._fd)
            self._all_sent()
        if self._over_high_water and self._queued <= LOW_WATER:
            self._over_high_water = False
            self._receiver.resume_writing()

    def _all_sent(self) -> None:
        """The queue ran empty: what waited for that can happen."""
        if self._ending is _Ending.CLOSE:
            self._lose(None)
        elif self._ending is _Ending.BREAK:
            self._abort_when_received()
        elif self._write_ended:
            self._shut_down()

    def _shut_down(self) -> None:
        """The sending direction has ended on the wire; close if the other has too."""
        if self._read_ended:
            self._lose(None)

    # The end.

    def _writing_failed(self, error: OSError) -> None:
        """The other side takes no more; read what it had sent before, if that is still wanted."""
        if self._queue:
            self._loop.remove_writer(self._fd)
            self._queue.clear()
        self._write_ended = True
        self._failure = error
        if self._read_ended or self._ending is not None:
            self._lose(error)

    def _reading_failed(self, error: OSError) -> None:
        """The socket broke, now or when it was last written to."""
        self._lose(self._failure or error)

    def _reading_ended(self) -> None:
        """The other side sends no more."""
        if self._sock is None or self._read_ended:
            return
        if self._failure is not None:
            self._lose(self._failure)
            return
        self.pause_reading()
        self._read_ended = True
        self._receiver.eof_received()
        if self._write_ended and not self._queue:
            self._lose(None)

    def _abort_when_received(self) -> None:
        """Break the stream once all that was sent has arrived: a reset makes the kernel forget what has not."""
        if self._sock is None:
            return
        if unacknowledged(self._sock):
            self._loop.call_later(RECHECK, self._abort_when_received)
        else:
            self.abort()

    def _lose(self, error: Exception | None) -> None:
        """Let go of the socket, and tell the receiver once."""
        sock = self._sock
        if sock is None:
            return
        self._sock = None
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)
        if self._queue:
            self._loop.remove_writer(self._fd)
            self._queue.clear()
        if self._linger is not None:
            self._linger.cancel()
        sock.close()
        # These two are bound methods of the socket: without them it is gone now, not at the next garbage collection.
        del self._recv_into, self._send
        receiver, self._receiver = self._receiver, NOBODY
        receiver.connection_lost(error)
