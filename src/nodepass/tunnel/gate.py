"""Pool connections on their way in: which session each belongs to, before anything is said on it.

Those of an extended session begin with a proof (`pool-auth`, extension.md): the session's ID, a counter, and a tag that
only its client can make. Those of a v1 session are known by the address that they come from, and wait for the server to
speak first. Where clients of both kinds share an address, a connection on which nothing is said for a moment is v1's.

What always holds: what has proved nothing is limited in number (`Newcomers`) and in time, carries no user, and takes no
place in a pool; a proof opens one connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nodepass.log import WARN
from nodepass.protocol.session_keys import POOL_PROOF_SIZE, counter_of, session_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.policy.newcomers import Newcomers
    from nodepass.transport.base import Link
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.session import Session
    from nodepass.tunnel.sessions import Sessions
    from nodepass.tunnel.tunnel_port import Newcomer

GRACE: Final = 0.2
"""Seconds in which a connection from an address with clients of both kinds may begin with a proof. A client of this project
sends it with the last packet of its set-up."""


class Gate:
    """Where the pool connections of one server come in.

    Args:
        sessions: of the server.
        newcomers: whoever has not shown yet who it is.
        admitted: called with each connection that has, and its session.
        resources: of the instance.
        takes: where the server is several processes, whether the session of a proof is kept in another, which has been
            asked about it then.
    """

    def __init__(
        self,
        sessions: Sessions,
        newcomers: Newcomers[Newcomer],
        admitted: Callable[[Session, Link], None],
        resources: Resources,
        takes: Callable[[Link, bytes], bool] | None = None,
    ) -> None:
        self._takes = takes
        self._sessions = sessions
        self._newcomers = newcomers
        self._admitted = admitted
        self._log = resources.log
        self._timeout = resources.tunables.handshake_timeout

    def take(self, link: Link, early: bytes = b"") -> None:
        """One has come, with all said that its transport says before the ID; `early` has been read from it."""
        known = self._sessions.known_by_address(link.remote.ip)
        if known is not None and not self._sessions.expects_proof_from(link.remote.ip):
            self._admitted(known, link)
        elif known is None and not self._sessions.prove_themselves:
            link.abort()
        elif len(early) >= POOL_PROOF_SIZE:
            self.proof(link, early)
        else:
            unproven = _Unproven(self, link, self._timeout if known is None else GRACE)
            self._newcomers.enter(link.remote.ip, unproven)
            if early:
                unproven.data_received(memoryview(early))

    # What connections tell.

    def over(self, unproven: _Unproven) -> None:
        """One has proved something, or is gone."""
        self._newcomers.leave(unproven.remote.ip, unproven)

    def proof(self, link: Link, proof: bytes) -> None:
        """This came on a connection. What is longer is no proof: a client says no more before it has its ID."""
        if self._takes is not None and self._takes(link, proof):
            return
        session = self._sessions.known_by_id(session_of(proof))
        if session is not None and session.dialect.admits(proof):
            self._admitted(session, link)
            return
        what = "of no session here" if session is None else f"number {counter_of(proof)}, which is forged or was used"
        self._log.seldom("proof", WARN, "Refused a connection from %s: its proof is %s", link.remote, what)
        link.abort()

    def silence(self, link: Link) -> None:
        """Nothing was said on a connection in its time."""
        known = self._sessions.known_by_address(link.remote.ip)
        if known is not None:
            self._admitted(known, link)
        else:
            self._log.seldom("proof", WARN, "Refused a connection from %s: it proved nothing in time", link.remote)
            link.abort()


class _Unproven:
    """The receiver of a connection whose proof has not come."""

    __slots__ = ("_gate", "_link", "_proof", "_timer", "remote")

    def __init__(self, gate: Gate, link: Link, timeout: float) -> None:
        self._gate = gate
        self._link = link
        self._proof = b""
        self._timer = asyncio.get_running_loop().call_later(timeout, self._too_late)
        self.remote = link.remote
        link.attach(self)

    def drop(self) -> None:
        """See `Newcomer`."""
        self._link.abort()

    def data_received(self, data: memoryview) -> None:
        self._proof += bytes(data[: POOL_PROOF_SIZE + 1 - len(self._proof)])
        if len(self._proof) >= POOL_PROOF_SIZE:
            self._let_go()
            self._gate.proof(self._link, self._proof)

    def eof_received(self) -> None:
        self._link.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self._let_go()

    def pause_writing(self) -> None:
        """Nothing is written before the proof."""

    def resume_writing(self) -> None:
        """Nothing is written before the proof."""

    def _too_late(self) -> None:
        self._let_go()
        if self._proof:
            self._link.abort()
        else:
            self._link.pause_reading()
            self._gate.silence(self._link)

    def _let_go(self) -> None:
        self._timer.cancel()
        self._gate.over(self)
