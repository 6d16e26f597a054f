"""What streams share whose connection is one stream of bytes, as in HTTP/2: nothing overtakes what was sent before it.

A reset ends both directions of a stream at once. So a peer that sends to a link which was closed is refused no sooner than
all that this side still has to send is on its way; until then, the window holds it. What a closed link has heard no end of
is refused after a while in any case: the peer may go on as if nothing had happened, or never end.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from nodepass.transport.base import LINGER
from nodepass.transport.stream_link import StreamLink

if TYPE_CHECKING:
    from nodepass.net.address import Address


class OrderedStream(StreamLink):
    """One stream of such a connection.

    Args:
        remote: the other side.
    """

    __slots__ = ("_refused",)

    def __init__(self, remote: Address) -> None:
        super().__init__(remote)
        self._refused = False

    @abstractmethod
    def _say_end(self) -> None:
        """End the sending direction behind what has been carried."""

    @abstractmethod
    def _say_refusal(self) -> None:
        """Break the stream behind its end: all was sent in order, and no more is taken."""

    def _send_end(self) -> None:
        self._say_end()
        if self._refused:
            self._say_refusal()

    def _refuse(self) -> None:
        self._refused = True
        if self._told_end:
            self._say_refusal()

    def _abort_when_received(self) -> None:
        self.abort()

    def _lose(self, error: Exception | None) -> None:
        if not self._lost and self._told_end and not self._heard_end:
            self._loop.call_later(LINGER, self._refuse)
        super()._lose(error)
