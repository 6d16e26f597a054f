"""Hands the datagrams of one QUIC connection to its socket, in batches."""

from __future__ import annotations

from functools import partial
from itertools import groupby, islice
from operator import itemgetter
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
        self._engine.rounds += 1
        # A call and little more for each datagram: there are hundreds of thousands a second of them.
        transmits = islice(iter(partial(self._engine.core.poll_transmit, monotonic()), None), MOST_DATAGRAMS)
        if self._answer is None:
            batch = [transmit[0] for transmit in transmits]
            if batch:
                self.socket.send(batch, None)
            return len(batch) == MOST_DATAGRAMS
        count = 0
        for destination, group in groupby(transmits, itemgetter(1)):
            batch = [transmit[0] for transmit in group]
            self.socket.send(batch, destination, self._answer)
            count += len(batch)
        return count == MOST_DATAGRAMS

    def say_goodbye(self, address: SocketAddress | None) -> None:
        """Send the last datagram, twice: it is not sent again if it is lost.

        Args:
            address: where the peer is, if not where the engine knows it.
        """
        farewell = self._engine.core.poll_transmit(monotonic())
        if farewell is None:
            return
        twice = [farewell[0], farewell[0]]
        if self._answer is None:
            self.socket.send(twice, None)
        else:
            self.socket.send(twice, address or farewell[1], self._answer)
