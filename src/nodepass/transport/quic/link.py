"""A link over one stream of a QUIC connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.policy.receive_window import SMALLEST, ReceiveWindow
from nodepass.transport.stream_link import StreamLink

if TYPE_CHECKING:
    from nodepass.net.address import Address
    from nodepass.transport.quic.streams import Streams


class QuicLink(StreamLink):
    """One bidirectional stream.

    Args:
        streams: those of its connection.
        stream_id: its ID.
        remote: the other side.
        sent: bytes sent on it so far: the opening byte, at the client.
    """

    __slots__ = ("_refused", "_streams", "arrived", "came", "fin", "granted", "id", "sent", "window", "written")

    def __init__(self, streams: Streams, stream_id: int, remote: Address, sent: int = 0) -> None:
        super().__init__(remote)
        self._streams = streams
        self._refused = False
        self.id = stream_id
        self.sent = sent
        self.written = -1
        """In which round something was written last; see `Engine.rounds`."""
        self.granted = SMALLEST
        """The offset up to which the peer lets this stream be sent, if the two ends give credit."""
        self.window = ReceiveWindow(streams)
        """How far the peer may send, if they do."""
        self.came = 0
        """Bytes the peer has sent."""
        self.arrived: list[bytes] = []
        """What has come in this turn of the loop."""
        self.fin = False
        """Whether the end has come in this turn."""

    @property
    def fingerprint(self) -> str | None:
        return self._streams.fingerprint

    def vouch(self) -> None:
        self._streams.vouch()

    @property
    def waiting(self) -> int:
        """Bytes that have come and are not read."""
        return self._stashed

    def deliver(self) -> None:
        """Hand on what has come in this turn, in one piece."""
        arrived = self.arrived
        if arrived:
            self.arrived = []
            self.received(arrived[0] if len(arrived) == 1 else b"".join(arrived))
        if self.fin:
            self.fin = False
            self.peer_ended()

    def break_now(self, error: Exception) -> None:
        """Break the stream at both ends; nobody reads what waits."""
        if not self._lost:
            self._send_reset()
            self._end_told()
            self._lose(error)

    def _carry(self, data: bytes | bytearray | memoryview) -> int:
        return self._streams.carry(self, data)

    def _send_end(self) -> None:
        self._streams.send_end(self)

    def _send_reset(self) -> None:
        if not self._told_end:
            self._streams.reset(self)
        self._refuse()

    def _refuse(self) -> None:
        if not self._refused and not self._heard_end:
            self._refused = True
            self._streams.refuse(self)

    def _consumed(self, count: int) -> None:
        self._streams.consumed(self, count)

    def _left(self) -> object:
        return super()._left(), self._streams.left(self)

    def _abort_when_received(self) -> None:
        self._streams.abort_when_received(self)

    def _release(self) -> None:
        self.window.close()
        self._streams.forget(self)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            super()._lose(error)
            self._streams.lost(self)
