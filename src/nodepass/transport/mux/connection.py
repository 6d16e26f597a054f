"""One connection that several users share: streams over a link, in yamux's framing.

What always holds:

- A stream has a number of its own, which is not used again. Each side opens those of its parity, in rising order.
- A peer that sends what is no frame, more than a window, or a stream that it may not open, is not dealt with any more: all
  streams of the connection break. What concerns a stream that is over is ignored: it may have crossed our end of it.
- A stream that is read slowly holds up itself only: its window closes, and the connection is read on.
- Where nothing is heard on a connection for `SILENT_INTERVALS`, it is given up, although the control channel is well.
- A connection that is closed takes and opens no more streams, and ends with the last of them. It is read until the other
  end has closed it, too: what came on a socket that is closed would have the system throw away what was sent last.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nodepass.errors import FrameError, SilenceError
from nodepass.log import WARN
from nodepass.policy.receive_window import SHARED, largest_of
from nodepass.protocol.yamux import ACK, FIN, RST, SYN, FrameReader, GoAway, go_away, ping, pong, window_update
from nodepass.transport.base import LINGER
from nodepass.transport.mux.link import MuxLink
from nodepass.transport.mux.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.log import Log
    from nodepass.transport.base import Link

SILENT_INTERVALS: Final = 3
"""Intervals in which nothing is heard after which a connection is dead."""

LAST_ID: Final = 2**32 - 1
"""The largest number that a stream can have."""

MOST_STREAMS: Final = 65536
"""Streams that a peer may have open at a time on one connection."""


class MuxConnection:
    """One end of it.

    Args:
        lower: carries it.
        dialled: whether this end opened the lower link: its streams have odd numbers then.
        accepted: called with each stream that the peer opens; None where it may not open any.
        ended: called once when it carries and takes nobody any more.
        departed: called once when it is gone, with all it had to send.
        interval: seconds after which a silent peer is asked for a sign of life.
        log: of the instance.
    """

    def __init__(
        self,
        lower: Link,
        *,
        dialled: bool,
        accepted: Callable[[MuxLink], None] | None,
        ended: Callable[[MuxConnection], None],
        departed: Callable[[MuxConnection], None],
        interval: float,
        log: Log,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._accepted = accepted
        self._ended = ended
        self._departed = departed
        self._interval = interval
        self._log = log
        self._reader = FrameReader(self)
        self._links: dict[int, MuxLink] = {}
        self._next_id = 1 if dialled else 2
        self._last_accepted = 0 if dialled else -1
        self._heard = False
        self._silent = 0
        self._timer = self._loop.call_later(interval, self._beat)
        self._gone = False
        self.lower = lower
        self.sender = Sender(lower, log)
        self.windows_left = SHARED
        self.closing = False
        """Whether no more streams are opened here."""
        self.fell_silent = False
        """Whether it was given up because nothing was heard."""

    # Its life.

    def begin(self, early: bytes) -> None:
        """Begin to read; `early` has been read already."""
        self.lower.coalesce = True
        self.lower.attach(self)
        if early:
            self.data_received(memoryview(early))

    def open(self) -> MuxLink:
        """Open a stream. The peer hears of it with the first that is said on it."""
        link = MuxLink(self, self._next_id, opened_here=True)
        self._links[self._next_id] = link
        self._next_id += 2
        if self._next_id > LAST_ID:
            self.close()
        return link

    def close(self) -> None:
        """Take and open no more streams; the connection ends with the last of them."""
        if self.closing:
            return
        self.closing = True
        self.sender.say(go_away(GoAway.NORMAL))
        if not self._links:
            self._leave()

    def abort(self) -> None:
        """Break it now, with all its streams."""
        self._end(ConnectionAbortedError("the connection that users share was closed"))
        self.lower.abort()

    @property
    def streams(self) -> int:
        """Streams that are not over."""
        return len(self._links)

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._gone

    @property
    def largest_window(self) -> int:
        """Most bytes of one stream's window now."""
        return largest_of(len(self._links))

    def forget(self, link: MuxLink) -> None:
        """A stream is over, both ways."""
        self.sender.forget(link)
        self._links.pop(link.stream_id, None)
        if self.closing and not self._links:
            self._leave()

    def _leave(self) -> None:
        """Nobody needs it any more."""
        if not self._gone:
            self.sender.flush()
            self._end(None)
            self._timer = self._loop.call_later(LINGER, self.lower.abort)
            self.lower.write_eof()

    def _end(self, error: Exception | None) -> None:
        if self._gone:
            return
        self._gone = self.closing = True
        self._timer.cancel()
        self.sender.stop()
        links = tuple(self._links.values())
        self._links.clear()
        for link in links:
            link.connection_failed(error)
        self._ended(self)

    def _fail(self, error: FrameError) -> None:
        """The peer is not to be dealt with any more."""
        self._log.seldom("mux", WARN, "A shared connection with %s is closed: %s", self.lower.remote, error)
        self.sender.say(go_away(GoAway.PROTOCOL_ERROR))
        self.sender.flush()
        self._end(ConnectionResetError(f"the connection that carried it was closed: {error}"))
        self.lower.close()

    # Signs of life.

    def _beat(self) -> None:
        """Once every interval."""
        self._silent = 0 if self._heard else self._silent + 1
        self._heard = False
        if self._silent >= SILENT_INTERVALS:
            # This loop may have been busy: what has come meanwhile is read before the end of the next turn.
            self._loop.call_soon(self._loop.call_soon, self._give_up)
            return
        if self._silent:
            self.sender.say(ping(self._silent))
        self._timer = self._loop.call_later(self._interval, self._beat)

    def _give_up(self) -> None:
        if self._gone:
            return
        if self._heard:
            self._timer = self._loop.call_later(self._interval, self._beat)
            return
        self.fell_silent = True
        silence = SILENT_INTERVALS * self._interval
        error = SilenceError(f"nothing was heard for {silence:g} s on a connection that users share")
        self._log.seldom("mux", WARN, "A shared connection with %s is given up: %s", self.lower.remote, error)
        self._end(error)
        self.lower.abort()

    # As the lower link's receiver.

    def data_received(self, data: memoryview) -> None:
        if self._gone:
            return
        self._heard = True
        try:
            self._reader.feed(data)
        except FrameError as error:
            self._fail(error)

    def eof_received(self) -> None:
        self._end(ConnectionResetError("the connection that carried it was closed"))
        self.lower.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or ConnectionResetError("the connection that carried it was closed"))
        self._timer.cancel()
        self._departed(self)

    def pause_writing(self) -> None:
        self.sender.hold()

    def resume_writing(self) -> None:
        self.sender.go_on()

    # As the reader's handler.

    def on_data(self, stream_id: int, flags: int, length: int) -> Callable[[memoryview], None] | None:
        link = self._links.get(stream_id)
        if link is None:
            if not flags & SYN or not self._may_open(stream_id):
                return None
            link = self._take(stream_id)
        link.expect(length)
        return link.received

    def on_whole_data(self, stream_id: int, flags: int, payload: memoryview) -> None:
        link = self._links.get(stream_id)
        if link is None:
            if not flags & SYN or not self._may_open(stream_id):
                return
            link = self._take(stream_id)
        link.arrived(payload)

    def on_data_end(self, stream_id: int, flags: int) -> None:
        link = self._links.get(stream_id)
        if link is None:
            return
        if flags & RST:
            link.peer_reset(ConnectionResetError("the other end broke it"))
        elif flags & FIN:
            link.peer_ended()

    def on_window_update(self, stream_id: int, flags: int, delta: int) -> None:
        link = self._links.get(stream_id)
        if link is None:
            if not flags & SYN or not self._may_open(stream_id):
                return
            link = self._take(stream_id)
        if delta:
            link.granted(delta)
        self.on_data_end(stream_id, flags)

    def on_ping(self, flags: int, value: int) -> None:
        if flags & SYN and not flags & ACK:
            self.sender.say(pong(value))

    def on_go_away(self, reason: int) -> None:
        if reason != GoAway.NORMAL:
            raise FrameError(f"the other end has given up, with code {reason}")
        self.closing = True
        if not self._links:
            self._leave()

    def _may_open(self, stream_id: int) -> bool:
        """Whether the peer's new stream is taken; it is told where it is not.

        Raises:
            FrameError: it may open none, or none of this number.
        """
        if self._accepted is None:
            raise FrameError("a stream was opened where none is taken")
        if stream_id <= self._last_accepted or stream_id % 2 == self._next_id % 2 or not stream_id:
            raise FrameError(f"a stream of the number {stream_id}, which is not the next")
        self._last_accepted = stream_id
        if self.closing or len(self._links) >= MOST_STREAMS:
            self.sender.say(window_update(stream_id, 0, RST))
            return False
        return True

    def _take(self, stream_id: int) -> MuxLink:
        link = self._links[stream_id] = MuxLink(self, stream_id, opened_here=False)
        if self._accepted is not None:
            self._accepted(link)
        return link
