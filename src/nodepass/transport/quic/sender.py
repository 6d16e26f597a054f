"""Hands the datagrams of one QUIC connection to its socket, in batches."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nodepass.net.address import SocketAddress
    from nodepass.transport.quic.datagrams import Ancillary, DatagramSocket
    from nodepass.transport.quic.library import Engine

MOST_DATAGRAMS: Final = 512
"""Datagrams that one connection sends in one turn of the loop."""


class Sender:
    """The sending half of a connection.

    Args:
        engine: makes the datagrams.
        socket: carries them; may be replaced.
        answer: ancillary data for the socket; None where that is connected.
    """

    __slots__ = ("_answer", "_engine", "socket")

    def __init__(self, engine: Engine, socket: DatagramSocket, answer: Ancillary | None) -> None:
        self._engine = engine
        self._answer = answer
        self.socket = socket

    def send(self) -> bool:
        """Send what may be sent now; whether there is more than one turn's worth."""
        if self.socket.blocked:
            return False
        poll, now = self._engine.core.poll_transmit, monotonic()
        batch: list[bytes] = []
        destination: SocketAddress | None = None
        count = 0
        while count < MOST_DATAGRAMS and (transmit := poll(now)) is not None:
            if transmit[1] != destination:
                self._send(batch, destination)
                batch, destination = [], transmit[1]
            batch.append(transmit[0])
            count += 1
        self._send(batch, destination)
        return count == MOST_DATAGRAMS

    def say_goodbye(self, address: SocketAddress | None) -> None:
        """Send the last datagram, twice: it is not sent again if it is lost.

        Args:
            address: where the peer is, if not where the engine knows it.
        """
        farewell = self._engine.core.poll_transmit(monotonic())
        if farewell is not None:
            self._send([farewell[0], farewell[0]], address or farewell[1])

    def _send(self, batch: list[bytes], destination: SocketAddress | None) -> None:
        if not batch:
            return
        if self._answer is None:
            self.socket.send(batch, None)
        else:
            self.socket.send(batch, destination, self._answer)
