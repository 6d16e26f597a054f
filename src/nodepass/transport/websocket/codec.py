"""A byte stream as WebSocket messages and back; bytes in, bytes out, without I/O.

`websockets` parses and answers; here are the rules of a stream on top: what carries bytes, what ends a direction, and
what is not taken from a peer.

What always holds:

- Each message, and each fragment of one, comes out by itself, in order; what follows an end is an error.
- At most one message of `MESSAGE_LIMIT` waits for its rest. A longer one is refused when its length is known.
- Frames that carry nothing are limited in number a second.
- After an error nothing comes out any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from websockets.frames import OK_CLOSE_CODES, CloseCode, Frame, Opcode
from websockets.protocol import Side, State

from nodepass.errors import ProtocolError
from nodepass.protocol.handshake import one_line
from nodepass.transport.websocket.framing import HALF_CLOSE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from websockets.protocol import Event, Protocol

    BytesLike: TypeAlias = bytes | bytearray | memoryview

CONTROL_LIMIT = 100
"""Frames a second that carry nothing: pings, pongs, empty messages."""


class Codec:
    """One end's messages.

    Args:
        protocol: after the upgrade.
        clock: gives the time in seconds.
    """

    __slots__ = (
        "_clock",
        "_control_frames",
        "_control_since",
        "_masks",
        "_protocol",
        "_receive_data",
        "closed",
        "ended",
        "error",
        "half_closes",
    )

    def __init__(self, protocol: Protocol, clock: Callable[[], float]) -> None:
        self._protocol = protocol
        # The library copies what it is given into a `bytearray`, for which any buffer will do.
        self._receive_data = cast("Callable[[memoryview], None]", protocol.receive_data)
        self._clock = clock
        self._masks = protocol.side is Side.CLIENT
        self._control_frames = 0
        self._control_since = 0.0
        self.half_closes = protocol.subprotocol == HALF_CLOSE
        """Whether an empty message ends a direction."""
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

    def message(self, data: BytesLike) -> bytes:
        """A binary message. Without data it ends a direction, where both ends know that."""
        return Frame(Opcode.BINARY, data).serialize(mask=self._masks)

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

    # What comes.

    def receive(self, data: memoryview) -> list[BytesLike]:
        """Take the next bytes; gives the payloads that are whole."""
        self._receive_data(data)
        return self.sift(self._protocol.events_received())

    def sift(self, events: Iterable[Event]) -> list[BytesLike]:
        """The payloads among what the library made of the peer's bytes."""
        payloads: list[BytesLike] = []
        for frame in events:
            if not isinstance(frame, Frame):
                continue
            opcode, data = frame.opcode, frame.data
            if data and (opcode is Opcode.BINARY or opcode is Opcode.CONT) and not self.ended:
                payloads.append(data)
            else:
                self._special(frame)
                if self.error is not None:
                    return payloads
        if self._protocol.parser_exc is not None and self.error is None:
            self.error = ProtocolError(one_line(str(self._protocol.parser_exc).encode()))
        return payloads

    def _special(self, frame: Frame) -> None:
        """What carries nothing, ends something, or should not have come."""
        opcode = frame.opcode
        if opcode is Opcode.CLOSE:
            self.ended = self.closed = True
            close = self._protocol.close_rcvd
            if close is not None and close.code not in OK_CLOSE_CODES:
                self.error = ProtocolError(f"closed by the other side: {one_line(str(close).encode())}")
        elif opcode is Opcode.TEXT:
            self._refuse(CloseCode.UNSUPPORTED_DATA, "a text message, where all are binary")
        elif opcode is Opcode.PING or opcode is Opcode.PONG:
            self._count()
        elif frame.data:
            self._refuse(CloseCode.PROTOCOL_ERROR, "data behind the end of its direction")
        elif self.half_closes and opcode is Opcode.BINARY and frame.fin:
            self.ended = True
        elif opcode is Opcode.BINARY or not frame.fin:
            self._count()

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
        self.error = ProtocolError(reason)
