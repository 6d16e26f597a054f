"""A byte stream as WebSocket messages and back; bytes in, bytes out, without I/O.

`frames` finds the payloads, and `websockets` parses and answers everything else. Here are the rules of a stream on top:
what carries bytes, what ends a direction, and what is not taken from a peer.

What always holds:

- Payloads come out in order, in pieces as they come; or, where that is asked for, those of each message, and of each
  fragment of one, in one piece. What follows an end is an error.
- A message over `MESSAGE_LIMIT`, in all its fragments, is refused when its length is known.
- Frames that carry nothing are limited in number a second.
- After an error, and after Close, nothing comes out any more.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from websockets.frames import OK_CLOSE_CODES, CloseCode, Frame, Opcode
from websockets.protocol import Side, State

from nodepass.errors import ProtocolError
from nodepass.protocol.handshake import one_line
from nodepass.transport.websocket.frames import (
    FINAL,
    LONGEST_CONTROL,
    MASK_SIZE,
    MASKED,
    FrameReader,
    head_of,
    masked,
)
from nodepass.transport.websocket.framing import HALF_CLOSE, LARGE_MESSAGE, MESSAGE_LIMIT, MESSAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.protocol import Protocol

    from nodepass.transport.websocket.frames import BytesLike

CONTROL_LIMIT = 100
"""Frames a second that carry nothing: pings, pongs, empty messages."""

JOINED = 8 * 1024
"""Bytes of a message up to which all of it is put into one piece: cheaper than to send two."""

# Plain numbers: an enum's arithmetic costs more than all else about a small frame.
CONT = Opcode.CONT.value
TEXT = Opcode.TEXT.value
BINARY = Opcode.BINARY.value
OPCODE = 0x0F
"""The bits of a head's first byte that say what a frame is."""


class Codec:
    """One end's messages.

    Args:
        protocol: after the upgrade. Its `current_size`, the bytes so far of a message in fragments, is kept here, for it
            sees no plain data frames, and has to judge the others by it.
        clock: gives the time in seconds.
    """

    __slots__ = (
        "_clock",
        "_control_frames",
        "_control_since",
        "_frames",
        "_incoming_mask",
        "_masks",
        "_protocol",
        "closed",
        "ended",
        "error",
        "half_closes",
        "largest",
        "news",
    )

    def __init__(self, protocol: Protocol, clock: Callable[[], float]) -> None:
        self._protocol = protocol
        self._frames = FrameReader(self)
        self._clock = clock
        self._masks = protocol.side is Side.CLIENT
        self._incoming_mask = 0 if self._masks else MASKED
        self._control_frames = 0
        self._control_since = 0.0
        self.half_closes = protocol.subprotocol == HALF_CLOSE
        """Whether an empty message ends a direction."""
        self.largest = LARGE_MESSAGE if self.half_closes else MESSAGE_SIZE
        """Most bytes of a message that is sent."""
        self.news = False
        """Whether something else than payload has come, so that there may be answers or an end; the owner takes it back."""
        self.ended = False
        """Whether the peer sends no more."""
        self.closed = False
        """Whether the peer has sent Close: it takes no more, either."""
        self.error: Exception | None = None
        """Why nothing more comes out: the peer broke a rule, or its Close says that something broke there."""

    # What is sent.

    @property
    def may_close(self) -> bool:
        """Whether no Close has been sent."""
        return self._protocol.state is State.OPEN

    def message(self, head: bytes, body: BytesLike) -> tuple[bytes, BytesLike]:
        """A binary message of both, which are at most `largest`: what to send, and behind it what is large, or nothing."""
        size = len(head) + len(body)
        # Not to be foreseen by whoever chooses the payload (RFC 6455, 10.3).
        mask = secrets.token_bytes(MASK_SIZE) if self._masks else b""
        front = head_of(FINAL | BINARY, size, mask)
        if size <= JOINED:
            data = b"".join((head, body)) if head else body
            return b"".join((front, masked(data, mask) if mask else data)), b""
        if mask:
            return front + masked(head, mask), masked(body, mask, len(head))
        return front + head, body

    def end(self) -> bytes:
        """The empty message that ends a direction, where both ends know that."""
        return self.message(b"", b"")[0]

    def ping(self) -> bytes:
        """A ping; pongs are answered by themselves."""
        return Frame(Opcode.PING, b"").serialize(mask=self._masks)

    def close(self) -> bytes:
        """Close, once, and nothing when it has been sent."""
        if self.may_close:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
        return self.answers()

    def answers(self) -> bytes:
        """What the other side is owed for what came: pongs, its Close returned, why it is refused."""
        return b"".join(self._protocol.data_to_send())

    # What comes: see `FrameReader`.

    def advance(self, data: memoryview, offset: int) -> int:
        """Read on from `offset` to the next byte of payload; the size of `data` if there is none."""
        return self._frames.advance(data, offset)

    def take(self, data: memoryview, offset: int, *, whole: bool) -> tuple[BytesLike, int]:
        """Take payload from there, all of a frame's at once where it is wanted `whole`; also gives the place behind it."""
        return self._frames.take(data, offset, whole=whole)

    def stop(self) -> None:
        """Nothing more is to come."""
        self._frames.stop()

    # As the handler of frames.

    def is_plain(self, first: int, second: int, length: int) -> bool:
        """See `FrameHandler`."""
        so_far = self._protocol.current_size
        return (
            first & ~FINAL == (BINARY if so_far is None else CONT)
            and second & MASKED == self._incoming_mask
            and length + (so_far or 0) <= MESSAGE_LIMIT
        )

    def on_data(self, first: int, length: int) -> None:
        """See `FrameHandler`."""
        protocol = self._protocol
        protocol.current_size = None if first & FINAL else (protocol.current_size or 0) + length
        if length:
            if self.ended:
                self._refuse(CloseCode.PROTOCOL_ERROR, "data behind the end of its direction")
        elif first == FINAL | BINARY and self.half_closes and not self.ended:
            self.ended = True
        elif first != FINAL | CONT:
            self._count()

    def on_other(self, first: int, length: int, head: bytes) -> None:
        """See `FrameHandler`. What the library would take in to the end before it finds fault with it is refused now."""
        self.on_rest(head)
        if self.error is not None:
            return
        if first & OPCODE == TEXT:
            self._refuse(CloseCode.UNSUPPORTED_DATA, "a text message, where all are binary")
        elif length > LONGEST_CONTROL:
            self._refuse(CloseCode.PROTOCOL_ERROR, f"a frame of {length} bytes that may not come here")

    def on_rest(self, data: bytes) -> None:
        """See `FrameHandler`."""
        self.news = True
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            if not isinstance(frame, Frame):
                continue
            if frame.opcode is Opcode.CLOSE:
                self._peer_closed()
            else:
                self._count()
        if self._protocol.parser_exc is not None and self.error is None:
            self._fail(one_line(str(self._protocol.parser_exc).encode()))

    def _peer_closed(self) -> None:
        self.ended = self.closed = True
        self._frames.stop()
        close = self._protocol.close_rcvd
        if close is not None and close.code not in OK_CLOSE_CODES:
            self._fail(f"closed by the other side: {one_line(str(close).encode())}")

    def _count(self) -> None:
        """One more frame that carries nothing."""
        now = self._clock()
        if now - self._control_since >= 1:
            self._control_since, self._control_frames = now, 0
        self._control_frames += 1
        if self._control_frames > CONTROL_LIMIT:
            self._refuse(CloseCode.POLICY_VIOLATION, f"over {CONTROL_LIMIT} frames in a second that carry nothing")

    def _refuse(self, code: CloseCode, reason: str) -> None:
        self._protocol.fail(code, reason)
        self._fail(reason)

    def _fail(self, reason: str) -> None:
        self.error = ProtocolError(reason)
        self.news = True
        self._frames.stop()
