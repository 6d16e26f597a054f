"""The server: listens on the tunnel address, and holds a session with each client that knows the key.

The tunnel port takes two kinds of connections: handshakes, and the pool connections of clients that have shaken hands,
known by their address (spec: wire.md). With TLS the first byte tells them apart. Without, the server has to speak first on
a pool connection; a client that has forgotten its session then shows by the handshake it sends.

Which end takes in users is decided once, when the server first binds; a session that ends leaves the ports open.
"""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from nodepass.config import RunMode, ServerConfig, TlsMode, Tunables, parse_url
from nodepass.errors import ConfigError, ListenError, SessionError
from nodepass.log import WARN
from nodepass.net.certificates import CertificateSource, from_files, self_signed
from nodepass.net.listen import TcpListener, bind
from nodepass.net.peek import Peek
from nodepass.protocol import conn_id
from nodepass.protocol.agreement import Agreement, Flow
from nodepass.protocol.handshake import ServerHandshake
from nodepass.protocol.signals import SignalCodec
from nodepass.transport.tcp_link import TcpLink
from nodepass.transport.tls_link import TlsLink
from nodepass.tunnel.egress import Egress
from nodepass.tunnel.handshake import HandshakeReceiver
from nodepass.tunnel.instance import Instance
from nodepass.tunnel.ports import UserPorts, addresses_to_bind, bind_for_users
from nodepass.tunnel.session import Session, SessionOwner
from nodepass.tunnel.switchboard import Switchboard
from nodepass.tunnel.targets import Targets

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from nodepass.net.address import Address
    from nodepass.net.certificates import ServerCertificate
    from nodepass.protocol.handshake import Verdict
    from nodepass.transport.base import Link
    from nodepass.tunnel.pool import PooledLink

TLS_HANDSHAKE_RECORD = b"\x16"
"""First byte of a TLS connection (RFC 8446, 5.1)."""

MOST_UNDECIDED = 1024
"""Connections to the tunnel port that may be in a handshake of either kind at a time."""

PROOF_TIMEOUT = 1.0
"""Seconds a session has to show that it lives when its client's address asks for another."""


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
        self._flow: Flow | None = None
        self._certificate: CertificateSource | None = None
        self._listener: TcpListener | None = None
        self._user_ports: UserPorts | None = None
        self._sessions: dict[str, Session] = {}
        self._undecided = 0
        self._switchboard: Switchboard
        self._egress: Egress | None = None

    # Its life.

    def _prepare(self) -> None:
        self._switchboard = Switchboard(self._resources)
        if self.config.tls is TlsMode.SELF_SIGNED:
            self._certificate = CertificateSource(self_signed())
        elif self.config.tls is TlsMode.FILES:
            files = (Path(self.config.crt), Path(self.config.key))
            self._certificate = CertificateSource(from_files(*files), files)
            self._resources.tasks.start(self._reload_certificates(self._certificate), "certificate reload")
        else:
            self._log.warning("TLS is off: what passes between the two ends can be read on the way")

    async def _run(self) -> None:
        tunnel = self.config.tunnel
        listening = bind(await addresses_to_bind(tunnel, self._resources), tunnel.port, socket.SOCK_STREAM)
        self._listener = TcpListener(listening, self._accepted, self._log)
        await self._decide_flow()
        if self._flow is Flow.FORWARD and self._egress is None:
            self._egress = Egress(self.config, Targets(self.config, self._resources), self._resources)
        elif self._user_ports is not None:
            self._user_ports.open(self._switchboard, self.config, self._resources)
        self._log.info("Listening on %s, flow %s: waiting for clients", tunnel, self._agreement().flow.value)
        self._is_ready.set()
        await asyncio.Event().wait()

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
        if self._listener is not None:
            self._listener.close()
        if self._user_ports is not None:
            self._user_ports.close()
        self._switchboard.close()
        for session in self._sessions.values():
            session.drain()

    def _close(self) -> None:
        self._take_no_more()
        self._listener = self._user_ports = None
        for session in tuple(self._sessions.values()):
            session.end(SessionError("the server is closing"))

    def _mode(self) -> int:
        return {None: 0, Flow.REVERSE: 1, Flow.FORWARD: 2}[self._flow]

    def _peers(self) -> tuple[int, int, float]:
        ready = [session for session in self._sessions.values() if session.ready]
        idle = sum(session.pool.active for session in self._sessions.values())
        return len(ready), idle, max((session.ping for session in ready), default=0.0)

    def _agreement(self) -> Agreement:
        flow = Flow.REVERSE if self._flow is None else self._flow
        return Agreement(flow, self.config.max, self.config.tls, self.config.type)

    # The tunnel port.

    def _accepted(self, sock: socket.socket, remote: Address) -> None:
        session = self._sessions.get(remote.ip)
        if session is not None and self._certificate is None:
            self._take_in(session, TcpLink(sock, self._resources.buffers.encrypted, remote))
            return
        if self._undecided >= MOST_UNDECIDED:
            self._log.seldom("undecided", WARN, "Too many handshakes at a time: refused %s", remote)
            sock.close()
            return
        self._undecided += 1
        if session is None or self._certificate is None:
            self._receive_handshake(sock, remote)
        else:
            self._tell_apart(sock, remote, self._certificate.current)

    def _tell_apart(self, sock: socket.socket, remote: Address, certificate: ServerCertificate) -> None:
        """Look at the first byte of a connection from a client's address: TLS, or another handshake?"""
        first = b""

        def examine(data: bytes) -> int:
            nonlocal first
            first = data
            return 0

        def done(sock: socket.socket) -> None:
            if first == TLS_HANDSHAKE_RECORD:
                self._encrypt(sock, remote, certificate)
            else:
                self._receive_handshake(sock, remote)

        def failed(_: Exception) -> None:
            self._undecided -= 1

        Peek(sock, 1, self._tunables.handshake_timeout, examine, done, failed)

    def _encrypt(self, sock: socket.socket, remote: Address, certificate: ServerCertificate) -> None:
        """Do TLS on a pool connection."""

        def ready(link: TlsLink, error: Exception | None) -> None:
            self._undecided -= 1
            session = self._sessions.get(remote.ip)
            if error is not None:
                self._log.seldom("tls", WARN, "TLS with %s: %s", remote, error)
            elif session is None:
                link.abort()
            else:
                self._take_in(session, link)

        TlsLink(
            sock,
            self._resources.buffers,
            certificate,
            timeout=self._tunables.handshake_timeout,
            ready=ready,
            remote=remote,
        )

    def _take_in(self, session: Session, link: Link) -> None:
        """Assign an ID to a pool connection; the first becomes the control channel."""
        if not session.has_control:
            link.write(conn_id.to_bytes(conn_id.CONTROL))
            session.start_control(link)
        elif session.pool.active >= self.config.max:
            self._log.seldom("pool full", WARN, "%s opened more than %d pool connections", session.peer, self.config.max)
            link.abort()
        else:
            new = conn_id.random_id(session.pool)
            link.write(conn_id.to_bytes(new))
            session.pool.add(new, link)

    # Handshakes.

    def _receive_handshake(self, sock: socket.socket, remote: Address) -> None:
        link = TcpLink(sock, self._resources.buffers.encrypted, remote)
        key = self.config.secret.reveal()
        HandshakeReceiver(link, key, self._tunables.handshake_timeout, self._judged, self._handshake_over)

    def _handshake_over(self, _: HandshakeReceiver) -> None:
        self._undecided -= 1

    def _judged(self, handshake: HandshakeReceiver, verdict: Verdict) -> None:
        remote = handshake.link.remote
        if not verdict.accepted:
            self._log.seldom("handshake", WARN, "Handshake from %s refused: %d %s", remote, verdict.status, verdict.text)
            handshake.refuse(verdict.status, verdict.text)
            return

        def refuse() -> None:
            self._log.seldom("second client", WARN, "Refused a second client from %s", remote.ip)
            handshake.refuse(HTTPStatus.CONFLICT, "another client from this address is connected")

        self._unless_alive(remote.ip, lambda: self._begin_session(handshake), refuse)

    def _begin_session(self, handshake: HandshakeReceiver) -> None:
        agreement = self._agreement()
        remote = handshake.link.remote
        self._log.info("Handshake with %s: %s", remote, agreement.encode().decode().rstrip())
        session = Session(
            remote,
            self._codec,
            encrypted=self._certificate is not None,
            egress=self._egress,
            owner=self,
            resources=self._resources,
        )
        self._sessions[remote.ip] = session
        self._switchboard.add(session)
        handshake.accept(agreement)

    def _unless_alive(self, ip: str, begin: Callable[[], None], refuse: Callable[[], None]) -> None:
        """Begin another session with a client unless the one it has gives a sign of life in time; then refuse."""
        session = self._sessions.get(ip)
        if session is None or not session.has_control:
            if session is not None:
                session.end(SessionError("its client began another"))
            begin()
            return

        def dead() -> None:
            session.end(SessionError("its client began another, and this one gave no sign of life"))
            begin()

        def alive() -> None:
            if not session.ended.done():
                timer.cancel()
                refuse()

        timer = asyncio.get_running_loop().call_later(PROOF_TIMEOUT, dead)
        session.prove_alive(alive)

    # What sessions tell.

    def idle_spoke(self, pooled: PooledLink) -> bool:
        """See `SessionOwner`: on a plain connection, this may be a client that knows nothing of its session any more."""
        if pooled.early:
            verdict = ServerHandshake(self.config.secret.reveal()).receive(pooled.early)
            if verdict is not None and verdict.accepted:
                self._log.seldom("forgotten", WARN, "A handshake from %s came as a pool connection", pooled.link.remote)
                self._unless_alive(pooled.link.remote.ip, lambda: None, lambda: None)
                return False
        return self._flow is Flow.FORWARD

    def session_ready(self, session: Session) -> None:
        self._log.info("Session with %s is ready", session.peer)
        self._is_connected.set()
        self._switchboard.serve_waiting()

    def session_has_room(self, session: Session) -> None:
        self._switchboard.serve_waiting()

    def session_reported(self, session: Session) -> None:
        self._log_checkpoint()

    def session_ended(self, session: Session, reason: SessionError) -> None:
        self._switchboard.remove(session)
        if self._sessions.get(session.peer.ip) is session:
            del self._sessions[session.peer.ip]
        if not any(other.ready for other in self._sessions.values()):
            self._is_connected.clear()
        if not self._stopping.is_set():
            self._log.error("%s error: session with %s ended: %s", self.title, session.peer, reason)
