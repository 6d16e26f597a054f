"""How far the sender of one stream may be ahead of what has been consumed here.

Several streams share a connection, so that the network's own buffers cannot hold a single one back: each has a window, and
the sender is told where it ends. A consumer that keeps up gets a larger one, because over a long way a small window, and
not the line, would set the pace; one that falls behind is put back to the smallest, so that the many slow ones of a busy
connection hold little memory each.

What always holds: what has been sent and not consumed is at most `largest` of the time the window was announced; and that
of all streams of a connection at most the smallest window of each, and `SHARED` besides (`Budget`): those whose windows
grew when they were few hold on to them, so that the ones that came later get less at first.
"""

from __future__ import annotations

from typing import Final, Protocol

SMALLEST: Final = 128 * 1024
"""Bytes of a fresh stream's window, and of one whose consumer is slow."""

LARGEST: Final = 4 * 1024 * 1024
"""Bytes of the window of one whose consumer keeps up."""

SHARED: Final = 64 * 1024 * 1024
"""Bytes that the windows of one connection's streams may come to, as far as they are larger than the smallest."""


def largest_of(streams: int) -> int:
    """The largest window of each of so many streams of one connection, in bytes."""
    return min(LARGEST, max(SMALLEST, SHARED // max(streams, 1)))


class Budget(Protocol):
    """What the windows of one connection's streams may come to together: the connection.

    Attributes:
        windows_left: bytes that they may still grow by; `SHARED` at first.
    """

    windows_left: int


class ReceiveWindow:
    """The window of one stream.

    Args:
        budget: of its connection.
        smallest: bytes of the window of a fresh stream, and of one whose consumer is slow.

    Attributes:
        limit: the offset up to which the sender has been told that it may send.
    """

    __slots__ = ("_budget", "_consumed", "_extra", "_size", "_smallest", "limit")

    def __init__(self, budget: Budget, smallest: int = SMALLEST) -> None:
        self._budget = budget
        self._extra = 0
        """Bytes that it has of the budget."""
        self._size = self._smallest = self.limit = smallest
        self._consumed = 0

    def consume(self, count: int, *, waiting: int, largest: int) -> int:
        """Note that `count` bytes were consumed.

        Args:
            count: bytes.
            waiting: bytes that have come and are not consumed.
            largest: most bytes of the window now.

        Returns:
            By how much the limit grows, to be told to the sender; 0 while that is not worth telling.
        """
        self._consumed += count
        if self.limit - self._consumed > self._size // 2:
            return 0
        self.close()
        if waiting:
            self._size = self._smallest
        else:
            self._size = min(2 * self._size, max(largest, self._smallest), self._smallest + self._budget.windows_left)
        grown = max(self._consumed + self._size - self.limit, 0)
        self.limit += grown
        # What has been announced cannot be taken back.
        self._extra = max(self.limit - self._consumed - self._smallest, 0)
        self._budget.windows_left -= self._extra
        return grown

    def close(self) -> None:
        """Nothing comes any more, or the window is about to be another."""
        self._budget.windows_left += self._extra
        self._extra = 0
