"""What waits until that has arrived which was sent on its stream before.

A break has to, for RESET_STREAM makes both ends forget what has not arrived (RFC 9000, 3.3). And so has an end that cannot
go in one frame with data, because of a fault of the library (qh3 2.1, `SendStream::on_data_delivery`): it does not get over
it if a frame with nothing but an end is lost, or acknowledged, while data before it is not acknowledged. Lost, the end is
never sent again and the peer waits for ever; acknowledged, the stream never counts as finished, and takes up its place.

The library does not tell when a stream's bytes have been acknowledged. It is so when none waits to be sent, every packet
then on its way (a flight) has left the list of those that are not acknowledged, and none was lost meanwhile. What was lost
before may have been this stream's and must have been sent again: it has if all has been sent since that could be, or else
after some flights. After `MOST_FLIGHTS` it is enough in any case, for others' packets may be lost again and again. A ping
behind each flight makes the peer acknowledge at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.transport.quic.library import Engine
    from nodepass.transport.quic.link import QuicLink
    from nodepass.transport.quic.owner import Carrier

MOST_FLIGHTS: Final = 8

FLIGHTS_TO_RESEND: Final = 3
"""Flights without a loss in which what was lost before has been sent again, although there is always more to be sent."""

LARGEST_FRAME: Final = 1500
"""Bytes of a stream that go into one packet at most: so many of those that wait to be sent may be in a frame already."""

NO_PACKET: Final = -1


@dataclass(slots=True)
class _Flight:
    """What was on its way at one moment.

    Args:
        last: number of its last packet.
        lost: packets that the connection had lost by then.
        resent: whether all of those had been sent again.
        waiting: what is to be done when it has arrived.
        number: which flight this is to those.
        clean: flights without a loss just before.
    """

    last: int
    lost: int
    resent: bool
    waiting: list[Callable[[], None]]
    number: int = 1
    clean: int = 0


class Arrivals:
    """What waits for bytes of one connection's streams to arrive.

    Args:
        engine: of the connection.
        carrier: the connection.
    """

    def __init__(self, engine: Engine, carrier: Carrier) -> None:
        self._engine = engine
        self._carrier = carrier
        self._unsent: list[tuple[int, Callable[[], None]]] = []
        self._flights: deque[_Flight] = deque()
        self._resent = 0
        """Packets that had been lost when all was known to have been sent again."""

    @property
    def awaited(self) -> bool:
        """Whether anything waits."""
        return bool(self._flights or self._unsent)

    def end(self, link: QuicLink) -> None:
        """End the stream of this link: now if the end goes in one frame with data, or if nothing is on its way."""
        core = self._engine.core
        buffered = core.get_send_buffer_size(link.id)
        with_data = buffered > LARGEST_FRAME or (buffered and link.written == self._engine.rounds)
        if with_data or not (buffered or core.bytes_in_flight):
            self._end(link.id)
        else:
            self.wait(link.id, partial(self._end, link.id))

    def wait(self, stream_id: int, then: Callable[[], None]) -> None:
        """Call `then` once what has been written on this stream has arrived; not from inside this call."""
        core = self._engine.core
        if core.get_send_buffer_size(stream_id):
            self._unsent.append((stream_id, then))
            return
        packets = core.outstanding_application_packets
        last = packets[-1][0] if packets else NO_PACKET
        newest = self._flights[-1] if self._flights else None
        if newest is not None and newest.last == last and newest.number == 1:
            newest.waiting.append(then)
        else:
            self._begin(last, [then])

    def left(self, stream_id: int) -> int:
        """What has been written on this stream and may not have arrived; another number once some of it has."""
        core = self._engine.core
        packets = core.outstanding_application_packets
        return core.get_send_buffer_size(stream_id) or (-packets[0][0] if packets else 0)

    def look(self) -> None:
        """Packets may have been acknowledged or lost: see whose time has come."""
        unsent, self._unsent = self._unsent, []
        for stream_id, then in unsent:
            self.wait(stream_id, then)
        flights, core = self._flights, self._engine.core
        packets = core.outstanding_application_packets
        for _ in range(len(flights)):
            if packets and flights[0].last >= packets[0][0]:
                break
            flight = flights.popleft()
            clean = flight.clean + 1 if flight.lost == core.loss_total else 0
            arrived = clean and (flight.resent or clean == FLIGHTS_TO_RESEND)
            if arrived:
                self._resent = max(self._resent, flight.lost)
            if arrived or flight.number == MOST_FLIGHTS:
                for then in flight.waiting:
                    then()
            else:
                last = packets[-1][0] if packets else NO_PACKET
                self._begin(last, flight.waiting, flight.number + 1, clean)

    def all_sent(self) -> None:
        """All has been sent that could be, also of what was lost."""
        core = self._engine.core
        lost = core.loss_total
        if lost == self._resent:
            return
        self._resent = lost
        packets = core.outstanding_application_packets
        for flight in self._flights:
            if not flight.resent and packets:
                flight.last, flight.lost, flight.resent = packets[-1][0], lost, True

    def close(self) -> None:
        """The connection is over."""
        self._unsent.clear()
        self._flights.clear()

    def _end(self, stream_id: int) -> None:
        try:
            self._engine.core.send_stream(stream_id, b"", fin=True)
        except (ValueError, RuntimeError):
            # The stream or the connection has ended meanwhile.
            return
        self._carrier.wake()

    def _begin(self, last: int, waiting: list[Callable[[], None]], number: int = 1, clean: int = 0) -> None:
        lost = self._engine.core.loss_total
        self._flights.append(_Flight(last, lost, lost == self._resent, waiting, number, clean))
        self._carrier.ping()
