"""What one HTTP/2 connection sends: the bytes of its streams in turns, and what is said about streams, in few writes.

How it goes: what a stream hands over goes into h2, which makes frames of it. The frames are collected, and given to the
lower link in one piece when the turn of the loop, or the batch of events, is over, or when a frame's worth is there.

What always holds:

- A stream sends what its window, the connection's window and the lower link have room for. What waits for the latter two
  waits in line: each stream hands over a frame's worth when its turn comes, so that a busy one does not keep the others
  waiting. What waits for its own window is not in the line.
- A datagram (`coalesce` is off) is one frame, where the window will ever be large enough.
- h2 learns of a stream's end before the event has been looked at. So nothing is said about a stream without a look at
  whether it is open.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hyperframe.frame import GoAwayFrame

from nodepass.log import WARN
from nodepass.transport.http2.frames import BYTES_PER_FRAME, FRAME_SIZE, FRAMES_PER_DATA

if TYPE_CHECKING:
    from h2.connection import H2Connection
    from h2.errors import ErrorCodes
    from h2.stream import H2Stream

    from nodepass.log import Log
    from nodepass.transport.base import Link
    from nodepass.transport.http2.frames import GuardedFrames
    from nodepass.transport.http2.link import Http2Link

MOST_UNSENT = 1024 * 1024
"""Bytes that may wait in the lower link. Streams stop long before; what is more is answers to a peer that reads none."""


class Sender:
    """The sending half of a connection.

    Args:
        h2: the protocol.
        lower: carries the connection.
        frames: what comes from the peer, who earns by what is sent to it.
        log: where to tell of a peer that does not read.
    """

    def __init__(self, h2: H2Connection, lower: Link, frames: GuardedFrames, log: Log) -> None:
        self._loop = asyncio.get_running_loop()
        self._h2 = h2
        self._lower = lower
        self._frames = frames
        self._log = log
        self._waiting: dict[Http2Link, None] = {}
        self._held = False
        self._collecting = False
        self._pumping = False
        self._turn = 0
        self._collected = 0
        self._flushing: asyncio.Handle | None = None
        self._stopped = False

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped = True
        self._waiting.clear()
        if self._flushing is not None:
            self._flushing.cancel()

    # What streams ask for.

    def carry(self, link: Http2Link, data: bytes | bytearray | memoryview) -> int:
        """Send of `data` as much as there is room for; how much that was. Where it is not all, `room` is called later."""
        size = len(data)
        stream = self._open_stream(link.stream_id)
        if stream is None:
            return size
        if not self._pumping and (self._held or self._waiting):
            self._waiting[link] = None
            return 0
        limit = min(size, self._turn) if self._pumping else size
        shared = self._h2.outbound_flow_control_window
        # A stream's window can be below 0: the peer's settings may take back what they gave (RFC 9113, 6.9.2).
        count = max(min(limit, shared, stream.outbound_flow_control_window), 0)
        if count < size:
            by_stream = count < limit and count < shared
            by_connection = count < limit and not by_stream
            if not link.coalesce and not by_connection and size <= self._largest_datagram:
                count = 0
            if not by_stream:
                self._waiting[link] = None
            if not count:
                return 0
        sent = self._send(link, memoryview(data)[:count])
        # Where that was the end of the connection, the link has been told, and keeps nothing.
        return size if self._stopped else sent

    def end(self, stream_id: int) -> None:
        """End the sending direction of a stream."""
        if self._open_stream(stream_id) is not None:
            self._h2.end_stream(stream_id)
            self.flush_soon()

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """End a stream, both ways and at once."""
        if self._open_stream(stream_id) is not None:
            self._h2.reset_stream(stream_id, code)
            self.flush_soon()

    def grant(self, stream_id: int, count: int) -> None:
        """Let the peer send so many bytes more on a stream."""
        if self._open_stream(stream_id) is not None:
            self._h2.increment_flow_control_window(count, stream_id)
            self.flush_soon()

    def answer(self, stream_id: int, headers: list[tuple[str, str]], *, end: bool = False) -> bool:
        """Send an answer's headers, and perhaps its end; whether the stream is open."""
        if self._open_stream(stream_id) is None:
            return False
        self._h2.send_headers(stream_id, headers, end_stream=end)
        self.flush_soon()
        return True

    def in_front_of(self, link: Http2Link) -> object:
        """What a stream waits for that waits in line: it changes when the lower link moves on. None for any other."""
        return self._lower.on_the_way if link in self._waiting else None

    def forget(self, link: Http2Link) -> None:
        """A stream waits for nothing any more."""
        self._waiting.pop(link, None)

    def _open_stream(self, stream_id: int) -> H2Stream | None:
        """h2's side of a stream; None where it is closed."""
        stream = None if self._stopped else self._h2.streams.get(stream_id)
        return None if stream is None or stream.closed else stream

    @property
    def _largest_datagram(self) -> int:
        """Most bytes that are held back until they fit into one frame: no peer need ever open more than half its window."""
        return min(FRAME_SIZE, self._h2.max_outbound_frame_size, self._h2.remote_settings.initial_window_size // 2)

    def _send(self, link: Http2Link, data: memoryview) -> int:
        """Make frames of `data`, until the lower link holds; how many bytes went."""
        h2, frame_size = self._h2, min(FRAME_SIZE, self._h2.max_outbound_frame_size)
        sent, size = 0, len(data)
        while sent < size:
            piece = data[sent : sent + frame_size]
            h2.send_data(link.stream_id, piece)
            sent += len(piece)
            self._collected += len(piece)
            self._frames.earned += FRAMES_PER_DATA + len(piece) // BYTES_PER_FRAME
            if self._pumping:
                self._turn -= len(piece)
            elif self._collected >= FRAME_SIZE:
                self.flush()
                if self._stopped:
                    return sent
                if self._held and sent < size:
                    self._waiting[link] = None
                    return sent
        self.flush_soon()
        return sent

    # Turns.

    def wake(self, link: Http2Link) -> None:
        """A stream's window has opened: if it has more to send, it waits in line."""
        if link.unsent:
            self._waiting[link] = None

    def hold(self) -> None:
        """The lower link has more to send than it should hold."""
        self._held = True

    def go_on(self) -> None:
        """The lower link has room again."""
        self._held = False
        self.pump()
        self.flush()

    def pump(self) -> None:
        """Let those that wait send, a frame's worth each in turn, as long as there is room."""
        self._pumping = True
        while self._waiting and not self._held and self._h2.outbound_flow_control_window > 0:
            link = next(iter(self._waiting))
            del self._waiting[link]
            self._turn = FRAME_SIZE
            link.room()
            if self._collected >= FRAME_SIZE:
                self.flush()
        self._pumping = False

    # Writing.

    def collect(self) -> None:
        """A batch of events begins: what it makes be sent goes out together, with `finish`."""
        self._collecting = True

    def finish(self) -> None:
        """The batch is over."""
        self._collecting = False
        self.pump()
        self.flush()

    def flush_soon(self) -> None:
        """Send what has been collected when this turn of the loop is over."""
        if self._flushing is None and not self._collecting and not self._pumping:
            self._flushing = self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what has been collected."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        self._collected = 0
        data = b"" if self._stopped else self._h2.data_to_send()
        if not data:
            return
        self._lower.write(data)
        if self._lower.unsent > MOST_UNSENT:
            self._log.seldom("http2", WARN, "HTTP/2 with %s: it does not read what it asks for", self._lower.remote)
            self._lower.abort()

    def say_farewell(self) -> None:
        """Send GOAWAY. Not by h2's own: it sends nothing after that, and streams that are there may go on."""
        self.flush()
        self._lower.write(GoAwayFrame(0, last_stream_id=self._h2.highest_inbound_stream_id).serialize())
