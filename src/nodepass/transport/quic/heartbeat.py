"""Makes an end heard that has nothing to say, so that the other end does not take it for dead, nor a NAT forget it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Heartbeat:
    """Asks for a sign of life after an interval in which nothing was heard.

    Args:
        interval: seconds.
        ask: called when it is time.
    """

    __slots__ = ("_ask", "_interval", "_loop", "_timer", "heard")

    def __init__(self, interval: float, ask: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._interval = interval
        self._ask = ask
        self._timer = self._loop.call_later(interval, self._beat)
        self.heard = True
        """Whether the peer was heard in this interval; to be set by whoever hears it."""

    def cancel(self) -> None:
        """Ask no more."""
        self._timer.cancel()

    def _beat(self) -> None:
        self._timer = self._loop.call_later(self._interval, self._beat)
        if not self.heard:
            self._ask()
        self.heard = False
