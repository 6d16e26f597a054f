"""One HTTP/2 connection over a TLS link, each of whose streams is a link: what both ends have in common.

How it goes: the lower link's bytes go into h2, which gives events; each is handed to the stream it is about. What the
streams write goes into h2, which makes frames of it; they are collected, and given to the lower link in one piece when the
turn of the loop, or the batch of events, is over, or when a frame's worth has come together.

What always holds:

- A stream sends what its window, the connection's window and the lower link have room for. What waits for the latter two
  waits in line (`_waiting`): each stream hands over a frame's worth when its turn comes, so that a busy one does not keep
  the others waiting.
- The peer may send what the streams' own windows allow; the connection's window never counts. So a stream that is read
  slowly holds up itself only, and memory is bounded by the number of streams.
- A datagram (`coalesce` is off) is one frame, where the window will ever be large enough.
- Whatever the peer sends, at worst this connection ends, with GOAWAY, and its streams with it.
- A connection that nobody needs leaves in order: it says so and ends its direction, and only then the TCP connection is
  closed. To close it at once could destroy what is still on its way to the peer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RemoteSettingsChanged, StreamEnded, StreamReset, WindowUpdated
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from nodepass.log import WARN
from nodepass.policy.receive_window import SMALLEST, largest_of
from nodepass.transport.base import LINGER
from nodepass.transport.http2.frames import (
    BYTES_PER_FRAME,
    FRAME_SIZE,
    FRAMES_PER_DATA,
    FRAMES_PER_STREAM,
    GuardedFrames,
)
from nodepass.transport.http2.link import Http2Link

if TYPE_CHECKING:
    from collections.abc import Callable

    from h2.events import Event
    from h2.stream import H2Stream

    from nodepass.log import Log
    from nodepass.transport.base import Link

ALPN = "h2"
"""What TLS agrees on (RFC 9113, 3.2)."""

LARGEST_HEADERS = 16 * 1024
"""Most bytes of a request's or an answer's headers, decoded."""

LARGEST_WINDOW = 2**31 - 1
"""The largest window there is (RFC 9113, 6.9.1): that of the connection."""

FIRST_WINDOW = 2**16 - 1
"""What a connection's window begins with."""

CLOSED = frozenset({ErrorCodes.NO_ERROR, ErrorCodes.CANCEL})
"""With these, a peer that resets a stream has closed it. See `link`."""

MOST_UNSENT = 1024 * 1024
"""Bytes that may wait in the lower link. Streams stop long before; what is more is answers to a peer that reads none."""


class Connection:
    """One end of a connection.

    Args:
        lower: with TLS set up; nobody else's.
        client: whether this end is the client's.
        most_streams: that the peer may open.
        idle: seconds after which a connection without streams leaves.
        log: where to tell why it ended.
        ended: called once when it is gone.
    """

    def __init__(
        self,
        lower: Link,
        *,
        client: bool,
        most_streams: int,
        idle: float,
        log: Log,
        ended: Callable[[Connection], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.lower = lower
        self._idle = idle
        self._log = log
        self._ended = ended
        self._links: dict[int, Http2Link] = {}
        self._frames = GuardedFrames(
            server=not client, streams=self._links, clock=self._loop.time, farewell=self._keep_farewell
        )
        self._h2 = _machine(client, most_streams, self._frames)
        self._handlers: dict[type[Event], Callable[..., None]] = {
            DataReceived: self._on_data,
            StreamEnded: self._on_stream_ended,
            StreamReset: self._on_stream_reset,
            WindowUpdated: self._on_window,
            RemoteSettingsChanged: self._on_settings,
        }
        self._waiting: dict[Http2Link, None] = {}
        self._held = False
        self._pumping = False
        self._turn = 0
        self._in_batch = False
        self._collected = 0
        self._flushing: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unreturned = 0
        self._farewell: GoAwayFrame | None = None
        self._gone = False
        self._left = False
        self.closing = False
        """Whether no more streams are opened here."""

    # Its life.

    def begin(self) -> None:
        """Say what this end's settings are, and begin to read."""
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(LARGEST_WINDOW - FIRST_WINDOW)
        self._timer = self._loop.call_later(self._idle, self._leave)
        self._flush()
        if not self._gone:
            self.lower.attach(self)

    def close(self) -> None:
        """Take or open no more streams; leave when the last is gone."""
        if self.closing:
            return
        self.closing = True
        if self._links:
            self._say_farewell()
        else:
            self._leave()

    def abort(self) -> None:
        """Break it now, with all its streams."""
        self._end(ConnectionAbortedError("the HTTP/2 connection was closed"))
        self.lower.abort()

    def _leave(self) -> None:
        """Nobody needs this connection: say so, and wait for the peer to close it, for a while."""
        if self._left or self._gone:
            return
        self._say_farewell()
        self._left = self.closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(LINGER, self.lower.abort)
        self.lower.write_eof()

    def _say_farewell(self) -> None:
        """Send GOAWAY. Not by h2's own: it sends nothing after that, and streams that are there may go on."""
        self._flush()
        if not self._gone and not self._left:
            self.lower.write(GoAwayFrame(0, last_stream_id=self._h2.highest_inbound_stream_id).serialize())

    def _fail(self, error: Exception) -> None:
        """The peer is not to be dealt with any more."""
        reason = str(error) or type(error).__name__
        self._log.seldom("http2", WARN, "HTTP/2 with %s: %s", self.lower.remote, reason)
        self._flush()
        self._end(ConnectionResetError(f"HTTP/2: {reason}"))
        self.lower.close()

    def _end(self, error: Exception) -> None:
        """It is gone, and the streams that were not over are broken."""
        if self._gone:
            return
        self._gone = self.closing = True
        for handle in (self._timer, self._flushing):
            if handle is not None:
                handle.cancel()
        self._waiting.clear()
        links = tuple(self._links.values())
        self._links.clear()
        for link in links:
            link.connection_failed(error)
        self._ended(self)

    # What streams ask for.

    @property
    def streams(self) -> int:
        """Streams that are not over."""
        return len(self._links)

    @property
    def largest_window(self) -> int:
        """Most bytes of one stream's window now."""
        return largest_of(len(self._links))

    def carry(self, link: Http2Link, data: bytes | bytearray | memoryview) -> int:
        """Send of `data` as much as there is room for; how much that was. Where it is not all, `room` is called later."""
        size = len(data)
        stream = self._stream(link.stream_id)
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
        if self._is_gone():
            return size
        if sent < count:
            self._waiting[link] = None
        return sent

    def _is_gone(self) -> bool:
        """Whether it is gone by now: sending may have been the end of it."""
        return self._gone

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
                self._flush()
                if self._held or self._gone:
                    return sent
        self._flush_soon()
        return sent

    def end(self, link: Http2Link) -> None:
        """End the sending direction of a stream."""
        if self._stream(link.stream_id) is not None:
            self._h2.end_stream(link.stream_id)
            self._flush_soon()

    def reset(self, link: Http2Link, code: ErrorCodes) -> None:
        """Break a stream."""
        self._reset(link.stream_id, code)

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        if self._stream(stream_id) is not None:
            self._h2.reset_stream(stream_id, code)
            self._flush_soon()

    def grant(self, link: Http2Link, count: int) -> None:
        """Let the peer send so many bytes more on a stream."""
        if self._stream(link.stream_id) is not None:
            self._h2.increment_flow_control_window(count, link.stream_id)
            self._flush_soon()

    def _stream(self, stream_id: int) -> H2Stream | None:
        """h2's side of a stream; None where it is closed. h2 may know that before the event has been looked at."""
        stream = None if self._gone else self._h2.streams.get(stream_id)
        return None if stream is None or stream.closed else stream

    def forget(self, link: Http2Link) -> None:
        """A stream is over, both ways."""
        self._waiting.pop(link, None)
        if self._links.pop(link.stream_id, None) is None or self._links:
            return
        if self.closing:
            self._leave()
        else:
            self._timer = self._loop.call_later(self._idle, self._leave)

    def _add(self, stream_id: int) -> Http2Link:
        """A stream has been opened."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        link = self._links[stream_id] = Http2Link(self, stream_id)
        return link

    def _serves(self) -> None:
        """A stream carries a pool connection: the peer may say some things about it."""
        self._frames.earned += FRAMES_PER_STREAM

    # Sending.

    def _flush_soon(self) -> None:
        """Send what has been collected when this turn of the loop, or this batch, is over."""
        if self._flushing is None and not self._in_batch and not self._pumping:
            self._flushing = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        self._collected = 0
        if self._gone or self._left:
            return
        data = self._h2.data_to_send()
        if data:
            self.lower.write(data)
            if self.lower.unsent > MOST_UNSENT:
                self._log.seldom("http2", WARN, "HTTP/2 with %s: it does not read what it asks for", self.lower.remote)
                self.lower.abort()

    def _pump(self) -> None:
        """Let those that wait send, a frame's worth each in turn, as long as there is room."""
        self._pumping = True
        while self._waiting and not self._held and not self._gone and self._h2.outbound_flow_control_window > 0:
            link = next(iter(self._waiting))
            del self._waiting[link]
            self._turn = FRAME_SIZE
            link.room()
            if self._collected >= FRAME_SIZE:
                self._flush()
        self._pumping = False

    # As the lower link's receiver.

    def data_received(self, data: memoryview) -> None:
        if self._left:
            return
        try:
            events = self._h2.receive_data(data)
        except Exception as error:  # noqa: BLE001 - whatever the library makes of a peer's bytes concerns this peer only
            self._fail(error)
            return
        self._in_batch = True
        for event in events:
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(event)
                if self._gone or self._left:
                    break
        self._in_batch = False
        farewell, self._farewell = self._farewell, None
        if farewell is not None:
            self._on_farewell(farewell)
        if self._waiting:
            self._pump()
        self._flush()

    def eof_received(self) -> None:
        self._end(ConnectionResetError("HTTP/2: the peer closed the connection"))
        self.lower.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or ConnectionResetError("HTTP/2: the connection was closed"))

    def pause_writing(self) -> None:
        self._held = True

    def resume_writing(self) -> None:
        self._held = False
        self._pump()
        self._flush()

    # Events.

    def _keep_farewell(self, frame: GoAwayFrame) -> None:
        """GOAWAY has come: it is looked at when all that came before it has been."""
        self._farewell = frame

    def _on_farewell(self, frame: GoAwayFrame) -> None:
        """The peer wants this connection to end."""
        self.closing = True
        if frame.error_code:
            text = f"it ended the connection, {_name(frame.error_code)}"
            self._log.seldom("http2 farewell", WARN, "HTTP/2 with %s: %s", self.lower.remote, text)
        if not self._links:
            self._leave()

    def _on_data(self, event: DataReceived) -> None:
        self._received(event, event.data)

    def _received(self, event: DataReceived, data: bytes) -> None:
        """Hand `data` to its stream, and open the connection's window again for all that the frame was."""
        size = event.flow_controlled_length
        self._unreturned += size
        if self._unreturned > LARGEST_WINDOW // 2:
            self._h2.increment_flow_control_window(self._unreturned)
            self._unreturned = 0
        link = self._links.get(event.stream_id)
        if link is None:
            return
        if size > len(data):
            link.padded(size - len(data))
        if data:
            link.received(data)

    def _on_stream_ended(self, event: StreamEnded) -> None:
        link = self._links.get(event.stream_id)
        if link is not None:
            link.peer_ended()

    def _on_stream_reset(self, event: StreamReset) -> None:
        link = self._links.get(event.stream_id)
        if link is None:
            return
        code = event.error_code or ErrorCodes.NO_ERROR
        error = ConnectionResetError(f"the stream was reset: {_name(code)}")
        if code in CLOSED:
            link.peer_closed(error)
        else:
            link.peer_reset(error)

    def _on_window(self, event: WindowUpdated) -> None:
        link = self._links.get(event.stream_id)
        if link is not None and link.unsent:
            self._waiting[link] = None

    def _on_settings(self, _: RemoteSettingsChanged) -> None:
        """The windows of all streams may have changed."""
        self._waiting.update((link, None) for link in self._links.values() if link.unsent)


def _name(code: int) -> str:
    """What an error code is called (RFC 9113, 7)."""
    try:
        return ErrorCodes(code).name
    except ValueError:
        return f"code {code}"


def _machine(client: bool, most_streams: int, frames: GuardedFrames) -> H2Connection:
    """The protocol, with this project's settings."""
    h2 = H2Connection(H2Configuration(client_side=client))
    h2.local_settings = Settings(
        client=client,
        initial_values={
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.INITIAL_WINDOW_SIZE: SMALLEST,
            SettingCodes.MAX_FRAME_SIZE: FRAME_SIZE,
            SettingCodes.MAX_HEADER_LIST_SIZE: LARGEST_HEADERS,
            SettingCodes.MAX_CONCURRENT_STREAMS: most_streams,
        },
    )
    # These two h2 has taken from the settings that it began with.
    h2.max_inbound_frame_size = FRAME_SIZE
    h2.decoder.max_header_list_size = LARGEST_HEADERS
    h2.incoming_buffer = frames
    return h2
