"""The one timer of a QUIC connection: the library says until when it wants to be called at the latest.

That time moves with every packet, mostly further away; a timer that goes off too early costs less than one that is moved
each time.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from qh3._hazmat import QuicConnectionCore

SOON: Final = 0.0005
"""Seconds under which a timer is not worth arming: the next turn of the loop is about as far away."""


class Alarm:
    """Goes off when the library wants to be called, or earlier.

    Args:
        ring: called when it goes off; to ask `went_off` whether it is time.
    """

    __slots__ = ("_deadline", "_handle", "_loop", "_ring")

    def __init__(self, ring: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._handle: asyncio.Handle | None = None
        self._deadline = 0.0

    def set(self, core: QuicConnectionCore) -> bool:
        """Go off no later than this core wants. Whether it is pacing: it could send more, and will do so then."""
        timer = core.get_timer()
        if timer is None:
            return False
        kind, deadline = timer
        paced = kind == "pacing"
        if self._handle is not None:
            if self._deadline <= deadline:
                return paced
            self._handle.cancel()
        self._deadline = deadline
        delay = deadline - monotonic()
        self._handle = self._loop.call_soon(self._ring) if delay < SOON else self._loop.call_later(delay, self._ring)
        return paced

    def went_off(self, core: QuicConnectionCore) -> bool:
        """Call the core if it is time for that; else go off again later."""
        self._handle = None
        timer, now = core.get_timer(), monotonic()
        if timer is None:
            return False
        if timer[1] > now + SOON:
            self.set(core)
            return False
        core.handle_timer(max(timer[1], now))
        return True

    def cancel(self) -> None:
        """Never go off again."""
        if self._handle is not None:
            self._handle.cancel()
