"""A signal arrives: find its connection, dial a target, send the PROXY header, relay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.log import DEBUG, ERROR, WARN
from nodepass.net.address import parse
from nodepass.protocol.launch import CONFIRMED, REFUSED, REPEATED
from nodepass.protocol.signals import Action
from nodepass.relay.tcp import TcpRelay
from nodepass.relay.udp import UdpRelay

if TYPE_CHECKING:
    from nodepass.config import ClientConfig, ServerConfig
    from nodepass.net.address import Address
    from nodepass.protocol.conn_id import ConnectionId
    from nodepass.protocol.signals import Signal
    from nodepass.relay.datagram_ends import DatagramEnd
    from nodepass.tunnel.pooled import PooledLink
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.session import Session
    from nodepass.tunnel.targets import Targets
    from nodepass.tunnel.upstream import Relay, Way


class Egress:
    """Serves the peers' users: each signal becomes a relay between a pool connection and a target.

    Args:
        config: which protocols are carried.
        targets: where users are sent.
        resources: of the instance.
    """

    def __init__(self, config: ServerConfig | ClientConfig, targets: Targets, resources: Resources) -> None:
        self._resources = resources
        self._targets = targets
        self._refused = {Action.TCP} if config.notcp else set[Action]()
        if config.noudp:
            self._refused.add(Action.UDP)

    def serve(self, session: Session, signal: Signal) -> None:
        """Serve one user of this session's peer."""
        if session.pool.waiting >= self._resources.tunables.semaphore_limit:
            self._resources.log.seldom("signals", WARN, "Too many signals wait for their connection: one is dropped")
            return
        service = _Service(session, signal, self._targets, self._resources)
        service.find_connection(signal.id, refuse=signal.action in self._refused)

    def serve_on(self, session: Session, pooled: PooledLink, signal: Signal) -> None:
        """Serve one user on the connection that brought its signal (`inband`)."""
        service = _Service(session, signal, self._targets, self._resources)
        if signal.action in self._refused:
            service.refuse(pooled)
        elif not self._resources.repeats.begin(signal.name, service):
            service.refuse(pooled, REPEATED)
        else:
            service.begin(pooled)


class _Service:
    """One user on the way to its target."""

    __slots__ = ("_name", "_pooled", "_remote", "_resources", "_session", "_targets", "_udp")

    def __init__(self, session: Session, signal: Signal, targets: Targets, resources: Resources) -> None:
        self._session = session
        self._targets = targets
        self._resources = resources
        self._name = signal.name
        self._udp = signal.action is Action.UDP
        self._remote: Address = parse(signal.remote)

    def find_connection(self, connection_id: ConnectionId, *, refuse: bool) -> None:
        """Wait for the connection that the signal names."""
        timeout = self._resources.tunables.pool_get_timeout
        self._session.pool.outgoing_get(connection_id, timeout, self.refuse if refuse else self._on_connection)

    def refuse(self, pooled: PooledLink | None, word: bytes = REFUSED) -> None:
        """Let the user's end of the tunnel know, as far as it understands, that no target is reached."""
        if pooled is None:
            return
        if self._session.dialect.confirms and not self._udp:
            pooled.link.write(word)
            pooled.link.break_off()
        else:
            pooled.link.abort()

    def _on_connection(self, pooled: PooledLink | None) -> None:
        if pooled is None:
            self._resources.log.seldom("no connection", ERROR, "No pool connection for the user at %s", self._remote)
            return
        self.begin(pooled)

    def begin(self, pooled: PooledLink) -> None:
        """Look for a target for this connection."""
        if not self._resources.meter.begin(udp=self._udp):
            self._resources.log.seldom("slot", WARN, "All slots are taken: refused the user at %s", self._remote)
            self._resources.repeats.over(self._name, self)
            self.refuse(pooled)
            return
        self._pooled = pooled
        self._session.relays.add(self)
        if self._udp:
            attempt = self._targets.open_udp(self._remote, self._on_datagram_target, self._on_failure)
        else:
            attempt = self._targets.open_tcp(self._remote, self._on_target, self._on_failure)

        def lost() -> None:
            attempt.cancel()
            self._session.relays.discard(self)
            self._resources.repeats.over(self._name, self)
            self._end()

        if self in self._session.relays:
            pooled.lost = lost

    def abort(self) -> None:
        """The session has died while a target was searched for."""
        self._pooled.link.abort()

    def _on_failure(self, error: Exception) -> None:
        self._resources.log.seldom("target", ERROR, "No target for the user at %s: %s", self._remote, error)
        self._hand_over()
        self.refuse(self._pooled)
        self._end()

    def _hand_over(self, *, reached: bool = False) -> None:
        """The search is over: the connection is looked after by someone else."""
        self._session.relays.discard(self)
        self._resources.repeats.over(self._name, self, reached=reached)
        self._pooled.lost = None

    def _on_target(self, way: Way) -> None:
        self._hand_over(reached=True)
        relay = TcpRelay(way.link, self._pooled.link, self._resources.meter, self._on_tcp_end)
        self._session.relays.add(relay)
        first = CONFIRMED if self._session.dialect.confirms else b""
        relay.start(self._pooled.early, first=first, ended=self._pooled.ended)

    def _on_datagram_target(self, target: DatagramEnd, _: set[Relay]) -> None:
        self._hand_over()
        far, timeout = self._session.datagrams(self._pooled), self._resources.tunables.udp_read_timeout
        relay = UdpRelay(target, far, self._resources.meter, timeout, self._on_udp_end)
        self._session.relays.add(relay)
        relay.start()

    def _on_tcp_end(self, relay: TcpRelay, error: Exception | None) -> None:
        self._session.relays.discard(relay)
        self._log_end(error)
        self._end()

    def _on_udp_end(self, relay: UdpRelay, error: Exception | None) -> None:
        self._session.relays.discard(relay)
        self._log_end(error)
        self._end()

    def _log_end(self, error: Exception | None) -> None:
        if self._resources.log.shows(DEBUG):
            self._resources.log.debug("Exchange complete: %s: %s", self._remote, error or "ended")

    def _end(self) -> None:
        self._resources.meter.end(udp=self._udp)
