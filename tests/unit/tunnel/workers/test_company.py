"""The other processes of a server: what is lost on the way between them costs one connection, and no more."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from nodepass.net.address import Address
from nodepass.net.pair import tcp_pair
from nodepass.tunnel.sessions import Sessions
from nodepass.tunnel.switchboard import Switchboard
from nodepass.tunnel.workers.cells import Cells
from nodepass.tunnel.workers.channel import Channel
from nodepass.tunnel.workers.company import Company
from nodepass.tunnel.workers.company_messages import Control, Shows
from tests.harness.descriptors import no_more_descriptors
from tests.unit.relay.fakes import Lines
from tests.unit.tunnel.peers import CODEC, FakeSession, as_session, extended_session, resources

if TYPE_CHECKING:
    from nodepass.errors import SessionError
    from nodepass.policy.newcomers import Newcomers
    from nodepass.transport.base import Link
    from nodepass.tunnel.place import Place
    from nodepass.tunnel.server import Server
    from nodepass.tunnel.session import Session
    from nodepass.tunnel.tunnel_port import Newcomer


@dataclass(eq=False)
class Ending(FakeSession):
    """A session whose control channel is to come from another process."""

    has_control: bool = False
    reasons: list[SessionError] = field(default_factory=list)

    def end(self, reason: SessionError) -> None:
        self.reasons.append(reason)


class FakePlace:
    """One of which there are several."""

    kept_elsewhere = False

    def keeps(self, sessions: int) -> None:
        """Nobody asks."""


class FakeServer:
    """The server of this process."""

    def __init__(self, switchboard: Switchboard) -> None:
        self.switchboard = switchboard
        self.announced: asyncio.Queue[str] = asyncio.Queue()
        self.controls: asyncio.Queue[Link] = asyncio.Queue()

    def announce(self, fingerprint: str) -> None:
        self.announced.put_nowait(fingerprint)

    def control_came(self, _: Session, link: Link) -> None:
        self.controls.put_nowait(link)


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Scene:
    """A process of a server, and the socket to it of another."""

    def __init__(self) -> None:
        lines = Lines()
        self.lines = lines.lines
        self.resources = resources(lines.log)
        self.server = FakeServer(Switchboard(self.resources))
        self.sessions = Sessions(cast("Place", FakePlace()))
        one = extended_session("192.0.2.1")
        self.session = Ending(Address("192.0.2.1", 40112), one.dialect, one.clients_keys)
        self.sessions.add(as_session(self.session))
        newcomers = cast("Newcomers[Newcomer]", None)
        server = cast("Server", self.server)
        self.company = Company(0, 2, Cells.make(2), server, CODEC, self.sessions, newcomers, self.resources)
        self.lost = asyncio.Event()
        ours, theirs = pair()
        self.company.add(1, ours)
        self.other = Channel(theirs, lambda *_: None, self.lost.set)

    async def settle(self) -> None:
        """Wait until all that has been said so far has been heard."""
        self.other.send(Shows("a certificate"))
        async with asyncio.timeout(10):
            await self.server.announced.get()

    def control(self) -> socket.socket:
        """Lead the control channel of the session here; gives the end of it that stays there."""
        near, far = tcp_pair()
        name = self.session.dialect.keys
        assert name is not None
        self.other.send(Control(name.session.hex()), [far.detach()])
        return near

    def close(self) -> None:
        self.other.close()
        self.resources.close()


async def test_a_control_channel_for_which_no_descriptor_is_left_ends_its_session_and_nothing_else() -> None:
    scene = Scene()
    with scene.control() as near:
        with no_more_descriptors():
            await scene.settle()
        near.settimeout(10)
        assert near.recv(1) == b""
    assert [str(reason) for reason in scene.session.reasons] == ["its control channel is lost: too many open files"]
    assert scene.lines == ["Too many open files: a connection from another process is lost"]
    # The next is taken.
    with scene.control():
        async with asyncio.timeout(10):
            (await scene.server.controls.get()).abort()
    assert len(scene.session.reasons) == 1
    scene.close()


async def test_what_is_lost_again_and_again_is_told_once() -> None:
    scene = Scene()
    ends = [scene.control() for _ in range(20)]
    with no_more_descriptors():
        await scene.settle()
    for near in ends:
        near.close()
    assert len(scene.session.reasons) == 20
    # The first at once; of the others the last, with how many there were, if a second has passed by now.
    assert len(scene.lines) <= 2
    scene.close()


async def test_another_socket_to_a_process_takes_the_place_of_the_one_before() -> None:
    scene = Scene()
    former, (ours, theirs) = scene.other, pair()
    scene.company.add(1, ours)
    async with asyncio.timeout(10):
        await scene.lost.wait()
    former.close()
    scene.other = Channel(theirs, lambda *_: None, lambda: None)
    await scene.settle()
    assert len(scene.company.lenders) == 1
    scene.close()
