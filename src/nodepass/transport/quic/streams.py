"""The streams of one QUIC connection: which link is which, and what each may have waiting to be read.

What always holds:

- A stream is known from its first byte until both directions have ended (`QuicLink` says when); what comes for one that is
  not known any more is ignored, and one that begins otherwise than with the opening byte is refused.
- What may wait unread is bounded: by credit where both ends are of this project (see `credit`), else by `Stall`.
- What may wait to be sent is bounded per stream, and less for each where they are many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nodepass.errors import ProtocolError
from nodepass.log import WARN
from nodepass.policy.receive_window import SHARED, SMALLEST
from nodepass.transport.quic.arrivals import Arrivals
from nodepass.transport.quic.credit import Credit
from nodepass.transport.quic.link import QuicLink
from nodepass.transport.quic.peer_ids import PeerIds
from nodepass.transport.quic.sending import Sending
from nodepass.transport.quic.settings import ALPN_CREDIT
from nodepass.transport.quic.stall import Stall

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.log import Log
    from nodepass.net.address import Address
    from nodepass.transport.quic.library import Engine, Event
    from nodepass.transport.quic.owner import Carrier

OPENING: Final = b"\x00"
"""What a client sends first on a stream (spec: wire.md)."""

BROKEN: Final = 1
"""Error code with which streams are reset and stopped; v1 gives codes no meaning."""

CLIENT_CREDIT: Final = 2
SERVER_CREDIT: Final = 3
"""IDs of the two ends' first unidirectional streams (RFC 9000, 2.1)."""


class Streams:
    """The streams of one connection.

    Args:
        engine: the library's half of it.
        carrier: the connection itself.
        peer: the other side.
        came: called with each stream that the peer opens; None at a client, whose server opens none.
        interval: seconds in which a reader has to read something; see `Stall`.
        log: of the instance.
    """

    def __init__(
        self,
        engine: Engine,
        carrier: Carrier,
        peer: Address,
        came: Callable[[QuicLink], None] | None,
        interval: float,
        log: Log,
    ) -> None:
        self._engine = engine
        self._carrier = carrier
        self._peer = peer
        self._came = came
        self._log = log
        self._links: dict[int, QuicLink] = {}
        self._arrived: list[QuicLink] = []
        self._ids = PeerIds()
        self._credit = Credit(engine)
        self._sending = Sending(engine, carrier, self._credit, self._links)
        self._arrivals = Arrivals(engine, carrier)
        self.stall = Stall(carrier.resume, interval, log)
        self.windows_left = SHARED
        self.alive = 0
        """Links that are not gone for their owners."""
        self.fingerprint: str | None = None
        """Of the server's certificate."""

    # For the connection.

    @property
    def ending(self) -> bool:
        """Whether there are streams whose end has yet to be sent."""
        return self._arrivals.awaited

    def open(self) -> QuicLink | None:
        """Open a stream and send its opening byte; None while the peer allows no more of them."""
        core = self._engine.core
        try:
            stream_id = core.open_stream(unidirectional=False)
            core.send_stream(stream_id, OPENING)
        except (ValueError, RuntimeError):
            return None
        return self._adopt(stream_id, sent=len(OPENING))

    def open_early(self) -> QuicLink:
        """The same before the handshake, as far as `Engine.early_streams` allows."""
        return self._adopt(self._engine.open_early(OPENING), sent=len(OPENING))

    def agreed(self) -> None:
        """The protocol has been agreed on: is there credit?"""
        self._credit.given = self._engine.alpn == ALPN_CREDIT

    def take(self, event: Event) -> None:
        """Take an event of a stream; what it brings is delivered by `deliver`.

        Raises:
            ProtocolError: the peer does not keep to the rules.
        """
        kind, stream_id = event[0], event[1]
        link = self._links.get(stream_id)
        if kind == "stream_data":
            self._take_data(link, stream_id, event[2], event[3])
        elif kind == "stream_reset":
            if stream_id in (CLIENT_CREDIT, SERVER_CREDIT):
                raise ProtocolError("it broke the stream that carries credit")
            if link is not None:
                link.deliver()
                link.peer_reset(ConnectionResetError("the other end broke the stream"))
        elif kind == "stop_sending" and link is not None:
            link.peer_stopped(ConnectionResetError("the other end takes no more on this stream"))

    def deliver(self) -> None:
        """Give each link what has come for it.

        Raises:
            ProtocolError: see `take`.
        """
        self._sending.measure()
        if self._arrivals.awaited:
            self._arrivals.look()
        arrived, self._arrived = self._arrived, []
        for link in arrived:
            if self._credit.given:
                self._credit.check(link)
            link.deliver()
            if not self._credit.given:
                self.stall.look(link)

    def give_room(self) -> None:
        """Let links go on that wait to send."""
        self._sending.give_room()

    def sent(self, *, paced: bool) -> None:
        """All packets have been made that could be; others will be soon, if they are paced."""
        if self._sending.sent(paced=paced):
            self._arrivals.all_sent()

    def send_credit(self) -> None:
        """Tell the peer how far it may send."""
        if self._sending.ready:
            self._credit.send()

    def failed(self, error: Exception) -> None:
        """The connection is over."""
        self.stall.close()
        self._sending.close()
        self._arrivals.close()
        for link in tuple(self._links.values()):
            link.deliver()
            link.connection_failed(error)
        self._links.clear()

    # For the links.

    def carry(self, link: QuicLink, data: bytes | bytearray | memoryview) -> int:
        """Take as much of `data` as the stream may send now; see `StreamLink`."""
        return self._sending.carry(link, data)

    def send_end(self, link: QuicLink) -> None:
        """End the sending direction."""
        self._arrivals.end(link)

    def reset(self, link: QuicLink) -> None:
        """Break the sending direction; what has been written goes out before, as far as it can now."""
        if self._engine.core.get_send_buffer_size(link.id):
            self._carrier.transmit()
        self._order(lambda: self._engine.core.reset_stream(link.id, BROKEN))

    def refuse(self, link: QuicLink) -> None:
        """Have the peer send no more: nobody reads it."""
        self._order(lambda: self._engine.core.stop_sending(link.id, BROKEN))
        self.stall.consumed(link)

    def consumed(self, link: QuicLink, count: int) -> None:
        """Bytes of this stream have been read: let the peer send more."""
        if not self._credit.given:
            self.stall.consumed(link)
        elif self._credit.consumed(link, count):
            self._carrier.wake()

    def abort_when_received(self, link: QuicLink) -> None:
        """Abort it once the peer has got what was sent on it."""
        self._arrivals.wait(link.id, link.abort)

    def left(self, link: QuicLink) -> int:
        """What has been written on it and may not have arrived; another number once some of it has."""
        return self._arrivals.left(link.id)

    def vouch(self) -> None:
        """The peer has proved who it is."""
        self._carrier.vouch()

    def forget(self, link: QuicLink) -> None:
        """Both directions have ended."""
        self._links.pop(link.id, None)
        self._sending.forget(link)
        self._credit.forget(link)

    def lost(self, link: QuicLink) -> None:
        """A link is gone for its owner."""
        self.alive -= 1
        self.stall.consumed(link)
        if not self.alive:
            self._carrier.wake()

    # In between.

    def _order(self, command: Callable[[], None]) -> None:
        """Have the engine break off a stream, unless that or the connection has ended meanwhile."""
        try:
            command()
        except (ValueError, RuntimeError):
            return
        self._engine.careful = True
        self._carrier.wake()

    def _adopt(self, stream_id: int, sent: int = 0) -> QuicLink:
        link = self._links[stream_id] = QuicLink(self, stream_id, self._peer, sent)
        self.alive += 1
        self._carrier.wake()
        return link

    def _take_data(self, link: QuicLink | None, stream_id: int, data: bytes, end: bool) -> None:
        if link is None:
            if stream_id in (CLIENT_CREDIT, SERVER_CREDIT):
                self._take_credit(data, end)
                return
            link = self._welcome(stream_id, data)
            if link is None:
                return
            link.came = len(OPENING)
            link.window.consume(len(OPENING), waiting=0, largest=SMALLEST)
            data = data[len(OPENING) :]
        if not link.arrived and not link.fin:
            self._arrived.append(link)
        if data:
            link.arrived.append(data)
            link.came += len(data)
        link.fin = link.fin or end

    def _welcome(self, stream_id: int, data: bytes) -> QuicLink | None:
        """The link of a stream that the peer has just opened; None where it is none."""
        if self._came is None or not self._ids.is_new(stream_id):
            return None
        if not data.startswith(OPENING):
            self._log.seldom("quic opening", WARN, "QUIC: a stream from %s did not begin as it should", self._peer)
            self._order(lambda: self._engine.core.stop_sending(stream_id, BROKEN))
            self._order(lambda: self._engine.core.reset_stream(stream_id, BROKEN))
            return None
        link = self._adopt(stream_id)
        self._came(link)
        return link

    def _take_credit(self, data: bytes, end: bool) -> None:
        if end:
            raise ProtocolError("it ended the stream that carries credit")
        if not self._credit.given:
            return
        for stream_id, limit in self._credit.received(data):
            link = self._links.get(stream_id)
            if link is not None and limit > link.granted:
                link.granted = limit
                link.room()
