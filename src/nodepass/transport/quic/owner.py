"""What a QUIC connection is to its streams, and who made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nodepass.transport.quic.connection import Connection
    from nodepass.transport.quic.link import QuicLink


class ConnectionOwner(Protocol):
    """Who made a connection."""

    def established(self, connection: Connection) -> None:
        """The handshake is done."""

    def stream_came(self, link: QuicLink) -> None:
        """The peer opened a stream and has sent its opening byte; at a server only."""

    def streams_available(self) -> None:
        """The peer allows more streams."""

    def named(self, connection: Connection, cid: bytes) -> None:
        """The peer may send to this connection ID from now on."""

    def unnamed(self, cid: bytes) -> None:
        """The peer sends to this connection ID no more."""

    def vouched(self, connection: Connection) -> None:
        """The peer has proved who it is."""

    def gone(self, connection: Connection, error: Exception | None) -> None:
        """The connection is over; None after an end in order."""


class Carrier(Protocol):
    """The connection that carries the streams."""

    def wake(self) -> None:
        """Send at the end of this turn of the loop."""

    def transmit(self) -> None:
        """Send now what can be sent."""

    def resume(self) -> None:
        """Take events again, in another turn."""

    def vouch(self) -> None:
        """The peer has proved who it is."""

    def ping(self) -> None:
        """Have the peer acknowledge soon."""
