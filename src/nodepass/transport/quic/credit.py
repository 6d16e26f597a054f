"""Credit per stream, between two ends of this project that agreed on the ALPN protocol `np-quic-credit`.

The QUIC library grants a stream more as soon as its bytes have been handed over, read or not. So each end tells the other,
in a unidirectional stream of its own, up to which offset each stream may be sent: records of two big-endian 64-bit
numbers, the stream's ID and the offset. A stream begins with `receive_window.SMALLEST`.

What always holds: a record of a stream that is not known (any more), or that grants less than one before, means nothing; a
peer that sends more than it was granted loses the connection.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from nodepass.errors import ProtocolError
from nodepass.policy.receive_window import largest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nodepass.transport.quic.library import Engine
    from nodepass.transport.quic.link import QuicLink

_RECORD = struct.Struct(">QQ")


class Credit:
    """The credit of one connection's streams.

    Args:
        engine: of the connection.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stream_id: int | None = None
        self._grants: dict[int, int] = {}
        self._growing: set[int] = set()
        self._rest = b""
        self.given = False
        """Whether both ends give credit."""

    def consumed(self, link: QuicLink, count: int) -> bool:
        """Note that bytes of a stream have been read; whether the peer is to be granted more, by `send`."""
        if not link.window.consume(count, waiting=link.waiting, largest=largest_of(len(self._growing))):
            return False
        self._growing.add(link.id)
        self._grants[link.id] = link.window.limit
        return True

    def check(self, link: QuicLink) -> None:
        """See whether the peer keeps to what it was granted.

        Raises:
            ProtocolError: it does not.
        """
        if link.came > link.window.limit:
            raise ProtocolError("it sent more on a stream than it was allowed to")

    def send(self) -> None:
        """Tell the peer what it has been granted; not before the handshake is done."""
        if not self._grants or not self._engine.complete:
            return
        if self._stream_id is None:
            self._stream_id = self._engine.core.open_stream(unidirectional=True)
        records = b"".join(_RECORD.pack(stream_id, limit) for stream_id, limit in self._grants.items())
        self._engine.core.send_stream(self._stream_id, records)
        self._grants.clear()

    def received(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Bytes of the peer's credit stream: the stream ID and offset of each record that is complete with them."""
        data = self._rest + data
        whole = len(data) - len(data) % _RECORD.size
        self._rest = data[whole:]
        return _RECORD.iter_unpack(data[:whole])

    def forget(self, link: QuicLink) -> None:
        """A stream has ended."""
        self._grants.pop(link.id, None)
        self._growing.discard(link.id)
