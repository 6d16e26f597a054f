"""What streams write into the engine, and when: the sending half of `streams`.

The library (qh3 2.1, `poll_transmit`) would take it all. But it puts what up to 16 streams have into frames at once,
although one packet of them goes out at a time; and when the congestion window is full before all have gone, they stand
before its own acknowledgements. Where that is so at both ends, each waits for the other's until a timer goes off, longer
each time. So only one stream may have more in the engine than can be sent now, and only while no other has anything there.
The rest waits in the links, which take turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sized

    from nodepass.transport.quic.credit import Credit
    from nodepass.transport.quic.library import Engine
    from nodepass.transport.quic.link import QuicLink
    from nodepass.transport.quic.owner import Carrier

SEND_BUFFER: Final = 512 * 1024
"""Bytes of one stream that may wait in the engine to be sent, where few streams share the connection."""

SMALLEST_SEND_BUFFER: Final = 64 * 1024

SHARED_SEND_BUFFER: Final = 32 * 1024 * 1024
"""Bytes that those of all streams may come to, as far as they are larger than the smallest."""

BACKLOG: Final = 16 * 1024
"""Bytes that one stream may have there beyond what can be sent now, so that there is no pause when that gets more."""

BACKLOG_SHARE: Final = 4
"""Or one byte in so many of those that may be on their way: what takes the fourth part of a round trip to be sent."""

LEAST: Final = 4 * 1024
"""Bytes for which it is worth while to let a stream go on, as long as others wait to be sent."""

PACKET: Final = 1500
"""Bytes of a packet at most."""

FRAME: Final = 64
"""Bytes that a frame has in its packet besides data, with those of the packet itself."""

SHARE: Final = 16
"""One byte in so many goes into frames' and packets' own bytes where there is much to be sent."""


class Sending:
    """The sending half of the streams of one connection.

    Args:
        engine: of the connection.
        carrier: the connection.
        credit: that the peer gives.
        links: of the connection.
    """

    def __init__(self, engine: Engine, carrier: Carrier, credit: Credit, links: Sized) -> None:
        self._engine = engine
        self._carrier = carrier
        self._credit = credit
        self._links = links
        self._blocked: dict[QuicLink, None] = {}
        self._round = engine.rounds
        self._window = 0
        """Bytes of packets that can be sent now, but for one packet."""
        self._unsent = 0
        """Bytes that have been written and not sent, as packets; none of those that wait for the peer to take more."""
        self._sole: QuicLink | None = None
        """The stream which has written all of them, if it is one."""

    @property
    def ready(self) -> bool:
        """Whether a short message can go beside what the streams send."""
        return self._window >= PACKET

    def measure(self) -> None:
        """Packets have been sent, acknowledged or lost."""
        core = self._engine.core
        # The library begins no packet for which there might not be room.
        self._window = core.congestion_window - core.bytes_in_flight - PACKET

    def carry(self, link: QuicLink, data: bytes | bytearray | memoryview) -> int:
        """Take as much of `data` as the stream may send now; see `StreamLink`."""
        core = self._engine.core
        size = room = len(data)
        cost = size + size // SHARE + FRAME
        try:
            if self._unsent + cost > self._window or core.get_send_buffer_size(link.id) + size > SMALLEST_SEND_BUFFER:
                room = self._room(link)
                if room < size:
                    self._blocked[link] = None
            if self._credit.given:
                room = min(room, link.granted - link.sent)
            if room <= 0:
                return 0
            core.send_stream(link.id, data if size <= room else memoryview(data)[:room])
        except (ValueError, RuntimeError):
            # The peer has stopped the stream or ended the connection: the event that tells so is on its way.
            return size
        self._carrier.wake()
        carried = min(size, room)
        self._sole = link if not self._unsent or self._sole is link else None
        self._unsent += carried + carried // SHARE + FRAME
        link.written = self._engine.rounds
        link.sent += carried
        return carried

    def sent(self, *, paced: bool) -> bool:
        """Packets have been made, others are to follow if `paced`: whether all has been sent that can be."""
        self.measure()
        engine = self._engine
        if self._round == engine.rounds:
            return False
        self._round = engine.rounds
        all_sent = self._window >= 0 and not paced
        if all_sent:
            # What is left, if anything, waits for the peer to take more, and is in nobody's way.
            self._unsent = 0
        elif self._unsent:
            self._unsent = engine.core.get_send_buffer_size()
        if self._blocked:
            self.give_room()
        return all_sent

    def give_room(self) -> None:
        """Let links go on that wait, as far as there is room."""
        alone = len(self._blocked) == 1
        for link in tuple(self._blocked):
            if self._unsent and not alone and self._free() <= 0:
                return
            if self._room(link) >= (min(LEAST, link.unsent) if self._unsent else 1):
                self._blocked.pop(link, None)
                link.room()

    def forget(self, link: QuicLink) -> None:
        """Both directions have ended."""
        self._blocked.pop(link, None)

    def close(self) -> None:
        """The connection is over."""
        self._blocked.clear()

    def _free(self) -> int:
        """How many bytes can be sent now besides those that have been written."""
        free = self._window - FRAME - self._unsent
        return free - free // SHARE

    def _room(self, link: QuicLink) -> int:
        """How many bytes a stream may write now."""
        room = self._free()
        alone = self._sole is link and len(self._blocked) == (link in self._blocked)
        if (alone or not self._unsent) and not self._engine.careful:
            room += max(BACKLOG, self._engine.core.congestion_window // BACKLOG_SHARE)
        most = max(SMALLEST_SEND_BUFFER, min(SEND_BUFFER, SHARED_SEND_BUFFER // max(len(self._links), 1)))
        return min(room, most - self._engine.core.get_send_buffer_size(link.id))
