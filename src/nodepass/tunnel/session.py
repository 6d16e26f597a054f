"""One peer: what the handshake agreed on, the pool, the control channel. It dies as a whole.

A session begins when the handshake is done, is `ready` when it may carry users, and ends once, for one reason: then its
pool, its control channel and its relays are gone, and no others. Who owns it learns of each step by three callbacks.

With TLS, the ends compare the certificate that each saw on an idle connection (`verify`, spec: wire.md): each sends its
own view as soon as it has a connection to name, and a session that takes in users carries none before the peer's view has
come and agrees. So a man in the middle of a `tls=1` tunnel, who has another certificate on each side, ends the session.

A client with `tls=2` has checked the certificate by its chain and name: it needs no view of the server, and gives its own
in answer to the server's. For v1's server with certificate files does not know its own fingerprint: it sends none, and
breaks the session off at any `verify` that reaches it.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING

from nodepass.errors import SessionError
from nodepass.log import WARN
from nodepass.protocol.signals import Action, Signal
from nodepass.tunnel.control import SILENT_INTERVALS, Control
from nodepass.tunnel.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.net.address import Address
    from nodepass.protocol.conn_id import ConnectionId
    from nodepass.protocol.signals import SignalCodec
    from nodepass.transport.base import Link
    from nodepass.tunnel.egress import Egress
    from nodepass.tunnel.pool import PooledLink
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.upstream import Relay


class SessionOwner:
    """Who made a session, and what it wants to hear; the default is to want nothing."""

    def session_ready(self, session: Session) -> None:
        """The session may carry users."""

    def session_has_room(self, session: Session) -> None:
        """An idle connection came in, or signals can be sent again."""

    def session_reported(self, session: Session) -> None:
        """The peer answered a ping: time for a CHECK_POINT."""

    def session_ended(self, session: Session, reason: SessionError) -> None:
        """The session is over."""

    def connection_taken(self) -> None:
        """A connection left the pool: a client opens the next."""

    def idle_spoke(self, pooled: PooledLink) -> bool:
        """An idle connection spoke; False drops it."""
        raise NotImplementedError


class _UntilClosed:
    """The receiver of a connection that has been named in a `verify`: kept until the peer, having compared, closes it."""

    __slots__ = ("_closed", "_link")

    def __init__(self, link: Link, closed: Callable[[], object]) -> None:
        self._link = link
        self._closed = closed

    def data_received(self, _: memoryview) -> None:
        """Nothing is said on it."""

    def eof_received(self) -> None:
        self._link.close()

    def connection_lost(self, _: Exception | None) -> None:
        self._closed()

    def pause_writing(self) -> None:
        """Nothing is written to it."""

    def resume_writing(self) -> None:
        """Nothing is written to it."""


class Session:
    """One peer.

    Args:
        peer: its address, for the log.
        codec: between control lines and signals.
        encrypted: whether the pool connections are TLS, so that `verify` is due.
        certified: whether this end has checked the chain and the name of the peer's certificate.
        egress: dials targets for the peer's users; None where this end takes in users.
        owner: hears what happens.
        resources: of the instance.
    """

    def __init__(
        self,
        peer: Address,
        codec: SignalCodec,
        *,
        encrypted: bool,
        certified: bool = False,
        egress: Egress | None,
        owner: SessionOwner,
        resources: Resources,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._codec = codec
        self._egress = egress
        self._owner = owner
        self._resources = resources
        self._control: Control | None = None
        self._certified = certified
        self._verified = certified or not encrypted
        self._owes_verify = encrypted
        self._may_verify = not certified
        self._awaits_verify = encrypted
        self._verifying: dict[ConnectionId, Link] = {}
        self.peer = peer
        self.pool = Pool(
            self._connection_added, owner.connection_taken, self._idle_spoke, resources.tunables.pool_get_timeout
        )
        self.relays: set[Relay] = set()
        self.ended: asyncio.Future[SessionError] = self._loop.create_future()
        self.ready = False
        patience = resources.tunables.handshake_timeout
        self._timer = self._loop.call_later(patience, self.end, SessionError("no control channel came up in time"))

    @property
    def has_control(self) -> bool:
        """Whether the control channel is up."""
        return self._control is not None

    @property
    def ping(self) -> float:
        """Seconds the peer took to answer the last ping."""
        return self._control.ping if self._control is not None else 0.0

    # The life of a session.

    def start_control(self, link: Link, early: bytes = b"") -> None:
        """The first connection has been assigned: it is the control channel."""
        self._control = Control(
            link,
            self._codec,
            self._resources,
            received=self._on_signal,
            answered=self._on_answer,
            writable=lambda: self._owner.session_has_room(self),
            closed=self.end,
        )
        self._timer.cancel()
        if not self._verified and self._egress is None:
            # An end that dials targets does without: a busy v1 peer has no idle connection to name.
            patience = SILENT_INTERVALS * self._resources.tunables.report_interval
            reason = SessionError("the peer did not verify the TLS certificate")
            self._timer = self._loop.call_later(patience, self.end, reason)
        self._control.start(early)
        self._send_verify()
        self._become_ready()

    def end(self, reason: SessionError) -> None:
        """It is over: nothing of this session is left, and its owner knows."""
        if self.ended.done():
            return
        self.ended.set_result(reason)
        self.ready = False
        self._timer.cancel()
        if self._control is not None:
            self._control.close()
        self.pool.close()
        for link in tuple(self._verifying.values()):
            link.abort()
        for relay in tuple(self.relays):
            relay.abort()
        self._owner.session_ended(self, reason)

    def drain(self) -> None:
        """Take part in no more users' connections; those in progress go on."""
        self.ready = False
        self.pool.close()

    def prove_alive(self, proven: Callable[[], None]) -> None:
        """Call `proven` if the peer gives a sign of life."""
        if self._control is not None:
            self._control.prove_alive(proven)

    def _become_ready(self) -> None:
        # An end that only dials targets need not wait: the other holds its users back until it is sure.
        sure = self._verified or self._egress is not None
        if sure and self._control is not None and not self.ready and not self.ended.done():
            self.ready = True
            self._owner.session_ready(self)

    # Users.

    def launch(self, action: Action, remote: Address) -> PooledLink | None:
        """Send a user on the way: an idle connection, whose ID the peer has been told; None where there is none now."""
        if not self.ready or self._control is None or self._control.congested:
            return None
        pooled = self.pool.incoming_get()
        if pooled is not None:
            self._control.send(Signal(action, remote=str(remote), id=pooled.id))
        return pooled

    def _connection_added(self) -> None:
        self._send_verify()
        if self.ready:
            self._owner.session_has_room(self)

    def _idle_spoke(self, pooled: PooledLink) -> bool:
        # A v1 peer closes the connection right behind the `verify` that names it, and the end may come first.
        may_be_named = self._awaits_verify and pooled.ended and not pooled.early
        return may_be_named or self._owner.idle_spoke(pooled)

    # Signals.

    def _on_signal(self, signal: Signal) -> None:
        if signal.action is Action.FLUSH:
            self._resources.log.debug("Flush asked for by %s", self.peer)
            self.pool.flush()
        elif signal.action is Action.VERIFY:
            self._on_verify(signal)
        elif self._egress is None:
            self._resources.log.seldom("flow", WARN, "%s sent a user against the agreed flow: ignored", self.peer)
        else:
            self._egress.serve(self, signal)

    def _on_answer(self) -> None:
        """Once every report interval: report, and flush both ends if the pool has gone bad."""
        if self.pool.error_count > self.pool.active // 2 and self._control is not None:
            self._resources.log.warning("Pool: %d errors with %d idle: flushing", self.pool.error_count, self.pool.active)
            self.pool.flush()
            self._control.send(Signal(Action.FLUSH))
        self._owner.session_reported(self)

    # Comparing certificates.

    def _send_verify(self) -> None:
        """Name an idle connection and the certificate seen on it, once there is one."""
        if not self._owes_verify or not self._may_verify or self._control is None:
            return
        pooled = self.pool.incoming_get()
        if pooled is None:
            return
        self._owes_verify = False
        self._verifying[pooled.id] = pooled.link
        pooled.link.attach(_UntilClosed(pooled.link, lambda: self._verifying.pop(pooled.id, None)))
        self._control.send(Signal(Action.VERIFY, id=pooled.id, fp=pooled.link.fingerprint or ""))

    def _on_verify(self, signal: Signal) -> None:
        self._awaits_verify = False
        own = self._verifying.get(signal.id)
        if own is not None:
            self._compare(own, signal.fp)
            return

        def deliver(pooled: PooledLink | None) -> None:
            if pooled is None:
                self._resources.log.warning("Verify: %s named a connection that is not here", self.peer)
            else:
                self._compare(pooled.link, signal.fp)
                pooled.link.close()

        self.pool.outgoing_get(signal.id, self._resources.tunables.pool_get_timeout, deliver)

    def _compare(self, link: Link, seen_by_peer: str) -> None:
        if self._certified and not seen_by_peer:
            # v1's server with certificate files.
            if self._egress is not None:
                self._resources.log.warning("Verify: %s is of a version that takes in no users with tls=2", self.peer)
            return
        if not seen_by_peer or not hmac.compare_digest(link.fingerprint or "", seen_by_peer):
            self.end(SessionError("the peer saw another certificate: someone may stand between the two ends"))
            return
        self._resources.log.info("TLS certificate verified: %s", seen_by_peer)
        self._verified = True
        self._timer.cancel()
        self._may_verify = True
        self._send_verify()
        self._become_ready()
