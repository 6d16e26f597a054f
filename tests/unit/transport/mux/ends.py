"""One end of a connection that users share, over a link that exists only here; the test is the other end."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, NamedTuple

from nodepass.net.address import Address
from nodepass.protocol.yamux import DATA, HEADER_SIZE, RST, WINDOW_UPDATE, data_header
from nodepass.transport.base import HIGH_WATER, NOBODY, Link
from tests.unit.transport.links import Notes, mux_connection

if TYPE_CHECKING:
    from nodepass.transport.base import Receiver
    from nodepass.transport.mux import MuxLink

REMOTE = Address("127.0.0.1", 1)


class Frame(NamedTuple):
    """One frame that was sent."""

    kind: int
    flags: int
    stream_id: int
    length: int
    payload: bytes = b""


def frames_of(data: bytes) -> list[Frame]:
    """Take bytes apart, by hand."""
    found = []
    offset = 0
    while offset < len(data):
        version, kind, flags, stream_id, length = struct.unpack_from(">BBHII", data, offset)
        assert version == 0
        offset += HEADER_SIZE
        payload = b""
        if kind == DATA:
            payload = data[offset : offset + length]
            assert len(payload) == length, "the last frame is not whole"
            offset += length
        found.append(Frame(kind, flags, stream_id, length, payload))
    return found


class Lower(Link):
    """A link that notes what it is given.

    Attributes:
        stuck: whether it keeps what it is given, and asks for a pause when that is too much.
        breaks: whether it breaks inside the next write.
        writes: sizes of what it was given at a time.
        ended: whether its sending direction was ended.
        end: how it was closed.
    """

    record_size = None

    def __init__(self) -> None:
        self.coalesce = True
        self.remote = REMOTE
        self.stuck = False
        self.breaks = False
        self.writes: list[int] = []
        self.ended = False
        self.end = ""
        self._receiver: Receiver = NOBODY
        self._written = bytearray()
        self._taken = 0
        self._unsent = 0
        self._paused = False

    def frames(self) -> list[Frame]:
        """The frames sent since the last call."""
        data = bytes(self._written[self._taken :])
        self._taken = len(self._written)
        return frames_of(data)

    def release(self) -> None:
        """Hand on what was kept, and let the feeder go on; it keeps what comes next."""
        self._unsent = 0
        if self._paused:
            self._paused = False
            self._receiver.resume_writing()

    def deliver(self, data: bytes) -> None:
        """Bytes have come from the other end."""
        self._receiver.data_received(memoryview(data))

    def deliver_end(self) -> None:
        """The other end sends no more."""
        self._receiver.eof_received()

    # As a `Link`.

    @property
    def gone(self) -> bool:
        return bool(self.end)

    @property
    def quiet(self) -> bool:
        return True

    @property
    def unsent(self) -> int:
        return self._unsent

    @property
    def fingerprint(self) -> str | None:
        return "of the connection"

    def attach(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.end or self.ended:
            return
        if self.breaks:
            self._lose("broken", ConnectionResetError("broken inside a write"))
            return
        self.writes.append(len(data))
        self._written += data
        if self.stuck:
            self._unsent += len(data)
            if self._unsent > HIGH_WATER and not self._paused:
                self._paused = True
                self._receiver.pause_writing()

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        message = "a connection with many streams is never stopped"
        raise AssertionError(message)

    def resume_reading(self) -> None:
        """It always reads."""

    def read_now(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        self._lose("closed", None)

    def break_off(self) -> None:
        self._lose("broken off", None)

    def abort(self) -> None:
        self._lose("aborted", None)

    def vouch(self) -> None:
        """Nobody asks."""

    def _lose(self, how: str, error: Exception | None) -> None:
        if not self.end:
            self.end = how
            self._unsent = 0
            self._receiver.connection_lost(error)


class End:
    """This project's end.

    Args:
        dialled: whether it opened the lower link.
        takes: whether the other end may open streams.
        interval: as `MuxConnection` has it.
    """

    def __init__(self, *, dialled: bool = False, takes: bool = True, interval: float = 3600) -> None:
        self.lower = Lower()
        self.streams: dict[int, Notes] = {}
        """Those that the other end opened, by number, each with a receiver."""
        self.told: list[str] = []
        """What its owner heard."""
        self._departed = asyncio.Event()
        self.connection = mux_connection(
            self.lower,
            dialled=dialled,
            accepted=self._accepted if takes else None,
            ended=lambda _: self.told.append("ended"),
            departed=lambda _: self._gone(),
            interval=interval,
        )

    def _gone(self) -> None:
        self.told.append("departed")
        self._departed.set()

    def _accepted(self, link: MuxLink) -> None:
        notes = Notes(link)
        self.streams[link.stream_id] = notes
        link.attach(notes)

    def open(self) -> Notes:
        """Open a stream here."""
        link = self.connection.open()
        notes = Notes(link)
        link.attach(notes)
        return notes

    def deliver(self, *frames: bytes) -> None:
        """Frames have come from the other end."""
        self.lower.deliver(b"".join(frames))

    async def sent(self) -> list[Frame]:
        """What was sent since the last call, at the end of this turn of the loop."""
        await turn()
        return self.lower.frames()

    async def departed(self) -> None:
        """Wait until it is gone."""
        async with asyncio.timeout(10):
            await self._departed.wait()


async def turn() -> None:
    """Let the loop do what was put off to its next turns."""
    for _ in range(3):
        await asyncio.sleep(0)


def data(stream_id: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """A data frame."""
    return data_header(stream_id, len(payload), flags) + payload


def reset_of(stream_id: int, flags: int = 0) -> Frame:
    """The frame that breaks a stream."""
    return Frame(WINDOW_UPDATE, flags | RST, stream_id, 0)
