"""A way for TCP through this process, as bad as a network can be.

It passes on what it gets: bytes, ends, and that a connection broke. On top of that it can delay, deliver byte by byte,
break all there is, turn away who comes, hold everything up for a while, and fall silent: what is connected then is dead
for ever, though nobody is told, and what comes meanwhile is taken and not answered.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.adversity.content import SMALL
from tests.adversity.loops import TURNS, LoopThread
from tests.harness import Harm, free_port

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

READ: Final = 1 << 16
DRIPPED: Final = 400
"""Bytes at the head of each chunk that go one at a time; all of them would take minutes."""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class TcpTroubles:
    """What happens to connections.

    Args:
        delay: seconds that each chunk waits.
        drip: whether bytes come one at a time.
        lose: whether who comes is turned away at once.
    """

    delay: float = 0.0
    drip: bool = False
    lose: bool = False


CLEAR: Final = TcpTroubles()


class Chaos:
    """A context manager that listens, and connects each connection to another port of this machine.

    Args:
        to: that port.
        port: where it listens; a free one unless given.
    """

    def __init__(self, to: int, port: int = 0) -> None:
        self.to = to
        self.port = port or free_port()
        self.troubles = CLEAR
        self.harm: Counter[Harm] = Counter()
        """What happened to how many connections, or chunks of these."""
        self._thread = LoopThread()
        self._pairs: set[_Pair] = set()
        self._dead: set[_Pair] = set()
        self._silent = False
        self._closed = False
        self._never = asyncio.Event()
        """Held here, because what nobody holds is collected with all who wait for it."""
        self._going: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread.__enter__()
        self._thread.run(self._listen())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._thread.run(self._close())
        self._thread.__exit__(kind, error, trace)

    def reset_all(self) -> int:
        """Break every connection there is, in the midst of what it carries; gives how many there were."""
        broken = self._thread.run(self._reset(self._pairs))
        self.harm[Harm.RESET] += broken
        return broken

    def fall_silent(self) -> None:
        """Nothing that is connected hears of the other side any more, and nothing that comes is answered."""
        self._silent = True
        self._thread.run(self._bury_alive())

    def speak(self) -> None:
        """What comes from now on passes again; what fell silent stays so until its ends give it up."""
        self._silent = False

    def give_up(self, *, near: bool) -> None:
        """One of the two sides of what fell silent gives it up, and the other does not hear of that either."""
        self._thread.run(self._give_up(near=near))

    def hold(self) -> None:
        """Nothing passes for now."""
        self._thread.run(self._set_going(on=False))

    def go_on(self) -> None:
        """What was held passes, and nothing was lost."""
        self._thread.run(self._set_going(on=True))

    async def _listen(self) -> None:
        self._going = asyncio.Event()
        self._going.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=4096)
        for sock in self._server.sockets:
            # Those that it accepts have the same.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)

    async def _close(self) -> None:
        self._server.close()
        self._closed = True
        # Those that have been accepted come in the next turns.
        for _ in range(TURNS):
            await asyncio.sleep(0)
        await self._reset(self._pairs | self._dead)

    async def _set_going(self, *, on: bool) -> None:
        assert self._going is not None
        if on:
            self._going.set()
        else:
            self._going.clear()

    async def _bury_alive(self) -> None:
        self._dead |= self._pairs
        self._pairs.clear()

    async def _give_up(self, *, near: bool) -> None:
        for pair in self._dead:
            pair.reset_one(near=near)

    async def _reset(self, pairs: set[_Pair]) -> int:
        """Break these; gives how many there were."""
        broken = tuple(pairs)
        for pair in broken:
            pair.reset()
        return len(broken)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.troubles.lose or self._closed:
            if self.troubles.lose:
                self.harm[Harm.TURNED_AWAY] += 1
            _reset(writer)
            return
        if self._silent:
            self.harm[Harm.SWALLOWED] += 1
            self._dead.add(_Pair(writer, None))
            return
        pair = _Pair(writer, None)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
            pair = _Pair(writer, far_writer)
            self._pairs.add(pair)
            await asyncio.gather(self._pass(pair, reader, far_writer), self._pass(pair, far_reader, writer))
        except (OSError, asyncio.CancelledError):
            # Cancelled is only at the end of the test; asyncio would log it as an error.
            pair.reset()
        else:
            pair.close()
        finally:
            self._pairs.discard(pair)

    async def _pass(self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._going is not None
        while data := await self._read(pair, reader):
            if not self._going.is_set():
                self.harm[Harm.HELD] += 1
            await self._going.wait()
            if self.troubles.delay:
                self.harm[Harm.DELAYED] += 1
                await asyncio.sleep(self.troubles.delay)
            if self.troubles.drip:
                self.harm[Harm.DRIPPED] += 1
                for byte in data[:DRIPPED]:
                    writer.write(bytes((byte,)))
                    await asyncio.sleep(0)
                data = data[DRIPPED:]
            if pair in self._dead:
                self.harm[Harm.SWALLOWED] += 1
                await self._never.wait()
            writer.write(data)
            await writer.drain()
        await self._going.wait()
        writer.write_eof()

    async def _read(self, pair: _Pair, reader: asyncio.StreamReader) -> bytes:
        """Read; from the dead comes nothing any more, not even that they have ended."""
        data = b""
        try:
            data = await reader.read(READ)
        except OSError:
            if pair not in self._dead:
                raise
        if pair in self._dead:
            if data:
                self.harm[Harm.SWALLOWED] += 1
            await self._never.wait()
        return data


class _Pair:
    """The two ends of one connection."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter | None) -> None:
        self._writers = (near,) if far is None else (near, far)

    def reset(self) -> None:
        for writer in self._writers:
            _reset(writer)

    def reset_one(self, *, near: bool) -> None:
        if near or len(self._writers) > 1:
            _reset(self._writers[0 if near else -1])

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
