"""The control channel under a flood: what comes at once is dealt with in turns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from nodepass.protocol.signals import Action, Signal
from nodepass.tunnel.control import PIECE, Control
from tests.unit.relay.fakes import FakeLink, Lines
from tests.unit.tunnel.peers import CODEC, resources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nodepass.errors import SessionError

FLUSH, PING, PONG = (CODEC.encode(Signal(action)) for action in (Action.FLUSH, Action.PING, Action.PONG))


class Scene:
    """One end, and what it has heard in each turn of the loop."""

    def __init__(self) -> None:
        self.link = FakeLink()
        self.lines = Lines()
        self.heard: list[Signal] = []
        self.answers = 0
        self.closed: list[SessionError] = []
        self.resources = resources(self.lines.log)
        self.control = Control(
            self.link,
            CODEC,
            self.resources,
            received=self.heard.append,
            answered=self._answered,
            writable=lambda: None,
            closed=self.closed.append,
        )
        self.control.start(b"")

    def _answered(self) -> None:
        self.answers += 1


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    made.control.close()
    made.resources.close()


async def test_the_loop_turns_between_pieces_and_nothing_is_lost(scene: Scene) -> None:
    count = 20 * PIECE // len(FLUSH)
    scene.link.hears(FLUSH * count + PONG)
    # Each time the loop has turned, or has twice, others have had their turn.
    seen = [0]
    while not scene.answers:
        assert scene.link.is_paused()
        assert len(scene.heard) - seen[-1] <= 2 * (PIECE // len(FLUSH) + 1)
        seen.append(len(scene.heard))
        turn = asyncio.Event()
        asyncio.get_running_loop().call_soon(turn.set)
        await turn.wait()
    assert len(scene.heard) == count
    assert len(seen) >= 10
    assert not scene.link.is_paused()
    scene.link.hears(FLUSH)
    assert len(scene.heard) == count + 1


async def test_false_lines_end_with_the_channel(scene: Scene) -> None:
    scene.link.hears(b"\n" * (16 * PIECE) + FLUSH)
    scene.link.breaks()
    for _ in range(20):
        turn = asyncio.Event()
        asyncio.get_running_loop().call_soon(turn.set)
        await turn.wait()
    assert not scene.heard
    assert len(scene.closed) == 1


async def test_a_line_without_end_does_not_keep_the_channel_from_being_read(scene: Scene) -> None:
    for _ in range(10):
        scene.link.hears(b"a" * (20 * PIECE))
        assert not scene.link.is_paused()
    scene.link.hears(b"\n" + FLUSH)
    assert len(scene.heard) == 1


async def test_what_is_small_is_heard_at_once(scene: Scene) -> None:
    scene.link.hears(FLUSH + FLUSH[:3])
    scene.link.hears(FLUSH[3:])
    assert len(scene.heard) == 2
    assert not scene.link.is_paused()


async def test_an_answer_that_nobody_asked_for_is_none(scene: Scene) -> None:
    scene.link.hears(PONG * 10)
    assert scene.answers == 1


async def test_who_does_not_read_is_neither_asked_nor_answered(scene: Scene) -> None:
    proven: list[str] = []
    before = scene.link.sent
    scene.control.pause_writing()
    scene.control.prove_alive(lambda: proven.append("alive"))
    scene.link.hears(PING * 10)
    assert scene.link.sent == before
    # It is alive all the same.
    assert proven == ["alive"]
    scene.control.resume_writing()
    scene.link.hears(PING)
    assert len(scene.link.sent) > len(before)
