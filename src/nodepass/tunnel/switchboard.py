"""Users on one side, sessions on the other: gives each user a connection to a peer, or lets it wait for one.

What always holds: users are served in the order they came; each waits at most NP_POOL_GET_TIMEOUT, not counting the time
in which a session is being verified; no more than NP_SEMAPHORE_LIMIT wait; a new user goes to the session that carries the
fewest, and that has not failed it; one that says that it reaches no target is not asked again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nodepass.errors import TunnelError
from nodepass.protocol.signals import Action
from nodepass.tunnel.upstream import NOTHING_FAILED, Failure, Way

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from nodepass.net.address import Address
    from nodepass.relay.datagram_ends import DatagramEnd
    from nodepass.tunnel.pool import PooledLink
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.session import Session
    from nodepass.tunnel.upstream import Relay

    Deliver = Callable[[PooledLink, bytes, Session], None]


@dataclass(slots=True, eq=False)
class _Waiting:
    """A user for whom there is no connection yet."""

    action: Action
    remote: Address
    deliver: Deliver
    failed: Callable[[Exception], None]
    avoid: Mapping[object, Failure]
    since: float


class Switchboard:
    """The upstream of an ingress whose targets are at the other end of a tunnel."""

    def __init__(self, resources: Resources) -> None:
        self._loop = asyncio.get_running_loop()
        self._tunables = resources.tunables
        self._sessions: set[Session] = set()
        self._waiting: deque[_Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    # Sessions.

    def add(self, session: Session) -> None:
        """A session has begun; it need not be ready."""
        self._sessions.add(session)

    def remove(self, session: Session) -> None:
        """A session has ended."""
        self._sessions.discard(session)

    def serve_waiting(self) -> None:
        """A session became ready or got room: serve those who wait."""
        while self._waiting:
            first = self._waiting[0]
            if not self._serve(first.action, first.remote, first.deliver, first.avoid):
                return
            self._waiting.popleft()

    def close(self) -> None:
        """Turn away all who wait, and who come from now on."""
        self._closed = True
        waiting, self._waiting = self._waiting, deque()
        if self._timer is not None:
            self._timer.cancel()
        for user in waiting:
            user.failed(TunnelError("the tunnel is closing"))

    # As an upstream.

    def open_tcp(
        self,
        remote: Address,
        opened: Callable[[Way], None],
        failed: Callable[[Exception], None],
        avoid: Mapping[object, Failure] = NOTHING_FAILED,
    ) -> None:
        """See `Upstream`."""

        def deliver(pooled: PooledLink, launch: bytes, session: Session) -> None:
            if not session.dialect.confirms:
                pooled.link.write(launch)
                launch = b""
            opened(Way(pooled.link, session.relays, session, launch))

        self._open(Action.TCP, remote, deliver, failed, avoid)

    def open_udp(
        self, remote: Address, opened: Callable[[DatagramEnd, set[Relay]], None], failed: Callable[[Exception], None]
    ) -> None:
        """See `Upstream`."""

        def deliver(pooled: PooledLink, launch: bytes, session: Session) -> None:
            pooled.link.write(launch)
            opened(session.datagrams(pooled), session.relays)

        self._open(Action.UDP, remote, deliver, failed)

    def _open(
        self,
        action: Action,
        remote: Address,
        deliver: Deliver,
        failed: Callable[[Exception], None],
        avoid: Mapping[object, Failure] = NOTHING_FAILED,
    ) -> None:
        if self._closed:
            failed(TunnelError("the tunnel is closing"))
            return
        if not self._waiting and self._serve(action, remote, deliver, avoid):
            return
        if self._all_refused(avoid):
            failed(TunnelError("no other end of the tunnel reaches a target"))
            return
        if len(self._waiting) >= self._tunables.semaphore_limit:
            failed(TunnelError("too many users wait for the tunnel"))
            return
        self._waiting.append(_Waiting(action, remote, deliver, failed, avoid, self._loop.time()))
        if self._timer is None:
            self._timer = self._loop.call_later(self._tunables.pool_get_timeout, self._turn_away)

    def _serve(self, action: Action, remote: Address, deliver: Deliver, avoid: Mapping[object, Failure]) -> bool:
        sessions: Collection[Session] = self._sessions
        if len(sessions) > 1:
            sessions = sorted(sessions, key=lambda session: (session in avoid, len(session.relays)))
        for session in sessions:
            launched = None if avoid.get(session) is Failure.REFUSED else session.launch(action, remote)
            if launched is not None:
                deliver(*launched, session)
                return True
        return False

    def _all_refused(self, avoid: Mapping[object, Failure]) -> bool:
        alive = [session for session in self._sessions if not session.ended.done()]
        return bool(alive) and all(avoid.get(session) is Failure.REFUSED for session in alive)

    def _turn_away(self) -> None:
        """The first in the queue has waited long enough, unless the tunnel is just being verified."""
        self._timer = None
        now, timeout = self._loop.time(), self._tunables.pool_get_timeout
        verifying = any(session.has_control and not session.ready for session in self._sessions)
        while self._waiting and not verifying and now - self._waiting[0].since >= timeout:
            user = self._waiting.popleft()
            user.failed(TunnelError(self._reason()))
        if self._waiting:
            left = timeout if verifying else timeout - (now - self._waiting[0].since)
            self._timer = self._loop.call_later(left, self._turn_away)

    def _reason(self) -> str:
        if not self._sessions:
            return "no peer is connected"
        return f"no pool connection within {self._tunables.pool_get_timeout:g} s"
