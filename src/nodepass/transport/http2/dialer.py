"""The client's side: pool connections are streams of a few HTTP/2 connections, which are opened as they are needed.

A stream is opened on the connection that has the fewest. Another connection is opened when each there is carries `SPREAD`
streams, up to `FEW` connections: one TCP connection is one congestion window, and one lost segment holds up all its
streams; on the other hand, what shares a connection shares reads, writes and TLS records. Beyond these few, more are opened
only when all are full.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from h2.errors import ErrorCodes
from h2.events import ResponseReceived

from nodepass.errors import DialError
from nodepass.transport.base import Dialer
from nodepass.transport.http2.connection import ALPN, Connection
from nodepass.transport.tls_link import TlsLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from h2.events import RemoteSettingsChanged
    from hyperframe.frame import GoAwayFrame

    from nodepass.log import Log
    from nodepass.transport.base import Link

SPREAD = 32
"""Streams that each connection should carry before there is another."""

FEW = 4
"""Connections that are opened before they have to be."""

MOST_CONNECTIONS = 256
"""Connections at a time."""

UNTOLD_STREAMS = 100
"""Streams that a server takes for sure before its settings have come (RFC 9113, 6.5.2: it should not allow fewer)."""

IDLE = 2.0
"""Seconds after which a connection without streams is let go: before a server does it, lest a new stream meet its end."""

HIGHEST_STREAM = 2**31 - 1
"""The last stream of a connection (RFC 9113, 5.1.1)."""

OPENING = b"\x00"
"""First byte of a request's body."""


class Http2Dialer(Dialer):
    """Opens pool connections as streams.

    Args:
        below: opens TLS connections.
        authority: whom the requests name.
        log: where to tell of a server that does not behave.
        workers: processes that the server is, which each are to have connections.
    """

    def __init__(self, below: Dialer, authority: str, log: Log, workers: int = 1) -> None:
        self._below = below
        self._spread, self._few = max(SPREAD // workers, 1), FEW * workers
        self._headers = [(":method", "POST"), (":scheme", "https"), (":authority", authority), (":path", "/stream")]
        self._log = log
        self._carriers: set[_Carrier] = set()
        self._empty = asyncio.Event()
        self._closed = False

    def open(self, opened: Callable[[Link], None], failed: Callable[[Exception], None]) -> Callable[[], None]:
        """See `Dialer`."""
        opening = _Opening(opened, failed)
        carrier = None if self._closed else self._choose()
        if carrier is None:
            opening.fail_soon(DialError("no more HTTP/2 connections are opened"))
        else:
            carrier.carry(opening)
        return opening.cancel

    def close(self) -> None:
        """See `Dialer`."""
        self._closed = True
        for carrier in tuple(self._carriers):
            carrier.close()

    def abort(self) -> None:
        """See `Dialer`."""
        self._closed = True
        for carrier in tuple(self._carriers):
            carrier.abort()

    async def departed(self) -> None:
        """See `Dialer`."""
        if self._carriers:
            await self._empty.wait()

    def _ended(self, carrier: _Carrier) -> None:
        self._carriers.discard(carrier)
        if not self._carriers:
            self._empty.set()

    def _choose(self) -> _Carrier | None:
        """The connection for the next stream: the one with the fewest, or a new one; None where there must be no more."""
        usable = [carrier for carrier in self._carriers if not carrier.closing]
        best = min(usable, key=lambda carrier: (carrier.full, carrier.load), default=None)
        if best is not None and not best.full and (best.load < self._spread or len(usable) >= self._few):
            return best
        if len(self._carriers) < MOST_CONNECTIONS:
            best = _Carrier(self._below, self._headers, self._log, self._ended)
            self._carriers.add(best)
            self._empty.clear()
            return best
        return None if best is None or best.full else best


class _Opening:
    """One pool connection on the way."""

    __slots__ = ("_handle", "_link", "_loop", "_opened", "failed", "left")

    def __init__(self, opened: Callable[[Link], None], failed: Callable[[Exception], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._opened = opened
        self.failed = failed
        self._handle: asyncio.Handle | None = None
        self._link: Link | None = None
        self.left: Callable[[_Opening], object] | None = None
        """Tells the connection it waits for that it does not any more."""

    def begin(self, link: Link) -> None:
        """It has its stream."""
        self._link = link
        self._handle = self._loop.call_soon(self._opened, link)

    def fail_soon(self, error: Exception) -> None:
        """It cannot have one."""
        self._handle = self._loop.call_soon(self.failed, error)

    def cancel(self) -> None:
        """Give up; nothing is called any more."""
        if self.left is not None:
            self.left(self)
            self.left = None
        if self._handle is not None:
            self._handle.cancel()
        if self._link is not None:
            self._link.abort()


class _Carrier:
    """One connection, from the time it is dialled.

    Args:
        below: opens TLS connections.
        headers: of the requests.
        log: see `Http2Dialer`.
        ended: called once when there is no connection any more.
    """

    def __init__(self, below: Dialer, headers: list[tuple[str, str]], log: Log, ended: Callable[[_Carrier], None]) -> None:
        self._headers = headers
        self._log = log
        self._ended = ended
        self._waiting: dict[_Opening, None] = {}
        self._connection: _ClientConnection | None = None
        self._closed = False
        self._cancel = below.open(self._encrypted, self._failed)

    @property
    def closing(self) -> bool:
        """Whether it opens no more streams."""
        return self._closed or (self._connection is not None and self._connection.closing)

    @property
    def load(self) -> int:
        """Streams that it carries, or will."""
        return len(self._waiting) if self._connection is None else self._connection.streams

    @property
    def full(self) -> bool:
        """Whether the server allows no more streams now."""
        return self.load >= (UNTOLD_STREAMS if self._connection is None else self._connection.most_streams)

    def carry(self, opening: _Opening) -> None:
        """Open a stream, now or as soon as the connection is up."""
        if self._connection is None:
            self._waiting[opening] = None
            opening.left = self._waiting.pop
        else:
            opening.begin(self._connection.open_stream())

    def close(self) -> None:
        """Carry no more; go when nothing is carried any more."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()
        elif not self._waiting:
            self._cancel()
            self._ended(self)

    def abort(self) -> None:
        """Go now."""
        self._closed = True
        if self._connection is not None:
            self._connection.abort()
        else:
            self._cancel()
            self._failed(DialError("no more connections are opened"))

    def _encrypted(self, lower: Link) -> None:
        if not isinstance(lower, TlsLink) or lower.alpn != ALPN:
            lower.close()
            self._failed(DialError("the server does not speak HTTP/2"))
            return
        connection = _ClientConnection(lower, self._headers, self._log, lambda _: self._ended(self))
        connection.begin()
        self._connection = connection
        while self._waiting and not connection.closing:
            self._next().begin(connection.open_stream())
        self._fail_waiting(DialError("the connection broke as soon as it was up"))
        if self._closed:
            connection.close()

    def _failed(self, error: Exception) -> None:
        self._ended(self)
        self._fail_waiting(error)

    def _fail_waiting(self, error: Exception) -> None:
        while self._waiting:
            self._next().failed(error)

    def _next(self) -> _Opening:
        """The next that waits, and does not any more."""
        opening = next(iter(self._waiting))
        del self._waiting[opening]
        opening.left = None
        return opening


class _ClientConnection(Connection):
    """The client's end of a connection.

    Args:
        lower: with TLS set up.
        headers: of the requests.
        log: see `Http2Dialer`.
        ended: see `Connection`.
    """

    def __init__(self, lower: Link, headers: list[tuple[str, str]], log: Log, ended: Callable[[Connection], None]) -> None:
        super().__init__(lower, client=True, most_streams=0, idle=IDLE, log=log, ended=ended)
        self._headers = headers
        self._handlers[ResponseReceived] = self._on_response
        self.most_streams = UNTOLD_STREAMS
        """Streams that the server allows."""

    def open_stream(self) -> Link:
        """Ask for a pool connection."""
        stream_id = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream_id, self._headers)
        link = self._add(stream_id)
        self._serves()
        self.sender.flush_soon()
        link.write(OPENING)
        if stream_id == HIGHEST_STREAM:
            self.close()
        return link

    def _on_settings(self, event: RemoteSettingsChanged) -> None:
        self.most_streams = self._h2.remote_settings.max_concurrent_streams
        super()._on_settings(event)

    def _on_response(self, event: ResponseReceived) -> None:
        status = dict(event.headers).get(b":status", b"")
        if status != b"200":
            self._break(event.stream_id, f"the server answered {status.decode('ascii', 'replace')}")

    def _on_farewell(self, frame: GoAwayFrame) -> None:
        for stream_id in [number for number in self._links if number > frame.last_stream_id]:
            self._break(stream_id, "the server takes no more streams on this connection")
        super()._on_farewell(frame)

    def _break(self, stream_id: int, reason: str) -> None:
        """A stream comes to nothing."""
        link = self._links.get(stream_id)
        if link is not None:
            self.sender.reset(stream_id, ErrorCodes.CANCEL)
            link.peer_reset(DialError(reason))
