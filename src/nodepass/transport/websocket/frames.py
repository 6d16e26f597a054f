"""The framing of RFC 6455, 5.2, as far as a stream's bytes need it; bytes in, bytes out, without I/O.

A frame is a head of 2 to 14 bytes and a payload, which a client masks. `FrameReader` reads heads. The payload of a plain
data frame is not read here, but taken by the caller, piece by piece as it comes: so a client's end copies nothing, and a
server's once, when it takes the mask off. Every other frame is small, or wrong; its bytes go to the `FrameHandler` as
they are, and from there to the library, which knows what to make of them.

What always holds:

- Nothing is kept but part of a head, and where payloads are wanted whole, what has come of one: never what was announced.
- How the bytes were cut into pieces makes no difference to what the handler hears, nor to the bytes of the payloads.
- Once stopped, all bytes are passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this machine: as the library does itself
    from websockets.utils import apply_mask

if TYPE_CHECKING:
    from typing import TypeAlias

    BytesLike: TypeAlias = bytes | bytearray | memoryview

FINAL: Final = 0x80
"""The bit of a head's first byte that says that the message ends with this frame; the three below it are reserved."""

MASKED: Final = 0x80
"""The bit of the second byte that says that a mask follows."""

MASK_SIZE: Final = 4

LONGEST_CONTROL: Final = 125
"""Most bytes of a payload of any frame but data (RFC 6455, 5.5), which are as many as fit into the second byte."""

SHORT: Final = 126
"""The second byte's figure for a length in the two bytes behind it."""

LONG: Final = 127
"""The same for eight bytes."""

LONGEST_HEAD: Final = 2 + 8 + MASK_SIZE


def head_of(first: int, length: int, mask: bytes) -> bytes:
    """Write what stands in front of a payload.

    Args:
        first: the first byte: `FINAL`, and the opcode.
        length: of the payload.
        mask: it is masked with; empty without one.
    """
    bit = MASKED if mask else 0
    if length <= LONGEST_CONTROL:
        return bytes((first, bit | length)) + mask
    if length < 1 << 16:
        return bytes((first, bit | SHORT)) + length.to_bytes(2) + mask
    return bytes((first, bit | LONG)) + length.to_bytes(8) + mask


def masked(data: BytesLike, mask: bytes, start: int = 0) -> bytes:
    """A copy of `data` with a mask put on or taken off; `start` is the place of its first byte in the payload."""
    turn = start % MASK_SIZE
    return apply_mask(data, mask[turn:] + mask[:turn] if turn else mask)


class FrameHandler(Protocol):
    """Who hears of frames; it may stop the reader from within."""

    def is_plain(self, first: int, second: int, length: int) -> bool:
        """Whether these two bytes and this length are of a data frame that may come now; may be asked more than once."""

    def on_data(self, first: int, length: int) -> None:
        """Such a frame begins."""

    def on_other(self, first: int, length: int, head: bytes) -> None:
        """Another begins; `head` is its head, with as much of the mask as has come."""

    def on_rest(self, data: bytes) -> None:
        """More of such a frame has come."""


class _Nobody:
    """The handler of a reader that has been stopped."""

    def is_plain(self, first: int, second: int, length: int) -> bool:
        return True

    def on_data(self, first: int, length: int) -> None:
        pass

    def on_other(self, first: int, length: int, head: bytes) -> None:
        pass

    def on_rest(self, data: bytes) -> None:
        pass


_NOBODY = _Nobody()


class FrameReader:
    """Reads the frames of one direction.

    Args:
        handler: hears of them.
    """

    __slots__ = ("_gathered", "_handler", "_head", "_left", "_mask", "_other", "_stopped", "_taken")

    def __init__(self, handler: FrameHandler) -> None:
        self._handler: FrameHandler = handler
        self._head = b""
        """The beginning of a head."""
        self._left = 0
        """Bytes that are still to come of a payload."""
        self._other = 0
        """Bytes that are still to come of a frame that is not plain data."""
        self._mask = b""
        self._taken = 0
        """Bytes of the payload that have been taken."""
        self._gathered = bytearray()
        """Those of them that wait for the rest."""
        self._stopped = False

    def stop(self) -> None:
        """Pass over all that comes from here on, and forget the handler, which has this in turn."""
        self._stopped = True
        self._handler = _NOBODY
        self._left = 0

    def advance(self, data: memoryview, offset: int) -> int:
        """Read on from `offset` to the next byte of a payload. Gives its place, or the size of `data` if there is none."""
        size = len(data)
        while offset < size and not self._left:
            if self._stopped:
                return size
            if self._other:
                piece = data[offset : offset + self._other]
                offset += len(piece)
                self._other -= len(piece)
                self._handler.on_rest(bytes(piece))
            else:
                offset = self._begin(data, offset)
        return offset

    def take(self, data: memoryview, offset: int, *, whole: bool) -> tuple[BytesLike, int]:
        """Take bytes of a payload from where `advance` has come to; also gives the place behind them.

        Where it is wanted `whole`, it comes out in one piece, and nothing until all of it is there.
        """
        piece: BytesLike = data[offset : offset + self._left]
        size = len(piece)
        if self._mask:
            piece = masked(piece, self._mask, self._taken)
            self._taken += size
        self._left -= size
        if whole or self._gathered:
            piece = self._gather(piece, whole=whole)
        return piece, offset + size

    def _gather(self, piece: BytesLike, *, whole: bool) -> BytesLike:
        gathered = self._gathered
        if whole and self._left:
            gathered += piece
            return b""
        if not gathered:
            return piece
        self._gathered = bytearray()
        gathered += piece
        return gathered

    def _begin(self, data: memoryview, offset: int) -> int:
        """Read a head, as far as it has come; the place behind it."""
        kept = len(self._head)
        head = self._head + bytes(data[offset : offset + LONGEST_HEAD - kept])
        self._head = b""
        if len(head) < 2:
            self._head = head
            return len(data)
        first, second = head[0], head[1]
        length = second & ~MASKED
        end = 2
        if length >= SHORT:
            end = 4 if length == SHORT else 10
            if len(head) < end:
                self._head = head
                return len(data)
            length = int.from_bytes(head[2:end])
        plain = self._handler.is_plain(first, second, length)
        start, end = end, end + MASK_SIZE if second & MASKED else end
        if not plain:
            head = head[:end]
            self._other = end + length - len(head)
            self._handler.on_other(first, length, head)
        elif len(head) < end:
            self._head = head
            return len(data)
        else:
            self._mask = head[start:end]
            self._taken = 0
            self._left = length
            self._handler.on_data(first, length)
        return offset + min(len(head), end) - kept
