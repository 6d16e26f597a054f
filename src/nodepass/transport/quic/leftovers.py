"""Keeps the library from forgetting a stream of which it has a frame left to send.

What the library (qh3 2.1) has put into frames and cannot send, because the congestion window is full, it keeps even where
there is no use for it any more: what it sends again after a timer may be acknowledged by then, and a stream that the peer
is asked to end (STOP_SENDING) may be over. The stream is forgotten with the event that says so; and when the frame's turn
comes, `poll_transmit` does not find it and gives up in the middle of a packet: the connection is of no more use, with all
its streams.

So from such a timer or order on, until there are no two copies of anything on their way, events are taken only while no
frame is left; and `sending` gives the engine no more than goes out, so that this is soon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.transport.quic.arrivals import NO_PACKET
from nodepass.transport.quic.sending import PACKET

if TYPE_CHECKING:
    from nodepass.transport.quic.library import Engine
    from nodepass.transport.quic.sender import Sender


class Leftovers:
    """Frames that one connection may have left to send.

    Args:
        engine: of the connection.
        sender: of the connection.
    """

    def __init__(self, engine: Engine, sender: Sender) -> None:
        self._engine = engine
        self._sender = sender
        self._timers = 0
        self._last: int | None = None

    def are_left(self) -> bool:
        """Whether there may be some that matter, although all has been sent that can be."""
        engine, sender = self._engine, self._sender
        core = engine.core
        if core.pto_total != self._timers:
            self._timers = core.pto_total
            self._last = None
            engine.careful = True
        if not engine.careful:
            return False
        while sender.send():
            pass
        full = sender.socket.blocked or core.congestion_window - core.bytes_in_flight < PACKET
        if full and core.state == "connected":
            return True
        packets = core.outstanding_application_packets
        if self._last is None:
            # All copies have gone out by now.
            self._last = packets[-1][0] if packets else NO_PACKET
        engine.careful = bool(packets) and packets[0][0] <= self._last
        return False
