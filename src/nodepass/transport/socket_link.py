"""What links over a TCP socket share, driven by the event loop's readiness callbacks.

A `SocketLink` has the socket, its registrations with the loop, the queue of what the kernel would not take, the watermarks,
the end of life. It knows raw bytes only; `TcpLink` passes them on untouched, `TlsLink` has TLS in between.

How it goes: the loop calls `_on_readable`; one `recv_into` fills the buffer that all links of the loop share, and the
receiver gets a view of it. A relay writes that view straight to the other socket, so in the common case a chunk costs
two system calls, no allocation and no copy. Only what the other socket does not take is copied and queued.

A link ends in one of three ways: both directions come to their end; its owner ends it (`Ending`); the socket breaks. When
only writing fails, what the other side had sent before is read first: an early answer often comes with a reset behind it.
"""

from __future__ import annotations

import errno
import os
import socket
from abc import abstractmethod
from typing import TYPE_CHECKING

from nodepass.net.address import from_socket
from nodepass.net.resets import ResetWatch
from nodepass.net.tcp_options import reset_on_close, unacknowledged, unread
from nodepass.transport.base import Ending
from nodepass.transport.queued_link import QueuedLink

if TYPE_CHECKING:
    from nodepass.net.address import Address

RECHECK = 0.01
"""Seconds between looks at whether what a broken link had sent has arrived."""

RECORD_SIZE = 16 * 1024
"""Most plaintext bytes in one TLS record (RFC 8446, 5.1)."""


class Shared:
    """What all links of one instance share: the memory they read into, and the watch over their sockets.

    Args:
        read_size: most bytes of one read.
    """

    __slots__ = ("plain", "raw", "resets")

    def __init__(self, read_size: int) -> None:
        self.raw = memoryview(bytearray(read_size))
        self.plain = memoryview(bytearray(read_size + RECORD_SIZE))
        self.resets = ResetWatch()


class SocketLink(QueuedLink):
    """What plain and TLS links over one TCP socket share.

    Args:
        sock: connected; the link owns it from here on.
        shared: with all links of the instance.
        remote: the other side, where it is not what the socket says (a PROXY header told otherwise).
    """

    __slots__ = ("_broken", "_buffer", "_failure", "_fd", "_recv_into", "_resets", "_send", "_sock")

    def __init__(self, sock: socket.socket, shared: Shared, remote: Address | None = None) -> None:
        super().__init__(from_socket(sock.getpeername()) if remote is None else remote)
        sock.setblocking(False)
        self._sock: socket.socket | None = sock
        self._fd = sock.fileno()
        self._recv_into = sock.recv_into
        self._send = sock.send
        self._buffer = shared.raw
        self._resets = shared.resets
        self._broken = False
        self._failure: OSError | None = None
        self._resets.watch(self._fd, self._on_reset)

    # What is asked of a link.

    @property
    def gone(self) -> bool:
        return self._sock is None

    @property
    def quiet(self) -> bool:
        if self._sock is None:
            return False
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        return False

    @property
    def on_the_way(self) -> object:
        sock = self._sock
        return None if sock is None else (self._queue.size, unacknowledged(sock))

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        if not self._reading and not self._read_ended and self._ending is None and self._sock is not None:
            self._reading = True
            self._loop.add_reader(self._fd, self._on_readable)

    def read_now(self) -> None:
        if not self._reading:
            return
        # Into memory of its own: whoever asks may be in the middle of what another link has read into the shared one.
        shared, self._buffer = self._buffer, memoryview(bytearray(RECORD_SIZE))
        try:
            self._on_readable()
        finally:
            self._buffer = shared

    def close(self) -> None:
        if self._ending is not None or self._sock is None:
            return
        self._ending = Ending.CLOSE
        self._read_no_more()
        self._end_stream()
        if self._queue:
            self._abort_later()
        else:
            self._lose(None)

    def abort(self) -> None:
        if self._sock is not None:
            reset_on_close(self._sock)
            self._lose(None)

    def vouch(self) -> None:
        """See `Link`: nothing but this link depends on it."""

    # What plain and TLS links do each in their way.

    @abstractmethod
    def _received(self, count: int) -> None:
        """So many bytes have been read into the buffer; 0 is the socket's end."""

    def _end_stream(self) -> None:
        """Queue whatever the protocol says before a stream ends."""

    def _read_no_more(self) -> None:
        self.pause_reading()

    def _on_readable(self) -> None:
        try:
            count = self._recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._reading_failed(error)
            return
        self._received(count)
        if self._broken:
            self._on_reset()

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
        if self._queue.append(data, start):
            self._receiver.pause_writing()

    def _on_writable(self) -> None:
        try:
            self._queue.drain(self._send)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._writing_failed(error)
            return
        if not self._queue:
            self._loop.remove_writer(self._fd)
            self._all_sent()
        if self._queue.relieved():
            self._receiver.resume_writing()

    def _all_sent(self) -> None:
        """The queue ran empty: what waited for that can happen."""
        if self._ending is Ending.CLOSE:
            self._lose(None)
        elif self._ending is Ending.BREAK:
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
        else:
            self._on_reset()

    def _on_reset(self) -> None:
        """The socket is broken: read to the error, past what has come before it; for a while, if reading is paused."""
        if self._sock is None:
            return
        if not self._broken:
            self._broken = True
            error = self._failure or ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            self._lose_unless_read(error)
        if self._reading:
            # Once more for each read: libuv stops watching a socket that has an error (see `net.resets`).
            self._loop.remove_reader(self._fd)
            self._loop.add_reader(self._fd, self._on_readable)

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

    def _left(self) -> object:
        return None if self._sock is None else (self.on_the_way, unread(self._sock))

    def _abort_when_received(self) -> None:
        # A reset makes the kernel forget what has not arrived.
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
        self._resets.forget(self._fd)
        sock.close()
        # These two are bound methods of the socket: without them it is gone now, not at the next garbage collection.
        del self._recv_into, self._send
        self._tell_lost(error)
