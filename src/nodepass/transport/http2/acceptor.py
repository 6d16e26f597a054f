"""The server's side: HTTP/2 connections whose streams become pool connections."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from h2.errors import ErrorCodes
from h2.events import RequestReceived

from nodepass.log import WARN
from nodepass.policy.newcomers import Newcomers
from nodepass.transport.base import Acceptor
from nodepass.transport.http2.connection import ALPN, Connection
from nodepass.transport.tls_link import TlsLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from h2.events import DataReceived, StreamEnded

    from nodepass.log import Log
    from nodepass.transport.base import Link
    from nodepass.transport.http2.link import Http2Link

METHOD, PATH = b"POST", b"/stream"
"""Of a request that opens a pool connection."""

OPENING = b"\x00"
"""First byte of its body."""

FEWEST_STREAMS, MOST_STREAMS = 100, 250
"""Streams of one connection. Clients take the former for granted until the server's settings have come (RFC 9113, 6.5.2);
one with more to do opens another connection, which is good for it: one TCP connection is one congestion window."""

MOST_CONNECTIONS = 256
"""Connections of clients at a time: with all their streams, as many as there are slots for users unless they are set."""

MOST_STRANGERS = 256
"""Connections on which nobody has proved who it is."""


class Http2Acceptor(Acceptor):
    """Takes TLS connections for HTTP/2 connections, and their streams for pool connections.

    Args:
        accepted: called with each pool connection that has sent its opening byte.
        most: pool connections that a client may keep.
        timeout: seconds a stream has to send its opening byte, and a connection to open a stream.
        log: where to tell of peers that do not behave.
    """

    def __init__(self, accepted: Callable[[Link], None], most: int, timeout: float, log: Log) -> None:
        self._accepted = accepted
        self._most_streams = max(FEWEST_STREAMS, min(most + 1, MOST_STREAMS))
        self._timeout = timeout
        self._log = log
        self._connections: set[Connection] = set()
        self._strangers: Newcomers[Connection] = Newcomers(MOST_STRANGERS, self._push_out)
        self._empty = asyncio.Event()

    def accept(self, lower: Link, early: bytes) -> None:
        """See `Acceptor`. Nothing comes early where TLS comes first."""
        if not isinstance(lower, TlsLink) or lower.alpn != ALPN:
            self._log.seldom("http2 alpn", WARN, "Refused %s: its TLS does not ask for HTTP/2", lower.remote)
            lower.close()
        elif len(self._connections) - len(self._strangers) >= MOST_CONNECTIONS:
            self._log.seldom("http2 full", WARN, "Refused %s: there are %d connections", lower.remote, MOST_CONNECTIONS)
            lower.close()
        else:
            self._take(_ServerConnection(lower, self, self._most_streams, self._timeout, self._log))

    def _take(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._empty.clear()
        self._strangers.enter(connection.lower.remote.ip, connection)
        connection.begin()

    def _push_out(self, connection: Connection) -> None:
        peer = connection.lower.remote
        self._log.seldom("http2 strangers", WARN, "Too many HTTP/2 connections prove nothing: dropped %s", peer)
        connection.abort()

    def close(self) -> None:
        """See `Acceptor`."""
        for connection in tuple(self._connections):
            connection.close()

    def abort(self) -> None:
        """See `Acceptor`."""
        for connection in tuple(self._connections):
            connection.abort()

    async def departed(self) -> None:
        """See `Acceptor`."""
        if self._connections:
            await self._empty.wait()

    # What connections tell.

    def accepted(self, link: Http2Link) -> None:
        """A stream has sent its opening byte."""
        self._accepted(link)

    def vouched(self, connection: Connection) -> None:
        """The peer has proved who it is."""
        self._strangers.leave(connection.lower.remote.ip, connection)

    def ended(self, connection: Connection) -> None:
        """It is gone."""
        self.vouched(connection)
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()


class _ServerConnection(Connection):
    """The server's end of a connection.

    Args:
        lower: with TLS set up.
        acceptor: hears of it.
        most_streams: that the client may open.
        timeout: see `Http2Acceptor`.
        log: see `Http2Acceptor`.
    """

    def __init__(
        self,
        lower: Link,
        acceptor: Http2Acceptor,
        most_streams: int,
        timeout: float,
        log: Log,
    ) -> None:
        super().__init__(lower, client=False, most_streams=most_streams, idle=timeout, log=log, ended=acceptor.ended)
        self._acceptor = acceptor
        self._timeout = timeout
        self._unopened: dict[int, asyncio.TimerHandle] = {}
        self._handlers[RequestReceived] = self._on_request

    def vouch(self) -> None:
        self._acceptor.vouched(self)

    def close(self) -> None:
        super().close()
        for stream_id in tuple(self._unopened):
            self._links[stream_id].abort()

    def forget(self, link: Http2Link) -> None:
        timer = self._unopened.pop(link.stream_id, None)
        if timer is not None:
            timer.cancel()
        super().forget(link)

    def _end(self, error: Exception) -> None:
        for timer in self._unopened.values():
            timer.cancel()
        self._unopened.clear()
        super()._end(error)

    def _on_request(self, event: RequestReceived) -> None:
        stream_id = event.stream_id
        headers = dict(event.headers)
        if self.closing:
            self.sender.reset(stream_id, ErrorCodes.REFUSED_STREAM)
        elif headers.get(b":method") != METHOD:
            self._turn_away(stream_id, HTTPStatus.METHOD_NOT_ALLOWED)
        elif headers.get(b":path") != PATH:
            self._turn_away(stream_id, HTTPStatus.NOT_FOUND)
        elif event.stream_ended is not None:
            self._turn_away(stream_id, HTTPStatus.BAD_REQUEST)
        elif self.sender.answer(stream_id, _status(HTTPStatus.OK)):
            link = self._add(stream_id)
            self._unopened[stream_id] = self._loop.call_later(self._timeout, self._too_late, link)

    def _turn_away(self, stream_id: int, status: HTTPStatus) -> None:
        """Answer, and want no more of the request."""
        if self.sender.answer(stream_id, _status(status), end=True):
            self._log.seldom(
                "http2 request", WARN, "%s asked for what is no pool connection: %d", self.lower.remote, status
            )
            self.sender.reset(stream_id, ErrorCodes.NO_ERROR)

    def _on_data(self, event: DataReceived) -> None:
        timer = self._unopened.get(event.stream_id) if event.data else None
        if timer is None:
            super()._on_data(event)
            return
        link = self._links[event.stream_id]
        if event.data.startswith(OPENING):
            timer.cancel()
            del self._unopened[event.stream_id]
            self._serves()
            self._acceptor.accepted(link)
            self._received(event, event.data[len(OPENING) :])
        else:
            self._log.seldom("http2 opening", WARN, "%s opened a stream as no pool connection begins", self.lower.remote)
            link.abort()

    def _on_stream_ended(self, event: StreamEnded) -> None:
        if event.stream_id in self._unopened:
            self._links[event.stream_id].abort()
        else:
            super()._on_stream_ended(event)

    def _too_late(self, link: Http2Link) -> None:
        self._log.seldom("http2 opening", WARN, "%s opened a stream and said nothing", self.lower.remote)
        link.abort()


def _status(status: HTTPStatus) -> list[tuple[str, str]]:
    """The headers of an answer."""
    return [(":status", str(status.value))]
