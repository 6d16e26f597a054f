"""The client's side: one QUIC connection to the server, on which each pool connection is a stream.

The connection is made when the first stream is asked for, and made anew when one is asked for after it died. With a session
ticket of the server, the streams that are asked for meanwhile go out with the first packet, as far as the server allowed
when it gave the ticket (0-RTT): their opening bytes only, which may be repeated by whoever has seen them, and mean nothing
then. A link is handed out when the handshake is done; so no user's byte and no signal is ever sent early.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

from nodepass.errors import DialError
from nodepass.transport.base import Dialer
from nodepass.transport.quic.dialled import Dialled

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.config import Tunables
    from nodepass.log import Log
    from nodepass.net.address import Address
    from nodepass.net.certificates import ClientTls
    from nodepass.transport.base import Link
    from nodepass.transport.quic.connection import Connection
    from nodepass.transport.quic.link import QuicLink
    from nodepass.transport.tickets import Tickets

MOST_EARLY: Final = 64
"""Streams that go out with the first packet."""


class _Opening:
    """One stream being opened."""

    __slots__ = ("failed", "link", "opened")

    def __init__(self, opened: Callable[[Link], None], failed: Callable[[Exception], None]) -> None:
        self.opened = opened
        self.failed = failed
        self.link: QuicLink | None = None
        """Its stream, where that went out with the first packet."""


class QuicDialer(Dialer):
    """Opens pool connections; see `nodepass.transport.base.Dialer`.

    Args:
        server: where to.
        tls: what is asked of the server.
        tunables: timeouts.
        tickets: of servers, kept from one dialer to the next.
        log: of the instance.
    """

    def __init__(self, server: Address, tls: ClientTls, tunables: Tunables, tickets: Tickets, log: Log) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[_Opening, None] = {}
        self._planned: asyncio.Handle | None = None
        self._dialled: Dialled | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = False
        self.server = server
        self.tls = tls
        self.tunables = tunables
        self.tickets = tickets
        self.log = log

    def open(self, opened: Callable[[Link], None], failed: Callable[[Exception], None]) -> Callable[[], None]:
        """See `Dialer`."""
        opening = _Opening(opened, failed)
        self._waiting[opening] = None
        self.plan()
        return lambda: self._cancel(opening)

    def close(self) -> None:
        """See `Dialer`."""
        self._closed = True
        self._fail_all(DialError("no more connections are opened"))
        if self._dialled is not None:
            self._dialled.connection.leave()

    def abort(self) -> None:
        """Let go of everything now; the server is told."""
        self.close()
        if self._dialled is not None:
            self._dialled.connection.fail(None)

    async def arrived(self) -> None:
        """See `Carriers`."""
        if self._dialled is not None:
            await self._dialled.connection.arrived()

    async def departed(self) -> None:
        """See `Dialer`."""
        await self._empty.wait()

    def plan(self) -> None:
        """Open what is waited for at the end of this turn of the loop."""
        if self._planned is None:
            self._planned = self._loop.call_soon(self._serve)

    def gone(self, error: Exception | None) -> None:
        """The connection is over."""
        self._dialled = None
        self._empty.set()
        self._fail_all(error or DialError("the server ended the QUIC connection"))

    def _serve(self) -> None:
        self._planned = None
        if self._closed:
            self._fail_all(DialError("no more connections are opened"))
        elif self._dialled is None:
            if self._waiting:
                self._connect()
        elif self._dialled.connection.complete:
            self._hand_out(self._dialled.connection)

    def _connect(self) -> None:
        try:
            self._dialled = Dialled(self)
        except ssl.SSLCertVerificationError as error:
            self._fail_all(error)
        except OSError as error:
            self._fail_all(DialError(f"QUIC to {self.server}: {error.strerror or error}"))
        else:
            self._empty.clear()
            early = min(self._dialled.connection.engine.early_streams(), MOST_EARLY)
            for opening in tuple(self._waiting)[:early]:
                opening.link = self._dialled.connection.streams.open_early()
            self._dialled.connection.wake()

    def _hand_out(self, connection: Connection) -> None:
        for opening in tuple(self._waiting):
            link = opening.link or connection.streams.open()
            if link is None:
                return
            if opening in self._waiting:
                del self._waiting[opening]
                opening.link = None
                opening.opened(link)

    def _cancel(self, opening: _Opening) -> None:
        self._waiting.pop(opening, None)
        if opening.link is not None:
            opening.link.abort()

    def _fail_all(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, {}
        for opening in waiting:
            if opening.link is not None:
                opening.link.abort()
            self._loop.call_soon(opening.failed, error)
