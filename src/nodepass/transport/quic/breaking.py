"""Streams that are to be broken once what was sent on them has arrived.

RESET_STREAM makes both ends forget what has not arrived (RFC 9000, 3.3), and the library does not tell when a stream's
bytes have been acknowledged. It is so when none waits to be sent, every packet then on its way (a flight) has left the list
of those that are not acknowledged, and none was lost meanwhile. Where some were, they may have been this stream's and are
sent again in the next flight; after `MOST_FLIGHTS` that is enough, for a broken stream promises nothing. A ping with each
flight makes the peer acknowledge soon. All this happens to few streams, so it is looked at every `RECHECK`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nodepass.transport.quic.library import Engine
    from nodepass.transport.quic.link import QuicLink
    from nodepass.transport.quic.owner import Carrier

RECHECK: Final = 0.01
"""Seconds between looks."""

MOST_FLIGHTS: Final = 4


@dataclass(slots=True)
class _Flight:
    """What was on its way at one moment.

    Args:
        packets: their numbers.
        lost: packets that the connection had lost by then.
        number: which flight of its stream this is.
    """

    packets: frozenset[int]
    lost: int
    number: int


class Breaking:
    """The streams of one connection that are to be broken.

    Args:
        engine: of the connection.
        carrier: the connection.
    """

    def __init__(self, engine: Engine, carrier: Carrier) -> None:
        self._loop = asyncio.get_running_loop()
        self._engine = engine
        self._carrier = carrier
        self._waiting: dict[QuicLink, _Flight | None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, link: QuicLink) -> None:
        """Abort this link when what was sent on it has arrived."""
        self._waiting.setdefault(link, None)
        if self._timer is None:
            self._timer = self._loop.call_later(RECHECK, self._look)

    def close(self) -> None:
        """The connection is over."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        core = self._engine.core
        packets = frozenset(number for number, _, _ in core.outstanding_application_packets)
        begun = False
        for link, flight in tuple(self._waiting.items()):
            if link.gone:
                del self._waiting[link]
            elif core.get_send_buffer_size(link.id) or (flight is not None and not flight.packets.isdisjoint(packets)):
                continue
            elif flight is not None and (flight.lost == core.loss_total or flight.number == MOST_FLIGHTS):
                del self._waiting[link]
                link.abort()
            else:
                self._waiting[link] = _Flight(packets, core.loss_total, 1 if flight is None else flight.number + 1)
                begun = True
        if begun:
            self._carrier.ping()
        if self._waiting:
            self._timer = self._loop.call_later(RECHECK, self._look)
