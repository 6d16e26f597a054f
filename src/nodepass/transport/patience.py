"""How long a link that is over is waited for: until what is left has moved on, as long as it does move.

Where a link broke, or is to break, what came before the break has a while to get through. But nobody may ever take it: a
user whose target has stopped reading leaves behind what nothing will move again. Waiting for that keeps a user counted who
has long gone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nodepass.transport.base import LINGER

if TYPE_CHECKING:
    from collections.abc import Callable

STANDSTILL: Final = 1.0
"""Seconds in which nothing has moved after which nothing will."""


class UnreadError(ConnectionResetError):
    """A link broke, and what had come before it found nobody who takes it."""


class Patience:
    """Waits for one link.

    What always holds: `over` is called once, not before `STANDSTILL` and not after `LINGER` seconds, unless `cancel` is
    called first; behind either, nothing here refers to the link.

    Args:
        left: gives what is left to be moved, as anything that is equal as long as nothing moves.
        over: called when it has had time.
    """

    __slots__ = ("_end", "_handle", "_loop")

    def __init__(self, left: Callable[[], object], over: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + LINGER
        self._handle = self._loop.call_later(min(STANDSTILL, LINGER), self._look, left, left(), over)

    def cancel(self) -> None:
        """Wait no more."""
        self._handle.cancel()

    def _look(self, left: Callable[[], object], before: object, over: Callable[[], None]) -> None:
        now, rest = self._loop.time(), left()
        if rest == before or now >= self._end:
            over()
        else:
            self._handle = self._loop.call_later(min(STANDSTILL, self._end - now), self._look, left, rest, over)
