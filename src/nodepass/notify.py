"""What a service manager is told: sd_notify(3), a few words by datagram to the socket that NOTIFY_SOCKET names.

The words are for the process that was started, and not for those that it starts: the variables are taken out of the
environment when they are read. Nothing here ever fails or waits: a manager that does not listen costs a word.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

STATUS_INTERVAL: Final = 5.0
"""Seconds between two looks at the status where there is no watchdog."""

MICROSECONDS: Final = 1_000_000


class Notifier:
    """Tells a service manager how the process does; where there is none, it does nothing.

    Args:
        environ: the environment; what is meant for this process is taken out of it.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        address = environ.pop("NOTIFY_SOCKET", "")
        watchdog = environ.pop("WATCHDOG_USEC", "")
        watched = environ.pop("WATCHDOG_PID", "")
        self._interval = 0.0
        if watchdog.isdecimal() and watched in {"", str(os.getpid())}:
            # Half of the time after which the manager takes the process for hung.
            self._interval = int(watchdog) / MICROSECONDS / 2
        self._status = ""
        self._timer: asyncio.TimerHandle | None = None
        self._socket: socket.socket | None = None
        if address[:1] in {"/", "@"}:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            with suppress(OSError):
                # A name that begins with a zero byte is one of Linux' abstract ones.
                self._socket.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)

    def ready(self, status: Callable[[], str]) -> None:
        """It runs. From now on the manager hears that its event loop turns, and its status when that changes.

        Args:
            status: one line for people.
        """
        self._status = status()
        self._send("READY=1", f"STATUS={self._status}")
        self._beat(status)

    def reloading(self) -> None:
        """It reads its configuration anew; `reloaded` follows."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self, status: str) -> None:
        """It has done so, or gone on as before."""
        self._send("READY=1", f"STATUS={status}")

    def stopping(self) -> None:
        """It ends. Until it has, the loop is watched on."""
        self._send("STOPPING=1", "STATUS=ending")

    def close(self) -> None:
        """Say no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _beat(self, status: Callable[[], str]) -> None:
        if self._socket is None:
            return
        words = ["WATCHDOG=1"] if self._interval else []
        if (now := status()) != self._status:
            self._status = now
            words.append(f"STATUS={now}")
        if words:
            self._send(*words)
        self._timer = asyncio.get_running_loop().call_later(self._interval or STATUS_INTERVAL, self._beat, status)

    def _send(self, *words: str) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.send("\n".join(words).encode())
