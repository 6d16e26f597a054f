"""Pool connections on their way in: each finds its session, or nobody's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from nodepass.config import Tunables
from nodepass.net.address import Address
from nodepass.protocol.session_keys import POOL_PROOF_SIZE
from nodepass.tunnel import gate
from nodepass.tunnel.gate import Gate
from nodepass.tunnel.place import Place
from nodepass.tunnel.sessions import Sessions
from nodepass.tunnel.tunnel_port import newcomers_of
from tests.unit.protocol.chunks import every_byte
from tests.unit.relay.fakes import FakeLink, Lines
from tests.unit.tunnel.peers import FakeSession, as_session, extended_session, resources, v1_session

if TYPE_CHECKING:
    from nodepass.transport.base import Link
    from nodepass.tunnel.session import Session

HERE, THERE = "192.0.2.1", "192.0.2.2"
SOON = 0.02


class Scene:
    """A gate, its sessions, and whom it has let in."""

    def __init__(self, *members: FakeSession, most: int = 100, timeout: float = 60.0) -> None:
        self.lines = Lines()
        self.sessions = Sessions(Place())
        self.newcomers = newcomers_of(self.lines.log, most)
        self.admitted: list[tuple[Session, Link]] = []
        self.came = asyncio.Event()
        """Set once somebody has been let in."""
        tunables = Tunables(handshake_timeout=timeout)
        self.gate = Gate(self.sessions, self.newcomers, self._admit, resources(self.lines.log, tunables))
        for member in members:
            self.sessions.add(as_session(member))

    def _admit(self, session: Session, link: Link) -> None:
        self.admitted.append((session, link))
        self.came.set()

    def comes(self, ip: str = HERE, early: bytes = b"") -> FakeLink:
        link = FakeLink(Address(ip, 50000))
        self.gate.take(link, early)
        return link

    def let_in(self, link: FakeLink) -> FakeSession | None:
        """The session that a connection was let into; there is nobody left who waits, and nothing was said to it."""
        assert link.sent == b""
        assert len(self.newcomers) == 0
        found = [session for session, admitted in self.admitted if admitted is link]
        assert len(found) <= 1
        assert link.lost is not bool(found)
        return next((fake for fake in self.members if found and as_session(fake) is found[0]), None)

    @property
    def members(self) -> list[FakeSession]:
        return [session for session in self.sessions if isinstance(session, FakeSession)]


async def soon(event: asyncio.Event) -> None:
    async with asyncio.timeout(10):
        await event.wait()


async def test_where_no_session_is_nobody_comes_in() -> None:
    scene = Scene(v1_session(THERE))
    link = scene.comes(HERE)
    assert link.end == "abort"
    assert scene.let_in(link) is None


async def test_a_v1_client_is_let_in_at_once_by_its_address() -> None:
    session = v1_session(HERE)
    scene = Scene(session, extended_session(THERE))
    assert scene.let_in(scene.comes(HERE)) is session


@pytest.mark.parametrize("ip", [HERE, THERE])
async def test_a_proof_finds_its_session_from_anywhere(ip: str) -> None:
    one, two = extended_session(HERE, "1" * 16), extended_session(HERE, "2" * 16)
    scene = Scene(one, two)
    for session in (two, one):
        link = scene.comes(ip)
        assert scene.admitted == [] or scene.admitted[-1][1] is not link
        link.hears(session.proof(1))
        assert scene.let_in(link) is session


async def test_a_proof_may_come_in_pieces_and_part_of_it_early() -> None:
    session = extended_session(HERE)
    scene = Scene(session)
    for counter in range(POOL_PROOF_SIZE + 1):
        proof = session.proof(counter)
        link = scene.comes(HERE, early=proof[:counter])
        for byte in every_byte(proof[counter:]):
            assert all(admitted is not link for _, admitted in scene.admitted)
            link.hears(byte)
        assert scene.let_in(link) is session


async def test_proofs_may_come_in_any_order_and_each_opens_one_connection() -> None:
    session = extended_session(HERE)
    scene = Scene(session)
    for counter in (5, 3, 4, 1):
        assert scene.let_in(scene.comes(HERE, session.proof(counter))) is session
    for counter in (1, 3, 4, 5):
        assert scene.let_in(scene.comes(HERE, session.proof(counter))) is None
    assert "number 1, which is forged or was used" in scene.lines.lines[0]


def changed(proof: bytes, place: int) -> bytes:
    return proof[:place] + bytes((proof[place] ^ 1,)) + proof[place + 1 :]


@pytest.mark.parametrize("place", [0, 7, 8, 15, 16, 31])
async def test_a_changed_proof_lets_nobody_in_and_does_not_use_up_the_real_one(place: int) -> None:
    session = extended_session(HERE)
    scene = Scene(session)
    proof = session.proof(7)
    link = scene.comes(HERE, changed(proof, place))
    assert link.end == "abort"
    assert scene.let_in(link) is None
    assert any("Refused a connection from 192.0.2.1:50000: its proof is" in line for line in scene.lines.lines)
    assert scene.let_in(scene.comes(HERE, proof)) is session


async def test_a_proof_of_one_session_is_none_of_another() -> None:
    one, two = extended_session(HERE, "1" * 16), extended_session(HERE, "2" * 16)
    scene = Scene(one, two)
    assert scene.let_in(scene.comes(HERE, two.proof(1)[:8] + one.proof(1)[8:])) is None


async def test_a_session_that_has_ended_lets_nobody_in() -> None:
    session, other = extended_session(HERE), extended_session(HERE)
    scene = Scene(session, other)
    link = scene.comes(HERE)
    scene.sessions.remove(as_session(session))
    link.hears(session.proof(1))
    assert scene.let_in(link) is None
    assert "of no session here" in scene.lines.lines[0]


async def test_who_says_more_before_it_has_its_id_is_no_client() -> None:
    session = extended_session(HERE)
    scene = Scene(session)
    for more in (b"x", bytes(100_000)):
        link = scene.comes(HERE)
        link.hears(session.proof(1) + more)
        assert link.end == "abort"
        assert scene.let_in(link) is None


async def test_who_ends_or_breaks_before_its_proof_is_forgotten() -> None:
    scene = Scene(extended_session(HERE))
    for part in (b"", b"\xff" * 10):
        ended, broken = scene.comes(HERE, part), scene.comes(HERE, part)
        assert len(scene.newcomers) == 2
        ended.hears_end()
        broken.breaks()
        assert scene.let_in(ended) is scene.let_in(broken) is None


@pytest.mark.parametrize("part", [b"", b"\xff" * 31])
async def test_who_proves_nothing_in_time_is_sent_away(part: bytes) -> None:
    scene = Scene(extended_session(HERE), timeout=SOON)
    link = scene.comes(HERE, part)
    await soon(link.over)
    assert link.end == "abort"
    assert scene.let_in(link) is None


async def test_time_does_not_matter_to_who_has_proved_it() -> None:
    session = extended_session(HERE)
    scene = Scene(session, timeout=SOON)
    link = scene.comes(HERE, session.proof(1))
    # One that came later has had its time: so has this one.
    later = scene.comes(HERE)
    await soon(later.over)
    assert scene.let_in(link) is session


class TestBothKindsAtOneAddress:
    """A v1 client waits for the server to speak; one of this project does not."""

    @pytest.fixture(autouse=True)
    def short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gate, "GRACE", SOON)

    async def test_who_says_nothing_for_a_moment_is_of_version_1(self) -> None:
        old = v1_session(HERE)
        scene = Scene(old, extended_session(HERE))
        link = scene.comes(HERE)
        assert scene.admitted == []
        await soon(scene.came)
        assert scene.let_in(link) is old
        # What comes now is the next receiver's to hear.
        assert link.is_paused()

    async def test_a_proof_is_heard_meanwhile(self) -> None:
        new = extended_session(HERE)
        scene = Scene(v1_session(HERE), new)
        link = scene.comes(HERE)
        link.hears(new.proof(1))
        assert scene.let_in(link) is new

    async def test_who_has_said_something_is_not_of_version_1(self) -> None:
        scene = Scene(v1_session(HERE), extended_session(HERE))
        link = scene.comes(HERE, b"\xff")
        await soon(link.over)
        assert scene.let_in(link) is None

    async def test_a_v1_session_that_ends_meanwhile_lets_nobody_in(self) -> None:
        old = v1_session(HERE)
        scene = Scene(old, extended_session(HERE))
        link = scene.comes(HERE)
        scene.sessions.remove(as_session(old))
        await soon(link.over)
        assert scene.let_in(link) is None
        assert "it proved nothing in time" in scene.lines.lines[0]


async def test_a_crowd_that_proves_nothing_pushes_out_its_own() -> None:
    session = extended_session(HERE)
    scene = Scene(session, most=3)
    honest = scene.comes(THERE)
    crowd = [scene.comes(HERE) for _ in range(50)]
    assert len(scene.newcomers) == 3
    assert [link.lost for link in crowd] == [True] * 48 + [False] * 2
    assert scene.admitted == []
    assert "Too many connections that prove nothing: dropped 192.0.2.1:50000" in scene.lines.lines[0]
    honest.hears(session.proof(1))
    assert scene.admitted == [(as_session(session), honest)]
    assert len(scene.newcomers) == 2
    # From the crowd's own address as well.
    link = scene.comes(HERE, session.proof(2))
    assert scene.admitted[-1] == (as_session(session), link)
