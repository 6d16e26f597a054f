"""The server's side of a handshake over a link: the bytes are `protocol.handshake`'s, the waiting is here.

Each request is answered in a connection of its own, whatever came; what to answer is the `Doorkeeper`'s to say.
"""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from http import HTTPStatus

    from nodepass.protocol.agreement import Agreement
    from nodepass.protocol.handshake import ServerHandshake, Verdict
    from nodepass.transport.base import Link


class HandshakeReceiver:
    """The receiver of a connection that may bring a handshake.

    Args:
        link: the connection.
        handshake: what judges the bytes that come.
        timeout: seconds until a connection that says nothing useful is closed.
        judged: called once with the verdict of a whole request; answer with `accept` or `refuse`.
        ended: called once when the connection is gone, answered or not.
    """

    def __init__(
        self,
        link: Link,
        handshake: ServerHandshake,
        timeout: float,
        judged: Callable[[HandshakeReceiver, Verdict], None],
        ended: Callable[[], None],
    ) -> None:
        self.link = link
        self._handshake = handshake
        self._received = b""
        self._judged: Callable[[HandshakeReceiver, Verdict], None] | None = judged
        self._ended = ended
        self.over = False
        """Whether the connection is gone."""
        self._timer = asyncio.get_running_loop().call_later(timeout, link.abort)
        link.attach(self)

    def accept(self, agreement: Agreement, extension: str = "") -> None:
        """Answer 200 with what has been agreed on, and the extension's message for a client that has it."""
        self._answer(self._handshake.accept(agreement, formatdate(usegmt=True), extension))

    def refuse(self, status: HTTPStatus, text: str) -> None:
        """Answer with an error."""
        self._answer(self._handshake.refuse(status, text, formatdate(usegmt=True)))

    def release(self) -> bytes:
        """Let go of the connection, which is another's from now on; what has been read from it."""
        self._timer.cancel()
        self.link.pause_reading()
        return self._received

    def _answer(self, response: bytes) -> None:
        self.link.write(response)
        self.link.close()

    # As the link's receiver.

    def data_received(self, data: memoryview) -> None:
        if self._judged is None:
            return
        received = bytes(data)
        self._received += received
        verdict = self._handshake.receive(received)
        if verdict is not None:
            judged, self._judged = self._judged, None
            judged(self, verdict)

    def eof_received(self) -> None:
        # A client that half-closes behind its request still wants the answer; one that asked nothing gets none.
        if self._judged is not None:
            self.link.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self._timer.cancel()
        self._judged = None
        self.over = True
        self._ended()

    def pause_writing(self) -> None:
        """The answer is short."""

    def resume_writing(self) -> None:
        """The answer is short."""
