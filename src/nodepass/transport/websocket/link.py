"""A link over a WebSocket over another link, which is plain TCP or TLS.

How it goes: the link is the receiver of the one below. Each binary message that comes, or fragment of one, is delivered by
itself; each write becomes one message, in pieces of `MESSAGE_SIZE`. Back-pressure is that of the link below, whose
watermarks are passed on.

How it ends (RFC 6455, 7): either side sends Close, the other answers with Close, and the connection below ends. Behind its
Close a side sends nothing. So:

- With the subprotocol `HALF_CLOSE`, an empty message ends a direction, and Close goes out when both have ended.
- Without it (a v1 peer), `write_eof` sends Close; this side reads on until the other's.
- A Close that comes means that the other side sends no more and takes no more: the end is delivered, and whoever writes
  after that learns that the stream is broken.
- A connection that ends without Close was cut off. That is how a broken stream is passed on, through any proxy.
- The connection below is ended in order only behind both Closes: a proxy takes the end of one direction for that of both.

What always holds, besides what `nodepass.transport.base` says:

- While anything waits to be told, the link below is not read: at most one read's worth waits undecoded (`_raw`), and
  what a `SLICE` of it decoded to (`_stash`).
- Behind a slice of crumbs the loop turns, so that a peer that sends those does not hold up others.
- A pong for which there is no room is not sent.
- What is told after an end or an error comes from the loop, in `_woken`, unless the owner asked for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from nodepass.log import WARN
from nodepass.transport.base import HIGH_WATER, LINGER, NOBODY, Ending, Link
from nodepass.transport.websocket.codec import Codec
from nodepass.transport.websocket.framing import MESSAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from websockets.protocol import Event, Protocol

    from nodepass.log import Log
    from nodepass.transport.base import Receiver
    from nodepass.transport.websocket.keep_alive import KeepAlive

SLICE = 32 * 1024
"""Bytes that are decoded at a time."""

CRUMBS = 256
"""Messages in one slice over which the loop turns before the next."""

CUT_OFF = "the connection was cut off: it ended without a WebSocket Close"
CLOSED = "the other side closed the WebSocket and takes no more"


class WebSocketLink(Link):
    """One end of a WebSocket whose upgrade is done.

    Args:
        lower: carries it; the link owns it from here on.
        protocol: after the upgrade.
        events: what came right behind the upgrade.
        keep_alive: pings it.
        log: where it is said why a peer was broken off.
    """

    __slots__ = (
        "_below_end",
        "_codec",
        "_ending",
        "_failure",
        "_heard",
        "_keep_alive",
        "_last_error",
        "_linger",
        "_log",
        "_loop",
        "_lost",
        "_lower",
        "_open",
        "_raw",
        "_read_ended",
        "_reading",
        "_receiver",
        "_stash",
        "_wake",
        "_write_ended",
    )

    record_size = MESSAGE_SIZE

    def __init__(self, lower: Link, protocol: Protocol, events: Iterable[Event], keep_alive: KeepAlive, log: Log) -> None:
        self._loop = asyncio.get_running_loop()
        self._lower = lower
        self._codec = Codec(protocol)
        self._keep_alive = keep_alive
        self._log = log
        self._receiver: Receiver = NOBODY
        self._stash: deque[bytes] = deque()
        self._raw = b""
        self._reading = False
        self._read_ended = False
        self._write_ended = False
        self._open = True
        self._below_end: Exception | None = None
        self._failure: Exception | None = None
        self._ending: Ending | None = None
        self._lost = False
        self._last_error: Exception = ConnectionAbortedError("the connection was gone before it was used")
        self._linger: asyncio.TimerHandle | None = None
        self._wake: asyncio.Handle | None = None
        self._heard = True
        self.coalesce = True
        self.remote = lower.remote
        keep_alive.add(self)
        lower.attach(self)
        self._take(self._codec.sift(events, self._loop.time()))

    # What is asked of a link.

    @property
    def unsent(self) -> int:
        return self._lower.unsent

    @property
    def gone(self) -> bool:
        return self._lost

    @property
    def fingerprint(self) -> str | None:
        return self._lower.fingerprint

    @property
    def quiet(self) -> bool:
        """See `Link`. What waits below may be a ping, which has no part in the stream: it is read to find that out."""
        if self._lost or self._waits():
            return False
        if self._lower.quiet:
            return True
        if not self._reading:
            return False
        self._reading = False
        self._lower.read_now()
        raw, self._raw = self._raw, b""
        self._decode(memoryview(raw))
        self.resume_reading()
        return not self._waits() and self._lower.quiet

    def _waits(self) -> bool:
        """Whether there is something to tell the receiver."""
        untold_end = self._codec.ended and not self._read_ended
        return bool(self._stash or self._raw) or untold_end or self._failure is not None or self._below_end is not None

    def read_now(self) -> None:
        """Nothing lies over a WebSocket."""

    def attach(self, receiver: Receiver) -> None:
        if self._lost:
            self._loop.call_soon(receiver.connection_lost, self._last_error)
            return
        self._receiver = receiver
        self.resume_reading()

    def pause_reading(self) -> None:
        self._reading = False
        self._lower.pause_reading()

    def resume_reading(self) -> None:
        if self._reading or self._lost or self._ending is not None:
            return
        self._reading = True
        if self._waits():
            self._wake_up()
        else:
            self._lower.resume_reading()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not data:
            return
        if not self._open:
            self._write_too_late()
        elif len(data) <= MESSAGE_SIZE:
            self._lower.write(self._codec.message(data))
        else:
            whole = memoryview(data)
            for start in range(0, len(data), MESSAGE_SIZE):
                self._lower.write(self._codec.message(whole[start : start + MESSAGE_SIZE]))

    def write_eof(self) -> None:
        if self._lost or self._write_ended or self._ending is not None:
            return
        self._write_ended = True
        self._open = False
        if self._codec.may_close:
            self._lower.write(self._codec.message(b"") if self._codec.half_closes else self._codec.close())
        self._end_if_done()

    def close(self) -> None:
        if self._begin_ending(Ending.CLOSE):
            self._lower.write(self._codec.close())
            self._lower.close()

    def break_off(self) -> None:
        if self._begin_ending(Ending.BREAK):
            self._lower.break_off()

    def abort(self) -> None:
        self._ending = self._ending or Ending.BREAK
        self._lower.abort()
        self._lose(None)

    def beat(self) -> None:
        """See `Beating`. Where something is on its way already, a ping would add nothing."""
        if not self._heard and self._codec.may_close and not self._lower.unsent:
            self._lower.write(self._codec.ping())
        self._heard = False

    # As the receiver of the link below.

    def data_received(self, data: memoryview) -> None:
        self._heard = True
        if self._reading and not self._waits():
            self._decode(data)
            self._tell()
        elif not self._lost and self._ending is None:
            self._raw += bytes(data)
            self._lower.pause_reading()

    def eof_received(self) -> None:
        self._ended_below(ConnectionResetError(CUT_OFF))

    def connection_lost(self, error: Exception | None) -> None:
        if self._ending is not None:
            self._lose(error)
        else:
            self._ended_below(error or ConnectionResetError(CUT_OFF))

    def pause_writing(self) -> None:
        self._receiver.pause_writing()

    def resume_writing(self) -> None:
        self._receiver.resume_writing()

    # Reading.

    def _decode(self, data: memoryview) -> None:
        """Deliver what comes out of `data`, slice by slice, and keep the rest where that has to wait."""
        for start in range(0, len(data), SLICE):
            payloads = self._codec.receive(data[start : start + SLICE], self._loop.time())
            self._take(payloads)
            rest = data[start + SLICE :]
            if rest and (not self._reading or self._waits() or len(payloads) > CRUMBS):
                if self._codec.error is None and self._ending is None:
                    self._raw = bytes(rest)
                    self._lower.pause_reading()
                    self._wake_up()
                return

    def _take(self, payloads: list[bytes]) -> None:
        """Deliver or stash, answer, and learn whether that was the end."""
        codec = self._codec
        answers = codec.answers()
        if answers and (self._lower.unsent <= HIGH_WATER or not codec.may_close):
            self._lower.write(answers)
        for payload in payloads:
            if self._reading and not self._stash:
                self._receiver.data_received(memoryview(payload))
            elif self._ending is None:
                self._stash.append(payload)
        if codec.error is not None:
            self._log.seldom("websocket", WARN, "WebSocket with %s broken off: %s", self.remote, codec.error)
            self._fail(codec.error)
        elif codec.closed:
            self._open = False
            self._lower.write_eof()

    def _wake_up(self) -> None:
        if self._wake is None and not self._lost:
            self._wake = self._loop.call_soon(self._woken)

    def _woken(self) -> None:
        """Deliver what waits, as far as the receiver reads, then read on below."""
        self._wake = None
        while self._stash and self._reading:
            self._receiver.data_received(memoryview(self._stash.popleft()))
        if self._raw and self._reading:
            raw, self._raw = self._raw, b""
            self._decode(memoryview(raw))
        self._tell()
        if self._reading and not self._waits():
            self._lower.resume_reading()

    def _tell(self) -> None:
        """Tell of an end, if there is one, behind all that came before it."""
        if self._stash or self._raw or self._lost:
            return
        if self._codec.ended and not self._read_ended:
            if not self._reading:
                return
            self._read_ended = True
            self._receiver.eof_received()
            self._end_if_done()
        if self._below_end is not None:
            self._judge_end_below(self._below_end)
        if self._failure is not None:
            self._lose(self._failure)

    # The end.

    def _ended_below(self, error: Exception) -> None:
        """The connection below has ended; `error` says how, should it be a surprise."""
        self._below_end = error
        if not self._raw:
            self._judge_end_below(error)
        elif self._lower.gone:
            self._lose_later(error)

    def _judge_end_below(self, error: Exception) -> None:
        """All has been decoded that came before it: was it to be expected?"""
        if not self._codec.closed and not (self._codec.ended and self._write_ended):
            self._fail(error)
            return
        self._open = False
        self._lower.write_eof()
        self._end_if_done()

    def _write_too_late(self) -> None:
        """Where the peer has closed, what is written is lost: the owner should know."""
        if self._codec.closed and not self._write_ended and self._ending is None:
            self._fail(ConnectionResetError(CLOSED))

    def _end_if_done(self) -> None:
        """When both directions have ended, exchange Close; the end of the connection below is that of the link."""
        if not (self._read_ended and self._write_ended) or self._ending is not None or self._failure is not None:
            return
        if self._lower.gone:
            self._lose(None)
            return
        self._lower.write(self._codec.close())
        if self._linger is None:
            self._linger = self._loop.call_later(LINGER, self._end_late)

    def _end_late(self) -> None:
        """The peer has had time to end the connection below, unless it has not even taken all that was sent."""
        self._linger = None
        if self._lower.unsent:
            self._end_if_done()
        else:
            self._lower.close()

    def _fail(self, error: Exception) -> None:
        """The stream is broken: break it below, and tell so behind what has come before, for which there is a while."""
        if self._lost or self._failure is not None:
            return
        self._failure = error
        self._open = False
        self._lower.break_off()
        self._lose_later(error)
        self._wake_up()

    def _lose_later(self, error: Exception) -> None:
        if self._linger is not None:
            self._linger.cancel()
        self._linger = self._loop.call_later(LINGER, self._lose, error)

    def _begin_ending(self, ending: Ending) -> bool:
        """The owner reads no more; whether there is something below to be ended."""
        if self._ending is not None or self._lost:
            return False
        self._ending = ending
        self._reading = self._open = False
        self._stash.clear()
        self._raw = b""
        if self._lower.gone:
            self._lose(None)
        return not self._lost

    def _lose(self, error: Exception | None) -> None:
        """The link is gone for its owner, who is told once."""
        if self._lost:
            return
        self._lost = True
        self._reading = self._open = False
        self._stash.clear()
        self._raw = b""
        self._keep_alive.discard(self)
        for handle in (self._linger, self._wake):
            if handle is not None:
                handle.cancel()
        if error is not None:
            self._last_error = error
        receiver, self._receiver = self._receiver, NOBODY
        receiver.connection_lost(error)
