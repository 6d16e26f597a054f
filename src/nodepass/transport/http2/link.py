"""A link that is one stream of an HTTP/2 connection.

END_STREAM ends a direction, RST_STREAM both at once (RFC 9113, 5.1): so whoever sends one hears no end of the peer's any
more, and does not wait for it. What it means is in its code:

- CONNECT_ERROR: the stream is broken, as by a TCP reset (RFC 9113, 8.5). So are all that are not named here.
- CANCEL and NO_ERROR: the peer has closed the stream. What it sent before is all it had to send, and it takes no more. A v1
  client has no other way to end a stream; servers say it of a request whose answer is complete (RFC 9113, 8.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from h2.errors import ErrorCodes

from nodepass.policy.receive_window import ReceiveWindow
from nodepass.transport.ordered_stream import OrderedStream

if TYPE_CHECKING:
    from nodepass.transport.http2.connection import Connection


class Http2Link(OrderedStream):
    """One stream.

    Args:
        connection: it is of.
        stream_id: its number there.
    """

    __slots__ = ("_closed", "_connection", "_peer_closed", "_sender", "_window", "stream_id")

    def __init__(self, connection: Connection, stream_id: int) -> None:
        super().__init__(connection.lower.remote)
        self._connection = connection
        self._sender = connection.sender
        self._window = ReceiveWindow(connection)
        self._closed = False
        self._peer_closed: Exception | None = None
        self.stream_id = stream_id

    def vouch(self) -> None:
        self._connection.vouch()

    @property
    def on_the_way(self) -> object:
        return self._queue.size, self._sender.in_front_of(self)

    @property
    def fingerprint(self) -> str | None:
        return self._connection.lower.fingerprint

    def peer_reset(self, error: Exception) -> None:
        self._closed = True
        super().peer_reset(error)

    def peer_closed(self, error: Exception) -> None:
        """The peer closed the stream: it has ended in order, and is broken by `error` if there is more to send."""
        if self._queue:
            self.peer_reset(error)
            return
        self._closed = True
        self._peer_closed = error
        self._connection.forget(self)
        self.peer_ended()

    def padded(self, count: int) -> None:
        """So many bytes of padding came: they take from the window as well."""
        if not self._heard_end:
            self._consumed(count)

    def _carry(self, data: bytes | bytearray | memoryview) -> int:
        if self._peer_closed is None:
            return self._sender.carry(self, data)
        self._write_ended = True
        self._loop.call_soon(self.peer_reset, self._peer_closed)
        return len(data)

    def _say_end(self) -> None:
        self._sender.end(self.stream_id)

    def _say_refusal(self) -> None:
        self._reset(ErrorCodes.NO_ERROR)

    def _send_reset(self) -> None:
        self._reset(ErrorCodes.CONNECT_ERROR)

    def _reset(self, code: ErrorCodes) -> None:
        if not self._closed:
            self._closed = True
            self._sender.reset(self.stream_id, code)
        self._end_heard()

    def _consumed(self, count: int) -> None:
        grown = self._window.consume(count, waiting=self._stashed, largest=self._connection.largest_window)
        if grown:
            self._sender.grant(self.stream_id, grown)

    def _release(self) -> None:
        self._window.close()
        self._connection.forget(self)
