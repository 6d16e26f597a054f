"""A user of UDP whose every datagram is known: what comes back is one that was sent, whole."""

from __future__ import annotations

import random
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from tests.adversity.content import content
from tests.harness import TIMEOUT, udp_socket

if TYPE_CHECKING:
    from types import TracebackType

PAUSE: Final = 0.01
LARGEST: Final = 3000
_HEAD: Final = struct.Struct("!QI")


class Datagrams:
    """Sends one after another to a port behind which is an echo, and compares what comes back.

    Args:
        port: for users.
        seed: of the sizes.
    """

    def __init__(self, port: int, seed: int = 1) -> None:
        self._socket = udp_socket(port, timeout=PAUSE)
        self._random = random.Random(seed)
        self._done = threading.Event()
        self._back = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent = 0
        self.returned: dict[int, int] = {}
        """How often each came back."""
        self.wrong: list[bytes] = []
        """What came and had not been sent."""
        self.verified = 0
        """Bytes that came back as they were sent."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        self._socket.close()

    def stop(self) -> None:
        """Send no more, and take what is still coming."""
        self._done.set()
        self._thread.join()

    def first_returned(self, timeout: float = TIMEOUT) -> float:
        """Wait until one that is sent from now on is back; gives when that was."""
        next_one = self.sent
        with self._back:
            came = self._back.wait_for(lambda: any(number >= next_one for number in self.returned), timeout)
        assert came, "no datagram comes back any more"
        return time.monotonic()

    @property
    def repeated(self) -> int:
        """How many came back more than once."""
        return sum(times > 1 for times in self.returned.values())

    def _run(self) -> None:
        while not self._done.is_set():
            size = self._random.randrange(LARGEST)
            # A connected socket is told when nobody listens.
            with suppress(OSError):
                self._socket.send(_HEAD.pack(self.sent, size) + content(self.sent, 0, size))
            self.sent += 1
            self._receive()
        self._receive()

    def _receive(self) -> None:
        with suppress(OSError):
            while True:
                self._compare(self._socket.recv(1 << 16))

    def _compare(self, datagram: bytes) -> None:
        number, size = _HEAD.unpack_from(datagram) if len(datagram) >= _HEAD.size else (0, -1)
        if number >= self.sent or datagram[_HEAD.size :] != content(number, 0, max(size, 0)):
            self.wrong.append(datagram)
            return
        self.verified += len(datagram)
        with self._back:
            self.returned[number] = self.returned.get(number, 0) + 1
            self._back.notify_all()
