"""A link over a plain TCP connection."""

from __future__ import annotations

import contextlib
import socket

from nodepass.transport.socket_link import SocketLink


class TcpLink(SocketLink):
    """A plain TCP connection."""

    __slots__ = ()

    record_size = None

    @property
    def fingerprint(self) -> None:
        return None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and self._sock is not None and not self._write_ended:
            self._send_raw(data)

    def write_both(self, head: bytes, body: memoryview) -> None:
        if self._sock is None or self._write_ended:
            return
        if self._queue:
            self._enqueue(head, 0)
            self._enqueue(body, 0)
            return
        try:
            sent = self._sock.sendmsg((head, body)) - len(head)
        except (BlockingIOError, InterruptedError):
            sent = -len(head)
        except OSError as error:
            self._writing_failed(error)
            return
        if sent < 0:
            self._enqueue(head, len(head) + sent)
            sent = 0
        if sent < len(body):
            self._enqueue(body, sent)

    def write_eof(self) -> None:
        if self._sock is None or self._write_ended:
            return
        self._write_ended = True
        if not self._queue:
            self._shut_down()

    def _shut_down(self) -> None:
        # Where the other side has ended as well, closing comes next, and tells it as much.
        if self._sock is not None and not self._read_ended:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)
        super()._shut_down()

    def _received(self, count: int) -> None:
        if count:
            self._receiver.data_received(self._buffer[:count])
        else:
            self._reading_ended()
