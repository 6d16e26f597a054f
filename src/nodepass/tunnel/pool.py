"""Idle connections between two peers, by ID, ready to carry a user each.

The same for every transport and for both ends; who opens them and who assigns the IDs is elsewhere (`filler`, `server`).

What always holds:

- An idle link is watched: one that breaks, ends, or speaks out of turn is dropped before a user gets it.
- At the egress of a v1 session, a user's first bytes, and even their end, may come before the signal that names their
  connection. Such a connection is no longer idle: it is kept, with one read's worth of bytes, for as long as a signal may
  take. With `inband` the signal stands in front of these bytes, and what else is said is out of turn.
- A connection is given out once. `incoming_get` gives the freshest; `outgoing_get` waits for one that is not here yet.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nodepass.errors import SignalError
from nodepass.tunnel.pooled import PooledLink, UserPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.protocol.conn_id import ConnectionId
    from nodepass.protocol.signals import Signal
    from nodepass.transport.base import Link


class _Waiter:
    """Who waits for the connection of one ID."""

    __slots__ = ("deliver", "timer")

    def __init__(self, deliver: Callable[[PooledLink | None], None], timer: asyncio.TimerHandle) -> None:
        self.deliver = deliver
        self.timer = timer


class Pool(UserPool):
    """The idle connections of one session.

    Args:
        added: called after an idle connection came in.
        taken: called after one went out or was dropped.
        spoke: called when an idle connection speaks or ends; False: that is out of turn, drop it.
        patience: seconds to keep one that spoke until its signal comes.
        launched: with `inband`, at the egress, called with a connection that carries a user from now on, and its signal.
    """

    def __init__(
        self,
        added: Callable[[], None],
        taken: Callable[[], None],
        spoke: Callable[[PooledLink], bool],
        patience: float,
        launched: Callable[[PooledLink, Signal], None] | None = None,
    ) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._added = added
        self._taken = taken
        self._spoke = spoke
        self._patience = patience
        self._launched = launched
        self._idle: dict[ConnectionId, PooledLink] = {}
        self._early: dict[ConnectionId, PooledLink] = {}
        self._waiters: dict[ConnectionId, _Waiter] = {}
        self._closed = False

    @property
    def active(self) -> int:
        return len(self._idle)

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    def __contains__(self, connection_id: object) -> bool:
        return connection_id in self._idle or connection_id in self._early

    def add(self, connection_id: ConnectionId, link: Link, early: bytes = b"") -> None:
        if self._closed or link.gone or connection_id in self:
            link.abort()
            return
        pooled = PooledLink(self, connection_id, link, early)
        link.attach(pooled)
        if early:
            link.pause_reading()
        waiter = self._waiters.pop(connection_id, None)
        if waiter is not None:
            waiter.timer.cancel()
            self._count_taken()
            waiter.deliver(pooled)
            return
        self._idle[connection_id] = pooled
        self._added()
        if early:
            self.spoke_early(pooled)

    def incoming_get(self) -> PooledLink | None:
        while self._idle:
            _, pooled = self._idle.popitem()
            self._count_taken()
            # Its end may have come in the same turn of the loop as the user, and not have been told yet.
            if pooled.link.quiet:
                return pooled
            pooled.link.abort()
        return None

    def outgoing_get(
        self, connection_id: ConnectionId, timeout: float, deliver: Callable[[PooledLink | None], None]
    ) -> None:
        pooled = self._idle.pop(connection_id, None)
        if pooled is not None:
            self._count_taken()
            deliver(pooled)
        elif (pooled := self._early.pop(connection_id, None)) is not None:
            deliver(pooled)
        elif self._closed or connection_id in self._waiters:
            deliver(None)
        else:
            timer = self._loop.call_later(timeout, self._too_late, connection_id)
            self._waiters[connection_id] = _Waiter(deliver, timer)

    def flush(self) -> None:
        dropped = (*self._idle.values(), *self._early.values())
        self._idle.clear()
        self._early.clear()
        for pooled in dropped:
            pooled.link.abort()
        self.error_count = 0
        self._taken()

    def close(self) -> None:
        self._closed = True
        self.flush()
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters.values():
            waiter.timer.cancel()
            waiter.deliver(None)

    def abort(self) -> None:
        self.close()

    async def departed(self) -> None:
        """See `UserPool`: what users sent is their own connections' to send."""

    # As `UserPool`: what pooled links tell.

    def link_lost(self, pooled: PooledLink) -> None:
        self._early.pop(pooled.id, None)
        if self._idle.pop(pooled.id, None) is not None:
            self._taken()

    def spoke_early(self, pooled: PooledLink) -> None:
        if self._launched is not None:
            self._read_launch(pooled, self._launched)
        elif pooled.id not in self._idle:
            return
        elif self._spoke(pooled):
            self._keep(pooled)
        else:
            pooled.link.abort()

    def _read_launch(self, pooled: PooledLink, launched: Callable[[PooledLink, Signal], None]) -> None:
        """What is said is a launch signal, or the beginning of one; a user's end may follow it at once."""
        if pooled.id not in self:
            return
        try:
            signal = pooled.launch()
        except SignalError:
            self.add_error()
            pooled.link.abort()
            return
        if signal is None:
            if pooled.id in self._idle:
                self._keep(pooled)
            if pooled.ended:
                pooled.link.abort()
            else:
                pooled.link.resume_reading()
            return
        self._early.pop(pooled.id, None)
        if self._idle.pop(pooled.id, None) is not None:
            self._count_taken()
        launched(pooled, signal)

    def _keep(self, pooled: PooledLink) -> None:
        """It is idle no more, and waits for its signal."""
        del self._idle[pooled.id]
        self._early[pooled.id] = pooled
        self._count_taken()
        self._loop.call_later(self._patience, self._no_signal, pooled)

    def _no_signal(self, pooled: PooledLink) -> None:
        """What spoke early has had time to be named by a signal."""
        if self._early.get(pooled.id) is pooled:
            pooled.link.abort()

    def _count_taken(self) -> None:
        self.taken_total += 1
        self._taken()

    def _too_late(self, connection_id: ConnectionId) -> None:
        waiter = self._waiters.pop(connection_id)
        self.add_error()
        waiter.deliver(None)
