"""Users without end, who keep a tunnel busy while something happens to it."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tests.harness.net import connect, exchange, read_exactly
from tests.harness.process import TIMEOUT

if TYPE_CHECKING:
    import socket

USERS_AT_A_TIME = 4
SIZE = 20_000


def greeting(user: socket.socket) -> bytes:
    """The one byte with which a target tells who it is."""
    return read_exactly(user, 1)


@dataclass(frozen=True)
class Broken:
    """A user that was broken off.

    Args:
        came: when.
        user: its address, as logs show it; nothing if it was not even connected.
        served_by: who had greeted it; nobody so far where that is empty.
        error: how it was broken off.
    """

    came: float
    user: str
    served_by: bytes
    error: str


@dataclass
class Load:
    """Users that come one after another, several at a time, and check every byte.

    Args:
        port: for users.
    """

    port: int
    served: list[tuple[float, bytes]] = field(default_factory=list)
    """When each user came, and who served it."""
    broken: list[Broken] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(USERS_AT_A_TIME)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Wait until so many users who come from now on have been served."""
        now = time.monotonic()
        with self._changed:
            assert self._changed.wait_for(lambda: sum(came > now for came, _ in self.served) >= count, TIMEOUT)

    def _run(self) -> None:
        while not self._done.is_set():
            came, address, name, data = time.monotonic(), "", b"", os.urandom(SIZE)
            try:
                with connect(self.port) as user:
                    address = "{}:{}".format(*user.getsockname())
                    name = greeting(user)
                    assert exchange(user, data) == data
            except (OSError, EOFError) as error:
                self.broken.append(Broken(came, address, name, repr(error)))
            else:
                with self._changed:
                    self.served.append((came, name))
                    self._changed.notify()
