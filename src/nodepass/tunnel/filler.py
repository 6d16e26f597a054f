"""The client's side of filling a pool: opens connections when some are taken, and learns how many it should keep.

Taking a connection asks for the next at once, at the end of the same turn of the loop, many in parallel but bounded. How
many are kept is `PoolScaling`'s decision: it is told of every refill, and how much was taken while a connection opened.
A failed opening is not tried again before the next interval, so that a dead server is not hammered. In the first interval
it is no error, unless it is the certificate: behind the handshake a v1 server closes its port and opens it again.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from nodepass.errors import CertificateError, DialError
from nodepass.log import WARN
from nodepass.protocol import conn_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.policy.scaling import PoolScaling
    from nodepass.protocol.conn_id import ConnectionId
    from nodepass.transport.base import Dialer, Link
    from nodepass.tunnel.pooled import UserPool
    from nodepass.tunnel.resources import Resources

ID_SIZE = 4


class Filler:
    """Keeps one pool filled.

    Args:
        pool: to be filled.
        scaling: how many connections to keep.
        dialer: opens one.
        resources: of the instance.
        introduce: says on a new connection whose it is; raises `CertificateError` where it may not be used.
        identified: called with each new connection, its ID, and the bytes that came right behind the ID.
        distrusted: called when a server's certificate does not verify.
    """

    def __init__(
        self,
        pool: UserPool,
        scaling: PoolScaling,
        dialer: Dialer,
        resources: Resources,
        introduce: Callable[[Link], None],
        identified: Callable[[ConnectionId, Link, bytes], None],
        distrusted: Callable[[Exception], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = pool
        self._scaling = scaling
        self._dialer = dialer
        self._log = resources.log
        self._timeout = resources.tunables.handshake_timeout
        self._identified = identified
        self.introduce = introduce
        self._distrusted = distrusted
        self._opening: set[_Opening] = set()
        self._created = 0
        self._backing_off = False
        self._failing = False
        self._just_begun = True
        self._planned: asyncio.Handle | None = None
        self._tick_timer: asyncio.TimerHandle | None = None
        self._closed = False

    def refill(self) -> None:
        """Open what is missing, at the end of this turn of the loop."""
        if self._planned is None and not self._closed:
            self._planned = self._loop.call_soon(self._open_missing)

    def close(self) -> None:
        """Open no more, and give up what is being opened."""
        self._closed = True
        for handle in (self._planned, self._tick_timer):
            if handle is not None:
                handle.cancel()
        for opening in tuple(self._opening):
            opening.cancel()
        self._opening.clear()
        self._dialer.close()

    def _open_missing(self) -> None:
        self._planned = None
        if self._closed:
            return
        if not self._backing_off:
            wanted = self._scaling.wanted(self._pool.active, len(self._opening))
            # While openings fail, one is enough to find out whether they still do.
            for _ in range(min(wanted, 1) if self._failing else wanted):
                self._opening.add(_Opening(self, self._dialer, self._timeout, self._pool.taken_total))
        if self._tick_timer is None:
            self._tick_timer = self._loop.call_later(self._scaling.interval, self._tick)

    def _tick(self) -> None:
        """An interval has passed: let the scaling learn, and rest once the pool is full at its smallest size."""
        self._tick_timer = None
        self._backing_off = self._just_begun = False
        self._scaling.after_refill(self._created, self._pool.active)
        self._created = 0
        if self._scaling.at_rest(self._pool.active):
            return
        self._open_missing()

    # What an opening tells.

    def opened(self, opening: _Opening, connection_id: ConnectionId, link: Link, rest: bytes) -> None:
        """A connection is open and has its ID."""
        self._opening.discard(opening)
        self._failing = False
        self._created += 1
        self._scaling.on_demand(self._pool.taken_total - opening.taken_before)
        self._identified(connection_id, link, rest)
        self.refill()

    def failed(self, opening: _Opening, error: Exception) -> None:
        """A connection could not be opened."""
        self._opening.discard(opening)
        self._backing_off = self._failing = True
        if isinstance(error, (ssl.SSLCertVerificationError, CertificateError)):
            self._distrusted(error)
            return
        if self._just_begun:
            self._log.debug("The server takes no pool connections yet: %s", error)
            return
        self._pool.add_error()
        self._log.seldom("pool open", WARN, "Cannot open a pool connection: %s", error)


class _Opening:
    """One connection being opened: dialled, then read until its ID is known."""

    __slots__ = ("_cancel", "_filler", "_id", "_link", "_timer", "taken_before")

    def __init__(self, filler: Filler, dialer: Dialer, timeout: float, taken_before: int) -> None:
        self._filler = filler
        self._id = b""
        self._link: Link | None = None
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(timeout, self._too_late)
        self._cancel: Callable[[], None] | None = dialer.open(self._on_link, self._on_failure)
        self.taken_before = taken_before

    def cancel(self) -> None:
        """Give up."""
        cancel = self._cancel
        self._let_go()
        if cancel is not None:
            cancel()
        link, self._link = self._link, None
        if link is not None:
            link.abort()

    def _let_go(self) -> None:
        """It is over: forget what knows this in turn, or only the garbage collector would find both, and the link."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._cancel = None

    def _on_link(self, link: Link) -> None:
        try:
            self._filler.introduce(link)
        except CertificateError as error:
            link.abort()
            self._on_failure(error)
            return
        self._link = link
        link.attach(self)

    def _on_failure(self, error: Exception) -> None:
        self._let_go()
        self._filler.failed(self, error)

    def _too_late(self) -> None:
        self.cancel()
        self._filler.failed(self, DialError("the server did not assign an ID in time"))

    # As the link's receiver.

    def data_received(self, data: memoryview) -> None:
        missing = ID_SIZE - len(self._id)
        self._id += bytes(data[:missing])
        link = self._link
        if len(self._id) == ID_SIZE and link is not None:
            self._let_go()
            self._link = None
            self._filler.opened(self, conn_id.from_bytes(self._id), link, bytes(data[missing:]))

    def eof_received(self) -> None:
        if self._link is not None:
            self._link.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self._link is not None:
            self._link = None
            self._on_failure(error or DialError("the server closed it before assigning an ID"))

    def pause_writing(self) -> None:
        """Nothing is written before the ID is known."""

    def resume_writing(self) -> None:
        """Nothing is written before the ID is known."""
