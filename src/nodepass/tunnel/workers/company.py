"""The other processes of a server, as one of them sees them.

A session is kept by the process to which its handshake came; its name says which that is. Its pool connections come to any
process: one that does not keep it asks the keeper, and makes a `Branch`.

What always holds:

- A proof counts once, for all: only the keeper says that it is good, and it has the only replay window.
- The first connection that comes to any process is the control channel. The keeper gets the end of a connection that leads
  to it, and the process that it came to passes on its bytes.
- What a keeper says of a session comes in the order in which it was said. When the keeper is gone, its sessions are over.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from nodepass.errors import SessionError, SilenceError
from nodepass.log import WARN
from nodepass.net.address import Address
from nodepass.policy.replay_window import ReplayWindow
from nodepass.protocol.extension import Feature
from nodepass.protocol.session_keys import session_of
from nodepass.protocol.signals import Action
from nodepass.transport.tcp_link import TcpLink
from nodepass.tunnel.dialect import Dialect
from nodepass.tunnel.workers.asking import Asking
from nodepass.tunnel.workers.branch import Branch, name_of
from nodepass.tunnel.workers.channel import Channel, close_all
from nodepass.tunnel.workers.company_messages import Ask, Begun, Borrow, Came, Control, Lent, Over, Role, Shows, Told
from nodepass.tunnel.workers.loans import Lender, Loans, lead, lend

if TYPE_CHECKING:
    from nodepass.policy.newcomers import Newcomers
    from nodepass.protocol.signals import Codec
    from nodepass.transport.base import Link
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.server import Server
    from nodepass.tunnel.session import Session
    from nodepass.tunnel.sessions import Sessions
    from nodepass.tunnel.tunnel_port import Newcomer
    from nodepass.tunnel.upstream import Relay
    from nodepass.tunnel.workers.cells import Cells
    from nodepass.tunnel.workers.packets import Message


class Company:
    """All the others.

    Args:
        index: which this is.
        count: how many there are.
        cells: of the instance.
        member: the server of this process.
        codec: of the server.
        sessions: of the server.
        newcomers: of the server.
        resources: of the instance.
    """

    def __init__(
        self,
        index: int,
        count: int,
        cells: Cells,
        member: Server,
        codec: Codec,
        sessions: Sessions,
        newcomers: Newcomers[Newcomer],
        resources: Resources,
    ) -> None:
        self._index = index
        self._count = count
        self._cells = cells
        self._member = member
        self._codec = codec
        self._sessions = sessions
        self._newcomers = newcomers
        self._resources = resources
        self._channels: dict[int, Channel] = {}
        self._loans = Loans(resources)
        self._branches: dict[bytes, Branch] = {}
        self._asking: dict[int, Asking] = {}
        self._asked = 0
        self._branched: dict[bytes, set[int]] = {}
        """Of each session kept here, the processes with a branch of it."""
        self._controls: set[Relay] = set()

    @property
    def lenders(self) -> tuple[Lender, ...]:
        """Those who may have a connection for a user where this process has none."""
        return tuple(self._loans.lenders.values())

    def users_wait(self) -> None:
        """Some have begun to wait for a connection."""
        self._loans.wanted(self._member.switchboard)

    def time_passes(self) -> None:
        """Some may still wait."""
        self._loans.try_again(self._member.switchboard)

    def add(self, index: int, sock: socket.socket) -> None:
        """Another process runs, and this is the socket to it."""

        def received(message: Message, descriptors: list[int]) -> None:
            self._received(index, message, descriptors)

        if index in self._channels:
            # That it has lost the socket before may not have been heard yet.
            self._channels[index].close()
            self._lost(index)
        channel = self._channels[index] = Channel(sock, received, lambda: self._lost(index), self.is_short)
        lender = self._loans.lenders[index] = Lender(index, channel, self._cells, self._codec, self._resources)
        self._member.switchboard.add(lender)

    def is_short(self) -> None:
        """A socket that another process has sent is lost."""
        log = self._resources.log
        log.seldom("descriptors", WARN, "Too many open files: a connection from another process is lost")

    # What this process tells the others.

    def takes(self, link: Link, proof: bytes) -> bool:
        """Whether the session that a proof names is kept elsewhere; then its keeper has been asked what to do."""
        keeper = session_of(proof)[-1] % self._count
        channel = self._channels.get(keeper)
        if keeper == self._index or channel is None:
            return False
        if channel.congested:
            self._resources.log.seldom("behind", WARN, "Refused a connection from %s: its process is behind", link.remote)
            link.abort()
            return True
        self._asked += 1
        number = self._asked
        asking = self._asking[number] = Asking(
            keeper, link, self._resources.tunables.handshake_timeout, lambda: self._decided(number)
        )
        self._newcomers.enter(link.remote.ip, asking)
        channel.send(Ask(number, proof.hex()))
        return True

    def ready(self, session: Session) -> None:
        """A session carries users."""
        if isinstance(session, Branch):
            return
        self._resources.log.debug("Process %d keeps the session with %s", self._index + 1, session.peer)
        name = name_of(session)
        self._tell(self._branched.get(name, ()), Begun(name.hex()))

    def over(self, session: Session, reason: SessionError) -> None:
        """A session has ended."""
        if isinstance(session, Branch):
            if self._branches.get(session.name) is session:
                del self._branches[session.name]
            return
        name = name_of(session)
        self._tell(self._branched.pop(name, ()), Over(name.hex(), str(reason), isinstance(reason, SilenceError)))

    def came(self, session: Session) -> None:
        """The first connection of a session kept here is there."""
        if session.dialect.client:
            self._tell(self._channels, Came(session.dialect.client))

    def shows(self, fingerprint: str) -> None:
        """This process is about to show another certificate."""
        self._tell(self._channels, Shows(fingerprint))

    def _tell(self, indexes: set[int] | dict[int, Channel] | tuple[()], message: Message) -> None:
        for index in tuple(indexes):
            if index in self._channels:
                self._channels[index].send(message)

    # What the others tell.

    def _received(self, index: int, message: Message, descriptors: list[int]) -> None:
        if isinstance(message, Ask):
            self._answer(index, message)
        elif isinstance(message, Told):
            self._told(index, message)
        elif isinstance(message, Control):
            self._control(message, descriptors)
        elif isinstance(message, Borrow):
            lend(message, self._member.switchboard, self._channels[index], self._resources)
        elif isinstance(message, Lent):
            self._loans.answered(message, descriptors, self._member.switchboard)
        elif isinstance(message, Begun | Over):
            self._follow(message)
        elif isinstance(message, Came):
            if (previous := self._sessions.forget_client(message.client)) is not None:
                previous.end(SessionError("its client began another"))
        elif isinstance(message, Shows):
            self._member.announce(message.fingerprint)

    def _follow(self, message: Begun | Over) -> None:
        """The keeper of a session tells how it gets on."""
        branch = self._branches.get(bytes.fromhex(message.session))
        if branch is None:
            return
        if isinstance(message, Begun):
            branch.become_ready()
        else:
            branch.end((SilenceError if message.silent else SessionError)(message.reason))

    def _answer(self, asker: int, question: Ask) -> None:
        """A proof has been shown to another process, of a session that is kept here or was."""
        proof = bytes.fromhex(question.proof)
        session = self._sessions.known_by_id(session_of(proof))
        if session is None or not session.dialect.admits(proof):
            answer = Told(question.number, Role.REFUSED)
        else:
            role = Role.POOL
            if session.needs_control:
                session.expect_control()
                role = Role.CONTROL
            else:
                self._branched.setdefault(session_of(proof), set()).add(asker)
            dialect = session.dialect
            answer = Told(
                question.number,
                role,
                session=session_of(proof).hex(),
                ip=session.peer.ip,
                port=session.peer.port,
                features=tuple(feature.value for feature in dialect.features),
                refuses=tuple(action.value for action in dialect.refuses),
                ready=session.ready,
            )
        self._channels[asker].send(answer)

    def _told(self, keeper: int, answer: Told) -> None:
        """A keeper has answered; the connection may have gone meanwhile."""
        asking = self._asking.get(answer.number)
        if asking is None:
            return
        link = asking.release()
        if answer.role == Role.POOL:
            self._member.pool_connection(self._branch(keeper, answer), link)
        elif answer.role == Role.CONTROL:
            text = "Process %d leads %s to process %d"
            self._resources.log.debug(text, self._index + 1, link.remote, keeper + 1)
            lead(answer.session, link, self._channels[keeper], self._controls, self._resources)
        else:
            log = self._resources.log
            log.seldom("proof", WARN, "Refused a connection from %s: its proof is forged or was used", link.remote)
            link.abort()

    def _branch(self, keeper: int, answer: Told) -> Branch:
        name = bytes.fromhex(answer.session)
        branch = self._branches.get(name)
        if branch is None:
            features = frozenset(map(Feature, answer.features))
            refuses = frozenset(map(Action, answer.refuses))
            branch = self._branches[name] = Branch(
                name,
                keeper,
                Address(answer.ip, answer.port),
                Dialect(self._codec, features, None, "", refuses, ReplayWindow()),
                egress=self._member.egress,
                owner=self._member,
                resources=self._resources,
            )
            self._member.add_branch(branch)
        if answer.ready:
            branch.become_ready()
        return branch

    def _control(self, message: Control, descriptors: list[int]) -> None:
        session = self._sessions.known_by_id(bytes.fromhex(message.session))
        if session is None or session.has_control:
            close_all(descriptors)
            return
        if not descriptors:
            session.end(SessionError("its control channel is lost: too many open files"))
            return
        link = TcpLink(socket.socket(fileno=descriptors[0]), self._resources.shared, session.peer)
        self._member.control_came(session, link)

    def _decided(self, number: int) -> None:
        asking = self._asking.pop(number, None)
        if asking is not None:
            self._newcomers.leave(asking.remote.ip, asking)

    def _lost(self, index: int) -> None:
        """A process has ended."""
        del self._channels[index]
        self._loans.lost(index, self._member.switchboard)
        for branch in tuple(self._branches.values()):
            if branch.keeper == index:
                branch.end(SessionError("the process that kept it has ended"))
        for asking in tuple(self._asking.values()):
            if asking.keeper == index:
                asking.drop()
        for indexes in self._branched.values():
            indexes.discard(index)
