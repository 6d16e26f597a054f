"""What a session has for its users, whichever way connections are used: one for each (`Pool`), or shared (`Carriers`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from nodepass.protocol.launch import LaunchReader
from nodepass.transport.mux import MuxLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.protocol.conn_id import ConnectionId
    from nodepass.protocol.signals import Signal
    from nodepass.transport.base import Link


class UserPool(ABC):
    """The ways to the peer that one session has for its users.

    Attributes:
        error_count: connections that failed to open or to be found, since the last flush.
        taken_total: connections that went out.
    """

    def __init__(self) -> None:
        self.error_count = 0
        self.taken_total = 0

    @property
    @abstractmethod
    def active(self) -> int:
        """Connections that are ready for users."""

    @property
    @abstractmethod
    def waiting(self) -> int:
        """How many wait for a connection that is not here yet."""

    @abstractmethod
    def __contains__(self, connection_id: object) -> bool:
        """Whether this ID is taken."""

    @abstractmethod
    def add(self, connection_id: ConnectionId, link: Link, early: bytes = b"") -> None:
        """Take in a connection whose ID has been agreed on; `early` are bytes that came right behind the ID."""

    @abstractmethod
    def incoming_get(self) -> PooledLink | None:
        """A way for one more user; None where there is none now."""

    @abstractmethod
    def outgoing_get(
        self, connection_id: ConnectionId, timeout: float, deliver: Callable[[PooledLink | None], None]
    ) -> None:
        """Deliver the connection of this ID: now, or when it comes, or None after `timeout` seconds."""

    @abstractmethod
    def flush(self) -> None:
        """Drop what carries nobody, and forget past errors."""

    @abstractmethod
    def close(self) -> None:
        """Take no more users; nobody waits on."""

    @abstractmethod
    def abort(self) -> None:
        """Break all that is left."""

    @abstractmethod
    async def departed(self) -> None:
        """After `close`: wait until what was sent has been handed to the system."""

    def add_error(self) -> None:
        """A connection failed to open or to be found: too many of these and the session flushes both ends."""
        self.error_count += 1

    # What pooled links tell.

    @abstractmethod
    def link_lost(self, pooled: PooledLink) -> None:
        """It broke before it carried a user."""

    @abstractmethod
    def spoke_early(self, pooled: PooledLink) -> None:
        """It speaks or ends before it carries a user."""


class PoolEnd(Protocol):
    """What hears of a connection until it carries a user: a `UserPool`."""

    def link_lost(self, pooled: PooledLink, /) -> None:
        """See `UserPool`."""

    def spoke_early(self, pooled: PooledLink, /) -> None:
        """See `UserPool`."""


class PooledLink:
    """A pool connection, or a stream of one, until it carries a user; meanwhile it is the link's receiver.

    Args:
        id: its connection ID.
        link: the connection itself.
        early: what has been read from it.
    """

    __slots__ = ("_pool", "_reader", "early", "ended", "id", "link", "lost")

    def __init__(self, pool: PoolEnd, connection_id: ConnectionId, link: Link, early: bytes) -> None:
        self._pool = pool
        self.id = connection_id
        self.link = link
        self.early = early
        self.ended = False
        self.lost: Callable[[], None] | None = None
        self._reader: LaunchReader | None = None
        # One record at a time, should these turn out to be datagrams.
        link.coalesce = False

    @property
    def fell_silent(self) -> bool:
        """Whether what carries it was given up because nothing was heard on it."""
        return isinstance(self.link, MuxLink) and self.link.fell_silent

    def data_received(self, data: memoryview) -> None:
        self.link.pause_reading()
        self.early += bytes(data)
        self._pool.spoke_early(self)

    def eof_received(self) -> None:
        self.ended = True
        self._pool.spoke_early(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._pool.link_lost(self)
        if self.lost is not None:
            self.lost()

    def launch(self) -> Signal | None:
        """What stands in front of what has been read, which is taken off; None while it is not whole.

        Raises:
            SignalError: it is none.
        """
        self._reader = self._reader or LaunchReader()
        early, self.early = self.early, b""
        found = self._reader.feed(early)
        if found is None:
            return None
        signal, self.early = found
        return signal

    def pause_writing(self) -> None:
        """Nothing is written while idle."""

    def resume_writing(self) -> None:
        """Nothing is written while idle."""
