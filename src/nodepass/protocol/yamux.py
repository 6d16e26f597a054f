"""The framing of streams that share a connection: yamux, as HashiCorp publishes it (extension.md, ``mux``).

A header of 12 bytes stands in front of everything: version 0, a type, flags, the stream's number, and a length, which is
that of the payload for data, and a figure of its own for the others. A stream begins with the flag SYN on its first frame
and is taken with ACK; FIN ends a direction behind what was sent, RST the whole stream. The end that opened the connection
gives its streams odd numbers, the other even ones; 0 is the connection itself.

`FrameReader` takes bytes as they come and calls a `FrameHandler`: payloads go on as they are, in as many pieces as they
come in, so that nothing is copied or kept here but part of a header.

What always holds: whatever the bytes are, feeding them ends in calls, or in `FrameError`; how they were cut into pieces
makes no difference to the stream of bytes and of frames that the handler hears of.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Final, Protocol

from nodepass.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER_SIZE: Final = 12

INITIAL_WINDOW: Final = 256 * 1024
"""Bytes of data that each side may send on a fresh stream."""

LARGEST_PAYLOAD: Final = 16 * 1024 * 1024
"""Bytes of a data frame over which it is taken for nonsense: no window is ever as large."""

CONNECTION: Final = 0
"""The stream number of what concerns the connection."""

_HEADER: Final = struct.Struct(">BBHII")


class FrameType(IntEnum):
    """What a frame is about."""

    DATA = 0
    WINDOW_UPDATE = 1
    PING = 2
    GO_AWAY = 3


class Flags(IntFlag):
    """What a frame says besides."""

    NONE = 0
    SYN = 1
    ACK = 2
    FIN = 4
    RST = 8


class GoAway(IntEnum):
    """Why a side takes no more streams."""

    NORMAL = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2


# Plain numbers: an enum's arithmetic costs more than all else about a small frame.
DATA: Final = FrameType.DATA.value
WINDOW_UPDATE: Final = FrameType.WINDOW_UPDATE.value
PING: Final = FrameType.PING.value
GO_AWAY: Final = FrameType.GO_AWAY.value
SYN: Final = Flags.SYN.value
ACK: Final = Flags.ACK.value
FIN: Final = Flags.FIN.value
RST: Final = Flags.RST.value

_pack = _HEADER.pack
_unpack_from = _HEADER.unpack_from


def data_header(stream_id: int, length: int, flags: int = 0) -> bytes:
    """Write what stands in front of so many bytes of a stream's data."""
    return _pack(0, DATA, flags, stream_id, length)


def window_update(stream_id: int, delta: int, flags: int = 0) -> bytes:
    """Write the frame that lets the peer send `delta` bytes more; with flags alone, it says what they say."""
    return _pack(0, WINDOW_UPDATE, flags, stream_id, delta)


def ping(value: int) -> bytes:
    """Write a question for a sign of life, of a figure that comes back."""
    return _pack(0, PING, SYN, CONNECTION, value)


def pong(value: int) -> bytes:
    """Write the answer to one."""
    return _pack(0, PING, ACK, CONNECTION, value)


def go_away(reason: GoAway) -> bytes:
    """Write that no more streams are taken."""
    return _pack(0, GO_AWAY, 0, CONNECTION, reason)


class FrameHandler(Protocol):
    """Who hears of frames. Each may raise `FrameError`, which ends the reading."""

    def on_data(self, stream_id: int, flags: int, length: int) -> Callable[[memoryview], None] | None:
        """A data frame begins: gives what takes its payload, in pieces that are valid during the call; None drops it."""

    def on_whole_data(self, stream_id: int, flags: int, payload: memoryview) -> None:
        """A data frame has come in one piece; its flags end nothing."""

    def on_data_end(self, stream_id: int, flags: int) -> None:
        """The payload is over; called where the flags say FIN or RST."""

    def on_window_update(self, stream_id: int, flags: int, delta: int) -> None:
        """A window update has come, or what its flags say."""

    def on_ping(self, flags: int, value: int) -> None:
        """A ping has come, or the answer to one."""

    def on_go_away(self, reason: int) -> None:
        """The peer takes no more streams."""


class FrameReader:
    """Reads the frames of one connection.

    Args:
        handler: hears of them.
    """

    __slots__ = ("_ending", "_handler", "_left", "_part", "_sink")

    def __init__(self, handler: FrameHandler) -> None:
        self._handler = handler
        self._part = b""
        """The beginning of a header."""
        self._left = 0
        """Bytes of payload that are still to come."""
        self._sink: Callable[[memoryview], None] | None = None
        self._ending: tuple[int, int] | None = None
        """The stream, and the flags that count when the payload is over."""

    def feed(self, data: memoryview) -> None:
        """Take the next bytes.

        Raises:
            FrameError: they are no frames; nothing may be fed any more.
        """
        offset, size = 0, len(data)
        if self._part:
            offset = HEADER_SIZE - len(self._part)
            self._part += bytes(data[:offset])
            if len(self._part) < HEADER_SIZE:
                return
            header, self._part = self._part, b""
            self._begin(*_unpack_from(header))
        while offset < size:
            if self._left:
                offset += self._pass(data[offset : offset + self._left])
                continue
            begin = offset + HEADER_SIZE
            if begin > size:
                self._part = bytes(data[offset:])
                return
            version, kind, flags, stream_id, length = _unpack_from(data, offset)
            offset = begin + length
            if kind == DATA == version and length and offset <= size and flags <= ACK | SYN:
                # As nearly all frames are: without a detour.
                self._handler.on_whole_data(stream_id, flags, data[begin:offset])
            else:
                self._begin(version, kind, flags, stream_id, length)
                offset = begin

    def _pass(self, piece: memoryview) -> int:
        """Hand on part of a payload; its size."""
        size = len(piece)
        self._left -= size
        if self._sink is not None:
            self._sink(piece)
        if not self._left:
            self._end()
        return size

    def _end(self) -> None:
        self._sink = None
        ending, self._ending = self._ending, None
        if ending is not None:
            self._handler.on_data_end(*ending)

    def _begin(self, version: int, kind: int, flags: int, stream_id: int, length: int) -> None:
        if version:
            raise FrameError(f"a frame of version {version}")
        if kind == DATA:
            if length > LARGEST_PAYLOAD:
                raise FrameError(f"a frame of {length} bytes")
            self._sink = self._handler.on_data(stream_id, flags, length)
            self._left = length
            if flags & (FIN | RST):
                self._ending = (stream_id, flags)
            if not length:
                self._end()
        elif kind == WINDOW_UPDATE:
            self._handler.on_window_update(stream_id, flags, length)
        elif kind == PING:
            self._handler.on_ping(flags, length)
        elif kind == GO_AWAY:
            self._handler.on_go_away(length)
        else:
            raise FrameError(f"a frame of the unknown type {kind}")
