"""The pool of a session whose users share connections (`pool=mux`, extension.md): a few, each with a stream per user.

It does for the session what `Pool` does where each user has a connection of its own. Who opens the connections and who
assigns their IDs is elsewhere, as there (`filler`, `server`).

What always holds:

- A user goes to the connection with the fewest streams. One that has ended, or is to end, takes no more.
- A stream that the peer opens carries nobody before its launch signal has been read, for which it has so long as a signal
  may take. The signal comes with what opens the stream: a connection on which many are opened in vain is not dealt with.
- Closing lets streams in progress go on: the last one takes its connection along.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nodepass.errors import FrameError, SignalError
from nodepass.log import WARN
from nodepass.protocol.conn_id import CONTROL
from nodepass.transport.mux import MuxConnection
from nodepass.tunnel.pooled import PooledLink, UserPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.protocol.conn_id import ConnectionId
    from nodepass.protocol.signals import Signal
    from nodepass.transport.base import Link
    from nodepass.transport.mux import MuxLink
    from nodepass.tunnel.resources import Resources

CARRIERS: Final = 4
"""Connections that a client keeps, unless `min` or `max` allows fewer."""

MOST_IN_VAIN: Final = 1024
"""Streams that a peer may open, within the time that a signal may take, without saying whom they carry."""


class Carriers(UserPool):
    """The shared connections of one session.

    Args:
        added: called after one came in.
        taken: called after one was lost.
        launched: called with each stream that carries a user of the peer's from now on, and its signal; None where users
            come in at this end.
        dialled: whether this end opens the connections.
        resources: of the instance.
    """

    def __init__(
        self,
        added: Callable[[], None],
        taken: Callable[[], None],
        launched: Callable[[PooledLink, Signal], None] | None,
        *,
        dialled: bool,
        resources: Resources,
    ) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._added = added
        self._taken = taken
        self._launched = launched
        self._dialled = dialled
        self._interval = resources.tunables.report_interval
        self._patience = resources.tunables.pool_get_timeout
        self._log = resources.log
        self._connections: dict[ConnectionId, MuxConnection] = {}
        self._present: set[MuxConnection] = set()
        self._unlaunched: dict[PooledLink, float] = {}
        self._in_vain = 0
        """Streams that ended without a signal since the last sweep."""
        self._sweeping: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = False

    @property
    def active(self) -> int:
        return len(self._connections)

    @property
    def waiting(self) -> int:
        return 0

    def __contains__(self, connection_id: object) -> bool:
        return connection_id in self._connections

    def add(self, connection_id: ConnectionId, link: Link, early: bytes = b"") -> None:
        if self._closed or link.gone or connection_id in self:
            link.abort()
            return
        connection = MuxConnection(
            link,
            dialled=self._dialled,
            accepted=self._accepted if self._launched is not None else None,
            ended=lambda ended: self._ended(connection_id, ended),
            departed=self._departed,
            interval=self._interval,
            log=self._log,
        )
        self._connections[connection_id] = connection
        self._present.add(connection)
        self._empty.clear()
        connection.begin(early)
        self._added()

    def incoming_get(self) -> PooledLink | None:
        best: MuxConnection | None = None
        for connection in self._connections.values():
            if not connection.closing and (best is None or connection.streams < best.streams):
                best = connection
        return None if best is None else PooledLink(self, CONTROL, best.open(), b"")

    def outgoing_get(self, _: ConnectionId, __: float, deliver: Callable[[PooledLink | None], None]) -> None:
        """See `UserPool`: there is none that a signal could name."""
        deliver(None)

    def flush(self) -> None:
        self.error_count = 0
        for connection in tuple(self._connections.values()):
            if not connection.streams:
                connection.abort()

    def close(self) -> None:
        self._closed = True
        for connection in tuple(self._connections.values()):
            connection.close()

    def abort(self) -> None:
        self.close()
        for connection in tuple(self._present):
            connection.abort()

    async def departed(self) -> None:
        await self._empty.wait()

    # What connections tell.

    def _accepted(self, stream: MuxLink) -> None:
        """The peer has opened a stream.

        Raises:
            FrameError: it opens too many of which nothing comes.
        """
        if len(self._unlaunched) + self._in_vain >= MOST_IN_VAIN:
            raise FrameError(f"more than {MOST_IN_VAIN} streams that carry nobody")
        pooled = PooledLink(self, CONTROL, stream, b"")
        self._unlaunched[pooled] = self._loop.time()
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._patience, self._sweep)
        stream.attach(pooled)

    def _sweep(self) -> None:
        """Drop the streams on which nobody was launched in time."""
        self._sweeping = None
        self._in_vain = 0
        latest = self._loop.time() - self._patience
        for pooled in [pooled for pooled, since in self._unlaunched.items() if since <= latest]:
            pooled.link.abort()
        if self._unlaunched:
            self._sweeping = self._loop.call_later(self._patience, self._sweep)

    def _ended(self, connection_id: ConnectionId, connection: MuxConnection) -> None:
        """One takes no more users, and carries none."""
        if self._connections.get(connection_id) is connection:
            del self._connections[connection_id]
            self._taken()

    def _departed(self, connection: MuxConnection) -> None:
        """One is gone, and all it had to send with it."""
        self._present.discard(connection)
        if self._present:
            return
        self._empty.set()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    # As `UserPool`: what pooled links tell.

    def link_lost(self, pooled: PooledLink) -> None:
        if self._unlaunched.pop(pooled, None) is not None:
            self._in_vain += 1

    def spoke_early(self, pooled: PooledLink) -> None:
        if pooled not in self._unlaunched or self._launched is None:
            return
        try:
            signal = pooled.launch()
        except SignalError as error:
            self._log.seldom("launch", WARN, "A user's stream from %s is dropped: %s", pooled.link.remote, error)
            pooled.link.abort()
            return
        if signal is not None:
            del self._unlaunched[pooled]
            self._launched(pooled, signal)
        elif pooled.ended:
            pooled.link.abort()
        else:
            pooled.link.resume_reading()
