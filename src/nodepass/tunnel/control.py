"""The control channel: signals over one link, and the heartbeat that tells whether the peer is there.

What always holds: a line that does not decode is logged and skipped, and is no sign of life; a line without end is cut
off at a limit; three report intervals after the last line the peer is dead; `closed` is called once, and nothing comes
after it. Where many lines come at once, the loop turns after `PIECE` bytes of them: they may be false ones. Nothing is
asked of a peer that does not read, nor answered to it, and what nobody asked for is no answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nodepass.errors import SessionError, SignalError, SilenceError
from nodepass.log import WARN
from nodepass.protocol.signals import Action, LineSplitter, Overlong, Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.protocol.signals import Codec
    from nodepass.transport.base import Link
    from nodepass.tunnel.resources import Resources

SILENT_INTERVALS = 3
"""Report intervals without a line after which the peer is dead (spec: wire.md)."""


PIECE = 4096
"""Bytes of many lines that are dealt with before the loop turns; meanwhile the link is not read."""

FEW_LINES = 64
"""Lines that are dealt with at once, however long they are: it is each one that takes its time, not its bytes."""


class Control:
    """One end of a control channel.

    Args:
        link: the pool connection of ID 00000000.
        codec: between lines and signals.
        resources: of the instance.
        received: called with each signal but ping and pong.
        answered: called once after each ping, when `ping` is fresh.
        writable: called when signals can be sent again after `congested`.
        closed: called once with the reason when the channel has ended.
    """

    def __init__(
        self,
        link: Link,
        codec: Codec,
        resources: Resources,
        *,
        received: Callable[[Signal], None],
        answered: Callable[[], None],
        writable: Callable[[], None],
        closed: Callable[[SessionError], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._codec = codec
        self._log = resources.log
        self._interval = resources.tunables.report_interval
        self._received = received
        self._answered = answered
        self._writable = writable
        self._closed: Callable[[SessionError], None] | None = closed
        self._splitter = LineSplitter()
        self._heard = self._pinged = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._silence = self._loop.call_later(SILENT_INTERVALS * self._interval, self._listen)
        self._proofs: list[Callable[[], None]] = []
        self._awaits_pong = False
        self.ping = 0.0
        """Seconds between the last ping and its pong."""
        self.congested = False
        """Whether the peer reads signals more slowly than they are sent."""

    @property
    def is_open(self) -> bool:
        """Whether it has not come to its end."""
        return self._closed is not None

    def start(self, early: bytes) -> None:
        """Begin to listen and to ping; `early` are bytes that came with the ID."""
        self._link.attach(self)
        self._beat()
        if early:
            self.data_received(memoryview(early))

    def send(self, signal: Signal) -> None:
        """Send one signal."""
        self._link.write(self._codec.encode(signal))

    def prove_alive(self, proven: Callable[[], None]) -> None:
        """Ask the peer for a sign of life, and call `proven` when anything comes from it."""
        self._proofs.append(proven)
        self._ask()

    def close(self) -> None:
        """End the channel; `closed` is not called."""
        self._closed = None
        if self._timer is not None:
            self._timer.cancel()
        self._silence.cancel()
        self._link.close()

    def _listen(self) -> None:
        """The time has passed in which something must have been heard."""
        patience = SILENT_INTERVALS * self._interval
        left = self._heard + patience - self._loop.time()
        if left > 0:
            self._silence = self._loop.call_later(left, self._listen)
        else:
            # This loop may have been busy: what has come meanwhile is read before the end of the next turn.
            self._loop.call_soon(self._loop.call_soon, self._give_up, self._heard)

    def _give_up(self, heard: float) -> None:
        """Nothing has come after all, or something has."""
        if self._heard > heard:
            self._listen()
        elif self._closed is not None:
            silence = SILENT_INTERVALS * self._interval
            self._end(SilenceError(f"nothing was heard on the control channel for {silence:g} s"))
            # Nobody takes what is left to be sent.
            self._link.abort()

    def _beat(self) -> None:
        """Once every report interval: ask the peer for a sign of life."""
        self._pinged = self._loop.time()
        self._awaits_pong = True
        self._timer = self._loop.call_later(self._interval, self._beat)
        self._ask()

    def _ask(self) -> None:
        """Ask for a sign of life, unless the peer has not read what it was asked before."""
        if not self.congested:
            self.send(Signal(Action.PING))

    def _end(self, reason: SessionError) -> None:
        closed = self._closed
        self.close()
        if closed is not None:
            closed(reason)

    # As the link's receiver.

    def data_received(self, data: memoryview) -> None:
        lines = bytes(data)
        if len(lines) > PIECE and lines.count(b"\n") > FEW_LINES:
            self._link.pause_reading()
            self._take_in_turns(lines)
        else:
            self._take(lines)

    def _take_in_turns(self, data: bytes) -> None:
        self._take(data[:PIECE])
        if self._closed is None:
            return
        if len(data) > PIECE:
            self._loop.call_soon(self._take_in_turns, data[PIECE:])
        else:
            self._link.resume_reading()

    def _take(self, data: bytes) -> None:
        for line in self._splitter.feed(data):
            if isinstance(line, Overlong):
                self._log.seldom("control", WARN, "Control channel: skipped a line of over %d bytes", line.limit)
                continue
            try:
                signal = self._codec.decode(line)
            except SignalError as error:
                self._log.seldom("control", WARN, "Control channel: skipped a line: %s", error)
                continue
            self._heard = self._loop.time()
            self._handle(signal)
            if self._closed is None:
                return

    def _handle(self, signal: Signal) -> None:
        if signal.action is Action.PING:
            # Whoever asks without end and reads nothing would have the answers queue here.
            if not self.congested:
                self.send(Signal(Action.PONG))
        elif signal.action is Action.PONG:
            # One that nobody asked for says no more than any other line: that the peer is there.
            if self._awaits_pong:
                self._awaits_pong = False
                self.ping = self._loop.time() - self._pinged
                self._answered()
        else:
            self._received(signal)
        proofs, self._proofs = self._proofs, []
        for proven in proofs:
            proven()

    def eof_received(self) -> None:
        self._end(SessionError("the peer closed the control channel"))

    def connection_lost(self, error: Exception | None) -> None:
        self._end(SessionError(f"the control channel broke: {error}" if error else "the control channel was closed"))

    def pause_writing(self) -> None:
        self.congested = True

    def resume_writing(self) -> None:
        self.congested = False
        self._writable()
