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

    def write_eof(self) -> None:
        if self._sock is None or self._write_ended:
            return
        self._write_ended = True
        if not self._queue:
            self._shut_down()

    def _shut_down(self) -> None:
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)
        super()._shut_down()

    def _received(self, count: int) -> None:
        if count:
            self._receiver.data_received(self._buffer[:count])
        else:
            self._reading_ended()
