"""Comparing what certificate the two ends of a TLS session see (`verify`, spec: wire.md).

Each end names an idle connection and the fingerprint it saw on it, as soon as it has a connection to name; the other takes
that connection, compares with what it saw itself, and closes it. An end that takes in users carries none before the peer's
view has come and agrees: a man in the middle of a `tls=1` tunnel, who has another certificate on each side, is found out.

What v1 peers do differently, and what follows:

- They close the connection they name at once: its end may come here before the signal that names it.
- A busy one has no idle connection to name. An end that dials targets does without its view.
- A server with certificate files sends no fingerprint, and ends its session at any `verify` that reaches it. A client that
  has checked the certificate by chain and name (`certified`) needs no view of such a server, and gives its own only in
  answer to one with a fingerprint.
"""

from __future__ import annotations

import asyncio
import hmac
from enum import Enum, auto
from typing import TYPE_CHECKING

from nodepass.errors import SessionError
from nodepass.log import A_FEW, INFO, WARN
from nodepass.protocol.signals import Action, Signal
from nodepass.tunnel.control import SILENT_INTERVALS

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.net.address import Address
    from nodepass.protocol.conn_id import ConnectionId
    from nodepass.transport.base import Link
    from nodepass.tunnel.pooled import PooledLink, UserPool
    from nodepass.tunnel.resources import Resources


class Trust(Enum):
    """What this end knows of the peer's certificate before any `verify`."""

    PLAIN = auto()
    """There is none: the session has no TLS."""
    UNKNOWN = auto()
    """Nothing, or it is this end's own."""
    CERTIFIED = auto()
    """Its chain and name have been checked."""


class Verification:
    """One end's part in it.

    Args:
        peer: its address, for the log.
        pool: where connections are named from.
        resources: of the instance.
        trust: what this end knows of the peer's certificate.
        takes_users: whether this end takes in users, who must wait.
        send: sends a signal.
        agreed: called when the peer's view has come and agrees.
        failed: called with the reason when it does not agree, or does not come.
    """

    def __init__(
        self,
        peer: Address,
        pool: UserPool,
        resources: Resources,
        *,
        trust: Trust,
        takes_users: bool,
        send: Callable[[Signal], None],
        agreed: Callable[[], None],
        failed: Callable[[SessionError], None],
    ) -> None:
        self._peer = peer
        self._pool = pool
        self._log = resources.log
        self._tunables = resources.tunables
        self._certified = trust is Trust.CERTIFIED
        self._takes_users = takes_users
        self._send = send
        self._agreed = agreed
        self._failed = failed
        self._owes_view = self._awaits_view = trust is not Trust.PLAIN
        self._may_give_view = not self._certified
        self._has_named = False
        self._named: dict[ConnectionId, Link] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.satisfied = trust is not Trust.UNKNOWN or not takes_users
        """Whether nothing stands against carrying users."""

    def start(self) -> None:
        """Signals can be sent from now on."""
        if not self.satisfied:
            patience = SILENT_INTERVALS * self._tunables.report_interval
            reason = SessionError("the peer did not verify the TLS certificate")
            self._timer = asyncio.get_running_loop().call_later(patience, self._failed, reason)
        self.give_view()

    def close(self) -> None:
        """Let go of what has been named."""
        if self._timer is not None:
            self._timer.cancel()
        for link in tuple(self._named.values()):
            link.abort()

    def give_view(self) -> None:
        """Name an idle connection and the certificate seen on it, once, if there is one."""
        pooled = self._pool.incoming_get() if self._owes_view and self._may_give_view else None
        if pooled is None:
            return
        self._owes_view = False
        self._named[pooled.id] = pooled.link
        pooled.link.attach(_UntilClosed(pooled.link, lambda: self._named.pop(pooled.id, None)))
        self._send(Signal(Action.VERIFY, id=pooled.id, fp=pooled.link.fingerprint or ""))

    def may_be_named(self, pooled: PooledLink) -> bool:
        """Whether an idle connection that ended may be one that the peer is about to name."""
        return self._awaits_view and pooled.ended and not pooled.early

    def received(self, signal: Signal) -> None:
        """The peer gave its view."""
        self._awaits_view = False
        own = self._named.get(signal.id)
        if own is not None:
            self._compare(own, signal.fp)
            return
        if self._has_named:
            self._log.seldom("verify", WARN, "Verify: %s named a second connection: ignored", self._peer)
            return
        self._has_named = True

        def deliver(pooled: PooledLink | None) -> None:
            if pooled is None:
                self._log.seldom("verify", WARN, "Verify: %s named a connection that is not here", self._peer)
            else:
                self._compare(pooled.link, signal.fp)
                pooled.link.close()

        self._pool.outgoing_get(signal.id, self._tunables.pool_get_timeout, deliver)

    def _compare(self, link: Link, seen_by_peer: str) -> None:
        if self._certified and not seen_by_peer:
            if not self._takes_users:
                self._log.seldom("verify", WARN, "Verify: %s is of a version that takes in no users with tls=2", self._peer)
            return
        if not seen_by_peer or not hmac.compare_digest(link.fingerprint or "", seen_by_peer):
            self._failed(SessionError("the peer saw another certificate: someone may stand between the two ends"))
            return
        kind = f"verified {self._peer.ip}"
        self._log.seldom(kind, INFO, "TLS certificate verified: %s", seen_by_peer, burst=A_FEW)
        if self._timer is not None:
            self._timer.cancel()
        self.satisfied = True
        self._may_give_view = True
        self.give_view()
        self._agreed()


class _UntilClosed:
    """The receiver of a connection that has been named: kept until the peer, having compared, closes it."""

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
