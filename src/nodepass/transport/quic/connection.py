"""One QUIC connection: the library's engine, driven by datagrams, timers and the links that are its streams.

How it goes: datagrams are given to the engine as they come (`received`). Once everything that had come has been handed
over, `turn` takes its events, gives each link what arrived on its stream in one piece, and sends. Whatever is written
meanwhile waits for the end of the turn (`wake`), so that one call to the system carries as much as there is.

What always holds:

- No exception leaves this file: one from the library, be it for what a peer sent, ends this connection and no other.
- `ConnectionOwner.gone` is called once, after every link has heard of it.
- A connection that is left ends when its last link is gone and what was sent has arrived, or after `LINGER`; the peer is
  told.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final

from nodepass.errors import ProtocolError
from nodepass.log import WARN
from nodepass.transport.base import LINGER
from nodepass.transport.quic.alarm import Alarm
from nodepass.transport.quic.endings import why_given_up
from nodepass.transport.quic.heartbeat import Heartbeat
from nodepass.transport.quic.leftovers import Leftovers
from nodepass.transport.quic.paths import Paths
from nodepass.transport.quic.sender import Sender
from nodepass.transport.quic.streams import Streams

if TYPE_CHECKING:
    from nodepass.log import Log
    from nodepass.net.address import Address, SocketAddress
    from nodepass.transport.quic.datagrams import Ancillary, DatagramSocket
    from nodepass.transport.quic.library import Engine
    from nodepass.transport.quic.owner import ConnectionOwner

STREAM_EVENTS: Final = frozenset({"stream_data", "stream_reset", "stop_sending"})

PROTOCOL_VIOLATION: Final = 1
INTERNAL_ERROR: Final = 2
"""Error codes of a connection's end. They are for people: neither end acts on them."""


class Connection:
    """One QUIC connection.

    Args:
        engine: the library's half; started, or a server's that has yet to see its first datagram.
        socket: carries its datagrams.
        address: where the peer is, for the socket.
        peer: the same, for links.
        owner: hears of it.
        interval: seconds of silence after which this end makes itself heard.
        log: of the instance.
        answer: ancillary data for the socket, at a server; None at a client, whose socket is connected.
    """

    def __init__(
        self,
        engine: Engine,
        socket: DatagramSocket,
        address: SocketAddress,
        peer: Address,
        owner: ConnectionOwner,
        *,
        interval: float,
        log: Log,
        answer: Ancillary | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._sender = Sender(engine, socket, answer)
        self._leftovers = Leftovers(engine, self._sender)
        self._owner = owner
        self._log = log
        self._paths = Paths(address)
        self._left = False
        self._waiting: list[asyncio.Future[None]] = []
        self._patience: asyncio.TimerHandle | None = None
        self._planned: asyncio.Handle | None = None
        self._alarm = Alarm(self._on_alarm)
        self._heartbeat = Heartbeat(interval, self.ping)
        self.engine = engine
        self.peer = peer
        self.streams = Streams(engine, self, peer, None if answer is None else owner.stream_came, interval, log)
        self.complete = False
        """Whether the handshake is done."""
        self.over = False
        """Whether the connection has ended."""

    # For its owner.

    def received(self, data: bytes, segment: int, address: SocketAddress) -> None:
        """Take datagrams; `turn` is to follow."""
        if self.over:
            return
        try:
            authentic = self.engine.receive(data, segment, address, monotonic())
        except Exception as error:  # noqa: BLE001 - whatever the library makes of what a peer sent
            self._broke(error)
            return
        if authentic:
            self._heartbeat.heard = True
        if self.complete and not self._paths.follow(address, authentic=authentic):
            self._log.seldom("quic moved", WARN, "QUIC: %s moved once more than can be followed: ended", self.peer)
            self.fail(ConnectionAbortedError("it moved too often"), address=address)

    def turn(self) -> None:
        """Act on what has come, and send."""
        if self.over or not self.engine.started:
            return
        try:
            if self._leftovers.are_left():
                self._flush()
                return
            self._take_events()
        except Exception as error:  # noqa: BLE001 - see `received`
            self._broke(error)
            return
        if self.engine.ended:
            self.transmit()
            self._end(self.engine.error)
        else:
            self._flush()

    def leave(self) -> None:
        """Open no more, and end in order once no link is alive."""
        self._left = True
        self.wake()

    def fail(self, error: Exception | None, code: int = 0, address: SocketAddress | None = None) -> None:
        """End now, and tell the peer; at an address that it has just moved to, if that is given."""
        if self.over:
            return
        if self.engine.started and not self.engine.ended:
            self._say_goodbye(code, "" if error is None else str(error), address)
        self._end(error)

    async def arrived(self) -> None:
        """Wait until the peer has got all that was sent, or the connection is over."""
        if not self.over:
            waiting = self._loop.create_future()
            self._waiting.append(waiting)
            self.wake()
            await waiting

    def move_to(self, socket: DatagramSocket) -> None:
        """Go on over another socket; the peer finds out by the next packet."""
        self._sender.socket = socket
        self.ping()

    # For its streams.

    def wake(self) -> None:
        """Send at the end of this turn of the loop."""
        if self._planned is None and not self.over:
            self._planned = self._loop.call_soon(self._flush)

    def resume(self) -> None:
        """Take events again, in another turn."""
        self._loop.call_soon(self.turn)

    def vouch(self) -> None:
        """See `Carrier`."""
        self._owner.vouched(self)

    def ping(self) -> None:
        """Ask for a sign of life."""
        if not self.complete:
            return
        try:
            self.engine.core.send_ping(0)
        except (ValueError, RuntimeError):
            return
        self.wake()

    def transmit(self) -> None:
        """Send now what can be sent."""
        if self.over:
            return
        try:
            self._sender.send()
        except Exception as error:  # noqa: BLE001 - see `received`; a link may be in the middle of something
            self._loop.call_soon(self._broke, error)

    # What comes.

    def _take_events(self) -> None:
        engine, streams = self.engine, self.streams
        held, next_event, stall = engine.held, engine.core.next_event, streams.stall
        if not self.complete:
            streams.agreed()
        while (not stall.on or engine.ended) and not self.over:
            event = held.popleft() if held else next_event()
            if event is None:
                break
            kind = event[0]
            if kind in STREAM_EVENTS:
                streams.take(event)
            elif kind == "streams_available":
                self._owner.streams_available()
            elif kind == "connection_id_issued":
                self._owner.named(self, event[1])
            elif kind == "connection_id_retired":
                self._owner.unnamed(event[1])
            else:
                engine.control(event)
        if not self.complete and engine.complete:
            self.complete = True
            self._owner.established(self)
        streams.deliver()

    # What goes.

    def _flush(self) -> None:
        """Send, let writers go on, and see to the time."""
        planned, self._planned = self._planned, None
        if planned is not None:
            planned.cancel()
        if self.over or not self.engine.started:
            return
        try:
            self.streams.send_credit()
            self.streams.give_room()
            more = self._sender.send()
            paced = self._alarm.set(self.engine.core)
            if more:
                self.wake()
            else:
                self.streams.sent(paced=paced)
            if self._left or self._waiting:
                self._see_what_arrived()
        except Exception as error:  # noqa: BLE001 - see `received`
            self._broke(error)

    # Time.

    def _on_alarm(self) -> None:
        try:
            due = self._alarm.went_off(self.engine.core)
        except Exception as error:  # noqa: BLE001 - see `received`
            self._broke(error)
            return
        if due:
            self.turn()

    # The end.

    def _see_what_arrived(self) -> None:
        """If all that was sent has: those who wait for that go on, and a connection that everyone has left ends."""
        core = self.engine.core
        timer = core.get_timer()
        unsent = core.get_send_buffer_size() or self.streams.ending
        pending = unsent or core.bytes_in_flight or (timer is not None and timer[0] == "pacing")
        if not pending:
            self._let_go_on()
        if not self._left or self.streams.alive:
            return
        if not pending or not self.complete:
            self.fail(None)
        elif self._patience is None:
            self._patience = self._loop.call_later(LINGER, self.fail, None)

    def _let_go_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _say_goodbye(self, code: int, reason: str, address: SocketAddress | None) -> None:
        """Tell the peer of the end."""
        try:
            self.engine.finish(code, reason)
            self._sender.say_goodbye(address)
        except Exception as error:  # noqa: BLE001 - see `received`
            self._log.debug("QUIC: no farewell to %s: %r", self.peer, error)

    def _broke(self, error: Exception) -> None:
        """The library, or a rule, gave up on what the peer sent."""
        if self.over:
            return
        violation, shown = isinstance(error, ProtocolError), why_given_up(error)
        self._log.seldom("quic peer", WARN, "QUIC: ended the connection with %s: %s", self.peer, shown)
        code = PROTOCOL_VIOLATION if violation else INTERNAL_ERROR
        self.fail(ConnectionAbortedError(f"the QUIC connection was ended: {shown}"), code)

    def _end(self, error: Exception | None) -> None:
        if self.over:
            return
        self.over = True
        self._alarm.cancel()
        self._heartbeat.cancel()
        self._let_go_on()
        for timer in (self._planned, self._patience):
            if timer is not None:
                timer.cancel()
        self.streams.failed(error or ConnectionResetError("the QUIC connection was ended"))
        self._owner.gone(self, error)
