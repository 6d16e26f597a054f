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

FLUSH, LEAVE = CODEC.encode(Signal(Action.FLUSH)), CODEC.encode(Signal(Action.PONG))


class Scene:
    """One end, and what it has heard in each turn of the loop."""

    def __init__(self) -> None:
        self.link = FakeLink()
        self.lines = Lines()
        self.heard: list[Signal] = []
        self.answered = asyncio.Event()
        self.closed: list[SessionError] = []
        self.resources = resources(self.lines.log)
        self.control = Control(
            self.link,
            CODEC,
            self.resources,
            received=self.heard.append,
            answered=self.answered.set,
            writable=lambda: None,
            closed=self.closed.append,
        )
        self.control.start(b"")


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    made.control.close()
    made.resources.close()


async def test_the_loop_turns_between_pieces_and_nothing_is_lost(scene: Scene) -> None:
    count = 20 * PIECE // len(FLUSH)
    scene.link.hears(FLUSH * count + LEAVE)
    # Each time the loop has turned, or has twice, others have had their turn.
    seen = [0]
    while not scene.answered.is_set():
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
