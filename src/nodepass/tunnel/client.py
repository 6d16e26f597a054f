"""The client: dials a server, fills a pool to it, and serves as the other end of its tunnel.

With `mode=1`, or `mode=0` where the tunnel address can be bound here, there is no server: it forwards as a single end.
Which of the two it is, is decided once; after that, a session that ends is followed by another, and nothing else changes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nodepass.config import PoolTransport, RunMode, TlsMode
from nodepass.errors import DialError, ListenError, SessionError
from nodepass.log import ERROR, WARN
from nodepass.policy.scaling import PoolScaling
from nodepass.protocol.agreement import Flow
from nodepass.protocol.conn_id import CONTROL, ConnectionId
from nodepass.protocol.extension import Feature
from nodepass.protocol.signals import SignalCodec
from nodepass.tunnel.carriers import CARRIERS
from nodepass.tunnel.credentials import Credentials
from nodepass.tunnel.dialect import Dialect
from nodepass.tunnel.egress import Egress
from nodepass.tunnel.filler import Filler
from nodepass.tunnel.forward import Forwarder
from nodepass.tunnel.meeting import Introduction
from nodepass.tunnel.ports import UserPorts, bind_for_users
from nodepass.tunnel.session import Session, SessionOwner
from nodepass.tunnel.switchboard import Switchboard
from nodepass.tunnel.targets import Targets
from nodepass.tunnel.transports import make_dialer, tls_of
from nodepass.tunnel.verification import Trust

if TYPE_CHECKING:
    import logging

    from nodepass.config import ClientConfig, Tunables
    from nodepass.transport.base import Dialer, Link
    from nodepass.tunnel.meeting import Meeting
    from nodepass.tunnel.pooled import PooledLink

TRUST = {TlsMode.NONE: Trust.PLAIN, TlsMode.SELF_SIGNED: Trust.UNKNOWN, TlsMode.FILES: Trust.CERTIFIED}


class Client(Forwarder, SessionOwner):
    """The client's end of a tunnel, or a single-end forwarder where the URL makes it one.

    Args:
        url: `client://…`, or the configuration that `nodepass.parse_url` made of one.
        tunables: the NP_* settings; of the environment unless given.
        logger: where log lines go; the standard library's logger `nodepass` unless given.

    Raises:
        ConfigError: the URL or the environment is wrong.
    """

    def __init__(
        self, url: str | ClientConfig, *, tunables: Tunables | None = None, logger: logging.Logger | None = None
    ) -> None:
        super().__init__(url, tunables=tunables, logger=logger)
        self._codec = SignalCodec(self.config.secret.reveal())
        self._run_mode = self.config.mode
        self._introduction: Introduction
        self._credentials: Credentials | None = None
        self._session: Session | None = None
        self._filler: Filler | None = None
        self._dialer: Dialer | None = None
        self._flow: Flow | None = None
        self._user_ports: UserPorts | None = None
        self._switchboard: Switchboard
        self._targets: Targets | None = None

    # Its life.

    def _prepare(self) -> None:
        super()._prepare()
        self._switchboard = Switchboard(self._resources)
        self._introduction = Introduction(self.config, self._resources)

    async def _run(self) -> None:
        if self._run_mode is not RunMode.FORWARD_OR_DUAL_END:
            ports = await self._bind_as_single_end()
            if ports is not None:
                await self._forward(ports)
        await self._tunnel()

    async def _bind_as_single_end(self) -> UserPorts | None:
        """Bind the tunnel address; None, once and for all, where it is a server's."""
        try:
            ports = await bind_for_users(self.config.tunnel, self.config, self._resources)
        except (ListenError, DialError) as error:
            if self._run_mode is RunMode.REVERSE_OR_SINGLE_END:
                raise
            if isinstance(error, DialError):
                raise
            self._log.info("%s: it is the server's", error)
            self._run_mode = RunMode.FORWARD_OR_DUAL_END
            return None
        self._run_mode = RunMode.REVERSE_OR_SINGLE_END
        return ports

    async def _tunnel(self) -> None:
        """One session with the server, from the handshake to its end, which it raises."""
        self._warn_of_default_key()
        self._log.info("Shaking hands with the server at %s", self.config.tunnel)
        meeting = await self._introduction.meet()
        self._log.info("The server decides: %s", meeting.agreement.encode().decode().rstrip())
        several = meeting.terms is not None and Feature.SESSIONS in meeting.terms.features
        self._resources.place.settled(RunMode.FORWARD_OR_DUAL_END, several=several)
        await self._adopt_flow(meeting.agreement.flow)
        session = self._session = self._begin_session(meeting)
        self._is_ready.set()
        # Shielded: a client that is stopped ends the session itself, later.
        raise await asyncio.shield(session.ended)

    async def _adopt_flow(self, flow: Flow) -> None:
        """Bind the target address if users come in here. It stays bound from session to session."""
        if flow is not self._flow and self._user_ports is not None:
            self._user_ports.close()
            self._user_ports = None
        self._flow = flow
        if flow is Flow.FORWARD and self._user_ports is None:
            ports = await bind_for_users(self.config.targets[0], self.config, self._resources)
            self._user_ports = ports
            ports.open(self._switchboard, self.config, self._resources)
            self._log.info("Bound %s: users come in here", self.config.targets[0])
        elif flow is Flow.REVERSE and self._targets is None:
            self._targets = Targets(self.config, self._resources)

    def _begin_session(self, meeting: Meeting) -> Session:
        agreement = meeting.agreement
        trust = TRUST[tls_of(PoolTransport(agreement.type), TlsMode(agreement.tls))]
        dialect = Dialect.v1(self._codec)
        if meeting.terms is not None and meeting.keys is not None:
            dialect = Dialect.extended(self._codec, meeting.keys, meeting.terms.features)
        session = Session(
            meeting.server,
            dialect,
            trust=Trust.PLAIN if dialect.pins else trust,
            egress=Egress(self.config, self._targets, self._resources) if self._targets is not None else None,
            owner=self,
            dials=True,
            resources=self._resources,
        )
        self._switchboard.add(session)
        tunables = self._tunables
        least, most = self.config.min, agreement.max
        if dialect.shares:
            least = most = min(CARRIERS * meeting.server_workers, least, most)
        scaling = PoolScaling(least, most, tunables.min_pool_interval, tunables.max_pool_interval)
        # That of the session before may still be sending what is left, which nobody waits for any more.
        self._abort()
        self._credentials = Credentials(meeting)
        dialer = self._dialer = make_dialer(agreement, self.config, meeting.server, self._resources, meeting.server_workers)
        self._filler = Filler(
            session.pool, scaling, dialer, self._resources, self._credentials.show, self._identified, self._distrust
        )
        self._filler.refill()
        return session

    def _distrust(self, error: Exception) -> None:
        """The server's certificate is not what it must be: no other connection of this session would fare better.

        Unless the session is up: then somebody stands in the way of new connections only, or the server has another
        certificate and its word of that is still on the way.
        """
        if self._session is None:
            return
        if self._session.has_control:
            self._log.seldom("certificate", ERROR, "Refused a pool connection: the certificate %s", error)
        else:
            self._session.end(SessionError(f"the server's certificate is not trusted: {error}"))

    def _identified(self, connection_id: ConnectionId, link: Link, rest: bytes) -> None:
        session = self._session
        if session is None or session.ended.done():
            link.abort()
        elif connection_id != CONTROL:
            session.pool.add(connection_id, link, rest)
        elif session.has_control:
            self._log.seldom("control twice", WARN, "The server assigned the control channel twice")
            link.abort()
        else:
            session.start_control(link, rest)

    def _take_no_more(self) -> None:
        super()._take_no_more()
        if self._filler is not None:
            self._filler.close()
        if self._user_ports is not None:
            self._user_ports.close()
        self._switchboard.close()
        if self._session is not None:
            self._session.drain()

    def _close(self) -> None:
        super()._close()
        if self._filler is not None:
            self._filler.close()
        if self._session is not None:
            self._session.end(SessionError("the client is closing"))

    async def _arrived(self) -> None:
        if self._dialer is not None:
            await self._dialer.arrived()

    async def _departed(self) -> None:
        if self._dialer is not None:
            await self._dialer.departed()
        if self._session is not None:
            await self._session.pool.departed()

    def _abort(self) -> None:
        if self._dialer is not None:
            self._dialer.abort()

    def _mode(self) -> int:
        return {RunMode.AUTO: 0, RunMode.REVERSE_OR_SINGLE_END: 1, RunMode.FORWARD_OR_DUAL_END: 2}[self._run_mode]

    def _peers(self) -> tuple[int, int, float]:
        session = self._session
        if session is None or session.ended.done():
            return super()._peers()
        return int(session.ready), session.pool.active, session.ping

    # What the session tells.

    def connection_taken(self) -> None:
        if self._filler is not None:
            self._filler.refill()

    def idle_spoke(self, pooled: PooledLink) -> bool:
        """See `SessionOwner`: a server that takes in users may send their bytes before it names the connection."""
        return self._flow is Flow.REVERSE

    def certificate_announced(self, fingerprint: str) -> None:
        """See `SessionOwner`."""
        if self._credentials is not None:
            self._credentials.trust(fingerprint)

    def session_ready(self, session: Session) -> None:
        self._log.info("Session with the server at %s is ready", session.peer)
        self._is_connected.set()
        self._switchboard.serve_waiting()

    def session_has_room(self, session: Session) -> None:
        self._switchboard.serve_waiting()

    def session_reported(self, session: Session) -> None:
        self._log_checkpoint()

    def session_ended(self, session: Session, reason: SessionError) -> None:
        self._switchboard.remove(session)
        if self._filler is not None:
            self._filler.close()
