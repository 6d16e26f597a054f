"""Small servers for a tunnel to lead to, each in threads of this process. Context managers; `port` is theirs."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from queue import Queue
from typing import TYPE_CHECKING, Self

from tests.harness.ports import free_port
from tests.harness.process import TIMEOUT

if TYPE_CHECKING:
    from types import TracebackType

CHUNK = 1 << 16


class TcpTarget(ABC):
    """Listens, and gives every connection a thread.

    Args:
        port: where; a free one unless given.
        host: address to bind.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.port = port or free_port()
        self.host = host
        self.peers: Queue[tuple[str, int]] = Queue()
        """Where each connection came from, in order."""
        self._connections: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def start(self) -> Self:
        """Listen."""
        self._listener.bind((self.host, self.port))
        self._listener.listen(1024)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    __enter__ = start

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening and break off every connection."""
        _shut(self._listener)
        for sock in tuple(self._connections):
            _shut(sock)

    @property
    def count(self) -> int:
        """Connections taken and not asked for yet with `peers.get`."""
        return self.peers.qsize()

    @abstractmethod
    def serve(self, sock: socket.socket) -> None:
        """Serve one connection, in a thread of its own; it is closed afterwards."""

    def _accept(self) -> None:
        while True:
            try:
                sock, peer = self._listener.accept()
            except OSError:
                return
            self._connections.add(sock)
            self.peers.put(peer[:2])
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError), sock:
            self.serve(sock)
        self._connections.discard(sock)


class Echo(TcpTarget):
    """Sends back what it gets, behind a greeting if it has one; ends when the other side does.

    Args:
        port: where; a free one unless given.
        host: address to bind.
        greeting: tells one target from another.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1", greeting: bytes = b"") -> None:
        super().__init__(port, host)
        self._greeting = greeting

    def serve(self, sock: socket.socket) -> None:
        if self._greeting:
            sock.sendall(self._greeting)
        while data := sock.recv(CHUNK):
            sock.sendall(data)


class SpeaksFirst(TcpTarget):
    """Greets as an SSH or SMTP server does, waits for one answer, repeats it, and ends."""

    GREETING = b"220 ready when you are\r\n"

    def serve(self, sock: socket.socket) -> None:
        sock.sendall(self.GREETING)
        sock.sendall(sock.recv(CHUNK))


@dataclass
class Received:
    """What one connection brought."""

    data: bytearray = field(default_factory=bytearray)
    ended_by: str = ""
    """`EOF`, `reset`, or nothing so far."""
    ended: threading.Event = field(default_factory=threading.Event)
    first: threading.Event = field(default_factory=threading.Event)
    """Something has come."""

    def all(self, timeout: float = TIMEOUT) -> bytes:
        """Wait for its end; gives everything."""
        assert self.ended.wait(timeout), f"no end of the connection after {bytes(self.data[:80])!r}"
        return bytes(self.data)


class Recorder(TcpTarget):
    """Keeps what it gets until EOF, then sends `answer` and ends: proves a half-close.

    Args:
        port: where; a free one unless given.
        host: address to bind.
        answer: sent when the other side has ended.
        eager: send the answer and end this direction at once instead, and go on reading.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1", answer: bytes = b"", *, eager: bool = False) -> None:
        super().__init__(port, host)
        self.connections: Queue[Received] = Queue()
        """One for each connection that brings something, as they come; a forwarder's ping of its target does not."""
        self._answer = answer
        self._eager = eager

    def next(self, timeout: float = TIMEOUT) -> Received:
        """The next connection."""
        return self.connections.get(timeout=timeout)

    def serve(self, sock: socket.socket) -> None:
        received = Received()
        if self._eager:
            self.connections.put(received)
            sock.sendall(self._answer)
            sock.shutdown(socket.SHUT_WR)
        try:
            while data := sock.recv(CHUNK):
                received.data += data
                if not received.first.is_set() and not self._eager:
                    self.connections.put(received)
                received.first.set()
            received.ended_by = "EOF"
            if not self._eager:
                sock.sendall(self._answer)
        except OSError:
            received.ended_by = received.ended_by or "reset"
            raise
        finally:
            received.ended.set()


class Silent(TcpTarget):
    """Never reads, until it is released; then it reads to the end.

    Args:
        port: where; a free one unless given.
        host: address to bind.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__(port, host)
        self.release = threading.Event()
        self.received: Queue[int] = Queue()
        """Bytes that each connection brought, at its end."""

    def serve(self, sock: socket.socket) -> None:
        self.release.wait()
        total = 0
        while data := sock.recv(CHUNK):
            total += len(data)
        self.received.put(total)

    def stop(self) -> None:
        self.release.set()
        super().stop()


class UdpEcho:
    """Sends every datagram back, behind a greeting if it has one.

    Args:
        port: where; a free one unless given.
        host: address to bind.
        greeting: tells one target from another.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1", greeting: bytes = b"") -> None:
        self.port = port or free_port()
        self.host = host
        self.received: Queue[tuple[bytes, tuple[str, int]]] = Queue()
        """Datagrams and where they came from."""
        self._greeting = greeting
        self._stopped = False
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)

    def start(self) -> Self:
        """Serve."""
        self._socket.bind((self.host, self.port))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    __enter__ = start

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop."""
        self._stopped = True
        _shut(self._socket)

    def next(self, timeout: float = TIMEOUT) -> tuple[bytes, tuple[str, int]]:
        """The next datagram and where it came from."""
        return self.received.get(timeout=timeout)

    def _serve(self) -> None:
        while True:
            try:
                datagram, peer = self._socket.recvfrom(CHUNK)
            except ConnectionError:
                continue
            except OSError:
                return
            if self._stopped:
                return
            self.received.put((datagram, peer[:2]))
            with suppress(OSError):
                self._socket.sendto(self._greeting + datagram, peer)


def unanswering(stack: ExitStack) -> int:
    """A port that lets connections hang: its queue is full and nobody accepts."""
    listener = stack.enter_context(socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", free_port()))
    listener.listen(0)
    for _ in range(3):
        filler = stack.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    return int(listener.getsockname()[1])


def _shut(sock: socket.socket) -> None:
    """Close a socket on which a thread of ours is blocked: `close` alone would not wake it."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
