"""What a server does with each handshake: from the verdict on its bytes to the answer, and the session that begins.

Whether the key is proved is the `Doorkeeper`'s to say. A client of this project begins a session whenever it comes; it
takes the place of its session before with the first connection of the new one (`Sessions`). A v1 client cannot be told
from another at its address: one that comes while the session there gives signs of life is refused.

A v1 client that knows nothing of its session any more may send its handshake on what is taken for a pool connection. It
is recognised here, but not answered: it comes again.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from nodepass.errors import SessionError
from nodepass.log import WARN
from nodepass.protocol.extension import Terms
from nodepass.protocol.handshake import ServerHandshake
from nodepass.tunnel.dialect import MUX_NEEDS, Dialect
from nodepass.tunnel.doorkeeper import Doorkeeper
from nodepass.tunnel.sharing import granted, lacks
from nodepass.tunnel.verification import Trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.config import ServerConfig
    from nodepass.net.address import Address
    from nodepass.net.certificates import CertificateSource
    from nodepass.protocol.agreement import Agreement
    from nodepass.protocol.handshake import Verdict
    from nodepass.protocol.signals import Codec
    from nodepass.tunnel.doorkeeper import Proven
    from nodepass.tunnel.handshake import HandshakeReceiver
    from nodepass.tunnel.pooled import PooledLink
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.sessions import Sessions

PROOF_TIMEOUT: Final = 1.0
"""Seconds a session has to show that it lives when its client's address asks for another."""

NO_SHARING: Final = "users share pool connections here (pool=mux), which this client does not"


class Reception:
    """Answers the handshakes of one server.

    Args:
        config: the key, and whether a token suffices.
        codec: between control lines and signals, for clients that do not seal theirs.
        sessions: of the server.
        certificate: for pool connections; None has them plain.
        agreement: gives what a client is told now.
        begin: called with the client's address, what it speaks, and what is known of the certificate it sees.
        resources: of the instance.
    """

    def __init__(
        self,
        config: ServerConfig,
        codec: Codec,
        sessions: Sessions,
        certificate: CertificateSource | None,
        agreement: Callable[[], Agreement],
        begin: Callable[[Address, Dialect, Trust], None],
        resources: Resources,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._config = config
        self._codec = codec
        self._sessions = sessions
        self._certificate = certificate
        self._agreement = agreement
        self._begin = begin
        self._log = resources.log
        self._place = resources.place
        self._doorkeeper = Doorkeeper(config.secret, resources)

    def make_handshake(self, upgrades: bool) -> ServerHandshake:
        """Make what judges the bytes of one request; told whether one for a WebSocket is for a pool connection."""
        return ServerHandshake(self._config.secret.reveal(), strict=self._config.strict, upgrades=upgrades)

    def answer(self, handshake: HandshakeReceiver, verdict: Verdict) -> None:
        """A request has come."""

        def admit(proven: Proven | None) -> None:
            if proven is None:
                self._meet_v1(handshake)
            elif not handshake.over:
                self._meet(handshake, proven)

        self._doorkeeper.judge(handshake.link.remote, verdict, admit, handshake.refuse)

    def _meet(self, handshake: HandshakeReceiver, proven: Proven) -> None:
        """A client that proves itself on each connection begins a session."""
        agreement = self._agreement()
        certificate = self._certificate.current.fingerprint if self._certificate is not None else ""
        features = granted(self._config.pool, self._config.type, proven.offer.features)
        terms = Terms(self._place.name_session(), features, agreement, certificate, self._place.workers)
        answer, keys = proven.extension.answer(terms)
        dialect = Dialect.extended(self._codec, keys, terms.features, proven.offer.client, proven.offer.refuses)
        if not dialect.proves:
            handshake.refuse(HTTPStatus.BAD_REQUEST, "the extension without pool-auth is not spoken here")
            return
        if self._place.workers > 1 and not features >= MUX_NEEDS:
            handshake.refuse(HTTPStatus.BAD_REQUEST, "several processes here need more of the extension")
            return
        if lacks(self._config.pool, agreement, features):
            self._refuse_single(handshake)
            return
        trust = Trust.PLAIN if dialect.pins or self._certificate is None else Trust.UNKNOWN
        self._begin(handshake.link.remote, dialect, trust)
        handshake.accept(agreement, answer)

    def _meet_v1(self, handshake: HandshakeReceiver) -> None:
        """A client with a token begins a session, unless its address has one that is alive."""
        if lacks(self._config.pool, self._agreement()):
            self._refuse_single(handshake)
            return
        remote = handshake.link.remote

        def begin() -> None:
            if handshake.over:
                return
            previous = self._sessions.known_by_address(remote.ip)
            if previous is not None:
                previous.end(SessionError("its client began another, and this one gave no sign of life"))
            self._begin(remote, Dialect.v1(self._codec), Trust.PLAIN if self._certificate is None else Trust.UNKNOWN)
            handshake.accept(self._agreement())

        def refuse() -> None:
            self._log.seldom("second client", WARN, "Refused a second client of version 1 from %s", remote.ip)
            handshake.refuse(HTTPStatus.CONFLICT, "another client from this address is connected")

        self._unless_alive(remote.ip, begin, refuse)

    def _refuse_single(self, handshake: HandshakeReceiver) -> None:
        """A client that has a connection for each user, where they are to share them."""
        self._log.seldom("single", WARN, "Refused the client at %s: %s", handshake.link.remote, NO_SHARING)
        handshake.refuse(HTTPStatus.BAD_REQUEST, NO_SHARING)

    def _unless_alive(self, ip: str, begin: Callable[[], None], refuse: Callable[[], None]) -> None:
        """Begin another session with a v1 client unless the one it has gives a sign of life in time; then refuse."""
        session = self._sessions.known_by_address(ip)
        if session is None or not session.has_control:
            begin()
            return
        timer = self._loop.call_later(PROOF_TIMEOUT, begin)

        def alive() -> None:
            if not timer.cancelled() and timer.when() > self._loop.time():
                timer.cancel()
                refuse()

        session.prove_alive(alive)

    def recognises(self, pooled: PooledLink) -> bool:
        """Whether what an idle connection of a v1 session says is a handshake, so that it is none of the pool's."""
        verdict = self.make_handshake(False).receive(pooled.early) if pooled.early else None
        if verdict is None:
            return False
        remote = pooled.link.remote
        if verdict.extension:
            self._log.seldom("shared", WARN, "A client that proves itself shares %s with one of version 1", remote.ip)
            self._sessions.share(remote.ip)
            return True
        if verdict.accepted:
            self._log.seldom("forgotten", WARN, "A handshake from %s came as a pool connection", remote)
            self._client_forgot(remote.ip)
        return verdict.accepted

    def _client_forgot(self, ip: str) -> None:
        """A v1 client knows nothing of its session, unless somebody else is at its address: is it still alive?"""
        session = self._sessions.known_by_address(ip)

        def dead() -> None:
            if session is not None:
                session.end(SessionError("its client asked for another, and this one gave no sign of life"))

        self._unless_alive(ip, dead, lambda: None)
