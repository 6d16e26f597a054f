"""A link that is one stream of a connection that users share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nodepass.errors import FrameError
from nodepass.policy.receive_window import ReceiveWindow
from nodepass.protocol.yamux import ACK, FIN, INITIAL_WINDOW, RST, SYN, data_header, window_update
from nodepass.transport.mux.sender import SMALL
from nodepass.transport.ordered_stream import OrderedStream

if TYPE_CHECKING:
    from nodepass.transport.mux.connection import MuxConnection

WORTH_TELLING: Final = INITIAL_WINDOW // 4
"""Bytes that are read before a look at whether the peer's window is to be opened."""

OVER_WINDOW: Final = "a stream has sent more than its window"
BEHIND_END: Final = "a stream has sent something behind its end"


class MuxLink(OrderedStream):
    """One stream.

    Args:
        connection: it is of.
        stream_id: its number there.
        opened_here: whether this end opened it.
    """

    __slots__ = (
        "_came",
        "_connection",
        "_eaten",
        "_flags",
        "_is_reset",
        "_sender",
        "_window",
        "credit",
        "stream_id",
    )

    def __init__(self, connection: MuxConnection, stream_id: int, *, opened_here: bool) -> None:
        super().__init__(connection.lower.remote)
        self._connection = connection
        self._sender = connection.sender
        self._window = ReceiveWindow(connection, INITIAL_WINDOW)
        self._came = 0
        self._eaten = 0
        """Bytes that have been read and not told to the window."""
        self._flags = SYN if opened_here else ACK
        """What the next frame says besides: the first of each side begins the stream there."""
        self._is_reset = False
        self.credit = INITIAL_WINDOW
        """Bytes that the peer's window has room for."""
        self.stream_id = stream_id

    @property
    def fingerprint(self) -> str | None:
        return self._connection.lower.fingerprint

    @property
    def fell_silent(self) -> bool:
        """Whether its connection was given up because nothing was heard on it."""
        return self._connection.fell_silent

    @property
    def on_the_way(self) -> object:
        return self._queue.size, self._sender.in_front_of(self)

    def vouch(self) -> None:
        """See `Link`: what carries it has been vouched for."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        size = len(data)
        if (
            size <= SMALL
            and size <= self.credit
            and not (self._queue or self._sender.held or self._write_ended or self._lost)
        ):
            # As nearly all that users say goes: without a detour.
            if size:
                self.credit -= size
                flags, self._flags = self._flags, 0
                self._sender.say(data_header(self.stream_id, size, flags) + data)
            return
        super().write(data)
        # Better not read at all what could only be kept here.
        if self.is_held and not self._lost and self._queue.fill():
            self._sender.wait(self)
            self._receiver.pause_writing()

    # What the connection asks and tells.

    @property
    def is_held(self) -> bool:
        """Whether nothing can be sent now."""
        return self.credit <= 0 or self._sender.held

    def take_flags(self) -> int:
        """What the next frame of the stream says besides."""
        flags, self._flags = self._flags, 0
        return flags

    def arrived(self, data: memoryview) -> None:
        """The payload of a frame has come, whole.

        Raises:
            FrameError: it is more than the peer may send, or behind its end.
        """
        size = len(data)
        self._came += size
        if self._came > self._window.limit or self._heard_end:
            raise FrameError(BEHIND_END if self._heard_end else OVER_WINDOW)
        if self._reading and self._wake is None and not self._stash:
            self._receiver.data_received(data)
            self._eaten += size
            if self._eaten >= WORTH_TELLING:
                self._tell_window()
        else:
            self.received(data)

    def expect(self, length: int) -> None:
        """So many bytes are about to come.

        Raises:
            FrameError: they are more than the peer may send, or behind its end.
        """
        self._came += length
        if self._came > self._window.limit:
            raise FrameError(OVER_WINDOW)
        if self._heard_end and length:
            raise FrameError(BEHIND_END)

    def granted(self, delta: int) -> None:
        """The peer's window has room for so many bytes more."""
        self.credit += delta
        self._sender.wait(self)

    def peer_reset(self, error: Exception) -> None:
        self._is_reset = True
        super().peer_reset(error)

    def room(self) -> None:
        if self.credit > 0:
            super().room()

    # As a `StreamLink`.

    def _carry(self, data: bytes | bytearray | memoryview) -> int:
        return self._sender.carry(self, data)

    def _say_end(self) -> None:
        self._sender.say(data_header(self.stream_id, 0, self.take_flags() | FIN))

    def _say_refusal(self) -> None:
        self._send_reset()

    def _send_reset(self) -> None:
        flags = self.take_flags()
        # A stream that the peer has not heard of needs no end.
        if not self._is_reset and not flags & SYN and not (self._told_end and self._heard_end):
            self._sender.say(window_update(self.stream_id, 0, flags | RST))
        self._is_reset = True
        self._end_heard()

    def _consumed(self, count: int) -> None:
        self._eaten += count
        if self._eaten >= WORTH_TELLING:
            self._tell_window()

    def _tell_window(self) -> None:
        eaten, self._eaten = self._eaten, 0
        if self._heard_end:
            return
        grown = self._window.consume(eaten, waiting=self._stashed, largest=self._connection.largest_window)
        if grown:
            self._sender.say(window_update(self.stream_id, grown, self.take_flags()))

    def _release(self) -> None:
        self._window.close()
        self._connection.forget(self)
