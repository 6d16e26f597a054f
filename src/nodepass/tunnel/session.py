"""One peer: what the handshake agreed on, the pool, the control channel. It dies as a whole.

A session begins when the handshake is done, is `ready` when it may carry users, and ends once, for one reason: then its
pool, its control channel and its relays are gone, and no others. Where the peer has said that it leaves, relays have a
while to pass on what it sent last. Who owns it learns of each step by three callbacks.

With TLS and a v1 peer, the ends also compare the certificates they see; what that means for being ready is
`verification`'s. A client of this project knows what to see (`pin`): each certificate that the server gets is told first.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from nodepass.errors import SessionError, SilenceError
from nodepass.log import WARN
from nodepass.protocol.launch import encode_launch
from nodepass.protocol.signals import Action, Signal
from nodepass.transport.base import LINGER
from nodepass.tunnel.carriers import Carriers
from nodepass.tunnel.control import Control
from nodepass.tunnel.pool import Pool
from nodepass.tunnel.verification import Verification

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.net.address import Address
    from nodepass.relay.link_ends import LinkEnd
    from nodepass.transport.base import Link
    from nodepass.tunnel.dialect import Dialect
    from nodepass.tunnel.egress import Egress
    from nodepass.tunnel.pooled import PooledLink, UserPool
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.upstream import Relay
    from nodepass.tunnel.verification import Trust


class SessionOwner(ABC):
    """Who made a session, and hears of it."""

    @abstractmethod
    def session_ready(self, session: Session) -> None:
        """The session may carry users."""

    @abstractmethod
    def session_has_room(self, session: Session) -> None:
        """An idle connection came in, or signals can be sent again."""

    @abstractmethod
    def session_reported(self, session: Session) -> None:
        """The peer answered a ping: time for a CHECK_POINT."""

    @abstractmethod
    def session_ended(self, session: Session, reason: SessionError) -> None:
        """The session is over."""

    @abstractmethod
    def certificate_announced(self, fingerprint: str) -> None:
        """The server will also show the certificate of this fingerprint."""

    @abstractmethod
    def connection_taken(self) -> None:
        """A connection left the pool: a client opens the next."""

    @abstractmethod
    def idle_spoke(self, pooled: PooledLink) -> bool:
        """An idle connection spoke; False drops it."""


class Session:
    """One peer.

    Args:
        peer: its address, for the log.
        dialect: what the two speak.
        trust: what this end knows of the peer's certificate.
        egress: dials targets for the peer's users; None where this end takes in users.
        owner: hears what happens.
        dials: whether this end opens the connections.
        resources: of the instance.
    """

    lent = False
    """Whether its connections are another process's; see `workers.lender`."""

    def __init__(
        self,
        peer: Address,
        dialect: Dialect,
        *,
        trust: Trust,
        egress: Egress | None,
        owner: SessionOwner,
        dials: bool,
        resources: Resources,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._egress = egress
        self._owner = owner
        self._resources = resources
        self._control: Control | None = None
        self._expects_control = False
        self.peer = peer
        self.dialect = dialect
        self.pool = self._make_pool(dials=dials)
        self._verification = Verification(
            peer,
            self.pool,
            resources,
            trust=trust,
            takes_users=egress is None,
            send=self._send,
            agreed=self._become_ready,
            failed=self.end,
        )
        self.relays: set[Relay] = set()
        self.ended: asyncio.Future[SessionError] = self._loop.create_future()
        self.ready = False
        self._peer_leaves = False
        """Whether the peer has said that it ends the session, and that its users' connections speak for themselves."""
        patience = resources.tunables.handshake_timeout
        self._timer = self._loop.call_later(patience, self.end, SessionError("no control channel came up in time"))

    def _make_pool(self, *, dials: bool) -> UserPool:
        launched = self._launched if self.dialect.inband and self._egress is not None else None
        added, taken = self._connection_added, self._owner.connection_taken
        if self.dialect.shares:
            return Carriers(added, taken, launched, dialled=dials, resources=self._resources)
        return Pool(added, taken, self._idle_spoke, self._resources.tunables.pool_get_timeout, launched)

    @property
    def has_control(self) -> bool:
        """Whether the control channel is up."""
        return self._control is not None

    @property
    def needs_control(self) -> bool:
        """Whether its next connection is to be the control channel."""
        return self._control is None and not self._expects_control

    @property
    def can_launch(self) -> bool:
        """Whether users can be sent on the way, as far as the control channel is concerned."""
        return self._control is not None and not self._control.congested

    @property
    def ping(self) -> float:
        """Seconds the peer took to answer the last ping."""
        return self._control.ping if self._control is not None else 0.0

    # The life of a session.

    def expect_control(self) -> None:
        """The first connection has come to another process; it will be led here."""
        self._expects_control = True

    def start_control(self, link: Link, early: bytes = b"") -> None:
        """The first connection has been assigned: it is the control channel."""
        self._control = Control(
            link,
            self.dialect.codec,
            self._resources,
            received=self._on_signal,
            answered=self._on_answer,
            writable=lambda: self._owner.session_has_room(self),
            closed=self.end,
        )
        self._timer.cancel()
        self._control.start(early)
        self._verification.start()
        self._become_ready()

    def end(self, reason: SessionError) -> None:
        """It is over: nothing of this session is left, and its owner knows."""
        if self.ended.done():
            return
        self.ended.set_result(reason)
        self.ready = False
        self._timer.cancel()
        if self._control is not None:
            if self.dialect.seals and self._control.is_open:
                self._send(Signal(Action.LEAVE))
            self._control.close()
        self._verification.close()
        if self._peer_leaves:
            # What it has sent last may still be on the way to users here.
            self._loop.call_later(LINGER, self._break_relays)
        else:
            self._break_relays()
        if self.fell_silent:
            self.pool.abort()
        else:
            self.pool.close()
        self._owner.session_ended(self, reason)

    def _break_relays(self) -> None:
        for relay in tuple(self.relays):
            relay.abort()

    @property
    def fell_silent(self) -> bool:
        """Whether it ended because nothing was heard: what the peer has got of what was sent is not known."""
        return self.ended.done() and isinstance(self.ended.result(), SilenceError)

    def drain(self) -> None:
        """Take part in no more users' connections; those in progress go on."""
        self.ready = False
        self.pool.close()

    def prove_alive(self, proven: Callable[[], None]) -> None:
        """Call `proven` if the peer gives a sign of life."""
        if self._control is not None:
            self._control.prove_alive(proven)

    def _become_ready(self) -> None:
        if self._verification.satisfied and self._control is not None and not self.ready and not self.ended.done():
            self.ready = True
            self._owner.session_ready(self)

    # Users.

    def launch(self, action: Action, remote: Address, name: str) -> tuple[PooledLink, bytes] | None:
        """Send a user on the way: an idle connection, and what must be said on it first; None where there is none now."""
        pooled = self.lend(action)
        if pooled is None:
            return None
        if self.dialect.inband:
            return pooled, encode_launch(action, str(remote), name if self.dialect.confirms else "")
        self._send(Signal(action, remote=str(remote), id=pooled.id))
        return pooled, b""

    def lend(self, action: Action) -> PooledLink | None:
        """Give an idle connection for a user, on which nothing has been said; None where there is none now."""
        if not self.ready or not self.can_launch or action in self.dialect.refuses:
            return None
        return self.pool.incoming_get()

    def datagrams(self, pooled: PooledLink) -> LinkEnd:
        """The datagrams of a user on its connection."""
        return self.dialect.datagrams(pooled.link, self._resources, pooled.early, ended=pooled.ended)

    def _launched(self, pooled: PooledLink, signal: Signal) -> None:
        if self._egress is not None:
            self._egress.serve_on(self, pooled, signal)

    def _connection_added(self) -> None:
        if self._control is not None:
            self._verification.give_view()
        if self.ready:
            self._owner.session_has_room(self)

    def _idle_spoke(self, pooled: PooledLink) -> bool:
        if self.dialect.inband:
            return False
        return self._verification.may_be_named(pooled) or self._owner.idle_spoke(pooled)

    # Signals.

    def announce_certificate(self, fingerprint: str) -> None:
        """Tell the client which certificate it may see from now on, besides those that it knows."""
        if self.dialect.pins:
            self._send(Signal(Action.PIN, fp=fingerprint))

    def _send(self, signal: Signal) -> None:
        if self._control is not None:
            self._control.send(signal)

    def _on_signal(self, signal: Signal) -> None:
        if signal.action is Action.FLUSH:
            self._resources.log.debug("Flush asked for by %s", self.peer)
            self.pool.flush()
        elif signal.action is Action.VERIFY:
            self._verification.received(signal)
        elif signal.action is Action.PIN:
            self._owner.certificate_announced(signal.fp)
        elif signal.action is Action.LEAVE:
            self._peer_leaves = True
        elif self.dialect.inband:
            self._resources.log.seldom("signal", WARN, "%s sent a user's signal on the control channel: ignored", self.peer)
        elif self._egress is None:
            self._resources.log.seldom("flow", WARN, "%s sent a user against the agreed flow: ignored", self.peer)
        else:
            self._egress.serve(self, signal)

    def _on_answer(self) -> None:
        """Once every report interval: report, and flush both ends if the pool has gone bad."""
        if self.pool.error_count > self.pool.active // 2:
            counted = (self.pool.error_count, self.pool.active)
            self._resources.log.seldom("pool errors", WARN, "Pool: %d errors with %d idle: flushing", *counted)
            self.pool.flush()
            self._send(Signal(Action.FLUSH))
        self._owner.session_reported(self)
