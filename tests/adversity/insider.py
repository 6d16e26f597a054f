"""A client that has the key and means harm: a session like any other, whose connections say what they like.

It is this project's own client, up to where a connection has its place in a session: there, it says what it is told.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from nodepass.config import Tunables
from nodepass.log import NONE
from nodepass.protocol.conn_id import CONTROL
from nodepass.protocol.yamux import DATA, RST, SYN, WINDOW_UPDATE, data_header, ping, window_update
from nodepass.tunnel.client import Client
from tests.adversity.loops import LoopThread
from tests.harness import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from nodepass.protocol.conn_id import ConnectionId
    from nodepass.transport.base import Link

MEGABYTE: Final = 1 << 20
PIECE: Final = 1 << 16
OPENING: Final = 0.5
"""Seconds that it waits for a connection."""

ANSWER: Final = 0.5
"""Seconds that it waits for the end of a connection on which it has said what is wrong."""


def _stream(number: int, said: bytes) -> bytes:
    return data_header(number, len(said), SYN) + said


def _launch(said: bytes) -> bytes:
    return len(said).to_bytes(2, "big") + said


LAUNCHES: Final = (
    _launch(b"[" * 1000),
    _launch(b'{"action":' * 100),
    _launch(b'{"action":"tcp","remote":"' + b"9" * 900 + b'"}'),
    _launch(b'{"action":"tcp","remote":"127.0.0.1:1","id":"ffffffff"}'),
    _launch(b'{"action":"flush"}'),
    _launch(b"\xff" * 500),
    b"\xff\xff" + bytes(70_000),
    b"\x00\x00",
)
"""What stands where a user should be announced."""

FRAMES: Final = (
    data_header(1, 0xFFFFFFFF, SYN) + bytes(100_000),
    data_header(1, 300_000, SYN) + bytes(300_000),
    struct.pack(">BBHII", 9, 9, 0xFFFF, 1, 1),
    _stream(2, b"of the wrong side"),
    _stream(5, b"") + _stream(3, b"backwards"),
    window_update(1, 0xFFFFFFFF, SYN) + window_update(1, 0xFFFFFFFF),
    window_update(99, 1000) + data_header(77, 10) + bytes(10),
    b"".join(window_update(number, 0, SYN) for number in range(1, 140_001, 2)),
    b"".join(window_update(number, 0, SYN) + window_update(number, 0, RST) for number in range(1, 40_001, 2)),
    b"".join(ping(number) for number in range(100_000)),
    struct.pack(">BBHII", 0, DATA, SYN, 0, 10) + bytes(10),
    struct.pack(">BBHII", 0, WINDOW_UPDATE, SYN, 0, 10) * 1000,
    *(_stream(1, said) for said in LAUNCHES),
)
"""What stands where frames of shared connections should be: false lengths, numbers, windows, and floods."""

LINES: Final = (b"A" * MEGABYTE, b"\n" * 10_000, b"not sealed\n" * 10_000, b"[" * 100_000 + b"\n", bytes(MEGABYTE))
"""What stands on the control channel."""

ENDLESS_LINE: Final = b"A" * (100 * MEGABYTE)


class Insider:
    """A context manager.

    Args:
        port: of the tunnel.
        users: a port for its own users.
        words: what its connections say, one after another; or what is done to them.
        resets: how many connections it opens to break them at once.
        lines: what it says on the control channel at the end, in pieces, one after another.
    """

    def __init__(
        self,
        port: int,
        users: int,
        words: Sequence[bytes | Callable[[Link], None]],
        resets: int = 0,
        lines: Sequence[bytes] = (),
    ) -> None:
        self._url = f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=2&min=4&log=none"
        self._words = words
        self._resets = resets
        self._lines = lines
        self._thread = LoopThread()
        self._client: _Client
        self.sessions = 0
        """How many it has begun."""
        self.said = 0
        """How many of its words have been said."""
        self.ended = 0
        """After how many of them the server ended the connection, soon."""

    def __enter__(self) -> Self:
        self._thread.__enter__()
        self._thread.run(self._start())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._thread.run(self._stop())
        self._thread.__exit__(kind, error, trace)

    def say_all(self, timeout: float) -> None:
        """Say all words, each on a connection of its own, open and break others, and then say the lines."""
        self._thread.run(self._say_all(), timeout)
        self.sessions = self._client.sessions

    async def _start(self) -> None:
        self._client = _Client(
            self._url, tunables=Tunables(service_cooldown=0.2, report_interval=0.3, shutdown_timeout=0.2)
        )
        await self._client.start()
        await self._client.connected()

    async def _stop(self) -> None:
        await self._client.stop()
        for link in self._client.all:
            link.abort()

    async def _say_all(self) -> None:
        for words in self._words:
            link, ear = await self._client.links.get()
            while link.gone:
                # It was a stream of a connection that ended of the words before.
                link, ear = await self._client.links.get()
            if isinstance(words, bytes):
                await _say(link, words)
            else:
                words(link)
            self.said += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER):
                    await ear.ended.wait()
                    self.ended += 1
        for _ in range(self._resets):
            await self._client.open_and_reset()
        for line in self._lines:
            while self._client.control is None or self._client.control.gone:
                await self._client.connected()
                await asyncio.sleep(0.05)
            await _say(self._client.control, line)


async def _say(link: Link, words: bytes) -> None:
    """Write it as fast as it is taken, until the other side will not have it."""
    for start in range(0, len(words), PIECE):
        waited = 0
        while not link.gone and link.unsent > MEGABYTE and waited < 100:
            await asyncio.sleep(0.005)
            waited += 1
        if link.gone:
            return
        link.write(words[start : start + PIECE])


class _Client(Client):
    """Keeps what should go into its pool."""

    MOST = 8

    def __init__(self, url: str, *, tunables: Tunables) -> None:
        super().__init__(url, tunables=tunables)
        self._log.level = NONE
        self.links: asyncio.Queue[tuple[Link, _DeafEar]] = asyncio.Queue()
        self.all: list[Link] = []
        self.control: Link | None = None
        self.sessions = 0

    async def open_and_reset(self) -> None:
        """Open another connection, and break it as soon as it is there; one that does not come is waited for no longer."""
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(link: Link | None) -> None:
            if link is not None:
                link.write(bytes(10))
                link.abort()
            if not opened.done():
                opened.set_result(None)

        if self._dialer is not None:
            self._dialer.open(done, lambda _: done(None))
            with suppress(TimeoutError):
                async with asyncio.timeout(OPENING):
                    await opened

    def _identified(self, connection_id: ConnectionId, link: Link, rest: bytes) -> None:
        # One that has ended may still have something to send, which nobody takes.
        self.all.append(link)
        if connection_id == CONTROL:
            self.sessions += 1
            self.control = link
            super()._identified(connection_id, link, rest)
            return
        if self.links.qsize() >= self.MOST:
            link.abort()
            return
        ear = _DeafEar()
        link.attach(ear)
        self.links.put_nowait((link, ear))


class _DeafEar:
    """Hears and minds nothing but the end."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def data_received(self, data: memoryview) -> None:
        pass

    def eof_received(self) -> None:
        self.ended.set()

    def connection_lost(self, _: Exception | None) -> None:
        self.ended.set()

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass
