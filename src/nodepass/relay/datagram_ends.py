"""The ends of a UDP relay: each gives whole datagrams, and takes whole datagrams.

A user behind a shared listening socket (`UserEnd`), a target behind a connected one (`TargetEnd`); the tunnel's are
`link_ends`. What an end cannot take now is dropped, as UDP does, so that memory stays bounded.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from nodepass.log import WARN
from nodepass.net.udp import UdpSocket

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Protocol

    from nodepass.log import Log
    from nodepass.net.address import SocketAddress

    class DatagramReceiver(Protocol):
        """Who hears what an end has to tell."""

        def datagram_received(self, datagram: memoryview) -> None:
            """One whole datagram, valid during the call."""

        def end_lost(self, error: Exception | None) -> None:
            """The end is gone; nothing more comes from it."""


class DatagramEnd(ABC):
    """One end of a UDP relay."""

    __slots__ = ("receiver",)

    receiver: DatagramReceiver

    @abstractmethod
    def start(self, receiver: DatagramReceiver) -> None:
        """Begin to deliver to `receiver`."""

    @abstractmethod
    def send(self, datagram: bytes | memoryview) -> bool:
        """Send one datagram; False when it had to be dropped."""

    @abstractmethod
    def pause(self) -> None:
        """Deliver no more for now."""

    @abstractmethod
    def resume(self) -> None:
        """Go on delivering."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is below; `end_lost` is not called."""


class UserEnd(DatagramEnd):
    """A user of a listening socket that many share; the ingress hands over what came from this user's address."""

    __slots__ = ("_address", "_socket", "forget")

    def __init__(self, listening: UdpSocket, address: SocketAddress, forget: Callable[[], None]) -> None:
        self._socket = listening
        self._address = address
        self.forget = forget

    def start(self, receiver: DatagramReceiver) -> None:
        self.receiver = receiver

    def send(self, datagram: bytes | memoryview) -> bool:
        return self._socket.send(datagram, self._address)

    def pause(self) -> None:
        self._socket.pause()

    def resume(self) -> None:
        self._socket.resume()

    def close(self) -> None:
        self.forget()


class TargetEnd(DatagramEnd):
    """A target behind a connected socket of its own.

    Args:
        sock: connected to the target.
        buffer: where datagrams are read to (see `UdpSocket`).
        refused: called when the target refuses, or its socket fails, before it ever answered; it ends in `replace` or
            `lost`, perhaps later.
        header: put in front of every datagram (PROXY v2); a datagram is all the connection that UDP has.
        log: where datagrams too large are told of.
    """

    __slots__ = ("_answered", "_buffer", "_closed", "_header", "_last", "_log", "_refused", "_socket")

    def __init__(
        self,
        sock: socket.socket,
        buffer: memoryview,
        refused: Callable[[OSError], None],
        header: bytes,
        log: Log,
    ) -> None:
        self._buffer = buffer
        self._refused = refused
        self._header = header
        self._log = log
        self._answered = False
        self._closed = False
        self._last = b""
        self._socket = self._wrap(sock)
        self._socket.pause()

    def _wrap(self, sock: socket.socket) -> UdpSocket:
        return UdpSocket(sock, self._buffer, self._on_datagram, self._on_oversized, self._on_error)

    def replace(self, sock: socket.socket, header: bytes) -> None:
        """Go on at another address, which gets the last datagram again; not if the one before has answered after all."""
        if self._closed or self._answered:
            sock.close()
            return
        self._socket.close()
        self._header = header
        self._socket = self._wrap(sock)
        if self._last:
            self.send(self._last)

    @property
    def closed(self) -> bool:
        """Whether nobody needs a target any more."""
        return self._closed

    def lost(self, error: Exception) -> None:
        """No target is left to go on with."""
        self.receiver.end_lost(error)

    def start(self, receiver: DatagramReceiver) -> None:
        self.receiver = receiver
        self._socket.resume()

    def send(self, datagram: bytes | memoryview) -> bool:
        if not self._answered:
            self._last = bytes(datagram)
        return self._socket.send(b"".join((self._header, datagram)) if self._header else datagram)

    def pause(self) -> None:
        self._socket.pause()

    def resume(self) -> None:
        self._socket.resume()

    def close(self) -> None:
        self._closed = True
        self._socket.close()

    def _on_datagram(self, datagram: memoryview, _: SocketAddress) -> None:
        self._answered = True
        self._last = b""
        self.receiver.datagram_received(datagram)

    def _on_oversized(self, address: SocketAddress) -> None:
        too_large(self._log, "target", address, len(self._buffer) - 1)

    def _on_error(self, error: OSError) -> None:
        if error.errno == errno.EMSGSIZE:
            self._log.seldom("udp size", WARN, "UDP: a datagram is too large for the way to the target: dropped")
        elif self._answered:
            # A target that restarts refuses for a moment; the session outlives that, or its timeout ends it.
            self._log.seldom("udp refused", WARN, "UDP: target: %s", error.strerror)
        else:
            self._refused(error)


def too_large(log: Log, side: str, address: SocketAddress, largest: int) -> None:
    """Say that a datagram was dropped because of NP_UDP_DATA_BUF_SIZE."""
    log.seldom("udp oversized", WARN, "UDP: dropped a datagram of over %d bytes from %s %s", largest, side, address[0])
