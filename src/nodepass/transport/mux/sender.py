"""What one shared connection sends: the frames of its streams, in turns and in few writes.

How it goes: small frames are collected until the turn of the loop is over, and go out in one write; so many users who say
little cost little more than one. Large ones are written at once, behind what has been collected, without a copy.

What always holds:

- A stream sends what its window has room for, while the lower link takes more. Where that has had enough, streams wait in
  line, and each sends at most `TURN` bytes when it is its turn: a busy one does not keep the others waiting.
- What the system does not take of a frame stands in front of all others in the lower link. So a frame has at most `TURN`
  bytes, too, unless the lower link had room again `SOON` when it last had enough: a longer one keeps nobody waiting then.
- Frames of one stream go out in the order in which they were given.
- What is said about streams, which does not wait, is bounded: a peer that asks and does not read is cut off.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nodepass.log import WARN
from nodepass.protocol.yamux import data_header

if TYPE_CHECKING:
    from nodepass.log import Log
    from nodepass.transport.base import Link
    from nodepass.transport.mux.link import MuxLink

SMALL: Final = 8 * 1024
"""Bytes of a frame up to which it is collected."""

BATCH: Final = 64 * 1024
"""Bytes that are collected at most."""

TURN: Final = 64 * 1024
"""Bytes that a stream sends before it is the next one's turn."""

LARGEST: Final = 8 * TURN
"""Bytes of a frame on a fast way: most that are read at once, so that a chunk goes on in one write."""

SOON: Final = 0.005
"""Seconds in which a way is fast if the lower link has room again. The system has sent some 128 KB then."""

MOST_UNSENT: Final = 1024 * 1024
"""Bytes that are said while the lower link has enough. Streams stop then: these are answers to a peer that reads none."""


class Sender:
    """The sending half of a connection.

    Args:
        lower: carries the connection.
        log: where to tell of a peer that does not read.
    """

    def __init__(self, lower: Link, log: Log) -> None:
        self._loop = asyncio.get_running_loop()
        self._lower = lower
        self._log = log
        self._frames: list[bytes] = []
        self._size = 0
        self._unread = 0
        """Bytes said since the lower link has had enough."""
        self._flushing: asyncio.Handle | None = None
        self._waiting: dict[MuxLink, None] = {}
        self._pumping = False
        self._turn = 0
        self._most = TURN
        """Bytes of a frame at most, for now."""
        self._held_since = 0.0
        self._stopped = False
        self.held = False
        """Whether the lower link has more to send than it should hold, so that streams wait."""

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped = True
        self._waiting.clear()
        self._frames.clear()
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None

    # What streams ask for.

    def carry(self, link: MuxLink, data: bytes | bytearray | memoryview) -> int:
        """Send of `data` as much as there is room for; how much that was. Where it is not all, `room` is called later."""
        size = len(data)
        if self._lower.gone:
            return size
        if self.held:
            self._waiting[link] = None
            return 0
        count = min(size, link.credit)
        if self._pumping and count > self._turn:
            count = self._turn
            self._waiting[link] = None
        if count <= 0:
            return 0
        self._turn -= count
        if count <= SMALL:
            link.credit -= count
            self.say(data_header(link.stream_id, count, link.take_flags()) + bytes(data[:count]))
        else:
            count = self._send(link, memoryview(data)[:count])
        # Where that was the end of the connection, the link has been told, and keeps nothing.
        return size if self._stopped else count

    def _send(self, link: MuxLink, data: memoryview) -> int:
        """Send frames of `data`, at once, until the lower link has enough; how many bytes went."""
        self.flush()
        lower, sent, size = self._lower, 0, len(data)
        while sent < size and not self.held and not self._stopped:
            piece = data[sent : sent + self._most]
            count = len(piece)
            sent += count
            link.credit -= count
            lower.write_both(data_header(link.stream_id, count, link.take_flags()), piece)
        if sent < size:
            self._waiting[link] = None
        return sent

    def say(self, frame: bytes) -> None:
        """Send a small frame when this turn of the loop is over."""
        if self._stopped:
            return
        self._frames.append(frame)
        self._size += len(frame)
        if self._size > BATCH:
            self.flush()
        elif self._flushing is None:
            self._flushing = self._loop.call_soon(self.flush)

    def wait(self, link: MuxLink) -> None:
        """A stream has more to send, or has had its feeder pause: it is told when there is room.

        One whose window is closed waits for that, and not in the line.
        """
        if link.credit > 0:
            self._waiting[link] = None
            if not self.held and not self._pumping:
                self._pump()

    def in_front_of(self, link: MuxLink) -> object:
        """What a stream waits for that waits in line: it changes when the lower link moves on. None for any other."""
        return self._lower.on_the_way if link in self._waiting else None

    def forget(self, link: MuxLink) -> None:
        """A stream waits for nothing any more."""
        self._waiting.pop(link, None)

    def flush(self) -> None:
        """Send what has been collected."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        frames = self._frames
        if not frames:
            return
        self._frames = []
        if self.held:
            self._unread += self._size
        self._size = 0
        self._lower.write(frames[0] if len(frames) == 1 else b"".join(frames))
        if self._unread > MOST_UNSENT:
            self._log.seldom("mux", WARN, "%s does not read what it asks for on a shared connection", self._lower.remote)
            self._lower.abort()

    # What the lower link tells.

    def hold(self) -> None:
        """It has more to send than it should hold."""
        self.held = True
        self._held_since = self._loop.time()

    def go_on(self) -> None:
        """It has room again."""
        self.held = False
        self._most = LARGEST if self._loop.time() - self._held_since < SOON else TURN
        self._unread = 0
        self._pump()

    def _pump(self) -> None:
        """Let those that wait send, each in its turn, while there is room."""
        self._pumping = True
        while self._waiting and not self.held and not self._stopped:
            link = next(iter(self._waiting))
            del self._waiting[link]
            self._turn = TURN
            link.room()
        self._pumping = False
