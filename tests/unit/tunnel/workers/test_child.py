"""What a child knows without its parent, and what it asks it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from nodepass.errors import ListenError
from nodepass.tunnel.memory import Attempt, Ruling
from nodepass.tunnel.sessions import Sessions
from nodepass.tunnel.switchboard import Switchboard
from nodepass.tunnel.workers.cells import Cells
from nodepass.tunnel.workers.channel import Channel
from nodepass.tunnel.workers.child import MOST_WAITING, ParentsMemory, WorkerPlace
from nodepass.tunnel.workers.company_messages import Shows
from nodepass.tunnel.workers.messages import Bind, Bound, Missed, Sibling, Start
from tests.harness.descriptors import no_more_descriptors
from tests.unit.relay.fakes import Lines
from tests.unit.tunnel.peers import CODEC, resources
from tests.unit.tunnel.workers.test_company import FakeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nodepass.tunnel.workers.packets import Message


@contextmanager
def place(index: int, count: int, cells: Cells) -> Iterator[WorkerPlace]:
    """One whose parent says nothing."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        made = WorkerPlace(Start(index, count, "server://:1/:2", 0, False, 1.0, "", ""), ours, cells)
        yield made
        # Before the parent is gone: a child ends with it.
        made._channel.close()


@contextmanager
def with_parent(cells: Cells) -> Iterator[tuple[WorkerPlace, Channel, asyncio.Queue[Message]]]:
    """One, its parent's end, and what the parent hears."""
    heard: asyncio.Queue[Message] = asyncio.Queue()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made = WorkerPlace(Start(0, 2, "server://:1/:2", 0, False, 1.0, "", ""), ours, cells)
    parent = Channel(theirs, lambda message, _: heard.put_nowait(message), lambda: None)
    yield made, parent, heard
    made._channel.close()
    parent.close()


@pytest.mark.parametrize("count", [2, 3, 7, 64])
async def test_a_session_is_named_after_its_keeper(count: int) -> None:
    cells = Cells.make(count)
    for index in range(count):
        with place(index, count, cells) as keeper:
            names = [keeper.name_session() for _ in range(300)]
        assert {name[-1] % count for name in names} == {index}
        assert all(len(name) == 8 and name[0] >= 0x80 for name in names)
        assert len(set(names)) == len(names)


async def test_sessions_that_others_keep_are_known() -> None:
    cells = Cells.make(3)
    seen = []
    with place(0, 3, cells) as one, place(1, 3, cells) as two:
        for kept in (0, 2, 0):
            one.keeps(kept)
            seen.append(two.kept_elsewhere)
    assert seen == [False, True, False]


def test_who_has_to_wait_is_remembered_for_as_long_and_no_more_than_so_many() -> None:
    asked: list[Attempt] = []

    def ask(attempt: Attempt, ruled: Callable[[Ruling], None]) -> None:
        asked.append(attempt)
        ruled(Ruling(2.0 if attempt.failed else 0.0, repeated=False))

    memory = ParentsMemory(ask)
    rulings: list[Ruling] = []
    memory.rule(Attempt("192.0.2.1", False, b"fresh"), 10, rulings.append)
    assert memory.wait("192.0.2.1", 10) == 0
    memory.rule(Attempt("192.0.2.1", True, b""), 10, rulings.append)
    assert [ruling.wait for ruling in rulings] == [0.0, 2.0]
    assert memory.wait("192.0.2.1", 11) == 1
    assert memory.wait("192.0.2.2", 11) == 0
    assert memory.wait("192.0.2.1", 12) == 0
    for number in range(2 * MOST_WAITING):
        memory.rule(Attempt(f"10.0.{number >> 8}.{number & 255}", True, b""), 11, rulings.append)
    assert memory.wait("10.0.0.0", 11) == 0
    assert memory.wait(f"10.0.{(2 * MOST_WAITING - 1) >> 8}.255", 11) == 2
    assert len(memory._waiting) == MOST_WAITING


async def test_a_port_for_which_no_descriptor_is_left_is_not_bound() -> None:
    with with_parent(Cells.make(2)) as (child, parent, heard):
        asking = asyncio.ensure_future(child.bind((), 1, socket.SOCK_STREAM))
        question = await heard.get()
        assert isinstance(question, Bind)
        with socket.socket() as sock:
            parent.send(Bound(question.number, ""), [sock.detach()])
        with no_more_descriptors():
            async with asyncio.timeout(10):
                await asyncio.wait((asking,))
        with pytest.raises(ListenError, match="too many open files"):
            asking.result()


async def test_another_process_for_which_no_descriptor_is_left_is_met_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nodepass.tunnel.workers.child.MEET_AGAIN", 0.01)
    cells, lines = Cells.make(2), Lines()
    with with_parent(cells) as (child, parent, heard):
        res = resources(lines.log)
        sessions, nobody = Sessions(child), cast("Any", None)
        server = cast("Any", FakeServer(Switchboard(res)))
        company = child.join(server, CODEC, sessions, nobody, res)
        one, lost = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent.send(Sibling(1), [one.detach()])
        with no_more_descriptors():
            async with asyncio.timeout(10):
                assert await heard.get() == Missed(1)
        assert not list(company.lenders)
        assert lines.lines == ["Too many open files: a connection from another process is lost"]
        two, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent.send(Sibling(1), [two.detach()])
        channel = Channel(other, lambda *_: None, lambda: None)
        channel.send(Shows("a certificate"))
        async with asyncio.timeout(10):
            assert await server.announced.get() == "a certificate"
        assert len(list(company.lenders)) == 1
        channel.close()
        lost.close()
        res.close()
