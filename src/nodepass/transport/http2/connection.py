"""One HTTP/2 connection over a TLS link, each of whose streams is a link: what both ends have in common.

How it goes: the lower link's bytes go into h2, which gives events; each is handed to the stream it is about. What is sent
is the `Sender`'s.

What always holds:

- The peer may send what the streams' own windows allow; the connection's window never counts. So a stream that is read
  slowly holds up itself only, and memory is bounded by the number of streams.
- Whatever the peer sends, at worst this connection ends, with GOAWAY, and its streams with it.
- A connection that nobody needs leaves in order: it says so and ends its direction, and only then the TCP connection is
  closed. To close it at once could destroy what is still on its way to the peer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from h2.errors import ErrorCodes
from h2.events import DataReceived, RemoteSettingsChanged, StreamEnded, StreamReset, WindowUpdated

from nodepass.log import WARN
from nodepass.policy.receive_window import SHARED, largest_of
from nodepass.transport.base import LINGER
from nodepass.transport.http2.frames import FRAMES_PER_STREAM, GuardedFrames
from nodepass.transport.http2.link import Http2Link
from nodepass.transport.http2.protocol import LARGEST_WINDOW, begin_protocol, make_protocol
from nodepass.transport.http2.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from h2.events import Event
    from hyperframe.frame import GoAwayFrame

    from nodepass.log import Log
    from nodepass.transport.base import Link

ALPN = "h2"
"""What TLS agrees on (RFC 9113, 3.2)."""

CLOSED = frozenset({ErrorCodes.NO_ERROR, ErrorCodes.CANCEL})
"""With these, a peer that resets a stream has closed it. See `link`."""


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
        self._h2 = make_protocol(self._frames, client=client, most_streams=most_streams)
        self._handlers: dict[type[Event], Callable[..., None]] = {
            DataReceived: self._on_data,
            StreamEnded: self._on_stream_ended,
            StreamReset: self._on_stream_reset,
            WindowUpdated: self._on_window,
            RemoteSettingsChanged: self._on_settings,
        }
        self.sender = Sender(self._h2, lower, self._frames, log)
        self._timer: asyncio.TimerHandle | None = None
        self._unreturned = 0
        self._farewell: GoAwayFrame | None = None
        self._gone = False
        self._left = False
        self.windows_left = SHARED
        self.closing = False
        """Whether no more streams are opened here."""

    # Its life.

    def vouch(self) -> None:
        """The peer has proved who it is."""
        self.lower.vouch()

    def begin(self) -> None:
        """Say what this end's settings are, and begin to read."""
        begin_protocol(self._h2)
        self._timer = self._loop.call_later(self._idle, self._leave)
        self.sender.flush()
        self.lower.attach(self)

    def close(self) -> None:
        """Take or open no more streams; leave when the last is gone."""
        if self.closing:
            return
        self.closing = True
        if self._links:
            self.sender.say_farewell()
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
        self._left = self.closing = True
        self.sender.say_farewell()
        self.sender.stop()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(LINGER, self.lower.abort)
        self.lower.write_eof()

    def _fail(self, error: Exception) -> None:
        """The peer is not to be dealt with any more."""
        reason = str(error) or type(error).__name__
        self._log.seldom("http2", WARN, "HTTP/2 with %s: %s", self.lower.remote, reason)
        self.sender.flush()
        self._end(ConnectionResetError(f"HTTP/2: {reason}"))
        self.lower.close()

    def _end(self, error: Exception) -> None:
        """It is gone, and the streams that were not over are broken."""
        if self._gone:
            return
        self._gone = self.closing = True
        self.sender.stop()
        if self._timer is not None:
            self._timer.cancel()
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

    def forget(self, link: Http2Link) -> None:
        """A stream is over, both ways."""
        self.sender.forget(link)
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

    # As the lower link's receiver.

    def data_received(self, data: memoryview) -> None:
        if self._left:
            return
        try:
            events = self._h2.receive_data(data)
        except Exception as error:  # noqa: BLE001 - whatever the library makes of a peer's bytes concerns this peer only
            self._fail(error)
            return
        self.sender.collect()
        for event in events:
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(event)
                if self._gone or self._left:
                    break
        farewell, self._farewell = self._farewell, None
        if farewell is not None:
            self._on_farewell(farewell)
        self.sender.finish()

    def eof_received(self) -> None:
        self._end(ConnectionResetError("HTTP/2: the peer closed the connection"))
        self.lower.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or ConnectionResetError("HTTP/2: the connection was closed"))

    def pause_writing(self) -> None:
        self.sender.hold()

    def resume_writing(self) -> None:
        self.sender.go_on()

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
        if link is not None:
            self.sender.wake(link)

    def _on_settings(self, _: RemoteSettingsChanged) -> None:
        """The windows of all streams may have changed."""
        for link in self._links.values():
            self.sender.wake(link)


def _name(code: int) -> str:
    """What an error code is called (RFC 9113, 7)."""
    try:
        return ErrorCodes(code).name
    except ValueError:
        return f"code {code}"
