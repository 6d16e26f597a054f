"""Who made a QUIC connection: a client's dialer, or a server's listener."""

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

    def gone(self, connection: Connection, error: Exception | None) -> None:
        """The connection is over; None after an end in order."""
