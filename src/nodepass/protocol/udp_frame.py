"""Datagrams in a byte stream: a 2-byte big-endian length in front of each (extension.md, ``udp-frame``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER_SIZE: Final = 2
"""Bytes in front of each datagram."""


def header(size: int) -> bytes:
    """Give what stands in front of a datagram of `size` bytes.

    Raises:
        OverflowError: `size` is not in 0-65535.
    """
    return size.to_bytes(HEADER_SIZE, "big")


class DatagramSplitter:
    """Cuts a byte stream into the datagrams that were framed into it.

    What always holds: it keeps the beginning of one datagram at most, and how the stream was cut makes no difference.
    """

    __slots__ = ("_partial",)

    def __init__(self) -> None:
        self._partial = bytearray()

    def feed(self, data: memoryview) -> Iterator[memoryview]:
        """Take the next bytes. They are read as the datagrams are asked for: exhaust it before anything else is fed.

        Returns:
            The datagrams they complete, in order. One that lies whole in `data` is a piece of it, and valid as long as
            that is.
        """
        start = 0
        if self._partial:
            start = self._fill(data)
            if len(self._partial) < self._wanted():
                return
            # A new one, because the old one cannot grow while somebody looks at it.
            whole, self._partial = self._partial, bytearray()
            yield memoryview(whole)[HEADER_SIZE:]
        end = len(data)
        while end - start >= HEADER_SIZE:
            following = start + HEADER_SIZE + (data[start] << 8 | data[start + 1])
            if following > end:
                break
            yield data[start + HEADER_SIZE : following]
            start = following
        self._partial += data[start:]

    def _fill(self, data: memoryview) -> int:
        """Complete the partial datagram as far as `data` reaches; how many of its bytes that took."""
        used = 0
        # Twice: it may be the second byte of the length that tells how many are wanted.
        for _ in range(2):
            missing = self._wanted() - len(self._partial)
            piece = data[used : used + missing]
            self._partial += piece
            used += len(piece)
        return used

    def _wanted(self) -> int:
        """Bytes of the partial datagram with its length in front, as far as that is known."""
        if len(self._partial) < HEADER_SIZE:
            return HEADER_SIZE
        return HEADER_SIZE + (self._partial[0] << 8 | self._partial[1])
