"""Two links joined: what one receives, the other sends.

How it goes: each link has a `Flow` as its receiver, which counts a chunk and writes it to the other link. Back-pressure is
the link's own: when it has too much unsent it tells its receiver to pause, and that flow stops the reading of the other
link. When one direction ends, the other goes on (half-close, spec: wire.md, User data).

What always holds:

- The relay ends once, when both links are gone; `ended` is called then, and nothing is left that refers to it.
- A link that broke breaks the other, behind what had come through it, so that both users see it. A link that ended in
  order does not. Whoever is idle for too long has not ended: a transfer that stood still would look as if it were whole.
- Idle is who says nothing, or takes nothing of what there is for him. Whom this end's own rate holds is not, nor is one who
  takes it slowly.
- Without a rate or an idle time, a chunk costs one addition and one write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.protocol.sniff import Verdict
from nodepass.relay.meter import IdleTimer
from nodepass.transport.patience import UnreadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.protocol.sniff import Sniffer
    from nodepass.relay.meter import Counter, Meter, RateGate
    from nodepass.transport.base import Link, Receiver

SNIFFED = 64
"""Bytes of a chunk that the sniffer is shown; it decides on fewer."""


class Flow:
    """One direction of a relay: the receiver of `source`, which it writes to `sink`."""

    __slots__ = ("_counter", "_relay", "sink", "source")

    def __init__(self, relay: TcpRelay, source: Link, sink: Link, counter: Counter) -> None:
        self._relay = relay
        self._counter = counter
        self.source = source
        self.sink = sink

    def data_received(self, data: memoryview) -> None:
        self._counter.total += len(data)
        self.sink.write(data)

    def eof_received(self) -> None:
        self.sink.write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        self._relay.link_lost(self.sink, error)

    def pause_writing(self) -> None:
        self.sink.pause_reading()

    def resume_writing(self) -> None:
        self.sink.resume_reading()

    def end(self) -> None:
        """Both links are gone."""


class LimitedFlow(Flow):
    """A flow that also obeys a rate and keeps an idle timer: it reads while neither its sink nor the rate holds it."""

    __slots__ = ("_gate", "_held_by_rate", "_held_by_sink", "_timer", "twin")

    def __init__(
        self,
        relay: TcpRelay,
        source: Link,
        sink: Link,
        counter: Counter,
        gate: RateGate | None,
        timer: IdleTimer | None,
    ) -> None:
        super().__init__(relay, source, sink, counter)
        self._gate = gate
        self._timer = timer
        self._held_by_rate = False
        self._held_by_sink = False
        self.twin: LimitedFlow = self

    def data_received(self, data: memoryview) -> None:
        super().data_received(data)
        if self._timer is not None:
            self._timer.touch()
        if self._gate is not None and not self._gate.spend(len(data), self):
            self._held_by_rate = True
            if self._timer is not None:
                self._timer.hold()
            self.source.pause_reading()

    def released(self) -> None:
        """The rate allows more; this may come behind the end."""
        self._held_by_rate = False
        if self._timer is not None:
            self._timer.release()
        self._read_on()

    def end(self) -> None:
        # What had come before may still be handed over: see `TcpRelay.start`.
        self._timer = None
        del self.twin

    # What this flow's source tells is about the writing of its twin.

    def pause_writing(self) -> None:
        self.twin.sink_full(full=True)

    def resume_writing(self) -> None:
        self.twin.sink_full(full=False)

    def sink_full(self, *, full: bool) -> None:
        """The sink has too much to send, or room again."""
        self._held_by_sink = full
        if full:
            self.source.pause_reading()
        else:
            self._read_on()

    def _read_on(self) -> None:
        if not self._held_by_rate and not self._held_by_sink:
            self.source.resume_reading()


class SniffedFlow:
    """The first bytes of a user whose protocol may be refused (`block`).

    Nothing is held back while it is undecided, so that a client that waits for the server to speak first does not hang;
    but a chunk that decides against the user is not passed on. Once decided, it gives way to the flow it stands for.
    """

    __slots__ = ("_flow", "_refused", "_sniffer", "connection_lost", "eof_received", "pause_writing", "resume_writing")

    def __init__(self, flow: Flow, sniffer: Sniffer, refused: Callable[[Verdict], None]) -> None:
        self._flow = flow
        self._sniffer = sniffer
        self._refused = refused
        self.eof_received = flow.eof_received
        self.connection_lost = flow.connection_lost
        self.pause_writing = flow.pause_writing
        self.resume_writing = flow.resume_writing

    def data_received(self, data: memoryview) -> None:
        verdict = self._sniffer.feed(bytes(data[:SNIFFED]))
        if verdict is Verdict.CLEAR:
            self._flow.source.attach(self._flow)
        elif verdict is not Verdict.UNDECIDED:
            self._refused(verdict)
            return
        self._flow.data_received(data)


class TcpRelay:
    """A user's connection and the other end's, joined.

    Args:
        near: the user's or the target's link, whose bytes are counted: read is RX, written is TX.
        far: the link through the tunnel, or to the target of a single-end forwarder.
        meter: counters and limits of the instance.
        ended: called once when both links are gone, with the error of the one that broke.
    """

    __slots__ = ("_ended", "_error", "_from_far", "_from_near", "_open", "_timer", "far", "near")

    def __init__(self, near: Link, far: Link, meter: Meter, ended: Callable[[TcpRelay, Exception | None], None]) -> None:
        near.coalesce = far.coalesce = True
        self.near = near
        self.far = far
        self._ended = ended
        self._error: Exception | None = None
        self._open = 2
        self._timer = IdleTimer(meter.idle, self._idle, self._on_the_way) if meter.idle else None
        self._from_near: Flow
        self._from_far: Flow
        if self._timer is None and meter.rate_rx is None:
            self._from_near = Flow(self, near, far, meter.tcp_rx)
            self._from_far = Flow(self, far, near, meter.tcp_tx)
        else:
            inbound = self._from_near = LimitedFlow(self, near, far, meter.tcp_rx, meter.rate_rx, self._timer)
            outbound = self._from_far = LimitedFlow(self, far, near, meter.tcp_tx, meter.rate_tx, self._timer)
            inbound.twin, outbound.twin = outbound, inbound

    def start(self, early: bytes = b"", *, first: bytes = b"", ended: bool = False, full: bool = False) -> None:
        """Begin to pass bytes.

        Args:
            early: those that have been read from `far` already.
            first: what `far` is told before anything else. Here, and not before: a link that has enough says so once.
            ended: whether its end has been.
            full: whether `far` has asked to be written no more, for now.
        """
        from_far = self._from_far
        self._begin(self._from_near, full=full)
        if first:
            self.far.write(first)
        if early:
            from_far.data_received(memoryview(early))
        if ended:
            from_far.eof_received()

    def start_sniffing(
        self, sniffer: Sniffer, refused: Callable[[Verdict], None], early: bytes = b"", *, full: bool = False
    ) -> None:
        """The same, but break the relay if the user's first bytes are of a refused protocol."""

        def refuse(verdict: Verdict) -> None:
            refused(verdict)
            self.abort()

        from_far = self._from_far
        self._begin(SniffedFlow(self._from_near, sniffer, refuse), full=full)
        if early:
            from_far.data_received(memoryview(early))

    def _begin(self, near: Receiver, *, full: bool) -> None:
        from_far = self._from_far
        self.far.attach(from_far)
        self.near.attach(near)
        if full:
            from_far.pause_writing()

    def abort(self) -> None:
        """Break both sides, at once."""
        self.near.abort()
        self.far.abort()

    def _on_the_way(self) -> object:
        """See `IdleTimer`."""
        return self.near.on_the_way, self.far.on_the_way

    def _idle(self) -> None:
        """Nothing has passed for too long: break both sides, behind what they were given."""
        self._error = TimeoutError("idle for too long")
        self.near.break_off()
        self.far.break_off()

    def link_lost(self, other: Link, error: Exception | None) -> None:
        """One link is gone; `other` is the one it was joined to."""
        self._open -= 1
        last = self._open == 0
        if error is not None:
            self._error = error
            if isinstance(error, UnreadError) and other.unsent:
                # What kept it from being read is that this one takes no more: that has been waited for.
                other.abort()
            else:
                other.break_off()
        if last:
            ended = self._ended
            # Nothing that is left refers to the relay behind this, so it needs no garbage collector.
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._from_near.end()
            self._from_far.end()
            del self._from_near, self._from_far, self._ended
            ended(self, self._error)
