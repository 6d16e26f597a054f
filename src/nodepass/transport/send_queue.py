"""What a link was given to send and has not handed on, with the marks at which its feeder pauses and goes on."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from nodepass.transport.base import HIGH_WATER, LOW_WATER

if TYPE_CHECKING:
    from collections.abc import Callable

    Send = Callable[[bytes | memoryview], int]


NOTHING: Final[deque[bytes | memoryview]] = deque()
"""The queue of all that have nothing to send, as most of the time nearly all have: an empty one takes much memory, too."""


class SendQueue:
    """Bytes in the order they were given, copied: the giver may reuse its memory.

    Attributes:
        size: bytes in it.
    """

    __slots__ = ("_chunks", "_over_high_water", "size")

    def __init__(self) -> None:
        self._chunks = NOTHING
        self._over_high_water = False
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def append(self, data: bytes | bytearray | memoryview, start: int) -> bool:
        """Keep `data` from `start` on; True when that fills the queue over the mark at which the feeder must pause."""
        rest = bytes(memoryview(data)[start:])
        if self._chunks is NOTHING:
            self._chunks = deque()
        self._chunks.append(rest)
        self.size += len(rest)
        if self.size <= HIGH_WATER or self._over_high_water:
            return False
        self._over_high_water = True
        return True

    def fill(self) -> bool:
        """Hold the feeder back though there is room: what it gives now could not be handed on. True where it must pause."""
        if self._over_high_water:
            return False
        self._over_high_water = True
        return True

    def drain(self, send: Send) -> None:
        """Hand on with `send`, which says how many bytes it took, until it takes less than it was given."""
        chunks = self._chunks
        while chunks:
            chunk = chunks[0]
            sent = send(chunk)
            if chunks is not self._chunks:
                # The link broke in there, and has cleared the queue.
                return
            self.size -= sent
            if sent < len(chunk):
                chunks[0] = memoryview(chunk)[sent:]
                return
            chunks.popleft()

    def relieved(self) -> bool:
        """Whether the feeder had to pause and may go on now; True once."""
        if not self._over_high_water or self.size > LOW_WATER:
            return False
        self._over_high_water = False
        return True

    def clear(self) -> None:
        """Forget what is left."""
        self._chunks = NOTHING
        self.size = 0
