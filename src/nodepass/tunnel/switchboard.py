"""Users on one side, sessions on the other: gives each user a connection to a peer, or lets it wait for one.

What always holds: users are served in the order they came, TCP and UDP each by themselves, and those whom a session has
failed hold up nobody; each waits at most NP_POOL_GET_TIMEOUT, not counting the time in which a session is being verified;
no more than NP_SEMAPHORE_LIMIT wait; a new user goes to the session that carries the fewest, and that has not failed it;
one that says that it reaches no target is not asked again. Whatever goes wrong with one of those who wait is that one's
alone: it has left its queue before it is told, and who is turned away is told in a call of the loop's own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from nodepass.errors import TunnelError
from nodepass.protocol.signals import Action
from nodepass.tunnel.upstream import NOTHING_FAILED, Failure, Way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nodepass.errors import SessionError
    from nodepass.net.address import Address
    from nodepass.relay.datagram_ends import DatagramEnd
    from nodepass.relay.link_ends import LinkEnd
    from nodepass.tunnel.dialect import Dialect
    from nodepass.tunnel.pooled import PooledLink
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.upstream import Relay

    Deliver = Callable[[PooledLink, bytes, "Carrier"], None]


class Carrier(Protocol):
    """What carries users: a `Session`, or a process that lends what it has (`workers.lender`)."""

    @property
    def lent(self) -> bool:
        """Whether it is the latter."""

    @property
    def relays(self) -> set[Relay]:
        """The users that it carries."""

    @property
    def dialect(self) -> Dialect:
        """What is spoken."""

    @property
    def ready(self) -> bool:
        """Whether it carries users now."""

    @property
    def has_control(self) -> bool:
        """See `Session`."""

    @property
    def fell_silent(self) -> bool:
        """See `Session`."""

    @property
    def ended(self) -> asyncio.Future[SessionError]:
        """See `Session`."""

    def launch(self, action: Action, remote: Address, name: str) -> tuple[PooledLink, bytes] | None:
        """See `Session`."""

    def lend(self, action: Action) -> PooledLink | None:
        """See `Session`."""

    def datagrams(self, pooled: PooledLink) -> LinkEnd:
        """See `Session`."""


NO_TARGET: Final = "no other end of the tunnel reaches a target"


@dataclass(slots=True, eq=False)
class _Waiting:
    """A user who asks for a connection, and waits if there is none."""

    action: Action
    remote: Address
    name: str
    deliver: Deliver
    failed: Callable[[Exception], None]
    avoid: Mapping[object, Failure]
    since: float


class Switchboard:
    """The upstream of an ingress whose targets are at the other end of a tunnel.

    Args:
        resources: of the instance.
        waits: called when a user has begun to wait.
    """

    def __init__(self, resources: Resources, waits: Callable[[], None] = lambda: None) -> None:
        self._waits = waits
        self._loop = asyncio.get_running_loop()
        self._tunables = resources.tunables
        self._sessions: dict[Carrier, int] = {}
        """Each with the number of the last user that it was given."""
        self._users = 0
        self._waiting: dict[Action, deque[_Waiting]] = {Action.TCP: deque(), Action.UDP: deque()}
        self._failed: deque[_Waiting] = deque()
        """Those whom some session has failed. They are few, and what they wait for differs."""
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    # Sessions.

    def add(self, session: Carrier) -> None:
        """A session has begun; it need not be ready."""
        self._sessions[session] = 0

    def remove(self, session: Carrier) -> None:
        """A session has ended. Whoever hoped for that one alone need not wait on."""
        self._sessions.pop(session, None)
        self._turn_away_all(self._all_refuse, NO_TARGET)

    def serve_waiting(self) -> None:
        """A session became ready or got room: serve those who wait."""
        for _ in range(len(self._failed)):
            if self._failed and not self._serve(user := self._failed.popleft()):
                self._failed.append(user)
        for waiting in self._waiting.values():
            while waiting:
                user = waiting.popleft()
                if not self._serve(user):
                    waiting.appendleft(user)
                    break

    def waiting(self, action: Action) -> int:
        """How many users wait for a connection."""
        return len(self._waiting[action]) + sum(user.action is action for user in self._failed)

    def lend(self, action: Action) -> tuple[Carrier, PooledLink] | None:
        """Give a connection for a user of another process, of the session that carries the fewest; not while users wait."""
        if any(self._waiting.values()) or self._closed:
            return None
        for session in sorted(self._sessions, key=lambda session: len(session.relays)):
            pooled = session.lend(action)
            if pooled is not None:
                return session, pooled
        return None

    def close(self) -> None:
        """Turn away all who wait, and who come from now on."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._turn_away_all(lambda _: True, "the tunnel is closing")

    # As an upstream.

    def open_tcp(
        self,
        remote: Address,
        opened: Callable[[Way], None],
        failed: Callable[[Exception], None],
        avoid: Mapping[object, Failure] = NOTHING_FAILED,
        name: str = "",
    ) -> None:
        """See `Upstream`."""

        def deliver(pooled: PooledLink, launch: bytes, session: Carrier) -> None:
            if not session.dialect.confirms:
                pooled.link.write(launch)
                launch = b""
            opened(Way(pooled.link, session.relays, session, lambda: session.fell_silent or pooled.fell_silent, launch))

        self._open(_Waiting(Action.TCP, remote, name, deliver, failed, avoid, self._loop.time()))

    def open_udp(
        self, remote: Address, opened: Callable[[DatagramEnd, set[Relay]], None], failed: Callable[[Exception], None]
    ) -> None:
        """See `Upstream`."""

        def deliver(pooled: PooledLink, launch: bytes, session: Carrier) -> None:
            pooled.link.write(launch)
            opened(session.datagrams(pooled), session.relays)

        self._open(_Waiting(Action.UDP, remote, "", deliver, failed, NOTHING_FAILED, self._loop.time()))

    def _open(self, user: _Waiting) -> None:
        waiting = self._waiting[user.action]
        if self._closed:
            user.failed(TunnelError("the tunnel is closing"))
        elif (user.avoid or not waiting) and self._serve(user):
            return
        elif self._all_refuse(user):
            user.failed(TunnelError(NO_TARGET))
        elif sum(map(len, self._waiting.values())) + len(self._failed) >= self._tunables.semaphore_limit:
            user.failed(TunnelError("too many users wait for the tunnel"))
        else:
            (self._failed if user.avoid else waiting).append(user)
            if self._timer is None:
                self._timer = self._loop.call_later(self._tunables.pool_get_timeout, self._turn_away)
            self._waits()

    def _serve(self, user: _Waiting) -> bool:
        sessions: Iterable[Carrier] = self._sessions
        if len(self._sessions) > 1:
            used, avoid = self._sessions, user.avoid
            # Where they carry the same number, the one that was used longest ago. What is another's costs more.
            sessions = sorted(
                used, key=lambda session: (session in avoid, session.lent, len(session.relays), used[session])
            )
        for session in sessions:
            refused = user.avoid.get(session) is Failure.REFUSED
            launched = None if refused else session.launch(user.action, user.remote, user.name)
            if launched is not None:
                self._users += 1
                self._sessions[session] = self._users
                user.deliver(*launched, session)
                return True
        return False

    def _all_refuse(self, user: _Waiting) -> bool:
        """Whether no session that is alive would take this user to a target."""
        alive = [each for each in self._sessions if not each.ended.done() and (each.ready or not each.lent)]
        return bool(alive) and all(
            user.action in session.dialect.refuses or user.avoid.get(session) is Failure.REFUSED for session in alive
        )

    def _turn_away(self) -> None:
        """Those who have waited long enough, unless the tunnel is just being verified."""
        self._timer = None
        now, timeout = self._loop.time(), self._tunables.pool_get_timeout
        verifying = any(session.has_control and not session.ready for session in self._sessions)
        if not verifying:
            self._turn_away_all(lambda user: now - user.since >= timeout, self._reason())
        firsts = [waiting[0].since for waiting in (*self._waiting.values(), self._failed) if waiting]
        if firsts:
            left = timeout if verifying else timeout - (now - min(firsts))
            self._timer = self._loop.call_later(left, self._turn_away)

    def _turn_away_all(self, condition: Callable[[_Waiting], bool], reason: str) -> None:
        """Each queue is in the order in which users came."""
        away: list[_Waiting] = []
        for waiting in self._waiting.values():
            while waiting and condition(waiting[0]):
                away.append(waiting.popleft())
        failed, self._failed = self._failed, deque()
        for user in failed:
            (away if condition(user) else self._failed).append(user)
        for user in away:
            self._loop.call_soon(user.failed, TunnelError(reason))

    def _reason(self) -> str:
        if all(session.lent and not session.ready for session in self._sessions):
            return "no peer is connected"
        return f"no pool connection within {self._tunables.pool_get_timeout:g} s"
