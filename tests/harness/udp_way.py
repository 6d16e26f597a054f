"""A way for UDP through this process, as bad as a network can be: it loses, repeats and delays datagrams, and moves."""

from __future__ import annotations

import random
import select
import socket
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from tests.harness.harm import Harm
from tests.harness.targets import CHUNK

if TYPE_CHECKING:
    from types import TracebackType

LARGE_BUFFER = 1 << 22

MOST_WAITING: Final = 20_000
"""Datagrams that are late, or held up; more are lost, as a router would."""


@dataclass(frozen=True)
class Troubles:
    """What happens to datagrams; all but the delay is a probability.

    Args:
        loss: it does not arrive.
        repeat: it arrives twice.
        swap: it arrives behind the next.
        delay: seconds that it comes later.
    """

    loss: float = 0.0
    repeat: float = 0.0
    swap: float = 0.0
    delay: float = 0.0


CLEAR = Troubles()


class UdpWay:
    """Listens on a UDP port, and passes datagrams on to another of this machine and back, one sender at a time.

    Args:
        to: that port, which may be set later.
        port: where; a free one unless given.
        troubles: on the way.
        seed: of the troubles, so that they can be had again.
        source: address by which the far side sees it.
    """

    def __init__(
        self, to: int = 0, port: int = 0, troubles: Troubles = CLEAR, seed: int = 1, source: str = "127.0.0.1"
    ) -> None:
        self.to = to
        self._source = source
        self._random = random.Random(seed)
        self._near = self._bound(port)
        self._far = self._bound(0, source)
        self._old: list[socket.socket] = []
        self._client: tuple[str, int] | None = None
        self._held: dict[socket.socket, bytes] = {}
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port: int = self._near.getsockname()[1]
        self.troubles = troubles
        self.passed = 0
        """Datagrams that came, from either side."""
        self.harm: Counter[Harm] = Counter()
        """What happened to how many of them."""
        self.silent = False
        """Whether nothing passes."""
        self.held = False
        """Whether all that comes waits."""
        self._late: deque[tuple[float, bytes, socket.socket, tuple[str, int]]] = deque()
        """What is to be sent, and when."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopped = True
        self._thread.join()

    def move(self, source: str = "") -> None:
        """From now on, the far side sees another port, as behind a NAT that has forgotten; answers to the old are lost.

        Args:
            source: another address as well, as where a machine has gone to another network.
        """
        self._source = source or self._source
        self._old.append(self._far)
        self._far = self._bound(0, self._source)

    def send(self, datagram: bytes) -> None:
        """Send something of one's own to the far side."""
        self._far.sendto(datagram, ("127.0.0.1", self.to))

    @staticmethod
    def _bound(port: int, address: str = "127.0.0.1") -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LARGE_BUFFER)
        sock.bind((address, port))
        sock.setblocking(False)
        return sock

    def _run(self) -> None:
        while not self._stopped:
            far = self._far
            readable, _, _ = select.select((self._near, far), (), (), 0.005 if self._late else 0.02)
            for sock in readable:
                for _ in range(64):
                    try:
                        datagram, sender = sock.recvfrom(CHUNK)
                    except OSError:
                        break
                    if sock is self._near:
                        self._client = sender
                        # Not by `far`: what was sent after a move leaves from there.
                        self._pass(datagram, self._far, ("127.0.0.1", self.to))
                    elif self._client is not None:
                        self._pass(datagram, self._near, self._client)
            self._send_late()
        for sock in (self._near, self._far, *self._old):
            sock.close()

    def _pass(self, datagram: bytes, sock: socket.socket, to: tuple[str, int]) -> None:
        self.passed += 1
        chance, troubles = self._random.random, self.troubles
        if self.silent:
            self.harm[Harm.SWALLOWED] += 1
            return
        if chance() < troubles.loss:
            self.harm[Harm.LOST] += 1
            return
        if chance() < troubles.swap and sock not in self._held:
            self._held[sock] = datagram
            return
        held = self._held.pop(sock, None)
        self._send(datagram, sock, to)
        if chance() < troubles.repeat:
            self.harm[Harm.REPEATED] += 1
            self._send(datagram, sock, to)
        if held is not None:
            self.harm[Harm.SWAPPED] += 1
            self._send(held, sock, to)

    def _send(self, datagram: bytes, sock: socket.socket, to: tuple[str, int]) -> None:
        if self._old and sock is self._far:
            self.harm[Harm.MOVED] += 1
        if self.held or self._late or self.troubles.delay:
            if len(self._late) == MOST_WAITING:
                self.harm[Harm.LOST] += 1
                return
            self._late.append((time.monotonic() + self.troubles.delay, datagram, sock, to))
            if self.held:
                self.harm[Harm.HELD] += 1
            if self.troubles.delay:
                self.harm[Harm.DELAYED] += 1
            return
        with suppress(OSError):
            sock.sendto(datagram, to)

    def _send_late(self) -> None:
        """Send what has waited long enough, in the order in which it came."""
        while self._late and not self.held and self._late[0][0] <= time.monotonic():
            _, datagram, sock, to = self._late.popleft()
            with suppress(OSError):
                sock.sendto(datagram, to)
