"""What a WebSocket link delivers and sends; how it ends is in `link`.

How it goes: the link is the receiver of the one below, which is plain TCP or TLS. The payloads of binary messages are
delivered as they come, in the memory they came in where no mask has to be taken off; without `coalesce`, each message, or
fragment of one, is delivered by itself. Each write becomes one message, or several where it is very long; it goes down
as two pieces, of which the large one is copied for a mask only. Back-pressure is that of the link below, whose watermarks
are passed on.

What always holds, besides what `nodepass.transport.base` says:

- Decoding stops where the receiver pauses. While anything waits to be told, the link below is not read: at most one read's
  worth waits undecoded (`_raw`). If the receiver reads meanwhile, `_wake` is due, which goes on with it.
- Behind `CRUMBS` messages the loop turns, so that a peer that sends tiny ones does not hold up others.
- A pong for which there is no room is not sent.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from nodepass.log import WARN
from nodepass.transport.base import HIGH_WATER, NOBODY, Ending, Link, gone_before_use
from nodepass.transport.websocket.codec import Codec
from nodepass.transport.websocket.framing import MESSAGE_SIZE

if TYPE_CHECKING:
    from websockets.protocol import Protocol

    from nodepass.log import Log
    from nodepass.transport.base import Receiver
    from nodepass.transport.patience import Patience
    from nodepass.transport.websocket.frames import BytesLike
    from nodepass.transport.websocket.keep_alive import KeepAlive

CRUMBS: Final = 256
"""Payloads that are delivered before the loop turns."""

NOTHING: Final = memoryview(b"")


class MessageLink(Link):
    """One end of a WebSocket whose upgrade is done.

    Args:
        lower: carries it; the link owns it from here on.
        protocol: after the upgrade.
        early: what came right behind the upgrade.
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
        "_wake",
        "_write_ended",
    )

    record_size = MESSAGE_SIZE

    def __init__(self, lower: Link, protocol: Protocol, early: bytes, keep_alive: KeepAlive, log: Log) -> None:
        self._loop = asyncio.get_running_loop()
        self._lower = lower
        self._codec = Codec(protocol, self._loop.time)
        self._keep_alive = keep_alive
        self._log = log
        self._receiver: Receiver = NOBODY
        self._raw = memoryview(early)
        self._reading = False
        self._read_ended = False
        self._write_ended = False
        self._open = True
        self._below_end: Exception | None = None
        self._failure: Exception | None = None
        self._ending: Ending | None = None
        self._lost = False
        self._last_error: Exception | None = None
        self._linger: asyncio.TimerHandle | Patience | None = None
        self._wake: asyncio.Handle | None = None
        self._heard = True
        self.coalesce = True
        self.remote = lower.remote
        keep_alive.add(self)
        lower.attach(self)

    # What the end of a link is about.

    @abstractmethod
    def _tell_end(self) -> None:
        """Everything has been delivered: tell of an end, if there is one."""

    @abstractmethod
    def _fail(self, error: Exception) -> None:
        """The stream is broken."""

    @abstractmethod
    def _write_too_late(self) -> None:
        """Something was written after the end."""

    @abstractmethod
    def eof_received(self) -> None:
        """The link below sends no more."""

    @abstractmethod
    def connection_lost(self, error: Exception | None) -> None:
        """The link below is gone."""

    # What is asked of a link.

    @property
    def unsent(self) -> int:
        return self._lower.unsent

    @property
    def gone(self) -> bool:
        return self._lost

    def vouch(self) -> None:
        self._lower.vouch()

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
        self._go_on()
        self.resume_reading()
        return not self._waits() and self._lower.quiet

    def read_now(self) -> None:
        """Nothing lies over a WebSocket."""

    def attach(self, receiver: Receiver) -> None:
        if self._lost:
            self._loop.call_soon(receiver.connection_lost, self._last_error or gone_before_use())
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

    def write(self, data: BytesLike) -> None:
        if data:
            self.write_both(b"", memoryview(data))

    def write_both(self, head: bytes, body: memoryview) -> None:
        """See `Link`. Both are one message, or the beginning of the first of several."""
        if not self._open:
            self._write_too_late()
            return
        largest = self._codec.largest
        while len(head) + len(body) > largest:
            room = largest - len(head)
            self._send_message(head, body[:room])
            head, body = b"", body[room:]
        self._send_message(head, body)

    def _send_message(self, head: bytes, body: memoryview) -> None:
        front, rest = self._codec.message(head, body)
        if rest:
            self._lower.write_both(front, memoryview(rest))
        else:
            self._lower.write(front)

    def beat(self) -> None:
        """See `Beating`. A ping adds nothing to what is on its way already, and its pong is not read while nothing is."""
        if not self._heard and self._reading and self._codec.may_close and not self._lower.unsent:
            self._lower.write(self._codec.ping())
        self._heard = False

    # As the receiver of the link below.

    def data_received(self, data: memoryview) -> None:
        self._heard = True
        if self._reading and self._wake is None:
            self._decode(data)
            if self._codec.ended or self._failure is not None:
                self._tell()
        elif not self._lost and self._ending is None:
            self._keep(data)

    def pause_writing(self) -> None:
        self._receiver.pause_writing()

    def resume_writing(self) -> None:
        self._receiver.resume_writing()

    # Reading.

    def _waits(self) -> bool:
        """Whether there is something to tell the receiver."""
        untold_end = self._codec.ended and not self._read_ended
        return bool(self._raw) or untold_end or self._failure is not None or self._below_end is not None

    def _decode(self, data: memoryview) -> None:
        """Deliver what comes out of `data` while the receiver reads, and keep the rest."""
        codec, size, count = self._codec, len(data), 0
        offset = self._advance(data, 0)
        while offset < size and self._reading and count < CRUMBS:
            payload, offset = codec.take(data, offset, whole=not self.coalesce)
            if payload:
                count += 1
                self._receiver.data_received(memoryview(payload))
            if self._reading:
                offset = self._advance(data, offset)
        if offset < size and not self._lost and self._ending is None:
            self._keep(data[offset:])
            if self._reading:
                self._wake_up()

    def _advance(self, data: memoryview, offset: int) -> int:
        """Where the next payload goes on in `data`; what comes in between is answered."""
        offset = self._codec.advance(data, offset)
        if self._codec.news:
            self._heed()
        return offset

    def _heed(self) -> None:
        """Something else than a payload has come: answer, and learn whether that was the end."""
        codec = self._codec
        codec.news = False
        answers = codec.answers()
        if answers and (self._lower.unsent <= HIGH_WATER or not codec.may_close):
            self._lower.write(answers)
        if codec.error is not None:
            self._log.seldom("websocket", WARN, "WebSocket with %s broken off: %s", self.remote, codec.error)
            self._fail(codec.error)
        elif codec.closed:
            self._open = False
            self._lower.write_eof()

    def _keep(self, data: memoryview) -> None:
        """Let it wait, and read no more below. What has waited before is in memory of its own."""
        if self._raw or not isinstance(data.obj, bytes):
            data = memoryview(b"".join((self._raw, data)))
        self._raw = data
        self._lower.pause_reading()

    def _go_on(self) -> None:
        """Decode what has waited."""
        raw, self._raw = self._raw, NOTHING
        self._decode(raw)

    def _wake_up(self) -> None:
        if self._wake is None and not self._lost:
            self._wake = self._loop.call_soon(self._woken)

    def _woken(self) -> None:
        """Deliver what waits, as far as the receiver reads, then read on below."""
        self._wake = None
        if self._raw and self._reading:
            self._go_on()
        self._tell()
        if self._reading and not self._waits():
            self._lower.resume_reading()

    def _tell(self) -> None:
        """Tell of an end, behind all that came before it."""
        if not (self._raw or self._lost):
            self._tell_end()
