"""Datagrams between a user and a target, directly or through a link: two `DatagramEnd`s joined.

What always holds: the relay ends once, when nothing has passed for a while or one end is gone; then both ends are closed.
What one end cannot take is dropped, never queued.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.errors import TunnelError
from nodepass.relay.meter import IdleTimer

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.relay.datagram_ends import DatagramEnd
    from nodepass.relay.meter import Counter, Meter, RateGate


class _Way:
    """One direction of a UDP relay: the receiver of one end, which it sends to the other."""

    __slots__ = ("_counter", "_counts_dropped", "_end", "_gate", "_other", "_relay", "_timer")

    def __init__(
        self,
        relay: UdpRelay,
        end: DatagramEnd,
        other: DatagramEnd,
        counter: Counter,
        gate: RateGate | None,
        timer: IdleTimer,
        *,
        counts_dropped: bool,
    ) -> None:
        self._relay = relay
        self._end = end
        self._other = other
        self._counter = counter
        self._gate = gate
        self._timer = timer
        self._counts_dropped = counts_dropped

    def datagram_received(self, datagram: memoryview) -> None:
        self._timer.touch()
        # RX is what was read, also if it goes no further; TX is what was written.
        if self._other.send(datagram) or self._counts_dropped:
            self._counter.total += len(datagram)
        if self._gate is not None and not self._gate.spend(len(datagram), self):
            self._timer.hold()
            self._end.pause()

    def released(self) -> None:
        """The rate allows more."""
        self._timer.release()
        self._end.resume()

    def end_lost(self, error: Exception | None) -> None:
        self._relay.close(error)


class UdpRelay:
    """One user's datagrams and the answers, until nothing has passed for a while or one end is gone.

    Args:
        near: the user or the target, whose bytes are counted.
        far: the tunnel, or the target of a single-end forwarder.
        meter: counters and limits of the instance.
        timeout: seconds without traffic that end the session (NP_UDP_READ_TIMEOUT).
        ended: called once.
    """

    __slots__ = ("_ended", "_from_far", "_from_near", "_timer", "far", "near")

    def __init__(
        self,
        near: DatagramEnd,
        far: DatagramEnd,
        meter: Meter,
        timeout: float,
        ended: Callable[[UdpRelay, Exception | None], None],
    ) -> None:
        self.near = near
        self.far = far
        self._ended: Callable[[UdpRelay, Exception | None], None] | None = ended
        self._timer = IdleTimer(timeout, self.close)
        self._from_near = _Way(self, near, far, meter.udp_rx, meter.rate_rx, self._timer, counts_dropped=True)
        self._from_far = _Way(self, far, near, meter.udp_tx, meter.rate_tx, self._timer, counts_dropped=False)

    def start(self) -> None:
        """Begin to pass datagrams."""
        self.near.start(self._from_near)
        self.far.start(self._from_far)

    def abort(self) -> None:
        """End at once."""
        self.close(TunnelError("the session ended"))

    def close(self, error: Exception | None = None) -> None:
        """Let go of both ends."""
        ended, self._ended = self._ended, None
        if ended is None:
            return
        self._timer.cancel()
        self.near.close()
        self.far.close()
        ended(self, error)
