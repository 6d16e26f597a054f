"""The server: listens on the tunnel address, and holds a session with each client that knows the key.

Who may begin a session is the `Reception`'s matter, which session a connection belongs to the `Gate`'s.

Which end takes in users is decided once, when the server first binds; a session that ends leaves the ports open.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nodepass.config import RunMode, ServerConfig, Tunables, parse_url
from nodepass.errors import ConfigError, ListenError, SessionError
from nodepass.log import A_FEW, ERROR, INFO, WARN
from nodepass.net.certificates import certificate_source
from nodepass.protocol import conn_id
from nodepass.protocol.agreement import Agreement, Flow
from nodepass.protocol.signals import SignalCodec
from nodepass.tunnel.egress import Egress
from nodepass.tunnel.entrance import Entrance
from nodepass.tunnel.gate import Gate
from nodepass.tunnel.instance import Instance
from nodepass.tunnel.ports import UserPorts, addresses_to_bind, bind_for_users
from nodepass.tunnel.reception import Reception
from nodepass.tunnel.session import Session, SessionOwner
from nodepass.tunnel.sessions import Sessions
from nodepass.tunnel.switchboard import Switchboard
from nodepass.tunnel.targets import Targets
from nodepass.tunnel.transports import alpn_of, tls_of
from nodepass.tunnel.tunnel_port import newcomers_of

if TYPE_CHECKING:
    import logging

    from nodepass.net.address import Address
    from nodepass.net.certificates import CertificateSource
    from nodepass.policy.newcomers import Newcomers
    from nodepass.transport.base import Link
    from nodepass.tunnel.dialect import Dialect
    from nodepass.tunnel.pooled import PooledLink, UserPool
    from nodepass.tunnel.tunnel_port import Newcomer
    from nodepass.tunnel.verification import Trust
    from nodepass.tunnel.workers.branch import Branch
    from nodepass.tunnel.workers.company import Company


class Server(Instance[ServerConfig], SessionOwner):
    """The server's end of a tunnel.

    Args:
        url: `server://…`, or the configuration that `nodepass.parse_url` made of one.
        tunables: the NP_* settings; of the environment unless given.
        logger: where log lines go; the standard library's logger `nodepass` unless given.

    Raises:
        ConfigError: the URL or the environment is wrong.
    """

    title = "Server"

    def __init__(
        self, url: str | ServerConfig, *, tunables: Tunables | None = None, logger: logging.Logger | None = None
    ) -> None:
        config = parse_url(url) if isinstance(url, str) else url
        if not isinstance(config, ServerConfig):
            raise ConfigError("mode", config.scheme.value, "expected a URL that begins with server://")
        super().__init__(config, tunables=tunables, logger=logger)
        self._codec = SignalCodec(config.secret.reveal())
        self._tls = tls_of(config.type, config.tls)
        self._flow: Flow | None = None
        self._certificate: CertificateSource | None = None
        self._user_ports: UserPorts | None = None
        self._sessions: Sessions
        self._company: Company | None = None
        self._newcomers: Newcomers[Newcomer]
        self._reception: Reception
        self._entrance: Entrance
        self.switchboard: Switchboard
        """Where users wait for connections."""
        self.egress: Egress | None = None
        """What dials targets; None where users come in here."""
        self._closing: list[UserPool] = []
        """Those of sessions that this end has ended."""

    # Its life.

    def _prepare(self) -> None:
        self._warn_of_default_key()
        self._newcomers = newcomers_of(self._log)
        place = self._resources.place
        self._sessions = Sessions(place)
        self._company = place.join(self, self._codec, self._sessions, self._newcomers, self._resources)
        self.switchboard = self._make_switchboard()
        self._certificate = certificate_source(
            self._tls, self.config.crt, self.config.key, alpn_of(self.config.type), place.pair
        )
        if self._certificate is None:
            self._log.warning("TLS is off: what passes between the two ends can be read on the way")
        else:
            self._keep_current(self._certificate, self._announce_to_all)
        self._reception = Reception(
            self.config,
            self._codec,
            self._sessions,
            self._certificate,
            self._agreement,
            self._begin_session,
            self._resources,
        )
        takes = None if self._company is None else self._company.takes
        gate = Gate(self._sessions, self._newcomers, self.pool_connection, self._resources, takes)
        self._entrance = Entrance(
            self.config, self._certificate, self._reception, gate, self._sessions, self._newcomers, self._resources
        )

    async def _run(self) -> None:
        tunnel = self.config.tunnel
        ips = await addresses_to_bind(tunnel, self._resources)
        # What the run before still sends, nobody waits for any more.
        self._abort()
        self.switchboard = self._make_switchboard()  # the one before takes no more users
        await self._entrance.open(ips)
        await self._decide_flow()
        mode = RunMode.REVERSE_OR_SINGLE_END if self._flow is Flow.REVERSE else RunMode.FORWARD_OR_DUAL_END
        self._resources.place.settled(mode, several=True)
        if self._flow is Flow.FORWARD and self.egress is None:
            self.egress = Egress(self.config, Targets(self.config, self._resources), self._resources)
        elif self._user_ports is not None:
            self._user_ports.open(self.switchboard, self.config, self._resources)
        self._log.info("Listening on %s, flow %s: waiting for clients", tunnel, self._agreement().flow.value)
        self._is_ready.set()
        await asyncio.Event().wait()

    def _make_switchboard(self) -> Switchboard:
        if self._company is None:
            return Switchboard(self._resources)
        switchboard = Switchboard(self._resources, self._company.users_wait)
        for lender in self._company.lenders:
            switchboard.add(lender)
        return switchboard

    async def _decide_flow(self) -> None:
        """Bind the target address, if users are to come in here; with `mode=0` that decides whether they do."""
        mode = self.config.mode
        if mode is RunMode.FORWARD_OR_DUAL_END or self._flow is Flow.FORWARD:
            self._flow = Flow.FORWARD
            return
        target = self.config.targets[0]
        try:
            self._user_ports = await bind_for_users(target, self.config, self._resources)
        except ListenError as error:
            if mode is RunMode.REVERSE_OR_SINGLE_END or self._flow is Flow.REVERSE:
                raise
            self._log.info("%s: users come in at the client", error)
            self._flow = Flow.FORWARD
        else:
            self._log.info("Bound %s: users come in here", target)
            self._flow = Flow.REVERSE

    def _take_no_more(self) -> None:
        self._entrance.close()
        if self._user_ports is not None:
            self._user_ports.close()
        self.switchboard.close()
        for session in self._sessions:
            session.drain()

    def _close(self) -> None:
        self._take_no_more()
        self._user_ports = None
        self._closing = [session.pool for session in self._sessions]
        for session in self._sessions:
            session.end(SessionError("the server is closing"))

    async def _arrived(self) -> None:
        await self._entrance.arrived()

    async def _departed(self) -> None:
        await self._entrance.departed()
        for pool in self._closing:
            await pool.departed()

    def _abort(self) -> None:
        self._entrance.abort()

    def _mode(self) -> int:
        return {None: 0, Flow.REVERSE: 1, Flow.FORWARD: 2}[self._flow]

    def _peers(self) -> tuple[int, int, float]:
        ready = [session for session in self._sessions if session.ready]
        idle = sum(session.pool.active for session in self._sessions)
        return len(ready), idle, max((session.ping for session in ready), default=0.0)

    def _agreement(self) -> Agreement:
        flow = Flow.REVERSE if self._flow is None else self._flow
        return Agreement(flow, self.config.max, self._tls, self.config.type)

    # What comes in at the tunnel port.

    def pool_connection(self, session: Session, link: Link) -> None:
        """One has shown whose it is, and waits for its ID; the first of a session becomes its control channel."""
        if session.needs_control:
            self.control_came(session, link)
        elif session.pool.active < self.config.max:
            self._take_in(session, link)
        else:
            # Over QUIC, the signals that came with it have not been read yet, which may name one of those that are idle.
            asyncio.get_running_loop().call_soon(self._take_in, session, link)

    def control_came(self, session: Session, link: Link) -> None:
        """The first connection of a session is here, or what leads to it."""
        previous = self._sessions.opened(session)
        if previous is not None:
            previous.end(SessionError("its client began another"))
        if self._company is not None:
            self._company.came(session)
        link.vouch()
        link.write(conn_id.to_bytes(conn_id.CONTROL))
        session.start_control(link)

    def _take_in(self, session: Session, link: Link) -> None:
        if session.pool.active >= self.config.max:
            self._log.seldom("pool full", WARN, "%s opened over %d pool connections", session.peer, self.config.max)
            link.abort()
        else:
            link.vouch()
            new = conn_id.random_id(session.pool)
            link.write(conn_id.to_bytes(new))
            session.pool.add(new, link)

    def _begin_session(self, remote: Address, dialect: Dialect, trust: Trust) -> None:
        how = "proves the key" if dialect.keys is not None else "of version 1"
        agreed = self._agreement().encode().decode().rstrip()
        self._log.seldom(f"handshake {remote.ip}", INFO, "Handshake with %s, %s: %s", remote, how, agreed, burst=A_FEW)
        session = Session(
            remote, dialect, trust=trust, egress=self.egress, owner=self, dials=False, resources=self._resources
        )
        self._sessions.add(session)
        self.switchboard.add(session)

    def _announce_to_all(self, fingerprint: str) -> None:
        """Another certificate is about to be shown by this process."""
        self.announce(fingerprint)
        if self._company is not None:
            self._company.shows(fingerprint)

    # What other processes of the server ask; see `workers.company`.

    def announce(self, fingerprint: str) -> None:
        """Another certificate is about to be shown."""
        for session in self._sessions:
            session.announce_certificate(fingerprint)

    def add_branch(self, branch: Branch) -> None:
        """A session has begun that another process keeps."""
        self._sessions.add_branch(branch)
        self.switchboard.add(branch)

    # What sessions tell.

    def connection_taken(self) -> None:
        """See `SessionOwner`: it is the client that opens the next."""

    def idle_spoke(self, pooled: PooledLink) -> bool:
        """See `SessionOwner`: on a plain connection, this may be a v1 client that knows nothing of its session any more."""
        if self._reception.recognises(pooled):
            return False
        return self._flow is Flow.FORWARD

    def certificate_announced(self, fingerprint: str) -> None:
        """See `SessionOwner`: a client has none to announce."""

    def session_ready(self, session: Session) -> None:
        self._log.seldom(f"ready {session.peer.ip}", INFO, "Session with %s is ready", session.peer, burst=A_FEW)
        self._is_connected.set()
        if self._company is not None:
            self._company.ready(session)
        self.switchboard.serve_waiting()

    def session_has_room(self, session: Session) -> None:
        self.switchboard.serve_waiting()

    def session_reported(self, session: Session) -> None:
        self._log_checkpoint()

    def session_ended(self, session: Session, reason: SessionError) -> None:
        self.switchboard.remove(session)
        self._sessions.remove(session)
        if self._company is not None:
            self._company.over(session, reason)
        if not any(other.ready for other in self._sessions):
            self._is_connected.clear()
        if not self._stopping.is_set():
            peer, text = session.peer, "%s error: session with %s ended: %s"
            self._log.seldom(f"ended {peer.ip}", ERROR, text, self.title, peer, reason, burst=A_FEW)
