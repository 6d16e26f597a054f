"""Users by the thousand who were served once and stay: they cost little, keep nobody waiting, and can go on at any time."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pytest

from nodepass.config import PoolTransport
from tests.adversity.bounds import PATIENT
from tests.adversity.content import TRAILER_SIZE, Head, content, read_exactly, receive
from tests.adversity.faults import last
from tests.adversity.loops import LoopThread
from tests.adversity.scene import Scene, Setup
from tests.adversity.table import Row, is_long, keep
from tests.adversity.traffic import Outcome
from tests.harness import TIMEOUT

if TYPE_CHECKING:
    from tests.harness import Runner

IDLE: Final = 10_000 if is_long() else 500
HELD: Final = 60.0 if is_long() else 1.0
"""Seconds that they stay."""

FIRST: Final = 1 << 41
"""Their numbers, apart from those of other users."""

SAID: Final = 100
"""Bytes that each says and hears at first, and says once more in the end."""

AT_ONCE: Final = 200
"""Users who come at the same time."""

EACH: Final = 12 * 1024
"""Bytes of memory of one end that a user may take who shares a connection with others."""

EACH_ALONE: Final = 48 * 1024
"""And one who has a connection through the tunnel, over TLS."""

SPARE: Final = 8 << 20
"""Bytes that an end may take besides, for what other users do meanwhile."""

SETUPS: Final = [
    Setup(PoolTransport.TCP, 0),
    Setup(PoolTransport.QUIC, 1),
    Setup(PoolTransport.WEBSOCKET, 1),
    Setup(PoolTransport.HTTP2, 1),
    Setup(PoolTransport.TCP, 1, "forward"),
][: None if is_long() else 1]


class Idle:
    """Users of a port who have said half of what they have to say, and been answered.

    Args:
        port: for users.
        count: how many.
    """

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._count = count
        self._places = asyncio.Semaphore(AT_ONCE)
        self._users: list[tuple[Head, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def come(self) -> None:
        """All of them come, and are answered."""
        await asyncio.gather(*map(self._come, range(FIRST, FIRST + self._count)))

    async def finish(self) -> None:
        """All of them say the rest, and are told that everything has come."""
        await asyncio.gather(*(self._finish(*user) for user in self._users))

    async def leave(self) -> None:
        """They are gone."""
        for _, _, writer in self._users:
            writer.transport.abort()

    async def _come(self, number: int) -> None:
        head = Head(number, 2 * SAID, SAID)
        async with self._places:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._users.append((head, reader, writer))
            up, down = head.directions
            writer.write(head.pack() + content(up, 0, SAID))
            await receive(reader, down, SAID)

    async def _finish(self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._places:
            up, _ = head.directions
            writer.write(content(up, SAID, SAID))
            writer.write_eof()
            assert await read_exactly(reader, TRAILER_SIZE) == head.trailer


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_thousands_who_are_idle_cost_little_and_are_served_on(np: Runner, setup: Setup) -> None:
    with Scene(np, setup, env=PATIENT, direct=True) as scene, LoopThread() as thread:
        scene.warm_up()
        ends = (scene.server, scene.client)
        before = [process.rss() for process in ends]
        idle = Idle(scene.users_port, IDLE)
        try:
            thread.run(idle.come(), 120)
            grown = [process.rss() - then for process, then in zip(ends, before, strict=True)]
            last(HELD)
            scene.warm_up()
            later = [process.rss() - then for process, then in zip(ends, before, strict=True)]
            begun = time.monotonic()
            thread.run(idle.finish(), 120)
            took = time.monotonic() - begun
        finally:
            with suppress(TimeoutError):
                thread.run(idle.leave())
        for process, came, stayed in zip(ends, grown, later, strict=True):
            print(f"{process.name}: {came / IDLE:.0f}, later {stayed / IDLE:.0f} bytes for each of {IDLE}")
            assert stayed < SPARE + IDLE * (EACH_ALONE if setup.pool == "single" else EACH)
        print(f"all went on within {took:.1f} s")
        scene.settle(TIMEOUT)
        outcomes = scene.traffic.outcomes()
        assert set(outcomes) == {Outcome.WHOLE}
        assert not any(process.matches("WARN.*(ended|given up)|ERROR") for process in ends)
        verified = scene.traffic.verified + IDLE * 3 * SAID
        name = f"{IDLE} idle, {setup.transport.name.lower()}"
        keep(Row(name, 0, verified, IDLE + outcomes[Outcome.WHOLE], 0, memory=max(later) // IDLE))
